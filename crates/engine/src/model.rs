//! The decoder: one forward for all families.
use crate::{
    config::ModelConfig, edit::Edit, error::Result, template::ChatTemplate, tokenizer::Tokenizer, tree::TokenTree,
};
use candle_core::{Device, Tensor};

/// A loaded model.
#[derive(Debug)]
pub struct Model {
    _private: (),
}

/// Keys and values of a token sequence in every block: a constant, cheap to clone.
#[derive(Clone, Debug)]
pub struct KvCache {
    _private: (),
}

impl KvCache {
    /// Tokens held.
    pub fn len(&self) -> usize {
        todo!()
    }
    /// Whether no token is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One forward pass.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Tokens.
    pub tree: &'a TokenTree,
    /// Caches that `Parent::Cache` refers to.
    pub caches: &'a [&'a KvCache],
    /// Embeddings `[n_tokens, d_model]` in place of the look-up; gradients flow to them.
    pub embeds: Option<&'a Tensor>,
    /// Edits, applied in order within a block.
    pub edits: &'a [Edit],
    /// Blocks whose `resid_post` (after edits) is returned.
    pub capture: &'a [usize],
    /// Stop after this block; `None` runs all.
    pub last_block: Option<usize>,
    /// Only these rows are needed from the last block run (saves its MLP elsewhere); `None` is all.
    pub keep_kv: bool,
}

/// What a forward pass returns.
#[derive(Debug)]
pub struct Output {
    /// `(block, resid_post [n_tokens, d_model])` in the order asked for.
    pub resid_post: Vec<(usize, Tensor)>,
    /// `resid_post` of the last block that ran, `[n_tokens, d_model]`.
    pub last: Tensor,
    /// With `keep_kv`: for each node the cache of its whole path.
    pub caches: Vec<KvCache>,
}

impl Model {
    /// Architecture.
    pub fn config(&self) -> &ModelConfig {
        todo!()
    }
    /// Tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        todo!()
    }
    /// Chat template, when the checkpoint brings one.
    pub fn template(&self) -> Option<&ChatTemplate> {
        todo!()
    }
    /// Where the weights are.
    pub fn device(&self) -> &Device {
        todo!()
    }
    /// Tokens that end a reply.
    pub fn eos_ids(&self) -> &[u32] {
        todo!()
    }
    /// Number of parameters.
    pub fn n_params(&self) -> u64 {
        todo!()
    }
    /// Bytes the weights take.
    pub fn weights_bytes(&self) -> u64 {
        todo!()
    }
    /// Embedding rows with the architecture's scale applied, `[n, d_model]`.
    pub fn embed(&self, _ids: &[u32]) -> Result<Tensor> {
        todo!()
    }
    /// Runs the blocks.
    pub fn forward(&self, _request: &Request<'_>) -> Result<Output> {
        todo!()
    }
    /// Final norm and head: `resid` `[n, d_model]` of the last block to logits `[n, vocab]`.
    pub fn logits(&self, _resid: &Tensor) -> Result<Tensor> {
        todo!()
    }
    /// −log P(target) per row in nats, `[n]`, from the last block's `resid` `[n, d_model]`; gradients flow to `resid`. Never holds all logits.
    pub fn cross_entropy(&self, _resid: &Tensor, _targets: &[u32]) -> Result<Tensor> {
        todo!()
    }
    /// Runs `ids` after `past` (if any) and returns the cache of the whole sequence.
    pub fn prefill(&self, _ids: &[u32], _past: Option<&KvCache>) -> Result<KvCache> {
        todo!()
    }
}
