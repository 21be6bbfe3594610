//! Which bytes of a file are there.

use std::ops::Range;

/// A set of bytes: ranges in order that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// Takes ranges in any order; empty ones are passed over.
    pub(crate) fn of(ranges: impl IntoIterator<Item = Range<u64>>) -> Self {
        let mut set = Self::default();
        for range in ranges {
            set.insert(range);
        }
        set
    }

    /// The first `n` bytes.
    pub(crate) fn first(n: u64) -> Self {
        Self::of(std::iter::once(0..n))
    }

    pub(crate) fn insert(&mut self, new: Range<u64>) {
        if new.is_empty() {
            return;
        }
        // The ranges that the new one touches become one with it.
        let first = self.0.partition_point(|old| old.end < new.start);
        let end = self.0.partition_point(|old| old.start <= new.end);
        let touched = &self.0[first..end];
        let start = touched.first().map_or(new.start, |old| old.start.min(new.start));
        let stop = touched.last().map_or(new.end, |old| old.end.max(new.end));
        self.0.splice(first..end, std::iter::once(start..stop));
    }

    /// Forgets everything from `len` on.
    pub(crate) fn clip(&mut self, len: u64) {
        self.0.retain_mut(|range| {
            range.end = range.end.min(len);
            !range.is_empty()
        });
    }

    /// Number of bytes.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// Bytes from the file's beginning without a gap.
    pub(crate) fn prefix(&self) -> u64 {
        self.0.first().filter(|range| range.start == 0).map_or(0, |range| range.end)
    }

    pub(crate) fn contains(&self, part: &Range<u64>) -> bool {
        let at = self.0.partition_point(|range| range.end < part.end);
        part.is_empty() || self.0.get(at).is_some_and(|range| range.start <= part.start && part.end <= range.end)
    }

    /// What is missing of a file of `len` bytes, in pieces of at most `most` bytes.
    pub(crate) fn gaps(&self, len: u64, most: u64) -> Vec<Range<u64>> {
        let starts = [0].into_iter().chain(self.0.iter().map(|range| range.end));
        let ends = self.0.iter().map(|range| range.start).chain([len]);
        let gaps = starts.zip(ends).filter(|(start, end)| start < end);
        let most = most.max(1);
        let pieces = gaps.flat_map(|(start, end)| {
            (start..end).step_by(most as usize).map(move |at| at..at.saturating_add(most).min(end))
        });
        pieces.collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Range<u64>> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_meet_become_one() {
        let mut set = Ranges::of([10..20, 30..40, 5..5]);
        assert_eq!((set.prefix(), set.total()), (0, 20));
        set.insert(20..25);
        assert_eq!(set, Ranges::of([30..40, 10..25]));
        set.insert(0..12);
        set.insert(24..30);
        assert_eq!(set, Ranges::first(40));
        assert_eq!((set.prefix(), set.total()), (40, 40));
        set.insert(50..60);
        set.clip(55);
        assert_eq!(set, Ranges::of([0..40, 50..55]));
        set.clip(30);
        assert_eq!(set, Ranges::first(30));
    }

    #[test]
    fn gaps_and_what_is_there_make_the_whole() {
        let set = Ranges::of([3..5, 8..10]);
        assert_eq!(set.gaps(13, 2), vec![0..2, 2..3, 5..7, 7..8, 10..12, 12..13]);
        assert_eq!(set.gaps(10, 100), vec![0..3, 5..8]);
        assert!(Ranges::first(4).gaps(4, 1).is_empty());
        assert!(set.contains(&(3..5)) && set.contains(&(9..10)) && set.contains(&(7..7)));
        assert!(!set.contains(&(4..6)) && !set.contains(&(0..1)) && !set.contains(&(9..11)));
    }

    /// Against a plain array of bytes, with draws from a fixed sequence.
    #[test]
    fn any_order_of_insertions_gives_the_same_set() {
        let mut state = 7_u64;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        for _ in 0..200 {
            let (mut set, mut bytes) = (Ranges::default(), [false; 64]);
            for _ in 0..12 {
                let start = draw(64);
                let end = start + draw(65 - start);
                set.insert(start..end);
                bytes[start as usize..end as usize].fill(true);
            }
            assert_eq!(set.total(), bytes.iter().filter(|&&there| there).count() as u64);
            assert_eq!(set.prefix(), bytes.iter().take_while(|&&there| there).count() as u64);
            assert!(set.iter().zip(set.iter().skip(1)).all(|(a, b)| a.end < b.start));
            for gap in set.gaps(64, 5) {
                assert!(bytes[gap.start as usize..gap.end as usize].iter().all(|&there| !there));
                set.insert(gap);
            }
            assert_eq!(set.prefix(), 64);
        }
    }
}
