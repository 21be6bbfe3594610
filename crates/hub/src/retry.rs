//! When to try again, and how long to wait before.
//!
//! Waits double from try to try up to a limit and are drawn from the upper half of that range, so that several
//! transfers that failed together do not come back together. A wait that the hub itself asks for is kept.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use crate::error::HubError;

/// How patient to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries of a question to the hub, the first included.
    pub attempts: u32,
    /// Longest wait after the first failure.
    pub first_wait: Duration,
    /// No wait is longer, unless the hub asks for it.
    pub longest_wait: Duration,
    /// A wait that the hub asks for and that is longer than this is not kept: the failure is told instead.
    pub longest_asked_wait: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 4,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
            longest_asked_wait: Duration::from_mins(5),
        }
    }
}

impl Retry {
    /// Does not wait, for tests.
    pub fn at_once(attempts: u32) -> Self {
        Self { attempts, first_wait: Duration::ZERO, longest_wait: Duration::ZERO, ..Self::default() }
    }

    /// The wait before the next try after `n_failures` in a row, the last of which was `error`; absent when waiting
    /// does not help. The number of tries is the caller's to limit.
    pub fn wait_after(&self, n_failures: u32, error: &HubError) -> Option<Duration> {
        if !error.is_passing() {
            return None;
        }
        let asked = match error {
            HubError::Busy { secs } => Duration::from_secs(*secs),
            _ => Duration::ZERO,
        };
        if asked > self.longest_asked_wait {
            return None;
        }
        let doubled = self.first_wait.saturating_mul(1 << n_failures.saturating_sub(1).min(16));
        let longest = doubled.min(self.longest_wait);
        Some(longest.mul_f64(0.5 + 0.5 * draw()).max(asked))
    }
}

/// A number from 0 to 1 that differs from call to call; nothing depends on its quality.
fn draw() -> f64 {
    let bits = RandomState::new().hash_one(0_u8);
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_never_fall_below_what_is_asked() {
        let retry = Retry::default();
        let lost = HubError::Unreachable { host: String::new(), reason: String::new() };
        for (n_failures, from_ms, to_ms) in [(1, 250, 500), (2, 500, 1000), (3, 1000, 2000), (40, 15_000, 30_000)] {
            let wait = retry.wait_after(n_failures, &lost).unwrap().as_millis();
            assert!((from_ms..=to_ms).contains(&wait), "{n_failures}: {wait}");
        }
        assert!(retry.wait_after(1, &HubError::Busy { secs: 7 }).unwrap() >= Duration::from_secs(7));
        assert_eq!(retry.wait_after(1, &HubError::Busy { secs: 301 }), None);
        assert_eq!(retry.wait_after(1, &HubError::BadToken), None);
        assert_eq!(Retry::at_once(3).wait_after(2, &lost), Some(Duration::ZERO));
    }
}
