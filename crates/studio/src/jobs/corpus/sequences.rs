//! From texts to what the model reads.

use std::collections::VecDeque;

use tiller_engine::Model;
use tiller_protocol::chat::Turn;
use tiller_protocol::problem::Problem;

use super::{Text, Texts};
use crate::problem;

/// Tokens that the model reads from position 0 on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sequence {
    /// Token ids; at least two.
    pub(crate) ids: Vec<u32>,
    /// Which of them count: neither that at position 0, nor special tokens, nor what a chat template puts between the
    /// turns' own texts.
    pub(crate) counts: Vec<bool>,
}

impl Sequence {
    /// Number of tokens that count.
    pub(crate) fn n_counted(&self) -> usize {
        self.counts.iter().filter(|counts| **counts).count()
    }
}

/// The sequences of texts, in order.
pub(crate) struct Sequences<'a> {
    model: &'a Model,
    texts: Texts,
    context_len: usize,
    ready: VecDeque<Sequence>,
}

impl<'a> Sequences<'a> {
    /// Cuts `texts` into sequences of at most `context_len` tokens, as far as the model can read as many.
    pub(crate) fn new(model: &'a Model, texts: Texts, context_len: usize) -> Self {
        let context_len = context_len.clamp(2, model.config().context_len.max(2));
        Self { model, texts, context_len, ready: VecDeque::new() }
    }
}

impl Iterator for Sequences<'_> {
    type Item = Result<Sequence, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() {
            let cut = self.texts.next()?.and_then(|text| cut(self.model, &text, self.context_len));
            match cut {
                Ok(sequences) => self.ready.extend(sequences),
                Err(problem) => return Some(Err(problem)),
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

/// The sequences of one text, of at most `context_len` tokens. A piece behind the first begins with the tokenizer's own
/// first token again, where it has one; pieces of a single token are dropped.
///
/// # Errors
/// A tokenizer or chat template that fails.
pub(crate) fn cut(model: &Model, text: &Text, context_len: usize) -> Result<Vec<Sequence>, Problem> {
    let (ids, counts) = match text {
        Text::Plain(text) => plain(model, text)?,
        Text::Chat(turns) => chat(model, turns)?,
    };
    let tokenizer = model.tokenizer();
    let counts = ids.iter().zip(counts).map(|(id, counts)| counts && !tokenizer.is_special(*id));
    let tokens: Vec<(u32, bool)> = ids.iter().copied().zip(counts).collect();
    let leading = tokenizer.leading_token().map_err(|error| problem::engine(&error))?;
    // Where the text itself begins with it, as chat templates print it, later pieces do, too.
    let leading = leading.filter(|leading| ids.first() == Some(leading)).map(|leading| (leading, false));
    let (first, mut rest) = tokens.split_at(tokens.len().min(context_len));
    let mut pieces = vec![first.to_vec()];
    let room = context_len - usize::from(leading.is_some());
    while !rest.is_empty() {
        let (piece, others) = rest.split_at(rest.len().min(room.max(1)));
        pieces.push(leading.into_iter().chain(piece.iter().copied()).collect());
        rest = others;
    }
    let sequence = |tokens: Vec<(u32, bool)>| {
        let (ids, mut counts): (Vec<u32>, Vec<bool>) = tokens.into_iter().unzip();
        counts.iter_mut().take(1).for_each(|first| *first = false);
        Sequence { ids, counts }
    };
    Ok(pieces.into_iter().filter(|piece| piece.len() > 1).map(sequence).collect())
}

fn plain(model: &Model, text: &str) -> Result<(Vec<u32>, Vec<bool>), Problem> {
    if text.trim().is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let ids = model.tokenizer().encode_whole(text).map_err(|error| problem::engine(&error))?;
    let counts = vec![true; ids.len()];
    Ok((ids, counts))
}

/// A conversation as the chat template lays it out; without one, its texts with an empty line between.
fn chat(model: &Model, turns: &[Turn]) -> Result<(Vec<u32>, Vec<bool>), Problem> {
    let Some(template) = model.template() else {
        let texts: Vec<&str> = turns.iter().map(|turn| turn.content.as_str()).collect();
        return plain(model, &texts.join("\n\n"));
    };
    if turns.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let rendered = template.render_parts(turns, false).map_err(|error| problem::engine(&error))?;
    let tokens = rendered.tokens(model.tokenizer()).map_err(|error| problem::engine(&error))?;
    let mut counts = vec![false; tokens.ids.len()];
    for part in &tokens.parts {
        counts[part.tokens.clone()].fill(true);
    }
    Ok((tokens.ids, counts))
}
