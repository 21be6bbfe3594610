//! What a label is made from and tried on: passages around the activations of a feature, and passages without any.

use tiller_engine::tokenizer::Tokenizer;
use tiller_index::Index;
use tiller_index::window::{Tokens as Stored, Window};
use tiller_protocol::problem::Problem;

use crate::jobs::Sink;
use crate::jobs::features::{Coder, Tokens, activations};
use crate::models::Loaded;
use crate::problem;

/// Tokens of a passage before the peak, and after it.
const AROUND: (usize, usize) = (16, 8);
/// Passages that a label is written from.
const SHOWN: usize = 10;
/// Passages on which the feature fires, and others, that a label is tried on.
const HELD_OUT: usize = 5;
/// Other features that are looked through for passages on which this one does not fire.
const OTHERS: u32 = 64;
/// A token is marked when it has at least this share of the passage's strongest activation.
const MARKED: f32 = 0.5;

/// Part of a text with the activations of one feature.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Passage {
    /// Tokens as text.
    pub(super) tokens: Vec<String>,
    /// Activation on each.
    pub(super) values: Vec<f32>,
    /// Index of the token that it was picked for.
    pub(super) peak: usize,
}

impl Passage {
    fn of(window: &Window, tokenizer: &Tokenizer) -> Self {
        // Special tokens would be read as such in a question, too.
        let plain = |id: u32| if tokenizer.is_special(id) { None } else { tokenizer.token_text(id) };
        let is_special = |text: &str| tokenizer.token_id(text).is_some_and(|id| tokenizer.is_special(id));
        let texts: Vec<String> = match &window.tokens {
            Stored::Ids(ids) => ids.iter().map(|id| plain(*id).unwrap_or_default()).collect(),
            Stored::Texts(texts) => {
                texts.iter().map(|text| if is_special(text) { String::new() } else { text.clone() }).collect()
            }
        };
        let start = window.peak.saturating_sub(AROUND.0);
        let end = (window.peak + AROUND.1 + 1).min(texts.len());
        Self {
            tokens: texts[start..end].to_vec(),
            values: window.values[start..end].to_vec(),
            peak: window.peak - start,
        }
    }

    /// As it reads.
    pub(super) fn text(&self) -> String {
        one_line(&self.tokens.concat())
    }

    /// With « and » around the active tokens; the spaces around a word stay outside.
    pub(super) fn marked(&self) -> String {
        let largest = self.values.iter().copied().fold(0.0, f32::max);
        let is_marked = |i: usize| self.values[i] > 0.0 && self.values[i] >= MARKED * largest;
        let mut text = String::new();
        let mut i = 0;
        while i < self.tokens.len() {
            let end = (i..self.tokens.len()).find(|end| !is_marked(*end)).unwrap_or(self.tokens.len());
            let run = self.tokens[i..end].concat();
            if run.trim().is_empty() {
                text += &run;
            } else {
                let (lead, tail) = (&run[..run.len() - run.trim_start().len()], &run[run.trim_end().len()..]);
                text.extend([lead, "\u{ab}", run.trim(), "\u{bb}", tail]);
            }
            if end < self.tokens.len() {
                text += &self.tokens[end];
            }
            i = end + 1;
        }
        one_line(&text)
    }
}

/// What is known of a feature's activations.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Material {
    /// Passages for the label.
    pub(super) shown: Vec<Passage>,
    /// Passages for the test.
    pub(super) held_out: Vec<Passage>,
    /// Passages of other features.
    others: Vec<Passage>,
}

impl Material {
    /// Gathers them; `None` when there are not two different passages. Every second one is held out, up to five, so that
    /// both parts have strong and weaker ones.
    pub(super) fn gather(loaded: &Loaded, coder: &Coder, index: &Index, latent: u32) -> Result<Option<Self>, Problem> {
        let tokenizer = loaded.model.tokenizer();
        let told = |error| problem::index(&coder.name, &error);
        let mut passages: Vec<Passage> = Vec::new();
        for window in index.windows(latent).map_err(told)? {
            let passage = Passage::of(&window, tokenizer);
            // One that was shown says nothing when it is asked for again.
            if passages.iter().all(|known| known.tokens != passage.tokens) {
                passages.push(passage);
            }
        }
        if passages.len() < 2 {
            return Ok(None);
        }
        let (mut shown, mut held_out) = (Vec::new(), Vec::new());
        for (i, passage) in passages.into_iter().enumerate() {
            if i % 2 == 1 && held_out.len() < HELD_OUT {
                held_out.push(passage);
            } else if shown.len() < SHOWN {
                shown.push(passage);
            }
        }
        let (columns, mut others) = (index.columns(), Vec::new());
        for other in (0..OTHERS).map(|i| another(latent, i, coder.d_sae())) {
            if others.len() >= 4 * HELD_OUT {
                break;
            }
            if other != latent && !columns.is_dead(other) {
                let window = index.windows(other).map_err(told)?.into_iter().next();
                others.extend(window.map(|window| Passage::of(&window, tokenizer)));
            }
        }
        Ok(Some(Self { shown, held_out, others }))
    }

    /// Passages of other features on which this one does not fire, at most five; the model is run to know it.
    pub(super) fn silent(
        &self,
        loaded: &Loaded,
        coder: &Coder,
        latent: u32,
        sink: &mut dyn Sink,
    ) -> Result<Vec<Passage>, Problem> {
        let tokenizer = loaded.model.tokenizer();
        let encode = |passage: &Passage| tokenizer.encode_whole(&passage.tokens.concat());
        let ids: Vec<Vec<u32>> =
            self.others.iter().map(encode).collect::<Result<_, _>>().map_err(|error| problem::engine(&error))?;
        let ids: Vec<Tokens<'_>> = ids.iter().map(Vec::as_slice).collect();
        let fired = activations(loaded, coder, &ids, &mut Inner(sink))?;
        let is_silent = |fired: &[super::super::Fired]| {
            fired.iter().flat_map(|fired| &fired.active).all(|(number, _)| *number != latent)
        };
        let silent = self.others.iter().zip(&fired).filter(|(_, fired)| is_silent(fired));
        Ok(silent
            .map(|(passage, _)| Passage { values: vec![0.0; passage.values.len()], ..passage.clone() })
            .take(HELD_OUT)
            .collect())
    }
}

/// Keeps the steps of a part of the work to itself.
struct Inner<'a>(&'a dyn Sink);

impl Sink for Inner<'_> {
    fn report(&mut self, _: crate::jobs::Report) {}

    fn is_stopped(&self) -> bool {
        self.0.is_stopped()
    }
}

/// The `i`-th feature that is looked at beside one, the same every time (multiplicative hashing).
fn another(latent: u32, i: u32, d_sae: usize) -> u32 {
    let mixed = (u64::from(latent) << 20 | u64::from(i)).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> 32) % d_sae.max(1) as u64) as u32
}

/// Line feeds would take a passage apart in a list of lines.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" / ")
}
