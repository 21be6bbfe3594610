//! `config.json`, checked: what differs between checkpoints, in one struct.
//!
//! `family` holds what differs between families, `rope` the rotary settings in all their spellings. Knows nothing
//! about files or tensors. Source: the `configuration_*.py` of Hugging Face transformers 5.23.

mod family;
mod keys;
mod rope;

use serde_json::Value;

use self::family::Family;
pub(crate) use self::keys::token_ids;
use self::keys::{Keys, bad};
pub use self::rope::{RopeParams, RopeScaling};
use crate::error::{EngineError, Result};

/// Architecture of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// First entry of `architectures`.
    pub architecture: String,
    /// Residual width.
    pub d_model: usize,
    /// Blocks.
    pub n_layers: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key/value heads.
    pub n_kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Width of the MLP.
    pub d_mlp: usize,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Longest sequence.
    pub context_len: usize,
    /// Head shares the embedding matrix.
    pub tied: bool,
    /// Added to the mean square inside each norm.
    pub norm_eps: f64,
    /// Rotary settings that the blocks choose from.
    pub ropes: Vec<RopeParams>,
    /// What differs from block to block, `[n_layers]`.
    pub blocks: Vec<BlockParams>,
    /// What differs between architectures.
    pub arch: ArchParams,
    /// `eos_token_id`, one or several.
    pub eos_ids: Vec<u32>,
}

/// What differs from block to block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockParams {
    /// A token attends to this many tokens at most, itself and those right before it; `None` is all.
    pub window: Option<usize>,
    /// Index into [`ModelConfig::ropes`].
    pub rope: usize,
}

/// What differs between decoder families; a Llama has the values of [`ArchParams::LLAMA`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent properties of an architecture")]
pub struct ArchParams {
    /// The query, key and value projections have a bias.
    pub qkv_bias: bool,
    /// The attention's output projection has a bias.
    pub o_bias: bool,
    /// Queries and keys are normed, head by head, before they are rotated.
    pub qk_norm: bool,
    /// What attention and MLP give is normed once more before it is added to the residual stream.
    pub post_norms: bool,
    /// Added to every norm weight at load (1 where the checkpoint stores `weight − 1`).
    pub norm_offset: f64,
    /// Embedding rows are multiplied by this.
    pub embed_scale: f64,
    /// Function on the MLP's gate.
    pub activation: Activation,
    /// Attention scores are divided by the root of this; `None` is the width of a head.
    pub attn_scalar: Option<f64>,
    /// Attention scores `s` become `cap·tanh(s/cap)`.
    pub attn_softcap: Option<f64>,
    /// Logits `l` become `cap·tanh(l/cap)`.
    pub final_softcap: Option<f64>,
}

impl ArchParams {
    /// Llama 2 and 3.
    pub const LLAMA: Self = Self {
        qkv_bias: false,
        o_bias: false,
        qk_norm: false,
        post_norms: false,
        norm_offset: 0.0,
        embed_scale: 1.0,
        activation: Activation::Silu,
        attn_scalar: None,
        attn_softcap: None,
        final_softcap: None,
    };
}

/// Function on the MLP's gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x·σ(x)`.
    Silu,
    /// `x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))`.
    GeluTanh,
}

/// Sizes above this belong to no model: a broken file must not ask for terabytes.
const MAX_SIZE: usize = 1 << 24;

