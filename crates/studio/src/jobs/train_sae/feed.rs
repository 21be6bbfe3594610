//! Rows of the texts, as many at a time as the store holds.

use sha2::{Digest as _, Sha256};
use tiller_engine::sae::train::{Rows, TrainOptions, order};
use tiller_protocol::problem::Problem;

use super::folder::Place;
use crate::jobs::Sink;
use crate::models::Loaded;
use crate::problem;

/// Bytes of rows that are in memory at once.
const STORE: usize = if cfg!(test) { 192 << 10 } else { 512 << 20 };
/// The store holds this many steps at least.
const STEPS: usize = 4;
/// Tokens that go through the model at once.
const AT_ONCE: usize = 2048;

/// The texts and the store that is filled from them.
pub(super) struct Feed<'a> {
    loaded: &'a Loaded,
    block: usize,
    sequences: Vec<Vec<u32>>,
    /// Rows that the store holds.
    capacity: usize,
    seed: u64,
    /// Tells these texts from others.
    texts: String,
    /// What the store holds now.
    held: Option<Place>,
    /// Where the texts go on behind it.
    next: (u64, usize),
    pub(super) rows: Rows,
}

impl<'a> Feed<'a> {
    pub(super) fn new(loaded: &'a Loaded, block: usize, sequences: Vec<Vec<u32>>, options: &TrainOptions) -> Self {
        let d = loaded.info.d_model;
        let n_rows: usize = sequences.iter().map(|ids| ids.len() - 1).sum();
        let mut hash = Sha256::new();
        for ids in &sequences {
            hash.update((ids.len() as u64).to_le_bytes());
            for id in ids {
                hash.update(id.to_le_bytes());
            }
        }
        Self {
            loaded,
            block,
            sequences,
            capacity: (STORE / 4 / d.max(1)).max(STEPS * options.batch).min(n_rows),
            seed: options.seed,
            texts: format!("{:x}", hash.finalize()),
            held: None,
            next: (0, 0),
            rows: Rows::new(d),
        }
    }

    pub(super) fn block(&self) -> usize {
        self.block
    }

    pub(super) fn texts(&self) -> &str {
        &self.texts
    }

    /// Bytes of a full store.
    pub(super) fn bytes(&self) -> u64 {
        4 * self.capacity as u64 * self.loaded.info.d_model as u64
    }

    /// Fills the store with the rows that begin at a place, unless it holds them; `false` when it was stopped meanwhile.
    ///
    /// # Errors
    /// A failure of the model.
    pub(super) fn fill(&mut self, place: &Place, sink: &mut dyn Sink) -> Result<bool, Problem> {
        let begins = |place: &Place| (place.epoch, place.sequence);
        if self.held.as_ref().is_some_and(|held| begins(held) == begins(place)) {
            return Ok(true);
        }
        let tell = |error| problem::engine(&error);
        self.held = None;
        self.rows.clear();
        self.rows.reserve(self.capacity).map_err(tell)?;
        let (mut epoch, mut at) = begins(place);
        let mut sequences = order(self.sequences.len(), self.seed, epoch);
        while self.rows.len() < self.capacity {
            if sink.is_stopped() {
                return Ok(false);
            }
            if self.next == (0, 0) {
                // Later it would be told between the steps.
                sink.step(self.rows.len(), self.capacity, "tokens");
            }
            if at == sequences.len() {
                (epoch, at) = (epoch + 1, 0);
                sequences = order(self.sequences.len(), self.seed, epoch);
            }
            let (mut some, mut n_tokens): (Vec<&[u32]>, usize) = (Vec::new(), 0);
            for idx in &sequences[at..] {
                let ids = &self.sequences[*idx as usize];
                let is_full = n_tokens + ids.len() > AT_ONCE || self.rows.len() + n_tokens >= self.capacity;
                if is_full && !some.is_empty() {
                    break;
                }
                some.push(ids);
                n_tokens += ids.len();
            }
            self.rows.add(&self.loaded.model, self.block, &some).map_err(tell)?;
            at += some.len();
        }
        self.next = (epoch, at);
        self.held = Some(place.clone());
        Ok(true)
    }

    /// Where the turn behind one begins: with the next texts, or with the same again when the store holds all.
    pub(super) fn after(&self, place: &Place) -> Place {
        let (epoch, sequence) = self.next;
        let holds_all = self.rows.len() == self.sequences.iter().map(|ids| ids.len() - 1).sum::<usize>();
        if holds_all {
            return Place { turn: place.turn + 1, batch: 0, ..place.clone() };
        }
        Place { turn: place.turn + 1, batch: 0, epoch, sequence }
    }
}
