//! Streaming generation.
use crate::{edit::Edit, error::Result, model::Model};
use std::{ops::ControlFlow, sync::Arc};
use tiller_protocol::chat::{EndReason, Sampling};
/// Edits to use now; read before every token.
pub type LiveEdits<'a> = &'a dyn Fn() -> Arc<Vec<Edit>>;
/// One reply to be written.
pub struct Reply<'a> {
    /// Rendered prompt, reply header included.
    pub prompt: Vec<u32>,
    /// Edits, read before every token.
    pub edits: LiveEdits<'a>,
}
/// A finished reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Token ids, without the end token.
    pub ids: Vec<u32>,
    /// Their text.
    pub text: String,
    /// Why it ended.
    pub reason: EndReason,
}
/// Writes several replies at once with the same seed each; `on_text(reply index, new text)` after every token. Break stops all.
/// # Errors
/// A prompt that does not fit the context, or a failure in the tensor library.
pub fn generate(
    _model: &Model,
    _replies: &[Reply<'_>],
    _sampling: &Sampling,
    _on_text: &mut dyn FnMut(usize, &str) -> ControlFlow<()>,
) -> Result<Vec<Generated>> {
    todo!()
}
