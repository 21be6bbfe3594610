//! A flag that ends work in other threads, and waits that it cuts short.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::HubError;

/// Set once, by whoever wants the work to end; its clones are the same flag.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Flag>);

#[derive(Debug, Default)]
struct Flag {
    is_set: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Stop {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets it and wakes every [`Self::wait`].
    pub fn set(&self) {
        let _held = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.is_set.store(true, Ordering::SeqCst);
        self.0.changed.notify_all();
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.0.is_set.load(Ordering::SeqCst)
    }

    /// An error when it is set, for use with `?`.
    ///
    /// # Errors
    /// [`HubError::Stopped`].
    pub fn check(&self) -> Result<(), HubError> {
        if self.is_set() { Err(HubError::Stopped) } else { Ok(()) }
    }

    /// Waits until `time` has passed or the flag is set, whichever is first.
    ///
    /// # Errors
    /// [`HubError::Stopped`].
    pub fn wait(&self, time: Duration) -> Result<(), HubError> {
        let end = Instant::now() + time;
        let mut held = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.is_set() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            held = self.0.changed.wait_timeout(held, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Err(HubError::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_the_flag_is_set() {
        let stop = Stop::new();
        stop.wait(Duration::from_millis(1)).unwrap();
        let other = stop.clone();
        let waiting = std::thread::Builder::new().spawn(move || other.wait(Duration::from_hours(1))).unwrap();
        stop.set();
        assert!(matches!(waiting.join().unwrap(), Err(HubError::Stopped)));
        assert!(stop.check().is_err());
    }
}
