//! From what a person types to the token that is meant.

use tiller_engine::tokenizer::Tokenizer;
use tiller_protocol::problem::Problem;

use crate::problem;

/// A token that stands for a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meant {
    /// Its id.
    pub(crate) id: u32,
    /// Its text.
    pub(crate) text: String,
    /// It is only the beginning of what was typed.
    pub(crate) is_part: bool,
}

/// The token that a text stands for: the whole text, words preferably as they stand behind a space, else its first token.
///
/// # Errors
/// An empty text, or a tokenizer that fails.
pub(crate) fn meant(tokenizer: &Tokenizer, typed: &str) -> Result<Meant, Problem> {
    let told = |error| problem::engine(&error);
    let empty = || problem::bad_input("no token was given", "Type a word or a token of the model.");
    if typed.is_empty() {
        return Err(empty());
    }
    let spaced = format!(" {typed}");
    let is_word = typed.starts_with(char::is_alphanumeric);
    let tries = if is_word { [spaced.as_str(), typed] } else { [typed, spaced.as_str()] };
    let text_of = |id| tokenizer.token_text(id).unwrap_or_default();
    for text in tries {
        if let [id] = tokenizer.encode_continuation(text).map_err(told)?[..] {
            return Ok(Meant { id, text: text_of(id), is_part: false });
        }
    }
    let ids = tokenizer.encode_continuation(tries[0]).map_err(told)?;
    // A lone space says nothing.
    let telling = ids.iter().copied().find(|id| !text_of(*id).trim().is_empty());
    let id = telling.or(ids.first().copied()).ok_or_else(empty)?;
    Ok(Meant { id, text: text_of(id), is_part: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::tests::demo;

    #[test]
    fn words_stand_behind_a_space_and_long_ones_for_their_first_token() {
        let tokenizer = demo().model.tokenizer();
        let word = meant(tokenizer, "the").unwrap();
        assert_eq!((word.text.as_str(), word.is_part), (" the", false));
        assert_eq!(meant(tokenizer, " the").unwrap(), word);
        assert_eq!(meant(tokenizer, ".").unwrap().text, ".");
        let long = meant(tokenizer, "the antidisestablishmentarian").unwrap();
        assert!(long.is_part && !long.text.trim().is_empty(), "{long:?}");
        assert!(meant(tokenizer, "").is_err());
    }
}
