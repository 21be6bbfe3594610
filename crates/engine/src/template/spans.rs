//! Where in a rendered chat each turn's own text stands.
//!
//! The conversation is rendered a second time with two private-use characters around each text, inside its outer white
//! space, so that a template trims as it would without them. What they enclose is what the template kept: all of it,
//! several copies, or the beginning or end of a text that it cut. Should the marks change what the template does, the
//! texts are looked for in order instead.

use std::ops::Range;

use tiller_protocol::chat::Role;

use super::python::is_space;
use crate::error::Result;
use crate::tokenizer::Tokenizer;

/// First mark; the marks are the characters of the last private-use plane, two for each turn.
const FIRST_MARK: u32 = 0x10_0000;
/// Turns that there are marks for.
const MAX_MARKED: usize = 0x7ffe;

/// A rendered chat and where each turn's text stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The whole text.
    pub text: String,
    /// The turns' texts in the order of the rendered text, without white space around them. A template that repeats
    /// a text has it here several times, one that drops a text never.
    pub parts: Vec<TextPart>,
    /// The instructions were put in front of the first user text, because the template has no place for them.
    pub folded_system: bool,
}

/// A piece of a rendered text that is one turn's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextPart {
    /// Which turn of the conversation.
    pub turn: usize,
    /// Who speaks.
    pub role: Role,
    /// Where, in bytes of the rendered text.
    pub bytes: Range<usize>,
}

/// The tokens of a rendered chat and which of them are whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenParts {
    /// Ids of the whole text.
    pub ids: Vec<u32>,
    /// For each part of [`Rendered::parts`] its tokens.
    pub parts: Vec<TokenPart>,
}

/// The tokens of one turn's own text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPart {
    /// Which turn of the conversation.
    pub turn: usize,
    /// Who speaks.
    pub role: Role,
    /// Which tokens. A token that holds any byte of the text belongs to it, so a token that reaches over an edge is
    /// counted, and two parts may share one.
    pub tokens: Range<usize>,
}

impl Rendered {
    /// The token ids of the text, and which of them are each turn's own.
    ///
    /// # Errors
    /// [`crate::EngineError::Tokenizer`] when the tokenizer fails.
    pub fn tokens(&self, tokenizer: &Tokenizer) -> Result<TokenParts> {
        let (ids, places) = tokenizer.encode_with_places(&self.text)?;
        let tokens = |bytes: &Range<usize>| covering(&places, bytes);
        let part = |part: &TextPart| TokenPart { turn: part.turn, role: part.role, tokens: tokens(&part.bytes) };
        Ok(TokenParts { parts: self.parts.iter().map(part).collect(), ids })
    }
}

/// The tokens, given by their `places` in bytes, that hold any byte of `bytes`; empty for an empty range.
pub(super) fn covering(places: &[Range<usize>], bytes: &Range<usize>) -> Range<usize> {
    let holds = |place: &Range<usize>| place.start < bytes.end && bytes.start < place.end;
    let Some(last) = places.iter().rposition(holds) else {
        let next = places.iter().position(|place| place.start >= bytes.start).unwrap_or(places.len());
        return next..next;
    };
    places.iter().position(holds).unwrap_or(last)..last + 1
}

/// A text with marks around what is left of it without outer white space; `None` when there is no mark for the turn
/// or the text holds such characters itself.
pub(super) fn marked(text: &str, turn: usize) -> Option<String> {
    if turn >= MAX_MARKED || text.chars().any(|c| turn_of(c).is_some()) {
        return None;
    }
    let mark = |end: u32| char::from_u32(FIRST_MARK + 2 * turn as u32 + end);
    let core = core(text);
    let lead = text.len() - text.trim_start_matches(is_space).len();
    let tail = &text[lead + core.len()..];
    Some(format!("{}{}{core}{}{tail}", &text[..lead], mark(0)?, mark(1)?))
}

