//! What a discovered prompt is held against: no prompt, manual prompts, the vector itself.

use tiller_discover::evaluate::Treatment;
use tiller_discover::prompt_landscape::PromptLandscape;
use tiller_protocol::discovery::DiscoverySettings;
use tiller_protocol::evaluation::{Behaviour, Condition, ConditionKind};
use tiller_protocol::persona::{Item, Placement};
use tiller_protocol::problem::Problem;

use super::material::{Material, condition, sign};
use super::{Report, Sink};
use crate::problem;

/// How often the raw vector is added in the steering baseline; the best on selection items is kept.
const STEERING_TIMES: [f64; 3] = [1.0, 2.0, 3.0];

/// Baselines with their place in the plot.
pub(crate) struct Baselines {
    /// Conditions with `select` filled in.
    pub(crate) conditions: Vec<Condition>,
    /// (cross-entropy, target) of each that has a prompt.
    pub(crate) targets: Vec<Option<(f64, f64)>>,
    /// How often the vector is added in the steering baseline.
    pub(crate) steering_times: f64,
}

/// Measures no prompt, the manual prompts and vector steering on selection items, and reports them.
///
/// # Errors
/// A failure of the model, or a stop.
pub(crate) fn measure(
    material: &Material<'_>,
    landscape: &PromptLandscape<'_>,
    settings: &DiscoverySettings,
    sink: &mut dyn Sink,
) -> Result<Baselines, Problem> {
    let (items, placement) = (&material.persona.select, settings.placement);
    let manual = &material.persona.card.manual_prompts;
    let total = manual.len() + 1 + STEERING_TIMES.len();
    let mut conditions = vec![condition("No prompt", ConditionKind::NoPrompt, None)];
    let mut targets = vec![None];
    conditions[0].select = Some(material.prompted(items, (None, placement), sink)?);
    for (i, prompt) in manual.iter().enumerate() {
        sink.step(i + 1, total, "baselines");
        let score = landscape.score_text(prompt).map_err(|error| problem::discover(&error))?;
        let mut measured = condition(format!("Manual prompt {}", i + 1), ConditionKind::Manual, Some(prompt));
        measured.xent = Some(score.xent);
        measured.select = Some(material.prompted(items, (Some(prompt), placement), sink)?);
        conditions.push(measured);
        targets.push(Some((score.xent, score.target)));
    }
    let (steering_times, select) = best_steering(material, settings, sink)?;
    let sign = if steering_times < 0.0 { '\u{2212}' } else { '+' };
    let name = format!("Vector steering, {sign}{:.0} × vector", steering_times.abs());
    conditions.push(Condition { select: Some(select), ..condition(name, ConditionKind::VectorSteering, None) });
    targets.push(None);
    sink.report(Report::Baselines { conditions: conditions.clone(), targets: targets.clone() });
    Ok(Baselines { conditions, targets, steering_times })
}

/// The strength of the vector that does best on selection items, with what it does there.
fn best_steering(
    material: &Material<'_>,
    settings: &DiscoverySettings,
    sink: &mut dyn Sink,
) -> Result<(f64, Behaviour), Problem> {
    let mut best: Option<(f64, Behaviour)> = None;
    for times in STEERING_TIMES.map(|times| times * sign(settings.heading)) {
        let found = steered(material, &material.persona.select, times, sink)?;
        let gain = |found: &Behaviour| sign(settings.heading) * found.persona.rate;
        if best.as_ref().is_none_or(|(_, held)| gain(&found) > gain(held)) {
            best = Some((times, found));
        }
    }
    best.ok_or_else(problem::stopped)
}

fn steered(material: &Material<'_>, items: &[Item], times: f64, sink: &mut dyn Sink) -> Result<Behaviour, Problem> {
    let edit = material.edit(&material.direction()?, times, material.persona.card.recommended_positions)?;
    let treatment = Treatment { prompt: None, placement: Placement::System, edits: &[edit] };
    material.behaviour(items, &treatment, sink)
}

/// What a condition does on held-out items.
///
/// # Errors
/// A failure of the model, or a stop.
pub(crate) fn held_out(
    material: &Material<'_>,
    settings: &DiscoverySettings,
    measured: &Condition,
    steering_times: f64,
    sink: &mut dyn Sink,
) -> Result<Behaviour, Problem> {
    let items = &material.persona.report;
    if measured.kind == ConditionKind::VectorSteering {
        steered(material, items, steering_times, sink)
    } else {
        material.prompted(items, (measured.prompt.as_deref(), settings.placement), sink)
    }
}
