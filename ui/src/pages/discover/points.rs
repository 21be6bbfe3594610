//! The prompts a run has tried, kept in bounded memory: all of them thinned, the newest exactly.

use std::collections::VecDeque;
use std::sync::Arc;

use egui_plot::PlotPoint;
use tiller_protocol::discovery::Candidate;

/// Most prompts kept from the whole run.
const KEPT: usize = 4_000;
/// Newest prompts kept exactly.
const RECENT: usize = 2_000;
/// Most values kept of the hypervolume's course.
const COURSE: usize = 600;

/// What a run has tried so far.
#[derive(Default)]
pub(crate) struct PointStore {
    kept: Vec<(u64, Candidate)>,
    recent: VecDeque<(u64, Candidate)>,
    stride: u64,
    seen: u64,
    drawn: Option<Arc<[PlotPoint]>>,
}

impl PointStore {
    /// Takes in new prompts.
    pub(crate) fn extend(&mut self, candidates: impl IntoIterator<Item = Candidate>) {
        for candidate in candidates {
            self.push(candidate);
        }
        self.drawn = None;
    }

    fn push(&mut self, candidate: Candidate) {
        if !(candidate.xent.is_finite() && candidate.target.is_finite()) {
            return;
        }
        self.stride = self.stride.max(1);
        let serial = self.seen;
        self.seen += 1;
        if serial.is_multiple_of(self.stride) {
            self.kept.push((serial, candidate.clone()));
            if self.kept.len() > KEPT {
                self.stride *= 2;
                let stride = self.stride;
                self.kept.retain(|(serial, _)| serial.is_multiple_of(stride));
            }
        }
        self.recent.push_back((serial, candidate));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// Prompts in sight: the thinned old ones, then the newest.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Candidate> {
        let newest_from = self.recent.front().map_or(u64::MAX, |(serial, _)| *serial);
        let old = self.kept.iter().filter(move |(serial, _)| *serial < newest_from);
        old.chain(&self.recent).map(|(_, candidate)| candidate)
    }

    /// Positions (cross-entropy, effect) of the prompts in sight; shared, so that a frame copies nothing.
    pub(crate) fn positions(&mut self) -> Arc<[PlotPoint]> {
        if let Some(drawn) = &self.drawn {
            return Arc::clone(drawn);
        }
        let drawn: Arc<[PlotPoint]> =
            self.iter().map(|candidate| PlotPoint::new(candidate.xent, candidate.target)).collect();
        self.drawn = Some(Arc::clone(&drawn));
        drawn
    }

    /// Number of prompts in sight.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.iter().count()
    }
}

/// The course of a number over a run, thinned to a bounded length.
#[derive(Default)]
pub(crate) struct Course {
    values: Vec<f64>,
    stride: usize,
    seen: usize,
}

impl Course {
    /// Takes in the next value.
    pub(crate) fn push(&mut self, value: f64) {
        self.stride = self.stride.max(1);
        if self.seen.is_multiple_of(self.stride) {
            self.values.push(value);
            if self.values.len() > COURSE {
                self.stride *= 2;
                let mut position = 0;
                self.values.retain(|_| {
                    position += 1;
                    position % 2 == 1
                });
            }
        }
        self.seen += 1;
    }

    /// The values, oldest first.
    pub(crate) fn values(&self) -> &[f64] {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: u64) -> Candidate {
        Candidate {
            id,
            parent: None,
            iteration: 0,
            text: String::new(),
            ids: Vec::new(),
            target: id as f64,
            xent: (id % 7) as f64,
        }
    }

    #[test]
    fn memory_is_bounded_at_a_million_prompts() {
        let mut store = PointStore::default();
        store.extend((0..1_000_000).map(candidate));
        assert!(store.len() <= KEPT + RECENT, "{}", store.len());
        assert!(store.len() > KEPT / 2, "{}", store.len());
        let newest = store.iter().last().map(|candidate| candidate.id);
        assert_eq!(newest, Some(999_999));
        let mut ids: Vec<u64> = store.iter().map(|candidate| candidate.id).collect();
        ids.dedup();
        assert_eq!(ids.len(), store.len(), "no prompt is drawn twice");
    }

    #[test]
    fn positions_follow_new_prompts() {
        let mut store = PointStore::default();
        store.extend((0..10).map(candidate));
        assert_eq!(store.positions().len(), 10);
        store.extend((10..12).map(candidate));
        assert_eq!(store.positions().len(), 12);
    }

    #[test]
    fn a_course_keeps_its_shape() {
        let mut course = Course::default();
        for step in 0..10_000 {
            course.push(f64::from(step));
        }
        assert!(course.values().len() <= COURSE);
        assert!(course.values().windows(2).all(|pair| pair[0] < pair[1]));
    }
}
