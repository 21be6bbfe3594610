//! Rows of the table that were fetched: only those that were in sight, never all.

use std::collections::{BTreeMap, HashMap, HashSet};

use tiller_protocol::feature::{FeatureRef, FeatureRow, SaeId};

/// Rows that are kept; beyond that, those out of sight are dropped.
const KEPT: usize = 20_000;
/// Requests that may be under way: a table that is dragged through must not queue what has left the window.
const IN_FLIGHT: usize = 2;
/// Seconds after which an answer is given up.
const PATIENCE: f64 = 3.0;

/// The rows and what was asked for.
#[derive(Default)]
pub(crate) struct Rows {
    /// Rows of the SAE that is shown, with the edition they belong to.
    shown: HashMap<u32, (FeatureRow, u64)>,
    asked: HashSet<u32>,
    in_flight: usize,
    asked_at: f64,
    /// Counts up when something has changed, so that older rows are fetched again.
    edition: u64,
    /// Rows of features that stand elsewhere, such as in the chat.
    pinned: BTreeMap<FeatureRef, Option<FeatureRow>>,
}

impl Rows {
    /// A row of the SAE that is shown; it may be older than the last change.
    pub(crate) fn get(&self, latent: u32) -> Option<&FeatureRow> {
        self.shown.get(&latent).map(|(row, _)| row)
    }

    /// A row of a feature that stands elsewhere, once it is known.
    pub(crate) fn pinned(&self, feature: &FeatureRef) -> Option<&FeatureRow> {
        self.pinned.get(feature)?.as_ref()
    }

    /// Whether the row of a feature that stands elsewhere has to be asked for; it is taken as asked for then.
    pub(crate) fn pin(&mut self, feature: &FeatureRef, known: Option<FeatureRow>) -> bool {
        if self.pinned.contains_key(feature) {
            return false;
        }
        let is_unknown = known.is_none();
        self.pinned.insert(feature.clone(), known);
        is_unknown
    }

    /// Which of the rows in sight to ask for now, at `now` seconds.
    pub(crate) fn wanted(&mut self, in_sight: impl Iterator<Item = u32>, now: f64) -> Vec<u32> {
        if now - self.asked_at > PATIENCE {
            self.in_flight = 0;
            self.asked.clear();
        }
        if self.in_flight >= IN_FLIGHT {
            return Vec::new();
        }
        let edition = self.edition;
        let is_missing = |latent: &u32| self.shown.get(latent).is_none_or(|(_, of)| *of != edition);
        let wanted: Vec<u32> = in_sight.filter(|latent| is_missing(latent) && !self.asked.contains(latent)).collect();
        if !wanted.is_empty() {
            self.asked.extend(&wanted);
            self.in_flight += 1;
            self.asked_at = now;
        }
        wanted
    }

    /// Takes in the rows that answer a request; those of an SAE that `is_shown` no more only serve other pages.
    pub(crate) fn take(&mut self, sae: &SaeId, rows: Vec<FeatureRow>, is_shown: bool) {
        if self.shown.len() > KEPT {
            self.shown.clear();
        }
        for row in rows {
            self.learn_pinned(sae, &row);
            if is_shown {
                self.asked.remove(&row.latent);
                self.shown.insert(row.latent, (row, self.edition));
            }
        }
        if is_shown {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
    }

    /// Takes in a row of the SAE that is shown, which came with something else.
    pub(crate) fn learn(&mut self, sae: &SaeId, row: FeatureRow) {
        self.learn_pinned(sae, &row);
        self.shown.insert(row.latent, (row, self.edition));
    }

    fn learn_pinned(&mut self, sae: &SaeId, row: &FeatureRow) {
        let feature = FeatureRef { sae: sae.clone(), latent: row.latent };
        if let Some(pinned) = self.pinned.get_mut(&feature) {
            *pinned = Some(row.clone());
        }
    }

    /// Something has changed: rows are fetched again when they are in sight; until then the old ones stand.
    pub(crate) fn outdate(&mut self, sae: &SaeId) {
        self.edition += 1;
        self.asked.clear();
        self.in_flight = 0;
        self.pinned.retain(|feature, _| feature.sae != *sae);
    }

    /// Shows a change before it is confirmed.
    pub(crate) fn change(&mut self, latents: &[u32], change: impl Fn(&mut FeatureRow)) {
        for latent in latents {
            if let Some((row, _)) = self.shown.get_mut(latent) {
                change(row);
            }
        }
    }

    /// Another SAE is shown.
    pub(crate) fn forget(&mut self) {
        self.shown.clear();
        self.asked.clear();
        self.in_flight = 0;
        self.edition += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(latent: u32) -> FeatureRow {
        FeatureRow {
            latent,
            label: None,
            density: None,
            max_activation: None,
            bookmarked: false,
            noted: false,
            dead: false,
        }
    }

    #[test]
    fn a_row_is_asked_for_once_and_again_after_a_change() {
        let (mut rows, sae) = (Rows::default(), SaeId("a".to_owned()));
        assert_eq!(rows.wanted(0..3, 0.0), [0, 1, 2]);
        assert!(rows.wanted(0..3, 0.1).is_empty());
        rows.take(&sae, (0..3).map(row).collect(), true);
        assert!(rows.wanted(0..3, 0.2).is_empty());
        rows.outdate(&sae);
        assert!(rows.get(1).is_some(), "the old row stands until the new one is there");
        assert_eq!(rows.wanted(0..3, 0.3), [0, 1, 2]);
    }

    #[test]
    fn rows_that_were_dragged_past_are_not_queued() {
        let mut rows = Rows::default();
        assert!(!rows.wanted(0..10, 0.0).is_empty());
        assert!(!rows.wanted(1000..1010, 0.0).is_empty());
        assert!(rows.wanted(5000..5010, 0.0).is_empty(), "two requests are under way");
        rows.take(&SaeId::default(), vec![row(3)], true);
        assert!(!rows.wanted(9000..9010, 0.1).is_empty());
        assert!(!rows.wanted(1..3, 4.0).is_empty(), "an answer that never came is given up");
    }
}
