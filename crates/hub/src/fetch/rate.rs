//! Bytes per second over the last seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back it looks.
const WINDOW: Duration = Duration::from_secs(5);

/// Before this, a figure would say little.
const LEAST: Duration = Duration::from_millis(300);

/// Samples of a count that grows.
#[derive(Debug, Default)]
pub(super) struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    /// Takes in the count now. The rate is absent at the start and while nothing comes in.
    pub(super) fn sample(&mut self, now: Instant, count: u64) -> Option<f64> {
        self.0.push_back((now, count));
        // One sample older than the window is kept, so that the window is always full.
        while self.0.get(1).is_some_and(|(time, _)| now.duration_since(*time) >= WINDOW) {
            self.0.pop_front();
        }
        let (start, first) = *self.0.front()?;
        let time = now.duration_since(start);
        (time >= LEAST && count > first).then(|| (count - first) as f64 / time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_seconds_count() {
        let (mut rate, start) = (Rate::default(), Instant::now());
        let mut at = |tenths: u64, count| rate.sample(start + Duration::from_millis(100 * tenths), count);
        assert_eq!(at(0, 0), None);
        assert_eq!(at(1, 1000), None);
        for tenths in 2..=100 {
            at(tenths, tenths * 1000);
        }
        assert!((at(101, 101_000).unwrap() - 10_000.0).abs() < 1.0);
        for tenths in 102..=160 {
            at(tenths, 101_000);
        }
        assert_eq!(at(161, 101_000), None);
    }
}
