//! Progress of a command, on stderr.

use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tiller_studio::headless::{OnStep, Step};

use crate::output;

/// Least time between two lines of the same part when stderr is a file or a pipe.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Least time between two updates of the line on a terminal.
const REDRAW_EVERY: Duration = Duration::from_millis(100);

/// Prints steps: one line that is redrawn on a terminal, a line now and then elsewhere.
pub(crate) struct Progress {
    terminal: bool,
    last: Mutex<Option<(String, Instant)>>,
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
        let new_part = last.as_ref().is_none_or(|(title, _)| *title != step.title);
        if !new_part && !complete && last.as_ref().is_some_and(|(_, shown)| shown.elapsed() < every) {
            return;
        }
        let line = line(step);
        match (self.terminal, new_part && last.is_some()) {
            (true, true) => output::to_stderr(&format!("\n{line}")),
            (true, false) => output::to_stderr(&format!("\r\u{1b}[2K{line}")),
            (false, _) => output::to_stderr(&format!("{line}\n")),
        }
        *last = Some((step.title.clone(), Instant::now()));
    }
}

/// One step in words: `Searching: 40 of 80 iterations, 12 s, 12 s left`.
fn line(step: &Step) -> String {
    let Step { title, done, total, unit, elapsed_secs } = step;
    if *total == 0 && *done == 0 {
        return title.clone();
    }
    if *total == 0 {
        return format!("{title}: {done} {unit}, {elapsed_secs:.0} s");
    }
    let left = if *done > 0 && done < total {
        format!(", {:.0} s left", elapsed_secs * (total - done) as f64 / *done as f64)
    } else {
        String::new()
    };
    format!("{title}: {done} of {total} {unit}, {elapsed_secs:.0} s{left}")
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
        };
        assert_eq!(line(&step(0, 0)), "Searching");
        assert_eq!(line(&step(7, 0)), "Searching: 7 iterations, 12 s");
        assert_eq!(line(&step(20, 80)), "Searching: 20 of 80 iterations, 12 s, 36 s left");
        assert_eq!(line(&step(80, 80)), "Searching: 80 of 80 iterations, 12 s");
    }
}
