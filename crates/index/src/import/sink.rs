//! Takes in what files say: one transaction for each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::Connection;
use tiller_protocol::feature::ImportReport;

use super::ImportSettings;
use super::fit;
use super::record::Record;
use crate::columns::{DENSITY, MAX};
use crate::effects::{self, Effects, Token};
use crate::error::{IndexError, Result};
use crate::histogram::Stored;
use crate::window::{Window, pack, unpack};
use crate::{block, label, merge};

/// Reasons that are told.
const REASONS: usize = 5;

/// Examples that are kept of a feature for their height, apart from one of each tenth of the range below.
const STRONGEST: usize = 20;

/// Windows that wait before they are written.
const WAITING: usize = 8192;

/// Counts over all files of an import.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) report: ImportReport,
    pub(super) forms: BTreeSet<&'static str>,
}

impl Tally {
    /// Counts a row that is left out.
    pub(super) fn skip(&mut self, reason: impl FnOnce() -> String) {
        self.report.n_skipped += 1;
        self.remark(reason);
    }

    /// Keeps one of the first few remarks.
    pub(super) fn remark(&mut self, reason: impl FnOnce() -> String) {
        if self.report.reasons.len() < REASONS {
            self.report.reasons.push(reason());
        }
    }

    /// For the caller.
    pub(super) fn into_report(mut self) -> ImportReport {
        self.report.form = self.forms.into_iter().collect::<Vec<_>>().join(", ");
        self.report
    }
}

/// Writes what one file says.
pub(super) struct Sink<'a> {
    connection: &'a Connection,
    settings: &'a ImportSettings<'a>,
    path: &'a Path,
    density: Vec<f32>,
    max: Vec<f32>,
    /// Features whose numbers have changed, and those whose texts have.
    numbers: BTreeSet<u32>,
    texts: BTreeSet<u32>,
    windows: BTreeMap<u32, Vec<Window>>,
    n_waiting: usize,
    /// The largest number that is no feature.
    beyond: Option<u64>,
    tally: &'a mut Tally,
}

