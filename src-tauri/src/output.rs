//! What a command leaves behind: one document on stdout, failures in three parts, exit codes.

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;
use tiller_protocol::problem::Problem;

/// Exit code of a command that was used wrongly.
pub(crate) const USAGE: u8 = 2;
/// Exit code of a command that the user stopped.
pub(crate) const STOPPED: u8 = 130;

/// How a command that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It did all it was asked.
    Done,
    /// The user stopped it; what it had is kept.
    Stopped,
    /// It did all it was asked, and what it found is that something is wrong.
    Found,
}

impl Ended {
    /// From a result's `stopped` field.
    pub(crate) fn from_stopped(stopped: bool) -> Self {
        if stopped { Self::Stopped } else { Self::Done }
    }

    /// The process's exit code.
    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            Self::Done => ExitCode::SUCCESS,
            Self::Stopped => ExitCode::from(STOPPED),
            Self::Found => ExitCode::FAILURE,
        }
    }
}

/// Prints a result: the JSON document alone, or `text` for people.
///
/// # Errors
/// When stdout cannot be written for another reason than that its reader has gone.
pub(crate) fn result(value: &impl Serialize, text: &str, json: bool) -> Result<(), Problem> {
    if json {
        let document = serde_json::to_string_pretty(value).map_err(|error| stdout_problem(&error))?;
        to_stdout(&format!("{document}\n"))
    } else {
        to_stdout(text)
    }
}

/// Bytes in thousands of millions with as many decimals as fit a column.
pub(crate) fn gigabytes(bytes: u64) -> String {
    let value = bytes as f64 / 1e9;
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") }
}

/// Bytes in the unit that fits.
pub(crate) fn amount(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{} GB", gigabytes(bytes)),
    }
}

/// Writes to stdout at once.
///
/// # Errors
/// As [`result`].
pub(crate) fn to_stdout(text: &str) -> Result<(), Problem> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // The reader has seen enough (`tiller … | head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(stdout_problem(&error)),
        Ok(()) => Ok(()),
    }
}

/// Writes to stderr; a closed stderr is nobody's loss.
pub(crate) fn to_stderr(text: &str) {
    let mut stderr = io::stderr().lock();
    let written = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    drop(written);
}

/// Tells a failure on stderr and, with `json`, on stdout; returns exit code 1.
pub(crate) fn failure(problem: &Problem, json: bool) -> ExitCode {
    to_stderr(&format!("{}\n  Cause: {}\n  Next step: {}\n", problem.title, problem.cause, problem.next_step));
    if json {
        // Stdout may be what failed; stderr has told it already.
        drop(to_stdout(&error_document(problem)));
    }
    ExitCode::FAILURE
}

/// The failure as `--json` prints it.
pub(crate) fn error_document(problem: &Problem) -> String {
    format!("{}\n", json!({ "error": problem }))
}

fn stdout_problem(error: &dyn std::error::Error) -> Problem {
    Problem::new(
        "The result could not be written to standard output",
        format!("{error}."),
        "Check where the output is redirected to and that its disk is not full.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_three_parts_under_error() {
        let text = error_document(&Problem::new("No model", "The folder is empty.", "Choose another folder."));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["error"]["title"], "No model");
        assert_eq!(value["error"]["cause"], "The folder is empty.");
        assert_eq!(value["error"]["next_step"], "Choose another folder.");
        assert_eq!(text.lines().count(), 1);
    }
}
