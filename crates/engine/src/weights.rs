//! The tensors of a checkpoint in the form the blocks use: fused projections, rows turned for speed.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::config::ModelConfig;
use crate::error::Result;
use crate::keep::{Keep, Placer};
use crate::memory::n_params;
use crate::ops::block::Block;
use crate::ops::linear::Linear;
use crate::ops::loss::Head;
use crate::ops::norm::Norm;
use crate::ops::qk_norm::QkNorm;
use crate::ops::rope::Rope;
use crate::stored::Stored;

/// All weights.
#[derive(Debug)]
pub(crate) struct Weights {
    /// From `d_model` to `vocab`; looked up by row.
    pub(crate) embed: Linear,
    pub(crate) blocks: Vec<Block>,
    pub(crate) norm: Norm,
    pub(crate) head: Head,
    /// For each of the config's rotary settings.
    pub(crate) ropes: Vec<Rope>,
    /// Number format of the activations.
    pub(crate) dtype: DType,
    tied: bool,
}

/// Where tensors come from.
pub(crate) trait Source {
    /// The values of the tensor `name`, which must have this shape.
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Stored>;

    /// Whether there may be a tensor of this name.
    fn holds(&self, _name: &str) -> bool {
        true
    }
}

/// What the names of the decoder's tensors and the name of the head begin with: of a text model, then of the language
/// part of a wrapper, as it is written today and as it was written first.
const PREFIXES: [(&str, &str); 3] =
    [("model.", ""), ("model.language_model.", ""), ("language_model.model.", "language_model.")];

/// The prefixes that the names of a checkpoint have, given which names it holds; a text model's where none fits.
pub(crate) fn prefixes(holds: impl Fn(&str) -> bool) -> (&'static str, &'static str) {
    let fits = |(prefix, _): &(&str, &str)| holds(&format!("{prefix}embed_tokens.weight"));
    PREFIXES.into_iter().find(fits).unwrap_or(PREFIXES[0])
}

impl Weights {
    /// Reads every tensor of the architecture.
    ///
    /// # Errors
    /// Those of the source, and of the device.
    pub(crate) fn read(config: &ModelConfig, source: &mut dyn Source, device: &Device, keep: Keep) -> Result<Self> {
        let placer = Placer { device, keep, n_params: n_params(config) };
        let (prefix, head_prefix) = prefixes(|name| source.holds(name));
        let dtype = placer.activations();
        let mut reader = Reader { config, source, placer, prefix };
        let (vocab, d) = (config.vocab_size, config.d_model);
        let embed = reader.embedding(&format!("{prefix}embed_tokens.weight"), vocab, d)?;
        let blocks = (0..config.n_layers).map(|idx| reader.block(idx)).collect::<Result<_>>()?;
        let norm = reader.norm(&format!("{prefix}norm.weight"), d)?;
        let linear = if config.tied {
            embed.clone()
        } else {
            reader.embedding(&format!("{head_prefix}lm_head.weight"), vocab, d)?
        };
        let head = Head { linear, softcap: config.arch.final_softcap.map(|cap| cap as f32) };
        let ropes = config.ropes.iter().map(|&params| Rope::new(config.head_dim, params)).collect();
        Ok(Self { embed, blocks, norm, head, ropes, dtype, tied: config.tied })
    }

    /// Memory taken, by number format: the name and the bytes of each piece.
    pub(crate) fn formats(&self) -> Vec<(&'static str, u64)> {
        let head = Some(&self.head.linear).filter(|_| !self.tied);
        let linears = self.blocks.iter().flat_map(Block::linears).chain(head).chain([&self.embed]);
        let matrices: Vec<_> = linears.collect();
        let vectors = self.n_values() - matrices.iter().map(|linear| linear.n_values() as u64).sum::<u64>();
        let dtype = self.norm.weight.dtype();
        let vectors = (dtype.as_str(), vectors * dtype.size_in_bytes() as u64);
        matrices.into_iter().flat_map(Linear::formats).chain([vectors]).collect()
    }

    /// Whether gradients pass all matrices.
    pub(crate) fn has_gradient(&self) -> bool {
        self.blocks.iter().flat_map(Block::linears).chain([&self.head.linear]).all(Linear::has_gradient)
    }

    /// Number of parameters.
    pub(crate) fn n_values(&self) -> u64 {
        let blocks: usize = self.blocks.iter().map(Block::n_values).sum();
        let head = if self.tied { 0 } else { self.head.linear.n_values() };
        (self.embed.n_values() + blocks + self.norm.weight.elem_count() + head) as u64
    }
}

struct Reader<'a> {
    config: &'a ModelConfig,
    source: &'a mut dyn Source,
    placer: Placer<'a>,
    /// Of the decoder's tensors.
    prefix: &'static str,
}

impl Reader<'_> {
    fn embedding(&mut self, name: &str, vocab: usize, d_model: usize) -> Result<Linear> {
        self.placer.embedding(self.source.tensor(name, &[vocab, d_model])?, vocab, d_model)
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Norm> {
        let mut values = self.source.tensor(name, &[width])?.widened()?;
        for value in &mut values {
            *value += self.config.arch.norm_offset as f32;
        }
        Ok(Norm { weight: Tensor::from_vec(values, width, self.placer.device)?, eps: self.config.norm_eps })
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
        let arch = config.arch;
        let prefix = self.prefix;
        let name = |part: &str| format!("{prefix}layers.{idx}.{part}");
        let norm_name = |part: &str| name(&format!("{part}_layernorm.weight"));
        let qkv = [("q", q_dim), ("k", kv_dim), ("v", kv_dim)].map(|(p, n)| (name(&format!("self_attn.{p}_proj")), n));
        let gate_up = ["gate", "up"].map(|part| (name(&format!("mlp.{part}_proj")), wide));
        let attn_norm = self.norm(&norm_name("input"), d)?;
        let qkv = self.linear(&qkv, d, arch.qkv_bias)?;
        let qk_norm = if arch.qk_norm {
            let q = self.norm(&name("self_attn.q_norm.weight"), config.head_dim)?;
            Some(QkNorm { q, k: self.norm(&name("self_attn.k_norm.weight"), config.head_dim)? })
        } else {
            None
        };
        let o = self.linear(&[(name("self_attn.o_proj"), d)], q_dim, arch.o_bias)?;
        // With norms on both sides of a sublayer, the names go by the sublayer; else by what comes before.
        let (post_attn, mlp_norm, post_mlp) = if arch.post_norms {
            let post_attn = self.norm(&norm_name("post_attention"), d)?;
            let mlp_norm = self.norm(&norm_name("pre_feedforward"), d)?;
            (Some(post_attn), mlp_norm, Some(self.norm(&norm_name("post_feedforward"), d)?))
        } else {
            (None, self.norm(&norm_name("post_attention"), d)?, None)
        };
        Ok(Block {
            attn_norm,
            qkv,
            qk_norm,
            o,
            post_attn,
            mlp_norm,
            gate_up: self.linear(&gate_up, d, false)?,
            activation: arch.activation,
            down: self.linear(&[(name("mlp.down_proj"), d)], wide, false)?,
            post_mlp,
        })
    }
}

/// Rows `[n, width]` to columns `[width, n]`.
pub(crate) fn transposed<T: Copy + Default + Send + Sync>(rows: &[T], width: usize) -> Vec<T> {
    const BLOCK: usize = 16;
    let n = rows.len() / width;
    let mut out = vec![T::default(); rows.len()];
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
