//! Which points of a front are worth using: measured on selection items.

use tiller_discover::choose;
use tiller_protocol::discovery::{Candidate, DiscoverySettings, FrontPoint};
use tiller_protocol::evaluation::{Condition, ConditionKind};
use tiller_protocol::problem::Problem;

use super::Sink;
use super::material::{Material, condition, kind};

/// Measures points of the front on all selection items: at most `n` of the fluent ones and `n` of the others.
///
/// # Errors
/// A failure of the model, or a stop.
pub(crate) fn judge_front(
    material: &Material<'_>,
    settings: &DiscoverySettings,
    (points, n): (&mut [FrontPoint], usize),
    sink: &mut dyn Sink,
) -> Result<(), Problem> {
    for point in &mut *points {
        point.select = None;
    }
    let n_fluent = points.partition_point(|point| point.candidate.xent < choose::FLUENT_NATS);
    let rest = points.len() - n_fluent;
    let picked = choose::spread(n_fluent, n)
        .into_iter()
        .chain(choose::spread(rest, n).into_iter().map(|i| n_fluent + i))
        .collect::<Vec<_>>();
    for (done, i) in picked.iter().enumerate() {
        sink.step(done, picked.len(), "points of the front");
        let text = points[*i].candidate.text.clone();
        let found = material.prompted(&material.persona.select, (Some(&text), settings.placement), sink)?;
        points[*i].select = Some(found);
    }
    Ok(())
}

/// The best point on selection items and the best fluent one, as conditions.
pub(crate) fn chosen(settings: &DiscoverySettings, points: &[FrontPoint]) -> Vec<Condition> {
    let best = choose::best(points, settings.heading);
    let fluent = choose::best_fluent(points, settings.heading);
    let what = label(settings);
    let describe = |i: usize, which: &str| {
        let FrontPoint { candidate: Candidate { text, xent, .. }, select, .. } = &points[i];
        Condition {
            xent: Some(*xent),
            seed: Some(settings.seed),
            select: select.clone(),
            ..condition(format!("{what}, {which}"), kind(settings), Some(text))
        }
    };
    let best_is_fluent = best.is_some() && best == fluent;
    let best = best.map(|i| describe(i, if best_is_fluent { "best and fluent" } else { "best" }));
    let fluent = fluent.filter(|_| !best_is_fluent).map(|i| describe(i, "best fluent"));
    best.into_iter().chain(fluent).collect()
}

/// Name of a search for people.
pub(crate) fn label(settings: &DiscoverySettings) -> &'static str {
    match kind(settings) {
        ConditionKind::RandomDirection => "Random direction",
        ConditionKind::RandomMutation => "Random mutation",
        ConditionKind::Saega => "SAEGA",
        _ => "RESGA",
    }
}
