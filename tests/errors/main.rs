//! Bad input: each is told with a title, a cause and a next step, nothing panics, and the application goes on.

mod checkpoints;
mod gguf;
mod headless;
mod loading;
mod memory;
mod weight_faults;
mod window;

use anyhow::{Result, ensure};
use tiller_protocol::problem::Problem;

/// Fails unless all three parts say something, each in its own words, and one of them names every word of `facts`.
fn assert_told(problem: &Problem, facts: &[&str]) -> Result<()> {
    let parts = [&problem.title, &problem.cause, &problem.next_step];
    ensure!(parts.iter().all(|part| part.trim().len() > 3), "a part is empty: {problem:?}");
    ensure!(problem.title != problem.cause && problem.cause != problem.next_step, "a part is repeated: {problem:?}");
    ensure!(!problem.title.ends_with('.') && !problem.title.contains('\n'), "the title is one line: {problem:?}");
    for text in parts {
        ensure!(!text.contains("Error {") && !text.contains("Err("), "a part shows code: {problem:?}");
    }
    for fact in facts {
        let told = parts.iter().any(|part| part.to_lowercase().contains(&fact.to_lowercase()));
        ensure!(told, "nothing names {fact}: {problem:?}");
    }
    Ok(())
}
