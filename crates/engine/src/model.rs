//! The decoder: one forward for all families.
//!
//! Pre-norm blocks `x + attention(norm(x))`, `x + mlp(norm(x))` (Llama: Touvron et al. 2023; shapes and names as in
//! Hugging Face `modeling_llama.py`). What differs between families is in [`crate::config::ArchParams`]. Weights are
//! plain tensors: no weight gradient is ever computed.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use tiller_protocol::chat::TemplateOptions;

pub use crate::cache::KvCache;
use crate::config::ModelConfig;
use crate::edit::Edit;
use crate::error::{EngineError, Result};
use crate::ops::loss;
use crate::template::ChatTemplate;
use crate::tokenizer::Tokenizer;
use crate::tree::{Node, Parent, TokenTree};
use crate::weights::Weights;

/// A loaded model.
#[derive(Debug)]
pub struct Model {
    pub(crate) config: ModelConfig,
    pub(crate) device: Device,
    pub(crate) weights: Weights,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) template: Option<ChatTemplate>,
    pub(crate) eos_ids: Vec<u32>,
}

/// One forward pass. Build it from [`Request::new`] and set what differs.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Tokens.
    pub tree: &'a TokenTree,
    /// Caches that `Parent::Cache` refers to.
    pub caches: &'a [&'a KvCache],
    /// Embeddings `[n_tokens, d_model]` (scale applied) in place of the look-up; gradients flow to them.
    pub embeds: Option<&'a Tensor>,
    /// Edits, applied in order within a block.
    pub edits: &'a [Edit],
    /// Blocks whose `resid_post` (after edits) is returned.
    pub capture: &'a [usize],
    /// Blocks whose `resid_post` is returned as it is before their edits.
    pub before: &'a [usize],
    /// Stop after this block; `None` runs all.
    pub last_block: Option<usize>,
    /// Return the cache of every node.
    pub keep_kv: bool,
    /// Rows needed from the last block that runs, ascending; `None` is all. The others are spared most of that block's
    /// work: in [`Output::last`], and in that block's captures, they mean nothing.
    pub rows: Option<&'a [u32]>,
    /// Some nodes need not go through all blocks; excludes `keep_kv` and `rows`.
    pub early: Option<EarlyExit<'a>>,
}

/// Nodes that leave the forward pass before its end, so that the last blocks run on fewer rows.
#[derive(Clone, Copy, Debug)]
pub struct EarlyExit<'a> {
    /// Block after which only the kept nodes go on. Captures of later blocks and [`Output::last`] hold their rows alone.
    /// In the capture of this block only the last row of each leaving node has a meaning: the others were spared most
    /// of its work. When it is the last block anyway, all rows stay in place.
    pub after_block: usize,
    /// Indices of the nodes that go on, ascending; a node's ancestors in the tree must be among them.
    pub keep: &'a [usize],
}

impl<'a> Request<'a> {
    /// All blocks over `tree`: no cache, edit or capture.
    pub fn new(tree: &'a TokenTree) -> Self {
        Self {
            tree,
            caches: &[],
            embeds: None,
            edits: &[],
            capture: &[],
            before: &[],
            last_block: None,
            keep_kv: false,
            rows: None,
            early: None,
        }
    }
}

/// What a forward pass returns.
#[derive(Debug)]
pub struct Output {
    /// `(block, resid_post [n_tokens, d_model])` in the order asked for.
    pub resid_post: Vec<(usize, Tensor)>,
    /// The same before the edits of its block, for [`Request::before`].
    pub before: Vec<(usize, Tensor)>,
    /// `resid_post` of the last block that ran, `[n_tokens, d_model]`; with an early exit the kept nodes' rows, packed
    /// in the same order.
    pub last: Tensor,
    /// With `keep_kv`: for each node the cache of its whole path.
    pub caches: Vec<KvCache>,
}

impl Model {
    /// Architecture.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Chat template, when the checkpoint brings one.
    pub fn template(&self) -> Option<&ChatTemplate> {
        self.template.as_ref()
    }

