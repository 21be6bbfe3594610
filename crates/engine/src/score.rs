//! Log-probabilities of answers.
use crate::{edit::Edit, error::Result, model::Model};
/// A prompt and the answers compared after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The rendered prompt, reply header included.
    pub prompt: Vec<u32>,
    /// Token ids of each answer; none may be empty.
    pub answers: Vec<Vec<u32>>,
}
/// Summed log P(answer | prompt) in nats for every answer of every choice. Equal prompt beginnings are computed once.
/// # Errors
/// Empty prompts or answers, or a sequence longer than the context.
pub fn answer_log_probs(_model: &Model, _choices: &[Choice], _edits: &[Edit]) -> Result<Vec<Vec<f64>>> {
    todo!()
}
/// Mean −log P of `ids[from..]` given what stands before, nats per token.
/// # Errors
/// As [`answer_log_probs`].
pub fn cross_entropy(_model: &Model, _ids: &[u32], _from: usize) -> Result<f64> {
    todo!()
}
