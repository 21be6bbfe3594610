//! Which tokens a searched prompt may be made of (methods.md §3.5).
//!
//! Special and added tokens, byte fragments and unprintable ones are always out, and so are answer letters: a prompt
//! must not win by priming one. With `whole_words` a token is a word with its leading space or one mark of
//! punctuation; the first token stands at the beginning of a text and so has a capital instead of a space.

use std::collections::HashSet;

use tiller_engine::{DType, KvCache, Model, Node, Parent, Request, Tensor, TokenTree};

use crate::error::{DiscoverError, Result};

/// Marks that count as a token of their own when only whole words are allowed.
const MARKS: [&str; 6] = [".", ",", "!", "?", ";", ":"];
/// Up to this many ids the model itself is asked which tokens are whole words; beyond, it would take too long.
const ASK_UP_TO: usize = 16_384;
/// A token counts as a word when the model gives at least this probability to a break after it,
const MIN_BREAK: f32 = 0.5;
/// and at least this probability to the token itself at the beginning or after some other allowed token. The inner
/// steps of a tokenizer's merges stand in no text, and a model that never met them expects them nowhere.
const MIN_CHANCE: f32 = 1e-3;
/// With fewer capitalised words than this, any word may begin a prompt.
const MIN_FIRST: usize = 8;

/// What is kept out.
#[derive(Clone, Debug, Default)]
pub struct TokenFilter {
    /// Only ASCII.
    pub ascii_only: bool,
    /// Only whole words and punctuation.
    pub whole_words: bool,
    /// Words that may not occur, whatever their case.
    pub banned_words: Vec<String>,
}

/// Token ids allowed at the beginning of a prompt and elsewhere, in rising order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedTokens {
    first: Vec<u32>,
    inner: Vec<u32>,
}

impl AllowedTokens {
    /// Filters the model's vocabulary. `left` is what stands before the prompt; when it ends inside a line of text,
    /// the first token needs a leading space like any other.
    ///
    /// # Errors
    /// [`DiscoverError::BadSettings`] when nothing is left, or a failure of the model.
    pub fn new(model: &Model, left: &str, left_ids: &[u32], filter: &TokenFilter) -> Result<Self> {
        let tokenizer = model.tokenizer();
        let plain = (0..tokenizer.len().min(model.config().vocab_size) as u32)
            .filter(|id| !tokenizer.is_added(*id) && !tokenizer.is_special(*id));
        let texts: Vec<(u32, String)> =
            plain.filter_map(|id| tokenizer.token_text(id).map(|text| (id, text))).collect();
        let mut allowed = Self::from_texts(&texts, continues_line(left, left_ids, model), filter);
        if filter.whole_words && tokenizer.len() <= ASK_UP_TO {
            let whole = whole_words(model, left_ids, &texts, &allowed)?;
            allowed.first.retain(|id| whole.contains(id));
            allowed.inner.retain(|id| whole.contains(id));
        }
        if allowed.inner.is_empty() || allowed.first.is_empty() {
            return Err(DiscoverError::BadSettings("the token filter leaves no token".to_owned()));
        }
        Ok(allowed)
    }

    fn from_texts(texts: &[(u32, String)], continues_line: bool, filter: &TokenFilter) -> Self {
        let banned: HashSet<String> = filter.banned_words.iter().map(|word| word.trim().to_lowercase()).collect();
        let usable = |text: &str| {
            !text.trim().is_empty()
                && !text.chars().any(|c| c.is_control() || c == char::REPLACEMENT_CHARACTER)
                && (!filter.ascii_only || text.is_ascii())
                && !is_answer_letter(text)
                && !banned.contains(&text.trim().to_lowercase())
        };
        let chosen = |is_fit: &dyn Fn(&str) -> bool| -> Vec<u32> {
            texts.iter().filter(|(_, text)| usable(text) && is_fit(text)).map(|(id, _)| *id).collect()
        };
        let inner = chosen(&|text| !filter.whole_words || is_spaced_word(text) || MARKS.contains(&text));
        if continues_line {
            let first = chosen(&|text| if filter.whole_words { is_spaced_word(text) } else { text.starts_with(' ') });
            return Self { first, inner };
        }
        let capital = |text: &str| is_word(text) && text.starts_with(char::is_uppercase);
        let mut first = chosen(&|text| if filter.whole_words { capital(text) } else { !text.starts_with(' ') });
        if first.len() < MIN_FIRST {
            first = chosen(&is_word);
        }
        Self { first, inner }
    }

    /// Ids allowed at a position of the prompt.
    pub fn at(&self, position: usize) -> &[u32] {
        if position == 0 { &self.first } else { &self.inner }
    }
}

/// Whether a prompt after `left` goes on within a line of text.
fn continues_line(left: &str, left_ids: &[u32], model: &Model) -> bool {
    let after_special = left_ids.last().is_none_or(|id| model.tokenizer().is_special(*id));
    !after_special && !left.ends_with(char::is_whitespace)
}

/// Letters, with apostrophes inside; a single letter only where it is a word of its own.
fn is_word(text: &str) -> bool {
    let mut chars = text.chars();
    let letters = text.starts_with(char::is_alphabetic)
        && text.ends_with(char::is_alphabetic)
        && text.chars().all(|c| c.is_alphabetic() || c == '\'');
    // In mixed case only the first letter is large: what else is large is a fragment or a shout.
    let is_plain = chars.next().is_some() && chars.all(|c| !c.is_uppercase());
    letters && is_plain && (text.chars().count() > 1 || matches!(text, "a" | "I"))
}

