//! What a search climbs, seen from the search.
//!
//! EPO knows prompts as token ids and scores as two numbers; everything about models, templates and tokenizers is
//! behind this trait, so the algorithm is tested on a toy.

use crate::error::Result;

/// What a prompt is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Effect, in the objective's unit; larger is better.
    pub target: f64,
    /// Cross-entropy of the prompt in place, nats per token; smaller is more fluent.
    pub xent: f64,
}

/// A space of prompts with their scores.
pub trait Landscape {
    /// Token ids that may stand at a position of the prompt, in rising order.
    fn allowed(&self, position: usize) -> &[u32];

    /// The text of `ids`, if pasting it yields exactly `ids` again in every context; `None` otherwise.
    ///
    /// # Errors
    /// A tokenizer failure.
    fn text(&self, ids: &[u32]) -> Result<Option<String>>;

    /// How many prompts are best evaluated in one call.
    fn batch(&self) -> usize;

    /// Scores of prompts, in their order, each the mean over the same fixed contexts.
    ///
    /// # Errors
    /// A failure of the model.
    fn evaluate(&self, prompts: &[Vec<u32>]) -> Result<Vec<Score>>;

    /// For each `(prompt, λ)` and each position, the `k` allowed tokens with the smallest derivative of
    /// −target + λ·xent with respect to the one-hot token (methods.md eq. 7), best first; fewer when fewer are allowed.
    ///
    /// # Errors
    /// A failure of the model.
    fn proposals(&self, members: &[(&[u32], f64)], k: usize) -> Result<Vec<Vec<Vec<u32>>>>;
}
