//! The tensors of a checkpoint in the form the blocks use: fused projections, rows turned for speed.

use candle_core::Device;
use rayon::prelude::*;

use crate::config::ModelConfig;
use crate::error::Result;
use crate::keep::{Keep, Placer};
use crate::ops::block::Block;
use crate::ops::linear::Linear;
use crate::ops::norm::Norm;
use crate::ops::rope::Rope;
use crate::stored::Stored;

/// All weights.
#[derive(Debug)]
pub(crate) struct Weights {
    /// From `d_model` to `vocab`; looked up by row.
    pub(crate) embed: Linear,
    pub(crate) blocks: Vec<Block>,
    pub(crate) norm: Norm,
    pub(crate) head: Linear,
    pub(crate) rope: Rope,
    tied: bool,
}

/// Where tensors come from.
pub(crate) trait Source {
    /// The values of the tensor `name`, which must have this shape.
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Stored>;
}

impl Weights {
    /// Reads every tensor of the architecture.
    ///
    /// # Errors
    /// Those of the source, and of the device.
    pub(crate) fn read(config: &ModelConfig, source: &mut dyn Source, device: &Device, keep: Keep) -> Result<Self> {
        let placer = Placer { device, keep, n_params: n_params(config) };
        let mut reader = Reader { config, source, placer };
        let (vocab, d) = (config.vocab_size, config.d_model);
        let embed = reader.embedding("model.embed_tokens.weight", vocab, d)?;
        let blocks = (0..config.n_layers).map(|idx| reader.block(idx)).collect::<Result<_>>()?;
        let norm = reader.norm("model.norm.weight")?;
        let head = if config.tied { embed.clone() } else { reader.embedding("lm_head.weight", vocab, d)? };
        Ok(Self { embed, blocks, norm, head, rope: Rope::new(config), tied: config.tied })
    }

    /// Memory taken, by number format: the name and the bytes of each piece.
    pub(crate) fn formats(&self) -> Vec<(&'static str, u64)> {
        let head = Some(&self.head).filter(|_| !self.tied);
        let linears = self.blocks.iter().flat_map(Block::linears).chain(head).chain([&self.embed]);
        let matrices: Vec<_> = linears.collect();
        let vectors = self.n_values() - matrices.iter().map(|linear| linear.n_values() as u64).sum::<u64>();
        let dtype = self.norm.weight.dtype();
        let vectors = (dtype.as_str(), vectors * dtype.size_in_bytes() as u64);
        matrices.into_iter().flat_map(Linear::formats).chain([vectors]).collect()
    }

    /// Whether gradients pass all matrices.
    pub(crate) fn has_gradient(&self) -> bool {
        self.blocks.iter().flat_map(Block::linears).chain([&self.head]).all(Linear::has_gradient)
    }

    /// Number of parameters.
    pub(crate) fn n_values(&self) -> u64 {
        let blocks: usize = self.blocks.iter().map(Block::n_values).sum();
        let head = if self.tied { 0 } else { self.head.n_values() };
        (self.embed.n_values() + blocks + self.norm.weight.elem_count() + head) as u64
    }
}

/// Parameters of the matrices that a configuration asks for.
fn n_params(config: &ModelConfig) -> u64 {
    let (d, q_dim) = (config.d_model as u64, (config.n_heads * config.head_dim) as u64);
    let block = d * (config.qkv_dim() as u64 + q_dim + 3 * config.d_mlp as u64);
    let tables = if config.tied { 1 } else { 2 };
    block * config.n_layers as u64 + tables * d * config.vocab_size as u64
}

struct Reader<'a> {
    config: &'a ModelConfig,
    source: &'a mut dyn Source,
    placer: Placer<'a>,
}

impl Reader<'_> {
    fn embedding(&mut self, name: &str, vocab: usize, d_model: usize) -> Result<Linear> {
        self.placer.embedding(self.source.tensor(name, &[vocab, d_model])?, vocab, d_model)
    }

    fn norm(&mut self, name: &str) -> Result<Norm> {
        let mut values = self.source.tensor(name, &[self.config.d_model])?.widened()?;
        for value in &mut values {
            *value += self.config.arch.norm_offset as f32;
        }
        Ok(Norm { weight: self.placer.vector(values)?, eps: self.config.norm_eps })
    }

    /// Projections `(name, n_out)` of the same input side by side.
    fn linear(&mut self, parts: &[(String, usize)], n_in: usize, bias: bool) -> Result<Linear> {
        let mut weights = Vec::with_capacity(parts.len());
        let mut biases = Vec::new();
        for (name, n) in parts {
            weights.push((self.source.tensor(&format!("{name}.weight"), &[*n, n_in])?, *n));
            if bias {
                biases.extend(self.source.tensor(&format!("{name}.bias"), &[*n])?.widened()?);
            }
        }
        let bias = if bias { Some(self.placer.vector(biases)?) } else { None };
        self.placer.linear(weights, n_in, bias)
    }

    fn block(&mut self, idx: usize) -> Result<Block> {
        let config = self.config;
        let (d, q_dim, kv_dim, wide) =
            (config.d_model, config.n_heads * config.head_dim, config.kv_dim(), config.d_mlp);
        let name = |part: &str| format!("model.layers.{idx}.{part}");
        let qkv = [("q", q_dim), ("k", kv_dim), ("v", kv_dim)].map(|(p, n)| (name(&format!("self_attn.{p}_proj")), n));
        let gate_up = ["gate", "up"].map(|part| (name(&format!("mlp.{part}_proj")), wide));
        Ok(Block {
            attn_norm: self.norm(&name("input_layernorm.weight"))?,
            qkv: self.linear(&qkv, d, config.arch.qkv_bias)?,
            o: self.linear(&[(name("self_attn.o_proj"), d)], q_dim, config.arch.o_bias)?,
            mlp_norm: self.norm(&name("post_attention_layernorm.weight"))?,
            gate_up: self.linear(&gate_up, d, false)?,
            down: self.linear(&[(name("mlp.down_proj"), d)], wide, false)?,
        })
    }
}

/// Rows `[n, width]` to columns `[width, n]`.
pub(crate) fn transposed(rows: &[f32], width: usize) -> Vec<f32> {
    const BLOCK: usize = 16;
    let n = rows.len() / width;
    let mut out = vec![0.0; rows.len()];
    out.par_chunks_mut(BLOCK * n).enumerate().for_each(|(block, columns)| {
        let first = block * BLOCK;
        for (i, row) in rows.chunks_exact(width).enumerate() {
            for (column, value) in columns.chunks_exact_mut(n).zip(&row[first..]) {
                column[i] = *value;
            }
        }
    });
    out
}