    /// Tells the chat template, when there is one, other options.
    pub fn set_template_options(&mut self, options: TemplateOptions) {
        self.template = self.template.take().map(|template| template.with_options(options));
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Tokens that end a reply.
    pub fn eos_ids(&self) -> &[u32] {
        &self.eos_ids
    }

    /// Number of parameters; a head tied to the embedding counts once.
    pub fn n_params(&self) -> u64 {
        self.weights.n_values()
    }

    /// Bytes the weights take.
    pub fn weights_bytes(&self) -> u64 {
        self.weights.formats().iter().map(|(_, bytes)| bytes).sum()
    }

    /// Number format that takes most of the weights' bytes, e.g. `bf16` or `q4_k`.
    pub fn weights_format(&self) -> &'static str {
        let mut totals: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (format, bytes) in self.weights.formats() {
            *totals.entry(format).or_default() += bytes;
        }
        totals.into_iter().max_by_key(|(_, bytes)| *bytes).map_or("f32", |(format, _)| format)
    }

    /// Whether [`crate::gradient`] works with this model: not while its weights are quantised.
    pub fn has_gradients(&self) -> bool {
        self.weights.has_gradient()
    }

    /// Embedding rows with the architecture's scale applied, `[n, d_model]`.
    ///
    /// # Errors
    /// [`EngineError::BadRequest`] for an id without a row.
    pub fn embed(&self, ids: &[u32]) -> Result<Tensor> {
        self.check_ids(ids)?;
        let rows = self.weights.embed.look_up(ids, &self.device)?;
        let scale = self.config.arch.embed_scale;
        Ok(if scale == 1.0 { rows } else { (rows * scale)? })
    }

    /// Final norm and head: `resid` `[n, d_model]` of the last block to logits `[n, vocab]`; gradients flow to `resid`.
    ///
    /// # Errors
    /// A failure in the tensor library.
    pub fn logits(&self, resid: &Tensor) -> Result<Tensor> {
        Ok(self.weights.head.forward(&self.final_norm(resid)?)?)
    }

    /// −log P(target) per row in nats, `[n]`, f32, from the last block's `resid` `[n, d_model]`; gradients flow to
    /// `resid`. Never holds all logits.
    ///
    /// # Errors
    /// [`EngineError::BadRequest`] when there are not as many targets as rows, or a target without a row in the head.
    pub fn cross_entropy(&self, resid: &Tensor, targets: &[u32]) -> Result<Tensor> {
        self.check_ids(targets)?;
        if resid.dim(0)? != targets.len() {
            let (rows, n) = (resid.dim(0)?, targets.len());
            return Err(EngineError::BadRequest(format!("{n} targets for {rows} rows")));
        }
        Ok(loss::cross_entropy(&self.final_norm(resid)?, &self.weights.head, targets)?)
    }

    /// −log P of every token after every row, `[n, vocab]`, f32; a constant.
    ///
    /// # Errors
    /// A failure in the tensor library.
    pub fn negative_log_probs(&self, resid: &Tensor) -> Result<Tensor> {
        Ok(loss::negative_log_probs(&self.final_norm(&resid.detach())?, &self.weights.head)?)
    }

    /// Runs `ids` after `past` (if any) and returns the cache of the whole sequence.
    ///
    /// # Errors
    /// An empty sequence or one longer than the context.
    pub fn prefill(&self, ids: &[u32], past: Option<&KvCache>) -> Result<KvCache> {
        let mut tree = TokenTree::new();
        let parent = if past.is_some() { Parent::Cache(0) } else { Parent::Root };
        tree.push(Node { parent, ids: ids.to_vec(), ends_prompt: false, is_reply: false });
        let caches: Vec<&KvCache> = past.into_iter().collect();
        let last = [ids.len().saturating_sub(1) as u32];
        let request = Request { caches: &caches, keep_kv: true, rows: Some(&last), ..Request::new(&tree) };
        let mut out = self.forward(&request)?;
        out.caches.pop().ok_or_else(|| EngineError::BadRequest("there are no tokens".to_owned()))
    }

    /// The norm before the head.
    pub(crate) fn final_norm(&self, resid: &Tensor) -> Result<Tensor> {
        Ok(self.weights.norm.forward(resid)?)
    }

    pub(crate) fn check_ids(&self, ids: &[u32]) -> Result<()> {
        let vocab = self.config.vocab_size;
        match ids.iter().find(|&&id| id as usize >= vocab) {
            None => Ok(()),
            Some(id) => Err(EngineError::BadRequest(format!("token {id} is not among the model's {vocab}"))),
        }
    }

    /// Number format of the activations.
    pub fn dtype(&self) -> DType {
        self.weights.dtype
    }
}
