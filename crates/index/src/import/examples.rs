//! Gemma Scope 2's `examples.safetensors`: for each feature its most promoted and suppressed tokens, how often it fires,
//! and the places in a corpus where it fires most; and that corpus.

use std::ops::Range;

use super::sink::Sink;
use super::tensors::{Rows, Tensors};
use crate::effects::{Effects, Token};
use crate::error::Result;
use crate::window::{Tokens, Window};

/// Features that are read at a time, and written in one transaction.
pub(super) const CHUNK: usize = 1024;

/// Windows that are kept of each feature.
const KEPT: usize = 20;

/// Tokens of a window before its peak, and after it.
const BEFORE: usize = 40;
const AFTER: usize = 20;

/// Where everything is.
pub(super) struct Places {
    frequencies: Option<Rows>,
    promoted: Option<(Rows, Rows)>,
    suppressed: Option<(Rows, Rows)>,
    peaks: Option<Peaks>,
}

struct Peaks {
    activations: Rows,
    sequences: Rows,
    positions: Rows,
    tokens: Rows,
}

/// Whether the tensors are of this kind.
pub(super) fn is_it(tensors: &Tensors) -> bool {
    tensors.has("top_tokens") || (tensors.has("seq_ids") && tensors.has("positions"))
}

impl Places {
    pub(super) fn find(tensors: &Tensors, d_sae: usize) -> Result<Self> {
        let rows = |name: &str| tensors.rows(name, Some(d_sae));
        let pair = |ids: &str, values: &str| -> Result<Option<(Rows, Rows)>> {
            if tensors.has(ids) && tensors.has(values) { Ok(Some((rows(ids)?, rows(values)?))) } else { Ok(None) }
        };
        let has_peaks = ["activations", "seq_ids", "positions", "tokens"].iter().all(|name| tensors.has(name));
        Ok(Self {
            frequencies: tensors.has("feature_frequencies").then(|| rows("feature_frequencies")).transpose()?,
            promoted: pair("top_tokens", "top_logits")?,
            suppressed: pair("bottom_tokens", "bottom_logits")?,
            peaks: has_peaks
                .then(|| -> Result<Peaks> {
                    Ok(Peaks {
                        activations: rows("activations")?,
                        sequences: rows("seq_ids")?,
                        positions: rows("positions")?,
                        tokens: tensors.rows("tokens", None)?,
                    })
                })
                .transpose()?,
        })
    }

    /// Reads some features into `sink`.
    pub(super) fn read(&self, tensors: &mut Tensors, features: Range<usize>, sink: &mut Sink<'_>) -> Result<()> {
        sink.count("Gemma Scope 2 examples", features.len() as u64);
        let (first, len) = (features.start, features.len());
        let mut frequencies = vec![f64::NAN; len];
        if let Some(rows) = self.frequencies {
            tensors.read(rows, first, len, &mut frequencies)?;
        }
        let promoted = self.promoted.map(|rows| pairs(tensors, rows, first, len)).transpose()?;
        let suppressed = self.suppressed.map(|rows| pairs(tensors, rows, first, len)).transpose()?;
        let mut peaks = self.peaks.as_ref().map(|peaks| peaks.read(tensors, first, len)).transpose()?;
        for at in 0..len {
            let latent = (first + at) as u32;
            let norm = sink.norm(latent);
            let side = |pairs: &Option<Vec<Vec<(Token, f32)>>>| -> Vec<(Token, f32)> {
                let pairs = pairs.as_ref().map_or(&[][..], |pairs| &pairs[at]);
                pairs.iter().map(|(token, effect)| (token.clone(), effect / norm)).collect()
            };
            let effects = Effects { promoted: side(&promoted), suppressed: side(&suppressed) };
            let has_effects = !effects.promoted.is_empty() || !effects.suppressed.is_empty();
            let mut is_new = has_effects && sink.write_effects(latent, &effects)?;
            let windows = peaks.as_mut().map_or_else(Vec::new, |peaks| std::mem::take(&mut peaks[at]));
            let highest = windows
                .iter()
                .map(Window::height)
                .fold(None, |a: Option<f32>, b| a.map_or(Some(b), |a| Some(a.max(b))));
            let density = Some(frequencies[at] as f32).filter(|density| (0.0..=1.0).contains(density));
            is_new |= sink.set_numbers(latent, density, highest.map(|highest| highest * norm));
            sink.count_stats(u64::from(is_new));
            for mut window in windows {
                window.values.iter_mut().for_each(|value| *value *= norm);
                sink.add_window(latent, window)?;
            }
        }
        Ok(())
    }
}

