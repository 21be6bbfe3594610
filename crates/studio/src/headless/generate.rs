//! `tiller generate`: one reply.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use tiller_engine::generate::{self as engine, Reply};
use tiller_protocol::persona::PromptText;
use tiller_protocol::problem::Problem;

use super::options::{GenerateOptions, Global};
use super::results::GenerateResult;
use super::session::Session;
use super::vectors;
use crate::jobs::turns;
use crate::{memory, problem};

/// Writes one reply; `on_text` receives it piece by piece. Deterministic for a seed on one device.
///
/// # Errors
/// A model or vector that cannot be used, a prompt longer than the context.
pub fn generate(
    global: &Global,
    options: &GenerateOptions,
    on_text: &mut dyn FnMut(&str),
) -> Result<GenerateResult, Problem> {
    let session = Session::open(global, &options.model)?;
    let edits = Arc::new(vectors::edits(&session, &options.vectors)?);
    let text = PromptText { system: options.system.clone(), user: options.user.clone() };
    let prompt = session.loaded.prompt(&turns(&text))?;
    memory::check_reply(&session.loaded, &[prompt.len()], options.sampling.max_tokens)?;
    let edits_now = || Arc::clone(&edits);
    let began = Instant::now();
    let mut pass_on = |_: usize, text: &str| {
        on_text(text);
        if global.watch.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let replies = [Reply { prompt, edits: &edits_now }];
    let written = engine::generate(&session.loaded.model, &replies, &options.sampling, &mut pass_on)
        .map_err(|error| problem::engine(&error))?;
    let seconds = began.elapsed().as_secs_f64().max(1e-9);
    let Some(reply) = written.into_iter().next() else { return Err(problem::stopped()) };
    Ok(GenerateResult {
        text: reply.text,
        reason: reply.reason,
        n_tokens: reply.ids.len(),
        tokens_per_sec: reply.ids.len() as f64 / seconds,
        folded_system: options.system.is_some() && session.loaded.info.folds_system,
    })
}
