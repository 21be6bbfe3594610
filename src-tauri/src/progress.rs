//! Progress of a command, on stderr.

use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tiller_studio::headless::{OnStep, Step};

use crate::output::{self, amount};

/// Least time between two lines of the same part when stderr is a file or a pipe.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Least time between two updates of the line on a terminal.
const REDRAW_EVERY: Duration = Duration::from_millis(100);

/// Clears the line (ECMA-48, erase in line).
const CLEAR: &str = "\u{1b}[2K";
/// Lets the terminal cut a line off at its edge: one that went on below could not be redrawn (DEC private mode 7).
const UNWRAPPED: &str = "\u{1b}[?7l";
/// Lets it go on below again.
const WRAPPED: &str = "\u{1b}[?7h";

/// Prints steps: one line that is redrawn on a terminal, a line now and then elsewhere.
pub(crate) struct Progress {
    terminal: bool,
    last: Mutex<Option<Shown>>,
}

/// What was told last.
struct Shown {
    title: String,
    at: Instant,
    is_complete: bool,
}

impl Progress {
    /// For the present stderr.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { terminal: io::stderr().is_terminal(), last: Mutex::new(None) })
    }

    /// The callback that a command calls.
    pub(crate) fn on_step(self: &Arc<Self>) -> OnStep {
        let progress = Arc::clone(self);
        Arc::new(move |step| progress.show(step))
    }

    /// Leaves the line that was redrawn, so that what follows starts on its own.
    pub(crate) fn finish(&self) {
        let Ok(mut last) = self.last.lock() else { return };
        if last.take().is_some() && self.terminal {
            output::to_stderr("\n");
        }
    }

    fn show(&self, step: &Step) {
        let Ok(mut last) = self.last.lock() else { return };
        let every = if self.terminal { REDRAW_EVERY } else { LINE_EVERY };
        let complete = step.total > 0 && step.done >= step.total;
        let new_part = last.as_ref().is_none_or(|shown| shown.title != step.title);
        // The end is told at once, though only once.
        let is_early = last.as_ref().is_some_and(|shown| shown.at.elapsed() < every && shown.is_complete == complete);
        if !new_part && is_early {
            return;
        }
        let line = line(step);
        match (self.terminal, new_part && last.is_some()) {
            (true, true) => output::to_stderr(&format!("\n{UNWRAPPED}{line}{WRAPPED}")),
            (true, false) => output::to_stderr(&format!("\r{CLEAR}{UNWRAPPED}{line}{WRAPPED}")),
            (false, _) => output::to_stderr(&format!("{line}\n")),
        }
        *last = Some(Shown { title: step.title.clone(), at: Instant::now(), is_complete: complete });
    }
}

/// One step in words: `Searching: 40 of 80 iterations, 12 s, 12 s left`.
fn line(step: &Step) -> String {
    let Step { title, done, total, unit, elapsed_secs, rate, detail } = step;
    if *total == 0 && *done == 0 {
        return title.clone();
    }
    let is_bytes = unit == "bytes";
    let count = |n: u64| if is_bytes { amount(n) } else { format!("{n}") };
    let unit = if is_bytes { String::new() } else { format!(" {unit}") };
    if *total == 0 {
        return format!("{title}: {}{unit}, {}", count(*done), time(*elapsed_secs));
    }
    let mut parts = vec![format!("{title}: {} of {}{unit}", count(*done), count(*total))];
    let missing = total.saturating_sub(*done) as f64;
    match rate {
        Some(rate) if *rate > 0.0 && missing > 0.0 => {
            parts.push(format!("{}/s", count(*rate as u64)));
            parts.push(format!("{} left", time(missing / rate)));
        }
        Some(_) => {}
        None => {
            parts.push(time(*elapsed_secs));
            if *done > 0 && missing > 0.0 {
                parts.push(format!("{} left", time(elapsed_secs * missing / *done as f64)));
            }
        }
    }
    if !detail.is_empty() {
        parts.push(detail.clone());
    }
    parts.join(", ")
}

/// A time for people: `12 s`, `4 min`, `3 h 20 min`.
fn time(secs: f64) -> String {
    match secs.round() as u64 {
        secs @ 0..120 => format!("{secs} s"),
        secs @ 120..7200 => format!("{} min", secs / 60),
        secs => format!("{} h {} min", secs / 3600, secs / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_in_words() {
        let step = |done, total| Step {
            title: "Searching".to_owned(),
            done,
            total,
            unit: "iterations".to_owned(),
            elapsed_secs: 12.0,
            rate: None,
            detail: String::new(),
        };
        assert_eq!(line(&step(0, 0)), "Searching");
        assert_eq!(line(&step(7, 0)), "Searching: 7 iterations, 12 s");
        assert_eq!(line(&step(20, 80)), "Searching: 20 of 80 iterations, 12 s, 36 s left");
        assert_eq!(line(&step(80, 80)), "Searching: 80 of 80 iterations, 12 s");
    }
    #[test]
    fn a_download_is_told_with_its_rate_and_its_files() {
        let step = Step {
            title: "Downloading a/b".to_owned(),
            done: 1_500_000_000,
            total: 3_000_000_000,
            unit: "bytes".to_owned(),
            elapsed_secs: 2.0,
            rate: Some(5e6),
            detail: "1 of 2 files".to_owned(),
        };
        assert_eq!(line(&step), "Downloading a/b: 1.50 GB of 3.00 GB, 5.0 MB/s, 5 min left, 1 of 2 files");
        assert_eq!(line(&Step { rate: Some(0.0), ..step }), "Downloading a/b: 1.50 GB of 3.00 GB, 1 of 2 files");
    }
}
