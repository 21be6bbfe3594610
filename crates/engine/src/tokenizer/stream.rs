//! Text from ids that arrive one by one.

use crate::error::Result;
use crate::tokenizer::Tokenizer;

/// Turns ids that arrive one by one into text, never breaking a character in two.
///
/// A few ids are decoded again for each new one, because decoders look at what stands before: many drop a space at the
/// very beginning. What is shown is what the whole decodes to. The one exception are byte tokens that break off inside
/// a character: some decoders then spoil the whole characters before them, too, which are shown by then.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    ids: Vec<u32>,
    /// Ids before this one have been shown.
    shown_ids: usize,
    /// Decoding starts here.
    from: usize,
}

impl StreamDecoder {
    /// Adds an id and returns the text that has become certain, which may be empty.
    pub(crate) fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> Result<String> {
        self.ids.push(id);
        let (text, is_new) = self.unshown(tokenizer)?;
        if text.is_empty() || text.ends_with(char::REPLACEMENT_CHARACTER) {
            return Ok(String::new());
        }
        self.from = if is_new { self.ids.len() - 1 } else { self.shown_ids };
        self.shown_ids = self.ids.len();
        Ok(text)
    }

    /// What is left at the end: an unfinished character, as the tokenizer shows it.
    pub(crate) fn finish(&mut self, tokenizer: &Tokenizer) -> Result<String> {
        let (text, _) = self.unshown(tokenizer)?;
        self.shown_ids = self.ids.len();
        self.from = self.shown_ids;
        Ok(text)
    }

    /// The text of the ids that have not been shown, and whether they had to be decoded by themselves.
    fn unshown(&self, tokenizer: &Tokenizer) -> Result<(String, bool)> {
        let before = tokenizer.decode(&self.ids[self.from..self.shown_ids])?;
        let now = tokenizer.decode(&self.ids[self.from..])?;
        match now.strip_prefix(&before) {
            Some(text) => Ok((text.to_owned(), false)),
            // The new ids changed what stands before them, which is shown already.
            None => Ok((tokenizer.decode(&self.ids[self.shown_ids..])?, true)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
        let mut decoder = StreamDecoder::default();
        let mut pieces: Vec<String> = ids.iter().map(|id| decoder.push(tokenizer, *id).unwrap()).collect();
        pieces.push(decoder.finish(tokenizer).unwrap());
        pieces
    }

    #[test]
    fn characters_come_whole() {
        let tokenizer = Tokenizer::bytes(256).unwrap();
        for text in ["", "plain", " Größe 雨\n🙂 ", "\u{fffd}", "x\u{fffd}y"] {
            let ids = tokenizer.encode(text).unwrap();
            let pieces = streamed(&tokenizer, &ids);
            assert_eq!(pieces.concat(), text);
            for piece in pieces {
                assert!(text.contains('\u{fffd}') || !piece.contains('\u{fffd}'), "{text:?} shows {piece:?}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_character_come_as_the_tokenizer_shows_them() {
        let tokenizer = Tokenizer::bytes(256).unwrap();
        // The ids of this tokenizer are the bytes.
        for ids in [&[0xe9, 0x9b][..], &[0x61, 0xff, 0x62], &[0xe9, 0x9b, 0x20, 0xa8]] {
            assert_eq!(streamed(&tokenizer, ids).concat(), tokenizer.decode(ids).unwrap(), "{ids:?}");
        }
    }
}
