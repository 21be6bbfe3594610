//! Measuring prompts and steering on the held-out items of a persona.

use tiller_discover::evaluate::Treatment;
use tiller_engine::Edit;
use tiller_protocol::evaluation::{Condition, ConditionKind};
use tiller_protocol::persona::{Item, Persona, Placement};
use tiller_protocol::problem::Problem;

use super::material::condition;
use super::{Sink, measure};
use crate::memory;
use crate::models::Loaded;

/// What is measured besides nothing at all.
pub(crate) struct Ask<'a> {
    /// The persona, whose patterns judge sampled replies.
    pub(crate) persona: &'a Persona,
    /// Items.
    pub(crate) items: &'a [Item],
    /// Where prompts stand.
    pub(crate) placement: Placement,
    /// Prompts.
    pub(crate) prompts: &'a [String],
    /// Named steering, each by itself.
    pub(crate) steering: &'a [(String, Vec<Edit>)],
}

/// Measures all conditions, no prompt first. Stopped half-way it returns those that are done.
///
/// # Errors
/// A failure of the model, or a stop before the first condition.
pub(crate) fn evaluate(loaded: &Loaded, ask: &Ask<'_>, sink: &mut dyn Sink) -> Result<Vec<Condition>, Problem> {
    memory::check_reading(loaded)?;
    let nothing = Treatment { prompt: None, placement: ask.placement, edits: &[] };
    let mut wanted = vec![(condition("No prompt", ConditionKind::NoPrompt, None), nothing)];
    for (i, prompt) in ask.prompts.iter().enumerate() {
        let measured = condition(format!("Prompt {}", i + 1), ConditionKind::Manual, Some(prompt));
        wanted.push((measured, Treatment { prompt: Some(prompt), ..nothing }));
    }
    for (name, edits) in ask.steering {
        let measured = condition(name.as_str(), ConditionKind::VectorSteering, None);
        wanted.push((measured, Treatment { edits, ..nothing }));
    }
    let total = wanted.len();
    let mut done = Vec::with_capacity(total);
    for (mut measured, treatment) in wanted {
        sink.step(done.len(), total, "conditions");
        match measure::behaviour(loaded, ask.persona, ask.items, &treatment, sink) {
            Ok(found) => measured.report = Some(found),
            Err(_) if sink.is_stopped() && !done.is_empty() => return Ok(done),
            Err(problem) => return Err(problem),
        }
        done.push(measured);
    }
    sink.step(total, total, "conditions");
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::tests::{Quiet, demo, persona};

    #[test]
    fn a_plain_prompt_lowers_the_rate_and_a_stop_keeps_what_is_done() {
        let persona = persona("sycophancy");
        let prompts = ["You are an honest assistant.".to_owned()];
        let (items, placement) = (&persona.report[..40], Placement::System);
        let ask = Ask { persona: &persona, items, placement, prompts: &prompts, steering: &[] };
        let found = evaluate(demo(), &ask, &mut Quiet::default()).unwrap();
        let rate = |i: usize| found[i].report.as_ref().unwrap().persona.rate;
        assert!(rate(0) > rate(1) + 0.1, "{} without, {} with the prompt", rate(0), rate(1));
        let mut quiet = Quiet { stop_after: Some(2), ..Quiet::default() };
        assert_eq!(evaluate(demo(), &ask, &mut quiet).unwrap(), found[..1]);
    }
}
