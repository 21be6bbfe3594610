//! What features fire on in a text that the model is run over: counts, histograms, the strongest windows and a random
//! sample of all others, in bounded memory and resumable.
//!
//! A [`Scan`] gathers; [`Index::save_scan`] merges what it gathered into the file, all in one transaction, so that a
//! killed process resumes at the last save. The largest stay by their height. The sample is drawn by giving every
//! window a number from a hash and keeping the lowest, which needs no knowledge of how many there will be.

use std::sync::Arc;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::columns::{SCAN_COUNT, SCAN_MAX};
use crate::error::{IndexError, Result};
use crate::sketch::{Bars, CROWDED, Sketch, prune, write_sequence};
use crate::store::{Index, read_meta, write_meta};
use crate::{block, histogram, merge};

/// Windows in memory that make a save worth while.
const FULL: usize = 1_000_000;

const STATE: &str = "scan";

/// How far a scan has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanState {
    /// What was scanned and with what: whatever has to be the same for going on.
    pub key: String,
    /// Tokens that were counted.
    pub tokens: u64,
    /// Sequences that were added.
    pub sequences: u64,
    /// It came to its end.
    pub done: bool,
}

/// One activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fire {
    /// Index of the token in its sequence.
    pub pos: u32,
    /// Feature.
    pub latent: u32,
    /// Activation, residual units; those not above zero are ignored.
    pub value: f32,
}

/// A scan that is running.
#[derive(Debug)]
pub struct Scan {
    pub(crate) state: ScanState,
    pub(crate) counts: Vec<u32>,
    pub(crate) largest: Vec<f32>,
    pub(crate) bars: Vec<Bars>,
    pub(crate) gathered: Vec<Option<Box<Gathered>>>,
    /// Tokens of the sequences since the last save.
    sequences: Vec<Box<[u32]>>,
    n_windows: usize,
    sorted: Vec<Fire>,
}

/// What was seen of a feature since the last save.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) bins: Vec<(i16, u32)>,
    pub(crate) windows: Vec<Sketch>,
}

impl Index {
    /// How far the last scan came.
    ///
    /// # Errors
    /// A database that fails.
    pub fn scan_state(&self) -> Result<Option<ScanState>> {
        self.read(read_state)
    }

    /// Begins a scan, or goes on with the last one if that is wanted and it had the same key. What an earlier scan with
    /// another key found is removed.
    ///
    /// # Errors
    /// A database that fails.
    pub fn start_scan(&self, key: &str, resume: bool) -> Result<Scan> {
        let len = self.d_sae();
        let mut scan = Scan {
            state: ScanState { key: key.to_owned(), ..ScanState::default() },
            counts: vec![0; len],
            largest: vec![0.0; len],
            bars: vec![(0.0, u32::MAX); len],
            gathered: std::iter::repeat_with(|| None).take(len).collect(),
            sequences: Vec::new(),
            n_windows: 0,
            sorted: Vec::new(),
        };
        let known = self.scan_state()?;
        if let Some(known) = known.filter(|known| resume && known.key == key) {
            scan.state = known;
            self.read(|connection| {
                scan.counts = block::read(connection, SCAN_COUNT, len, 0)?;
                scan.largest = block::read(connection, SCAN_MAX, len, 0.0)?;
                Ok(())
            })?;
            return Ok(scan);
        }
        self.write(
            |connection| {
                block::clear(connection, SCAN_COUNT)?;
                block::clear(connection, SCAN_MAX)?;
                connection.execute_batch("DELETE FROM scanned; DELETE FROM sequence;")?;
                write_meta(connection, STATE, None)
            },
            |(), _| (),
        )?;
        self.reload()?;
        Ok(scan)
    }

    /// Writes what a scan has gathered since the last time. `done` says that it came to its end.
    ///
    /// # Errors
    /// A database that fails; then nothing of it is written. A scan of another SAE.
    pub fn save_scan(&self, scan: &mut Scan, done: bool) -> Result<()> {
        if scan.counts.len() != self.d_sae() {
            return Err(IndexError::WrongShape {
                tensor: "scan".to_owned(),
                found: scan.counts.len(),
                d_sae: self.d_sae(),
                path: self.path().to_owned(),
            });
        }
        let touched: Vec<u32> =
            (0..scan.gathered.len() as u32).filter(|&latent| scan.gathered[latent as usize].is_some()).collect();
        scan.state.done = done;
        let reading: &Scan = scan;
        let bars = self.write(
            |connection| {
                let first = reading.state.sequences - reading.sequences.len() as u64;
                for (sequence, tokens) in (first..).zip(&reading.sequences) {
                    write_sequence(connection, sequence, tokens)?;
                }
                let bars = merge::merge(connection, reading, &touched)?;
                block::write(connection, SCAN_COUNT, &reading.counts, touched.iter().copied())?;
                block::write(connection, SCAN_MAX, &reading.largest, touched.iter().copied())?;
                let state =
                    serde_json::to_string(&reading.state).map_err(|error| IndexError::Damaged(error.to_string()))?;
                write_meta(connection, STATE, Some(&state))?;
                Ok(bars)
            },
            |_, columns| {
                if reading.state.tokens > 0 {
                    for latent in 0..reading.counts.len() {
                        columns.see(latent, reading.counts[latent], reading.largest[latent], reading.state.tokens);
                    }
                }
            },
        )?;
        for (latent, bars) in bars {
            scan.bars[latent as usize] = bars;
        }
        scan.gathered.iter_mut().for_each(|slot| *slot = None);
        scan.sequences.clear();
        scan.n_windows = 0;
        Ok(())
    }
}

