//! Structure checks: what ARCHITECTURE.md promises and no compiler enforces.
//!
//! Each rule is a function from facts to a list of violations, so that a planted violation can show that it bites.

mod dependencies;
mod licences;
mod papers;
mod sources;
mod workspace;

/// Fails with one line per violation.
fn assert_clean(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}