impl ModelConfig {
    /// Parses and checks the text of a `config.json`.
    ///
    /// # Errors
    /// [`EngineError::UnknownArchitecture`] for a family without an implementation, [`EngineError::BadRequest`] with
    /// the reason for anything malformed, and for any setting that changes the numbers and has no implementation.
    pub fn from_json(text: &str) -> Result<Self> {
        let json: Value = serde_json::from_str(text).map_err(|error| bad(&format!("it is not JSON: {error}")))?;
        let architecture =
            json["architectures"][0].as_str().ok_or_else(|| bad("`architectures` names no architecture"))?.to_owned();
        let family = Family::of(&architecture)
            .ok_or_else(|| EngineError::UnknownArchitecture { name: architecture.clone(), path: None })?;
        let keys = Keys::new(&json, family)?;
        keys.refuse_unsupported(&architecture)?;
        let d_model = keys.size("hidden_size")?;
        let n_layers = keys.size("num_hidden_layers")?;
        let n_heads = keys.size("num_attention_heads")?;
        let head_dim = match keys.optional("head_dim")? {
            Some(width) => width,
            None if d_model.is_multiple_of(n_heads) => d_model / n_heads,
            None => return Err(bad(&format!("`hidden_size` {d_model} does not divide among {n_heads} heads"))),
        };
        let kinds = keys.layer_kinds(n_layers)?;
        let ropes = rope::read(&keys)?;
        let window = if keys.flag("use_sliding_window", true)? { keys.optional("sliding_window")? } else { None };
        let blocks = kinds.iter().map(|&slides| BlockParams {
            window: if slides { window } else { None },
            rope: if slides { ropes.len() - 1 } else { 0 },
        });
        let config = Self {
            d_model,
            n_layers,
            n_heads,
            n_kv_heads: keys.optional("num_key_value_heads")?.unwrap_or(n_heads),
            head_dim,
            d_mlp: keys.size("intermediate_size")?,
            vocab_size: keys.size("vocab_size")?,
            context_len: keys.size("max_position_embeddings")?,
            tied: keys.flag("tie_word_embeddings", false)?,
            norm_eps: keys.number("rms_norm_eps")?.unwrap_or(1e-6),
            blocks: blocks.collect(),
            ropes,
            arch: family.arch(&keys, d_model)?,
            eos_ids: keys.eos_ids(),
            architecture,
        };
        config.check()?;
        Ok(config)
    }

    /// Width of the keys (and of the values) of one token.
    pub fn kv_dim(&self) -> usize {
        self.n_kv_heads * self.head_dim
    }

    /// Width of the fused query, key and value projection.
    pub fn qkv_dim(&self) -> usize {
        (self.n_heads + 2 * self.n_kv_heads) * self.head_dim
    }

    /// Whether the numbers fit each other.
    ///
    /// # Errors
    /// [`EngineError::BadRequest`] naming the pair that does not.
    pub fn check(&self) -> Result<()> {
        if self.n_kv_heads == 0 || !self.n_heads.is_multiple_of(self.n_kv_heads) {
            return Err(bad(&format!(
                "{} query heads do not divide among {} key heads",
                self.n_heads, self.n_kv_heads
            )));
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(2) {
            return Err(bad(&format!("head width {} is not even", self.head_dim)));
        }
        let sizes = [self.d_model, self.d_mlp, self.vocab_size, self.n_layers, self.n_heads * self.head_dim];
        if let Some(size) = sizes.into_iter().find(|size| !(1..=MAX_SIZE).contains(size)) {
            return Err(bad(&format!("a size of {size} is out of range (1 to {MAX_SIZE})")));
        }
        if !(self.norm_eps > 0.0 && self.ropes.iter().all(|rope| rope.theta > 0.0)) {
            return Err(bad("`rms_norm_eps` and `rope_theta` must be above 0"));
        }
        let known = |block: &BlockParams| block.rope < self.ropes.len() && block.window != Some(0);
        if self.blocks.len() != self.n_layers || !self.blocks.iter().all(known) {
            return Err(bad(&format!("the settings of {} blocks do not fit {}", self.blocks.len(), self.n_layers)));
        }
        let scales = [self.arch.attn_scalar, self.arch.attn_softcap, self.arch.final_softcap];
        if scales.into_iter().flatten().any(|scale| scale <= 0.0 || !scale.is_finite()) {
            return Err(bad("`query_pre_attn_scalar` and the soft caps must be above 0"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
