//! Texts that the model is run over: by the scan and the searches of features, and by the training of SAEs
//! (`train_sae`).
//!
//! Texts are read as they are needed, so that a file may be larger than the memory. Each becomes one or more
//! sequences that the model reads from position 0 on; a sequence says which of its tokens count.

mod files;
mod lines;
mod sequences;

use std::path::Path;

use tiller_protocol::chat::{Role, Turn};
use tiller_protocol::feature::Corpus;
use tiller_protocol::persona::{Item, PromptText};
use tiller_protocol::problem::Problem;

use crate::assets::Assets;
use crate::jobs::turns;
use crate::library::Library;

pub(crate) use files::files;
pub(crate) use sequences::{Sequence, Sequences, cut};

use files::Files;

/// One text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Text {
    /// As it is; special tokens may be written out.
    Plain(String),
    /// A conversation, which the model's chat template lays out.
    Chat(Vec<Turn>),
}

/// Texts one after the other, always in the same order.
pub(crate) struct Texts(Box<dyn Iterator<Item = Result<Text, Problem>>>);

impl Iterator for Texts {
    type Item = Result<Text, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl Texts {
    /// Opens a corpus; `assets` is needed for [`Corpus::Shipped`] alone.
    ///
    /// # Errors
    /// A path without texts, or shipped files that are missing. What is wrong inside a file is told when it is read.
    pub(crate) fn open(corpus: &Corpus, assets: &Result<Assets, Problem>) -> Result<Self, Problem> {
        Ok(match corpus {
            Corpus::Shipped => Self::of(shipped(assets.as_ref().map_err(Clone::clone)?)?),
            Corpus::Path(path) => Self(Box::new(Files::open(path)?)),
            Corpus::Text(text) => Self::of(paragraphs(text).map(Text::Plain).collect()),
        })
    }

    /// Texts that are in memory.
    pub(crate) fn of(texts: Vec<Text>) -> Self {
        Self(Box::new(texts.into_iter().map(Ok)))
    }
}

/// Where a corpus is, as the beginning of a sentence: `The folder /x holds`.
pub(crate) fn place(corpus: &Corpus) -> String {
    match corpus {
        Corpus::Shipped => "what ships with Tiller holds".to_owned(),
        Corpus::Path(path) => format!("{} holds", path.display()),
        Corpus::Text(_) => "what was given holds".to_owned(),
    }
}

/// Texts that are separated by blank lines.
pub(crate) fn paragraphs(text: &str) -> impl Iterator<Item = String> {
    let mut paragraphs = vec![String::new()];
    for line in text.lines() {
        if line.trim().is_empty() {
            paragraphs.push(String::new());
        } else if let Some(last) = paragraphs.last_mut() {
            if !last.is_empty() {
                last.push('\n');
            }
            last.push_str(line);
        }
    }
    paragraphs.into_iter().filter(|paragraph| !paragraph.is_empty())
}

/// The neutral questions, and what the shipped personas are made from and judged on: questions with and without
/// instructions, and replies of both kinds.
fn shipped(assets: &Assets) -> Result<Vec<Text>, Problem> {
    let asked = |user: String| Text::Chat(vec![Turn { role: Role::User, content: user }]);
    let prompted = |prompt: &PromptText| Text::Chat(turns(prompt));
    let answered = |user: &str, reply: &str| {
        let turn = |role, content: &str| Turn { role, content: content.to_owned() };
        Text::Chat(vec![turn(Role::User, user), turn(Role::Assistant, reply)])
    };
    let mut parts: Vec<Vec<Text>> = vec![assets.neutral()?.into_iter().map(asked).collect()];
    let library = Library::new(vec![assets.personas()]);
    for id in library.ids() {
        let persona = library.load(&id)?;
        let pairs = persona.pairs.iter().flat_map(|pair| [prompted(&pair.positive), prompted(&pair.negative)]);
        parts.push(pairs.collect());
        let items = persona.select.iter().chain(&persona.report).flat_map(|item| match item {
            Item::Ab { user, persona, other, .. } | Item::Free { user, persona, other, .. } => {
                vec![answered(user, persona), answered(user, other)]
            }
            Item::Prompt { user, .. } => vec![asked(user.clone())],
        });
        parts.push(items.collect());
    }
    Ok(alternate(parts))
}

/// One of each part in turn, so that a scan that ends early has seen something of all.
fn alternate(parts: Vec<Vec<Text>>) -> Vec<Text> {
    let mut parts: Vec<_> = parts.into_iter().map(Vec::into_iter).collect();
    let mut texts = Vec::new();
    loop {
        let before = texts.len();
        texts.extend(parts.iter_mut().filter_map(Iterator::next));
        if texts.len() == before {
            return texts;
        }
    }
}

/// A path that is read as JSON lines.
fn is_jsonl(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jsonl"))
}

#[cfg(test)]
mod tests;