/// Token ids with values, by feature.
fn pairs(tensors: &mut Tensors, rows: (Rows, Rows), first: usize, len: usize) -> Result<Vec<Vec<(Token, f32)>>> {
    let (mut ids, mut values) = (Vec::new(), Vec::new());
    tensors.read(rows.0, first, len, &mut ids)?;
    tensors.read(rows.1, first, len, &mut values)?;
    let of = |at: usize| {
        let ids = ids[at * rows.0.width..].iter().take(rows.0.width);
        let values = values[at * rows.1.width..].iter().take(rows.1.width);
        ids.zip(values)
            .filter(|(id, value)| **id >= 0.0 && value.is_finite())
            .map(|(&id, &value)| (Token::Id(id as u32), value as f32))
            .collect()
    };
    Ok((0..len).map(of).collect())
}

/// A place where a feature fires.
#[derive(Clone, Copy)]
struct Place {
    sequence: usize,
    position: usize,
    value: f32,
}

impl Peaks {
    /// The strongest windows of some features.
    fn read(&self, tensors: &mut Tensors, first: usize, len: usize) -> Result<Vec<Vec<Window>>> {
        let (mut activations, mut sequences, mut positions) = (Vec::new(), Vec::new(), Vec::new());
        tensors.read(self.activations, first, len, &mut activations)?;
        tensors.read(self.sequences, first, len, &mut sequences)?;
        tensors.read(self.positions, first, len, &mut positions)?;
        let width = self.activations.width.min(self.sequences.width).min(self.positions.width);
        // By sequence, so that the corpus is read from front to back.
        let mut wanted: Vec<(usize, Place)> = Vec::new();
        let mut places = Vec::with_capacity(len);
        for at in 0..len {
            let of = |rows: Rows, values: &[f64], place: usize| values[at * rows.width + place];
            let mut all: Vec<Place> = (0..width)
                .filter_map(|place| {
                    let value = of(self.activations, &activations, place) as f32;
                    let sequence = of(self.sequences, &sequences, place);
                    let position = of(self.positions, &positions, place);
                    let is_there = (0.0..self.tokens.len as f64).contains(&sequence)
                        && (0.0..self.tokens.width as f64).contains(&position);
                    (value > 0.0 && value.is_finite() && is_there).then_some(Place {
                        sequence: sequence as usize,
                        position: position as usize,
                        value,
                    })
                })
                .collect();
            all.sort_by(|a, b| b.value.total_cmp(&a.value));
            wanted.extend(all.iter().take(KEPT).map(|&place| (at, place)));
            places.push(all);
        }
        wanted.sort_by_key(|(_, place)| (place.sequence, place.position));
        let mut windows: Vec<Vec<Window>> = vec![Vec::new(); len];
        let mut ids = Vec::new();
        for (at, peak) in wanted {
            let start = peak.position.saturating_sub(BEFORE);
            let end = (peak.position + AFTER + 1).min(self.tokens.width);
            tensors.read_values(self.tokens, peak.sequence * self.tokens.width + start, end - start, &mut ids)?;
            let mut values = vec![0.0; end - start];
            for place in places[at].iter().filter(|place| place.sequence == peak.sequence) {
                if let Some(value) = place.position.checked_sub(start).and_then(|at| values.get_mut(at)) {
                    *value = place.value;
                }
            }
            let tokens = Tokens::Ids(ids.iter().map(|&id| id as u32).collect());
            windows[at].push(Window { tokens, values, peak: peak.position - start, decile: None });
        }
        Ok(windows)
    }
}
