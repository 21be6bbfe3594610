//! The tensors of a checkpoint in the form the blocks use: fused projections, rows turned for speed.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::config::ModelConfig;
use crate::error::Result;
use crate::ops::block::Block;
use crate::ops::linear::{Linear, Orientation};
use crate::ops::norm::Norm;
use crate::ops::rope::Rope;
use crate::stored::Stored;

/// All weights.
#[derive(Debug)]
pub(crate) struct Weights {
    /// `[vocab, d_model]`.
    pub(crate) embed: Tensor,
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
    pub(crate) fn read(config: &ModelConfig, source: &mut dyn Source, device: &Device, dtype: DType) -> Result<Self> {
        let mut reader = Reader { config, source, device, dtype };
        let (vocab, d) = (config.vocab_size, config.d_model);
        let embed = reader.tensor("model.embed_tokens.weight", &[vocab, d])?;
        let blocks = (0..config.n_layers).map(|idx| reader.block(idx)).collect::<Result<_>>()?;
        let norm = reader.norm("model.norm.weight")?;
        let head = if config.tied { embed.clone() } else { reader.tensor("lm_head.weight", &[vocab, d])? };
        let head = Linear::new(head, None, Orientation::OutIn);
        Ok(Self { embed, blocks, norm, head, rope: Rope::new(config), tied: config.tied })
    }

    /// Number of parameters.
    pub(crate) fn n_values(&self) -> u64 {
        let blocks: usize = self.blocks.iter().map(Block::n_values).sum();
        let head = if self.tied { 0 } else { self.head.n_values() };
        (self.embed.elem_count() + blocks + self.norm.weight.elem_count() + head) as u64
    }
}

struct Reader<'a> {
    config: &'a ModelConfig,
    source: &'a mut dyn Source,
    device: &'a Device,
    dtype: DType,
}

impl Reader<'_> {
    fn place(&self, values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
        Ok(Tensor::from_vec(values, shape, self.device)?.to_dtype(self.dtype)?)
    }

    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let values = self.source.tensor(name, shape)?.widened()?;
        self.place(values, shape)
    }

    fn norm(&mut self, name: &str) -> Result<Norm> {
        let mut values = self.source.tensor(name, &[self.config.d_model])?.widened()?;
        for value in &mut values {
            *value += self.config.arch.norm_offset as f32;
        }
        Ok(Norm { weight: self.place(values, &[self.config.d_model])?, eps: self.config.norm_eps })
    }

    /// Projections `(name, n_out)` of the same input side by side.
    fn linear(&mut self, parts: &[(String, usize)], n_in: usize, bias: bool) -> Result<Linear> {
        let n_out = parts.iter().map(|(_, n)| n).sum();
        let mut rows = Vec::with_capacity(n_out * n_in);
        let mut biases = Vec::new();
        for (name, n) in parts {
            rows.extend(self.source.tensor(&format!("{name}.weight"), &[*n, n_in])?.widened()?);
            if bias {
                biases.extend(self.source.tensor(&format!("{name}.bias"), &[*n])?.widened()?);
            }
        }
        let weight = self.place(transposed(&rows, n_in), &[n_in, n_out])?;
        let bias = if bias { Some(self.place(biases, &[n_out])?) } else { None };
        Ok(Linear::new(weight, bias, Orientation::InOut))
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
