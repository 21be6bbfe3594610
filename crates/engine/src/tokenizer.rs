//! The checkpoint's tokenizer.

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{EngineError, Result};

/// A tokenizer with what prompt search needs to know about single tokens. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tokenizer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tokenizer: tokenizers::Tokenizer,
    /// Added tokens; whether they are special.
    added: HashMap<u32, bool>,
    /// One above the largest id.
    len: usize,
}

impl Tokenizer {
    /// Reads the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`EngineError::Tokenizer`] when it is malformed.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let mut tokenizer = tokenizers::Tokenizer::from_bytes(text).map_err(|error| failed(&error))?;
        // Whatever the file says, nothing is cut or filled up here.
        tokenizer.with_truncation(None).map_err(|error| failed(&error))?;
        tokenizer.with_padding(None);
        let added: HashMap<u32, bool> =
            tokenizer.get_added_tokens_decoder().into_iter().map(|(id, token)| (id, token.special)).collect();
        let len = tokenizer.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1);
        Ok(Self(Arc::new(Inner { tokenizer, added, len })))
    }

    /// A tokenizer whose ids are the bytes of the text, those below `n`.
    ///
    /// # Errors
    /// [`EngineError::Tokenizer`] should the tokenizer library refuse it.
    pub(crate) fn bytes(n: usize) -> Result<Self> {
        let mut next = 255;
        let symbol = |byte: u32| -> char {
            let shown = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
            if !shown {
                next += 1;
            }
            char::from_u32(if shown { byte } else { next }).unwrap_or('?')
        };
        let vocab: serde_json::Map<String, serde_json::Value> =
            (0..n.min(256) as u32).map(symbol).zip(0..).map(|(c, id)| (c.to_string(), u64::into(id))).collect();
        let level = serde_json::json!({
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false
        });
        let json = serde_json::json!({
            "version": "1.0", "added_tokens": [], "pre_tokenizer": level, "decoder": level,
            "model": { "type": "BPE", "vocab": vocab, "merges": [] },
        });
        Self::from_json(json.to_string().as_bytes())
    }

    /// Token ids of a text in which special tokens may be written out; adds nothing of its own.
    ///
    /// # Errors
    /// [`EngineError::Tokenizer`] when the tokenizer library fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.0.tokenizer.encode_fast(text, false).map_err(|error| failed(&error))?.get_ids().to_vec())
    }

    /// The text of token ids, special tokens included.
    ///
    /// # Errors
    /// [`EngineError::Tokenizer`] when the tokenizer library fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.0.tokenizer.decode(ids, false).map_err(|error| failed(&error))
    }

    /// Number of ids (added tokens included): one above the largest.
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether there are no ids.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Text of one token as it would be decoded alone; `None` for an id without a token.
    pub fn token_text(&self, id: u32) -> Option<String> {
        self.0.tokenizer.id_to_token(id)?;
        self.0.tokenizer.decode(&[id], false).ok()
    }

    /// The id of a token written out, e.g. `<|end|>`.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.0.tokenizer.token_to_id(token)
    }

    /// Special token (never written by users).
    pub fn is_special(&self, id: u32) -> bool {
        self.0.added.get(&id).copied().unwrap_or(false)
    }

    /// Added token, special or not.
    pub fn is_added(&self, id: u32) -> bool {
        self.0.added.contains_key(&id)
    }
}

fn failed(error: &tokenizers::Error) -> EngineError {
    EngineError::Tokenizer(error.to_string())
}

/// Turns ids that arrive one by one into text, never breaking a character in two.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    ids: Vec<u32>,
    /// Ids before this one have been shown.
    shown_ids: usize,
    /// Decoding starts here, so that only a few ids are decoded again for each new one.
    from: usize,
}

impl StreamDecoder {
    /// Adds an id and returns the text that has become certain, which may be empty.
    pub(crate) fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> Result<String> {
        self.ids.push(id);
        let before = tokenizer.decode(&self.ids[self.from..self.shown_ids])?;
        let now = tokenizer.decode(&self.ids[self.from..])?;
        if now.ends_with('\u{fffd}') || now.len() <= before.len() {
            return Ok(String::new());
        }
        let text = now.get(before.len()..).unwrap_or_default().to_owned();
        self.from = self.shown_ids;
        self.shown_ids = self.ids.len();
        Ok(text)
    }

    /// What is left at the end: an unfinished character, as the tokenizer shows it.
    pub(crate) fn finish(&mut self, tokenizer: &Tokenizer) -> Result<String> {
        let before = tokenizer.decode(&self.ids[self.from..self.shown_ids])?;
        let now = tokenizer.decode(&self.ids[self.from..])?;
        self.shown_ids = self.ids.len();
        Ok(now.get(before.len()..).unwrap_or_default().to_owned())
    }
}
