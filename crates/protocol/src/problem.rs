//! How a failure is told to a person.

use serde::{Deserialize, Serialize};

/// A failure in words for people: what happened, why, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What happened, in one short line without a full stop.
    pub title: String,
    /// Why it happened, with the facts (names, shapes, paths).
    pub cause: String,
    /// What the person can do now.
    pub next_step: String,
}

impl Problem {
    /// A problem from its three parts.
    pub fn new(title: impl Into<String>, cause: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { title: title.into(), cause: cause.into(), next_step: next_step.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} {}", self.title, self.cause, self.next_step)
    }
}

impl std::error::Error for Problem {}
