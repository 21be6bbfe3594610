//! The checkpoint's tokenizer.

mod stream;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

pub(crate) use self::stream::StreamDecoder;

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
    /// The same without the added tokens.
    model_len: usize,
    /// A token that reads the same wherever it stands, and its text.
    anchor: Option<(u32, String)>,
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
        let vocab = tokenizer.get_vocab(true);
        let len = vocab.values().max().map_or(0, |&id| id as usize + 1);
        let model_len = vocab.values().filter(|id| !added.contains_key(id)).max().map_or(0, |&id| id as usize + 1);
        let anchor = (0..len as u32).filter(|id| !added.contains_key(id)).find_map(|id| {
            let text = tokenizer.decode(&[id], false).ok()?;
            let twice = tokenizer.decode(&[id, id], false).ok()?;
            let is_plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
            (is_plain && twice == text.repeat(2)).then_some((id, text))
        });
        Ok(Self(Arc::new(Inner { tokenizer, added, len, model_len, anchor })))
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

    /// As [`Self::encode`], with the bytes of the text that each token stands for. Tokens that together make one
    /// character all stand for its bytes; one that the tokenizer put in stands for none.
    ///
    /// # Errors
    /// [`EngineError::Tokenizer`] when the tokenizer library fails.
    pub fn encode_with_places(&self, text: &str) -> Result<(Vec<u32>, Vec<Range<usize>>)> {
        let encoding = self.0.tokenizer.encode(text, false).map_err(|error| failed(&error))?;
        let places = encoding.get_offsets().iter().map(|&(start, end)| start..end.max(start)).collect();
        Ok((encoding.get_ids().to_vec(), places))
    }

    /// Token ids of a text that continues another one. Some tokenizers put a space in front of a text that begins;
    /// here they do not.
    ///
    /// # Errors
    /// [`EngineError::Tokenizer`] when the tokenizer library fails.
    pub fn encode_continuation(&self, text: &str) -> Result<Vec<u32>> {
        const BEFORE: &str = "a";
        let alone = self.encode(text)?;
        if text.is_empty() {
            return Ok(alone);
        }
        let (mut ids, places) = self.encode_with_places(&format!("{BEFORE}{text}"))?;
        let first = places.iter().position(|place| place.start >= BEFORE.len()).unwrap_or(ids.len());
        // Unless the text's beginning merged with what was put before it.
        let is_apart = places[..first].iter().all(|place| place.end <= BEFORE.len());
        Ok(if is_apart { ids.split_off(first) } else { alone })
    }

    /// Id of the token that the tokenizer's own rule puts in front of a text (BOS), if it does.
    ///
    /// # Errors
    /// [`EngineError::Tokenizer`] when the tokenizer library fails.
    pub fn leading_token(&self) -> Result<Option<u32>> {
        let encoding = self.0.tokenizer.encode_fast("", true).map_err(|error| failed(&error))?;
        Ok(encoding.get_ids().first().copied())
    }

    /// Token ids of a text without a chat template: what the tokenizer's own rule puts in front (BOS), and the text.
    ///
    /// # Errors
    /// [`EngineError::Tokenizer`] when the tokenizer library fails.
    pub fn encode_whole(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = self.encode(text)?;
        if let Some(leading) = self.leading_token()?.filter(|leading| ids.first() != Some(leading)) {
            ids.insert(0, leading);
        }
        Ok(ids)
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

    /// Number of ids without the added tokens: one above the largest.
    pub fn model_len(&self) -> usize {
        self.0.model_len
    }

    /// Whether there are no ids.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Text of one token as it reads behind other text, its leading space included; `None` for an id without a token.
    pub fn token_text(&self, id: u32) -> Option<String> {
        self.0.tokenizer.id_to_token(id)?;
        let decode = |ids: &[u32]| self.0.tokenizer.decode(ids, false).ok();
        // Many decoders drop a space at the very beginning.
        match &self.0.anchor {
            Some((anchor, before)) => decode(&[*anchor, id])?.strip_prefix(before).map(str::to_owned),
            None => decode(&[id]),
        }
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

#[cfg(test)]
mod tests;
