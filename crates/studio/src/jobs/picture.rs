//! The figure of a run.

use tiller_discover::choose;
use tiller_protocol::discovery::{Candidate, DiscoverySettings, Heading, Objective, RunResult};

use super::choice::label;
use super::material::Material;
use crate::plot;

/// The figure of a run.
pub(crate) fn picture(
    material: &Material<'_>,
    result: &RunResult,
    history: &[Candidate],
    targets: &[Option<(f64, f64)>],
) -> plot::ParetoPlot {
    let point = |candidate: &Candidate| (candidate.xent, candidate.target);
    let references = result.conditions.iter().zip(targets).filter_map(|(measured, at)| {
        let (xent, target) = (*at)?;
        let name = measured.prompt.as_deref().unwrap_or(&measured.name);
        Some(plot::Reference { name: name.to_owned(), target, xent: Some(xent) })
    });
    let best = choose::best(&result.front, result.settings.heading).map(|i| &result.front[i].candidate);
    // The strongest, the middle and the weakest manual prompt: ten lines would hide the front.
    let mut references: Vec<plot::Reference> = references.collect();
    references.sort_by(|a, b| a.target.total_cmp(&b.target));
    let kept = choose::spread(references.len(), 3);
    plot::ParetoPlot {
        title: format!("{}: {}", material.persona.card.name, label(&result.settings)),
        target_name: target_name(&result.settings).to_owned(),
        fronts: vec![plot::Front {
            name: "Front".to_owned(),
            points: result.front.iter().map(|p| point(&p.candidate)).collect(),
            candidates: history.iter().map(point).collect(),
        }],
        references: kept.into_iter().map(|i| references[i].clone()).collect(),
        chosen: best.map(|candidate| (point(candidate), candidate.text.clone())),
    }
}

/// Name of the effect with its unit.
pub(crate) fn target_name(settings: &DiscoverySettings) -> &'static str {
    match (settings.objective, settings.heading) {
        (Objective::ProjectionSigma, Heading::Away) => "shift away from the persona, σ",
        (Objective::ProjectionSigma, Heading::Toward) => "shift toward the persona, σ",
        (Objective::CosineDifference, _) => "shift of the cosine",
        (Objective::RawDot, _) => "dot product, residual units",
    }
}
