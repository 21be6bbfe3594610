//! Hands what has just come in to the checker while it is still at hand, so that it need not be read from the file again.
//!
//! Only bytes that follow on what the checker has got are taken; it reads whatever is not handed over. A connection that
//! is faster than the checker waits for it: were it not to, the checker would have to read from the file and fall back
//! further.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Buffers that wait for the checker at most.
const MAX_WAITING: usize = 64;

/// A checker that takes longer than this is busy with something else, and not waited for.
const LONG: Duration = Duration::from_millis(50);

/// A buffer, and how many of its bytes are meant.
pub(super) type Load = (Vec<u8>, usize);

#[derive(Default)]
pub(super) struct Relay {
    waiting: Mutex<Waiting>,
    taken: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// File, and where in it the first load begins.
    from: (usize, u64),
    /// Where the last one ends.
    end: u64,
    loads: VecDeque<Load>,
    spare: Vec<Vec<u8>>,
}

impl Relay {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers the first `n` bytes of a buffer, which lie at `at` in a file. If they are taken, the buffer is replaced by
    /// another of its size.
    pub(super) fn offer(&self, idx: usize, at: u64, buffer: &mut Vec<u8>, n: usize) {
        let follows = |waiting: &Waiting| (waiting.from.0, waiting.end) == (idx, at);
        let is_full = |waiting: &Waiting| follows(waiting) && waiting.loads.len() >= MAX_WAITING;
        let waited = self.taken.wait_timeout_while(self.lock(), LONG, |waiting| is_full(waiting));
        let mut waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        if !follows(&waiting) || is_full(&waiting) {
            return;
        }
        let spare = waiting.spare.pop().unwrap_or_else(|| vec![0; buffer.len()]);
        waiting.loads.push_back((std::mem::replace(buffer, spare), n));
        waiting.end += n as u64;
    }

    /// Takes what has been handed over of a file from `at` on. From then on what follows it is taken in; without any,
    /// what follows `at`.
    pub(super) fn take(&self, idx: usize, at: u64) -> VecDeque<Load> {
        let mut waiting = self.lock();
        let loads = std::mem::take(&mut waiting.loads);
        self.taken.notify_all();
        if waiting.from == (idx, at) {
            waiting.from.1 = waiting.end;
            return loads;
        }
        waiting.spare.extend(loads.into_iter().map(|(buffer, _)| buffer));
        waiting.from = (idx, at);
        waiting.end = at;
        VecDeque::new()
    }

    /// Gives a buffer back to be used again.
    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        self.lock().spare.push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_follows_is_taken() {
        let (relay, mut buffer) = (Relay::default(), vec![1; 8]);
        assert!(relay.take(3, 100).is_empty());
        relay.offer(3, 104, &mut buffer, 4);
        relay.offer(2, 100, &mut buffer, 4);
        relay.offer(3, 100, &mut buffer, 4);
        assert_eq!(buffer, vec![0; 8]);
        relay.offer(3, 104, &mut buffer, 8);
        relay.offer(3, 112, &mut buffer, 1);
        let loads = relay.take(3, 100);
        assert_eq!(loads.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [4, 8, 1]);
        assert_eq!(loads[0].0, vec![1; 8]);
        // The checker is elsewhere: what waits for it here is dropped.
        relay.offer(3, 113, &mut buffer, 8);
        assert!(relay.take(3, 500).is_empty());
        relay.offer(3, 500, &mut buffer, 8);
        assert_eq!(relay.take(3, 500).len(), 1);
    }

    #[test]
    fn a_checker_that_is_elsewhere_holds_up_nobody_for_long() {
        let (relay, mut buffer) = (Relay::default(), vec![0; 8]);
        for n in 0..MAX_WAITING as u64 + 2 {
            relay.offer(0, 8 * n, &mut buffer, 8);
        }
        assert_eq!(relay.take(0, 0).len(), MAX_WAITING);
    }
}
