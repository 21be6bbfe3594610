//! What sorting and filtering need of every feature, in memory: 9 bytes each.

use rusqlite::Connection;
use tiller_protocol::feature::FeatureFilter;

use crate::block;
use crate::error::Result;

/// Has a label.
pub(crate) const LABELLED: u8 = 1;
/// Is bookmarked.
pub(crate) const BOOKMARKED: u8 = 2;
/// Has a note.
pub(crate) const NOTED: u8 = 4;
/// Has no decoder row.
pub(crate) const ROWLESS: u8 = 8;

/// Names of the stored columns.
pub(crate) const DENSITY: &str = "density";
pub(crate) const MAX: &str = "max";
pub(crate) const SCAN_COUNT: &str = "scan_count";
pub(crate) const SCAN_MAX: &str = "scan_max";
pub(crate) const ROWLESS_COLUMN: &str = "rowless";

/// The columns; NaN stands for unknown.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// Share of tokens on which each feature is active.
    pub(crate) density: Vec<f32>,
    /// Largest activation seen, residual units.
    pub(crate) max: Vec<f32>,
    /// Marks of each feature.
    pub(crate) flags: Vec<u8>,
}

impl Columns {
    /// Reads them. What a scan has seen goes before what was imported; a feature that the scan has not seen keeps what
    /// was imported, which usually counts far more tokens.
    pub(crate) fn read(connection: &Connection, d_sae: usize, scanned_tokens: u64) -> Result<Self> {
        let mut columns = Self {
            density: block::read(connection, DENSITY, d_sae, f32::NAN)?,
            max: block::read(connection, MAX, d_sae, f32::NAN)?,
            flags: vec![0; d_sae],
        };
        if scanned_tokens > 0 {
            let counts: Vec<u32> = block::read(connection, SCAN_COUNT, d_sae, 0)?;
            let largest: Vec<f32> = block::read(connection, SCAN_MAX, d_sae, 0.0)?;
            for latent in 0..d_sae {
                columns.see(latent, counts[latent], largest[latent], scanned_tokens);
            }
        }
        for (latent, &rowless) in block::read(connection, ROWLESS_COLUMN, d_sae, 0_u32)?.iter().enumerate() {
            columns.flags[latent] |= if rowless == 0 { 0 } else { ROWLESS };
        }
        for (flag, query) in [
            (LABELLED, "SELECT latent FROM label"),
            (BOOKMARKED, "SELECT latent FROM bookmark"),
            (NOTED, "SELECT latent FROM note"),
        ] {
            let mut statement = connection.prepare(query)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let latent = usize::try_from(row.get::<_, i64>(0)?).unwrap_or(usize::MAX);
                if let Some(flags) = columns.flags.get_mut(latent) {
                    *flags |= flag;
                }
            }
        }
        Ok(columns)
    }

    /// Takes in what a scan of `tokens` tokens has seen of a feature.
    pub(crate) fn see(&mut self, latent: usize, count: u32, largest: f32, tokens: u64) {
        if count > 0 {
            self.density[latent] = (f64::from(count) / tokens as f64) as f32;
            self.max[latent] = largest;
        } else if self.density[latent].is_nan() {
            self.density[latent] = 0.0;
        }
    }

    /// Number of features.
    pub fn len(&self) -> usize {
        self.flags.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }

    /// Share of tokens on which it is active, where that is known.
    pub fn density(&self, latent: u32) -> Option<f32> {
        self.density.get(latent as usize).copied().filter(|value| !value.is_nan())
    }

    /// Largest activation seen, residual units, where that is known.
    pub fn max(&self, latent: u32) -> Option<f32> {
        self.max.get(latent as usize).copied().filter(|value| !value.is_nan())
    }

    /// It has a label.
    pub fn is_labelled(&self, latent: u32) -> bool {
        self.has(latent, LABELLED)
    }

    /// It is bookmarked.
    pub fn is_bookmarked(&self, latent: u32) -> bool {
        self.has(latent, BOOKMARKED)
    }

    /// It has a note.
    pub fn is_noted(&self, latent: u32) -> bool {
        self.has(latent, NOTED)
    }

    /// It has no decoder row, or was not active once where that was counted.
    pub fn is_dead(&self, latent: u32) -> bool {
        self.has(latent, ROWLESS) || self.density(latent) == Some(0.0)
    }

    /// Number of features with a label.
    pub fn n_labelled(&self) -> usize {
        self.count(LABELLED)
    }

    /// Number of features that are bookmarked.
    pub fn n_bookmarked(&self) -> usize {
        self.count(BOOKMARKED)
    }

    /// Whether a feature may be shown. Features of unknown density pass the bounds on it.
    pub fn passes(&self, filter: &FeatureFilter, latent: u32) -> bool {
        let Some(&flags) = self.flags.get(latent as usize) else { return false };
        let density = self.density[latent as usize];
        !(filter.labelled && flags & LABELLED == 0
            || filter.bookmarked && flags & BOOKMARKED == 0
            || filter.alive && (flags & ROWLESS != 0 || density == 0.0)
            || filter.min_density.is_some_and(|least| density < least)
            || filter.max_density.is_some_and(|most| density > most))
    }

    pub(crate) fn mark(&mut self, latent: u32, flag: u8, on: bool) {
        if let Some(flags) = self.flags.get_mut(latent as usize) {
            *flags = if on { *flags | flag } else { *flags & !flag };
        }
    }

    fn has(&self, latent: u32, flag: u8) -> bool {
        self.flags.get(latent as usize).is_some_and(|flags| flags & flag != 0)
    }

    fn count(&self, flag: u8) -> usize {
        self.flags.iter().filter(|&&flags| flags & flag != 0).count()
    }
}
