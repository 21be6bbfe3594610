//! Chat templates (Jinja, by minijinja).
use crate::{error::Result, tokenizer::Tokenizer};
use tiller_protocol::{chat::Turn, persona::Placement};
/// A checkpoint's chat template.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    _private: (),
}

/// A rendered prompt, cut at the place where a searched prompt stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slotted {
    /// Text before the slot.
    pub left: String,
    /// Text after the slot, up to and including the generation header.
    pub right: String,
    /// Ids of `left`.
    pub left_ids: Vec<u32>,
    /// Ids of `right`.
    pub right_ids: Vec<u32>,
}

impl ChatTemplate {
    /// Renders a conversation; with `open_reply` the header of the assistant's turn is added.
    pub fn render(&self, _turns: &[Turn], _open_reply: bool) -> Result<String> {
        todo!()
    }
    /// Renders `user` with a slot at `placement` and cuts there. `system` is used unless the slot is the system turn.
    pub fn slotted(
        &self,
        _tokenizer: &Tokenizer,
        _system: Option<&str>,
        _user: &str,
        _placement: Placement,
    ) -> Result<Slotted> {
        todo!()
    }
    /// Renders `user` with `prompt` at `placement` (`None`: no prompt at all) and opens the reply.
    pub fn render_with(&self, _prompt: Option<&str>, _user: &str, _placement: Placement) -> Result<String> {
        todo!()
    }
}