pub(crate) fn read_state(connection: &Connection) -> Result<Option<ScanState>> {
    let state = read_meta(connection, STATE)?;
    state.map(|text| serde_json::from_str(&text).map_err(|error| IndexError::Damaged(error.to_string()))).transpose()
}

impl Scan {
    /// How far it has come.
    pub fn state(&self) -> &ScanState {
        &self.state
    }

    /// Features that were active at least once.
    pub fn n_active(&self) -> usize {
        self.counts.iter().filter(|count| **count > 0).count()
    }

    /// Whether it holds enough for a save.
    pub fn is_full(&self) -> bool {
        self.n_windows >= FULL
    }

    /// Takes in a sequence: its tokens, how many of them count (position 0 and outlying ones may not), and what fired on
    /// them, in any order. Fires at positions or of features that are not there are ignored.
    pub fn add(&mut self, tokens: &[u32], n_counted: usize, fires: &[Fire]) {
        let mut sorted = std::mem::take(&mut self.sorted);
        sorted.clear();
        sorted.extend(fires.iter().copied().filter(|fire| {
            fire.value > 0.0
                && fire.value.is_finite()
                && (fire.pos as usize) < tokens.len()
                && (fire.latent as usize) < self.counts.len()
        }));
        sorted.sort_unstable_by_key(|fire| (fire.latent, fire.pos));
        for group in sorted.chunk_by(|a, b| a.latent == b.latent) {
            self.add_feature(group);
        }
        self.sorted = sorted;
        self.sequences.push(tokens.into());
        self.state.sequences += 1;
        self.state.tokens += n_counted as u64;
    }

    /// Takes in what one feature did in the sequence that is being added.
    fn add_feature(&mut self, fires: &[Fire]) {
        let Some(strongest) = fires.iter().max_by(|a, b| a.value.total_cmp(&b.value).then(b.pos.cmp(&a.pos))) else {
            return;
        };
        let (latent, slot) = (strongest.latent, strongest.latent as usize);
        self.counts[slot] = self.counts[slot].saturating_add(fires.len() as u32);
        self.largest[slot] = self.largest[slot].max(strongest.value);
        let gathered = self.gathered[slot].get_or_insert_default();
        for fire in fires {
            let bin = histogram::bin(fire.value);
            match gathered.bins.binary_search_by_key(&bin, |&(known, _)| known) {
                Ok(place) => gathered.bins[place].1 = gathered.bins[place].1.saturating_add(1),
                Err(place) => gathered.bins.insert(place, (bin, 1)),
            }
        }
        let random = mix(self.state.sequences ^ u64::from(latent) << 40);
        let (bar, draw_bar) = self.bars[slot];
        let (is_strong, draw) = (strongest.value > bar, (random >> 32) as u32);
        if !is_strong && draw >= draw_bar {
            return;
        }
        let before = gathered.windows.len();
        let places: Arc<[(u32, f32)]> = fires.iter().map(|fire| (fire.pos, fire.value)).collect();
        let mut keep = |fire: &Fire, draw: Option<u32>| {
            gathered.windows.push(Sketch {
                sequence: self.state.sequences,
                peak: fire.pos,
                height: fire.value,
                draw,
                fires: Arc::clone(&places),
            });
        };
        if is_strong {
            keep(strongest, None);
        }
        if draw < draw_bar {
            // Any of its tokens may stand for the sequence, so that weak activations are shown too.
            keep(&fires[(random as usize & 0xffff_ffff) % fires.len()], Some(draw));
        }
        if gathered.windows.len() > CROWDED {
            self.bars[slot] = prune(&mut gathered.windows);
        }
        self.n_windows = (self.n_windows + gathered.windows.len()).saturating_sub(before);
    }
}

/// A random-looking number for each number (the finaliser of splitmix64).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
