//! Ctrl-C: the first press asks for an orderly stop, the second ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::output;

/// Sets `stop` at the first Ctrl-C, then calls `wake`; a second Ctrl-C exits with code 130.
pub(crate) fn on_interrupt(stop: Arc<AtomicBool>, wake: impl Fn() + Send + 'static) {
    let handler = move || {
        if stop.swap(true, Ordering::Relaxed) {
            exit_now();
        }
        wake();
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        log::warn!("Ctrl-C will end Tiller at once, without an orderly stop: {error}");
    }
}

#[expect(clippy::exit, reason = "the user pressed Ctrl-C twice: no more waiting for the present step")]
fn exit_now() {
    std::process::exit(i32::from(output::STOPPED));
}
