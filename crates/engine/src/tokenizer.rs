//! The checkpoint's tokenizer.
use crate::error::Result;
/// A tokenizer with what prompt search needs to know about single tokens.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    _private: (),
}
impl Tokenizer {
    /// Token ids of a text in which special tokens may be written out; adds nothing of its own.
    pub fn encode(&self, _text: &str) -> Result<Vec<u32>> {
        todo!()
    }
    /// The text of token ids, special tokens included.
    pub fn decode(&self, _ids: &[u32]) -> Result<String> {
        todo!()
    }
    /// Number of ids (added tokens included).
    pub fn len(&self) -> usize {
        todo!()
    }
    /// Whether there are no ids.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Text of one token as it would be decoded alone; `None` for an id without a token.
    pub fn token_text(&self, _id: u32) -> Option<String> {
        todo!()
    }
    /// Special token (never written by users).
    pub fn is_special(&self, _id: u32) -> bool {
        todo!()
    }
    /// Added token, special or not.
    pub fn is_added(&self, _id: u32) -> bool {
        todo!()
    }
}