impl<'a> Sink<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        d_sae: usize,
        settings: &'a ImportSettings<'a>,
        path: &'a Path,
        tally: &'a mut Tally,
    ) -> Result<Self> {
        Ok(Self {
            connection,
            settings,
            path,
            density: block::read(connection, DENSITY, d_sae, f32::NAN)?,
            max: block::read(connection, MAX, d_sae, f32::NAN)?,
            numbers: BTreeSet::new(),
            texts: BTreeSet::new(),
            windows: BTreeMap::new(),
            n_waiting: 0,
            beyond: None,
            tally,
        })
    }

    /// Takes in a row, or the reason why it is none; `row` is its number from 1.
    pub(super) fn take(&mut self, row: u64, record: Result<Record, String>) -> Result<()> {
        self.tally.report.n_rows += 1;
        let record = match record {
            Ok(record) => record,
            Err(reason) => {
                self.tally.skip(|| format!("{}, row {row}: {reason}", name(self.path)));
                return Ok(());
            }
        };
        fit::check(&record, self.settings, self.density.len(), self.path)?;
        let d_sae = self.density.len();
        let latent = match u32::try_from(record.latent) {
            Ok(latent) if (latent as usize) < d_sae => latent,
            _ => {
                self.beyond = self.beyond.max(Some(record.latent));
                self.tally.skip(|| {
                    format!(
                        "{}, row {row}: there is no feature {}, the SAE has {d_sae}",
                        name(self.path),
                        record.latent
                    )
                });
                return Ok(());
            }
        };
        // The file will be refused: the rest is only read for the largest number in it.
        if self.beyond.is_some() && !self.settings.anyway {
            return Ok(());
        }
        self.write(latent, record)
    }

    fn write(&mut self, latent: u32, record: Record) -> Result<()> {
        self.tally.forms.insert(record.form);
        for new in &record.labels {
            if label::add(self.connection, latent, new)? {
                self.tally.report.n_labels += 1;
                self.texts.insert(latent);
            }
        }
        // Activations are in units of decoder rows as their maker stored them; effects are per such unit.
        let norm = self.norm(latent);
        let mut is_new = self.set_numbers(latent, record.density, record.max.map(|max| max * norm));
        if let Some(mut effects) = record.effects {
            for (_, effect) in effects.promoted.iter_mut().chain(&mut effects.suppressed) {
                *effect /= norm;
            }
            is_new |= self.write_effects(latent, &effects)?;
        }
        if let Some(Stored::Imported { mut edges, counts }) = record.histogram {
            for edge in &mut edges {
                *edge *= norm;
            }
            let windows = merge::stored(self.connection, "imported", latent)?.and_then(|(_, windows)| windows);
            let histogram = Stored::Imported { edges, counts }.to_text()?;
            merge::store(self.connection, "imported", latent, &(Some(histogram), windows))?;
        }
        self.tally.report.n_stats += u64::from(is_new);
        for mut window in record.windows {
            window.values.iter_mut().for_each(|value| *value *= norm);
            self.add_window(latent, window)?;
        }
        Ok(())
    }

    /// Length of a decoder row as its maker stored it; 1 where that is not known or no row.
    pub(super) fn norm(&self, latent: u32) -> f32 {
        let norm = self.settings.decoder_norms.and_then(|norms| norms.get(latent as usize)).copied();
        norm.filter(|norm| norm.is_finite() && *norm > 0.0).unwrap_or(1.0)
    }

    /// Counts rows of files that are not read row by row.
    pub(super) fn count(&mut self, form: &'static str, n_rows: u64) {
        self.tally.forms.insert(form);
        self.tally.report.n_rows += n_rows;
    }

    /// Counts features that got statistics or tokens.
    pub(super) fn count_stats(&mut self, n: u64) {
        self.tally.report.n_stats += n;
    }

    /// Counts a row that is left out.
    pub(super) fn skip(&mut self, reason: impl FnOnce() -> String) {
        self.tally.skip(reason);
    }

    /// Keeps one of the first few remarks.
    pub(super) fn remark(&mut self, reason: impl FnOnce() -> String) {
        self.tally.remark(reason);
    }

    /// Number of features of the SAE.
    pub(super) fn d_sae(&self) -> usize {
        self.density.len()
    }

    /// Sets a feature's density and largest activation where they are given. Says whether that changed anything.
    pub(super) fn set_numbers(&mut self, latent: u32, density: Option<f32>, max: Option<f32>) -> bool {
        let mut is_new = false;
        for (values, value) in [(&mut self.density, density), (&mut self.max, max)] {
            if let Some(value) = value
                && values[latent as usize] != value
            {
                values[latent as usize] = value;
                is_new = true;
            }
        }
        if is_new {
            self.numbers.insert(latent);
        }
        is_new
    }

    /// Keeps a feature's promoted and suppressed tokens. Says whether they are new.
    pub(super) fn write_effects(&mut self, latent: u32, effects: &Effects) -> Result<bool> {
        let texts: Vec<String> = effects
            .promoted
            .iter()
            .filter_map(|(token, _)| match token {
                Token::Text(text) => Some(text.trim().to_owned()),
                Token::Id(id) => Some(self.settings.token_text?(*id)?.trim().to_owned()),
            })
            .collect();
        let is_new = effects::write(self.connection, latent, effects, &texts.join(" "))?;
        if is_new {
            self.texts.insert(latent);
        }
        Ok(is_new)
    }

    /// Takes in an example; activations must be in residual units.
    pub(super) fn add_window(&mut self, latent: u32, window: Window) -> Result<()> {
        self.windows.entry(latent).or_default().push(window);
        self.n_waiting += 1;
        if self.n_waiting >= WAITING { self.write_windows() } else { Ok(()) }
    }

    fn write_windows(&mut self) -> Result<()> {
        self.n_waiting = 0;
        for (latent, new) in std::mem::take(&mut self.windows) {
            let (histogram, packed) = merge::stored(self.connection, "imported", latent)?.unwrap_or_default();
            let known = packed.map_or_else(|| Ok(Vec::new()), |packed| unpack(&packed))?;
            let n_known = known.len();
            let kept = choose(known.into_iter().chain(new).collect());
            self.tally.report.n_examples += (kept.len() - n_known.min(kept.len())) as u64;
            merge::store(self.connection, "imported", latent, &(histogram, Some(pack(&kept)?)))?;
        }
        Ok(())
    }

    /// Writes what is left; an error when the file named features that are not there.
    pub(super) fn finish(mut self) -> Result<()> {
        if let Some(largest) = self.beyond.filter(|_| !self.settings.anyway) {
            return Err(out_of_range(largest, self.density.len(), self.settings, self.path));
        }
        self.write_windows()?;
        block::write(self.connection, DENSITY, &self.density, self.numbers.iter().copied())?;
        block::write(self.connection, MAX, &self.max, self.numbers.iter().copied())?;
        label::refresh(self.connection, self.texts.iter().copied())
    }
}

/// The refusal of a file that names features that are not there.
pub(super) fn out_of_range(largest: u64, d_sae: usize, settings: &ImportSettings<'_>, path: &Path) -> IndexError {
    let may_be_width = settings.d_model.is_some_and(|d_model| largest < d_model as u64);
    IndexError::OutOfRange { largest, d_sae, may_be_width, path: path.to_owned() }
}

/// The strongest windows, strongest first, and of the others the strongest of each tenth of the range.
fn choose(mut windows: Vec<Window>) -> Vec<Window> {
    windows.sort_by(|a, b| b.height().total_cmp(&a.height()));
    let is_same = |a: &Window, b: &Window| a.peak == b.peak && a.values == b.values && a.tokens == b.tokens;
    let mut chosen: Vec<Window> = Vec::new();
    let mut has_tenth = [false; 10];
    let highest = windows.first().map_or(0.0, Window::height);
    for mut window in windows {
        if chosen.iter().any(|known| is_same(known, &window)) {
            continue;
        }
        window.decile = None;
        if chosen.len() >= STRONGEST {
            let tenth = ((10.0 * window.height() / highest) as usize).min(9);
            if highest <= 0.0 || std::mem::replace(&mut has_tenth[tenth], true) {
                continue;
            }
            window.decile = Some(tenth as u8);
        }
        chosen.push(window);
    }
    chosen
}

/// The name of a file, for remarks.
pub(super) fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