/// A text without outer white space.
pub(super) fn core(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Turn and end (false at the beginning) of a mark.
fn turn_of(c: char) -> Option<(usize, bool)> {
    let place = u32::from(c).checked_sub(FIRST_MARK)? as usize;
    (place < 2 * MAX_MARKED).then_some((place / 2, place % 2 == 1))
}

/// Turn number and place in bytes of what the template `plain` kept of each text of `cores`, read from the `marked`
/// rendering.
pub(super) fn locate(plain: &str, marked: Option<&str>, cores: &[&str]) -> Vec<(usize, Range<usize>)> {
    let mut found = marked.and_then(|marked| read_marks(plain, marked, cores)).unwrap_or_else(|| search(plain, cores));
    found.sort_by_key(|(_, bytes)| (bytes.start, bytes.end));
    found
}

fn read_marks(plain: &str, marked: &str, cores: &[&str]) -> Option<Vec<(usize, Range<usize>)>> {
    let clean: String = marked.chars().filter(|c| turn_of(*c).is_none()).collect();
    if clean != plain {
        return None;
    }
    let mut found = Vec::new();
    let mut begun: Vec<Option<usize>> = vec![None; cores.len()];
    let cut_short = |turn: usize, from: usize| {
        let same = clean[from..].chars().zip(cores[turn].chars()).take_while(|(a, b)| a == b);
        let kept = &clean[from..from + same.map(|(c, _)| c.len_utf8()).sum::<usize>()];
        from..from + kept.trim_end_matches(is_space).len()
    };
    let without_beginning = |turn: usize, to: usize| {
        let same = clean[..to].chars().rev().zip(cores[turn].chars().rev()).take_while(|(a, b)| a == b);
        let kept = &clean[to - same.map(|(c, _)| c.len_utf8()).sum::<usize>()..to];
        to - kept.trim_start_matches(is_space).len()..to
    };
    let mut at = 0;
    for c in marked.chars() {
        match turn_of(c).filter(|(turn, _)| *turn < cores.len()) {
            None => at += c.len_utf8(),
            Some((turn, false)) => {
                if let Some(from) = begun[turn].replace(at) {
                    found.push((turn, cut_short(turn, from)));
                }
            }
            Some((turn, true)) => {
                let whole = begun[turn].take().map(|from| from..at);
                found.push((turn, whole.unwrap_or_else(|| without_beginning(turn, at))));
            }
        }
    }
    for (turn, from) in begun.into_iter().enumerate() {
        found.extend(from.map(|from| (turn, cut_short(turn, from))));
    }
    Some(found)
}

/// The first place of each text behind the one before it.
fn search(plain: &str, cores: &[&str]) -> Vec<(usize, Range<usize>)> {
    let mut found = Vec::new();
    let mut from = 0;
    for (turn, core) in cores.iter().enumerate().filter(|(_, core)| !core.is_empty()) {
        if let Some(at) = plain[from..].find(core) {
            let bytes = from + at..from + at + core.len();
            from = bytes.end;
            found.push((turn, bytes));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_reach_over_an_edge_belong_to_the_text() {
        let places = [0..2, 2..5, 5..5, 5..9];
        assert_eq!(covering(&places, &(2..5)), 1..2);
        assert_eq!(covering(&places, &(1..6)), 0..4);
        assert_eq!(covering(&places, &(3..4)), 1..2);
        assert_eq!(covering(&places, &(5..5)), 2..2);
        assert_eq!(covering(&places, &(9..9)), 4..4);
    }

    #[test]
    fn a_text_that_was_cut_is_found_by_one_mark() {
        let cores = ["one two", "three four"];
        let both = format!("[{}|{}]", marked(cores[0], 0).unwrap(), marked(cores[1], 1).unwrap());
        let plain = "[one |our]";
        let cut: String = {
            let (left, right) = both.split_once('|').unwrap();
            let (left, right) = (left.replace("two\u{100001}", ""), right.replace("\u{100002}three f", ""));
            format!("{left}|{right}")
        };
        assert_eq!(locate(plain, Some(&cut), &cores), [(0, 1..4), (1, 6..9)]);
        // Marks that changed the rendering are not believed.
        assert_eq!(locate("one two, three four", Some("other"), &cores), [(0, 0..7), (1, 9..19)]);
    }

    #[test]
    fn marks_stand_inside_outer_white_space() {
        assert_eq!(marked(" a b\n", 1).unwrap(), " \u{100002}a b\u{100003}\n");
        assert_eq!(marked(" \n", 0).unwrap(), " \n\u{100000}\u{100001}");
        assert_eq!(marked("a\u{100005}", 0), None);
        assert_eq!(marked("a", MAX_MARKED), None);
    }
}