fn is_spaced_word(text: &str) -> bool {
    text.strip_prefix(' ').is_some_and(is_word)
}

/// `A`, `(B)`, `c)` and the like. `a` and `I` alone are words.
fn is_answer_letter(text: &str) -> bool {
    let core = text.trim();
    let letter = core.trim_start_matches('(').trim_end_matches([')', '.', ':']);
    let mut chars = letter.chars();
    let (Some(c), None) = (chars.next(), chars.next()) else { return false };
    c.is_ascii_alphabetic() && (letter != core || (c.is_ascii_uppercase() && c != 'I'))
}

/// The allowed tokens that the model knows as whole words: it expects them somewhere, and after them a new word, a
/// mark or an end. The rest are beginnings of longer words.
fn whole_words(model: &Model, left: &[u32], texts: &[(u32, String)], allowed: &AllowedTokens) -> Result<HashSet<u32>> {
    const CHUNK: usize = 1024;
    let vocab_size = model.config().vocab_size;
    // Tokens without a text of their own are special ones, which end a word as well.
    let mut continues = vec![0.0_f32; vocab_size];
    for (id, text) in texts {
        if text.starts_with(|c: char| c.is_alphabetic() || c == '\'') {
            continues[*id as usize] = 1.0;
        }
    }
    let continues = Tensor::from_vec(continues, (vocab_size, 1), model.device())?;
    let cache = if left.is_empty() { None } else { Some(model.prefill(left, None)?) };
    let mut chance = match cache.as_ref().and_then(KvCache::last_resid) {
        Some(resid) => model.negative_log_probs(resid)?.neg()?.exp()?.squeeze(0)?,
        None => Tensor::zeros(vocab_size, DType::F32, model.device())?,
    };
    let caches: Vec<_> = cache.iter().collect();
    let parent = if cache.is_some() { Parent::Cache(0) } else { Parent::Root };
    let mut ids: Vec<u32> = allowed.first.iter().chain(&allowed.inner).copied().collect();
    ids.sort_unstable();
    ids.dedup();
    let mut breaks = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(CHUNK) {
        let mut tree = TokenTree::new();
        for id in chunk {
            tree.push(Node { parent, ids: vec![*id], ends_prompt: false, is_reply: false });
        }
        let out = model.forward(&Request { caches: &caches, ..Request::new(&tree) })?;
        let probs = model.negative_log_probs(&out.last)?.neg()?.exp()?;
        breaks.extend(probs.matmul(&continues)?.squeeze(1)?.to_vec1::<f32>()?.into_iter().map(|p| 1.0 - p));
        chance = chance.maximum(&probs.max(0)?)?;
    }
    let chance: Vec<f32> = chance.to_vec1()?;
    let known = ids.into_iter().zip(breaks);
    Ok(known.filter(|(id, p)| *p >= MIN_BREAK && chance[*id as usize] >= MIN_CHANCE).map(|(id, _)| id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(texts: &[&str], continues_line: bool, filter: &TokenFilter) -> (Vec<String>, Vec<String>) {
        let texts: Vec<(u32, String)> = (0..).zip(texts.iter().map(|text| (*text).to_owned())).collect();
        let allowed = AllowedTokens::from_texts(&texts, continues_line, filter);
        let names = |ids: &[u32]| ids.iter().map(|id| texts[*id as usize].1.clone()).collect();
        (names(&allowed.first), names(&allowed.inner))
    }

    const TEXTS: [&str; 24] = [
        " the",
        " The",
        "the",
        "Be",
        "You",
        "Always",
        "Never",
        "Please",
        "Tell",
        "Say",
        "Think",
        "ing",
        " don't",
        ".",
        "!!",
        " A",
        "(B)",
        " a",
        "I",
        " caf\u{e9}",
        "\n",
        " honest",
        "\u{fffd}",
        "THE",
    ];

    #[test]
    fn whole_words_and_marks_only() {
        let filter = TokenFilter {
            ascii_only: true,
            whole_words: true,
            banned_words: vec!["Honest".to_owned(), "never".to_owned()],
        };
        let (first, inner) = kept(&TEXTS, false, &filter);
        assert_eq!(first, ["Be", "You", "Always", "Please", "Tell", "Say", "Think", "I"]);
        assert_eq!(inner, [" the", " The", " don't", ".", " a"]);
        assert_eq!(kept(&TEXTS, true, &filter).0, [" the", " The", " don't", " a"]);
    }

    #[test]
    fn fragments_are_allowed_when_asked_for() {
        let (first, inner) = kept(&TEXTS, false, &TokenFilter::default());
        assert!(inner.contains(&"ing".to_owned()) && inner.contains(&" caf\u{e9}".to_owned()));
        assert!(!inner.iter().any(|text| [" A", "(B)", "\n", "\u{fffd}"].contains(&text.as_str())));
        assert!(first.contains(&"the".to_owned()) && !first.contains(&" the".to_owned()));
    }

    #[test]
    fn answer_letters_are_never_allowed() {
        for text in [" A", "(A)", "(b)", "B.", " C)", "D"] {
            assert!(is_answer_letter(text), "{text}");
        }
        for text in [" a", "I", " be", "(", "."] {
            assert!(!is_answer_letter(text), "{text}");
        }
    }
}
