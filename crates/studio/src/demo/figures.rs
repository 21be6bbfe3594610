//! The figures of a demo.

use tiller_protocol::evaluation::ConditionKind;

use super::results::{Curve, How, PersonaStudy, Results, Search};
use crate::jobs::picture::target_name;
use crate::plot::{DosePlot, DoseSeries, ForestPlot, ForestRow, Front, ParetoPlot, Reference};

/// A figure: the name of its file, and its drawing.
pub(super) struct Figure {
    /// Name without ending.
    pub(super) name: String,
    /// The drawing.
    pub(super) svg: String,
}

/// All figures.
pub(super) fn all(results: &Results) -> Vec<Figure> {
    let mut figures = Vec::new();
    let target = target_name(&results.settings);
    for study in &results.personas {
        let id = &study.persona;
        figures.push(Figure { name: format!("rates-{id}"), svg: rates(study).svg() });
        figures.push(Figure { name: format!("front-{id}"), svg: fronts(study, target).svg() });
        figures.push(Figure { name: format!("latents-{id}"), svg: latents(study).svg() });
    }
    if let Some(steering) = &results.steering {
        let is_style = |curve: &&Curve| curve.points.first().is_some_and(|dose| dose.times == 0.0);
        let (styles, dispositions): (Vec<&Curve>, Vec<&Curve>) = steering.curves.iter().partition(is_style);
        figures
            .push(Figure { name: "steering-dispositions".to_owned(), svg: dose("dispositions", &dispositions).svg() });
        figures.push(Figure { name: "steering-styles".to_owned(), svg: dose("styles", &styles).svg() });
        figures.push(Figure { name: "steering-perplexity".to_owned(), svg: perplexity(&steering.curves).svg() });
    }
    figures
}

/// Group of a kind of condition: its colour and marker.
fn group(kind: ConditionKind) -> usize {
    match kind {
        ConditionKind::Resga => 1,
        ConditionKind::Saega => 2,
        ConditionKind::RandomMutation => 4,
        ConditionKind::RandomDirection => 3,
        ConditionKind::NoPrompt | ConditionKind::Manual | ConditionKind::VectorSteering => 0,
    }
}

fn rates(study: &PersonaStudy) -> ForestPlot {
    let row = |condition: &tiller_protocol::evaluation::Condition| {
        let rate = condition.report.as_ref()?.persona;
        let label = match (condition.kind, &condition.prompt) {
            (ConditionKind::Manual, Some(prompt)) => format!("\u{201c}{}\u{201d}", prompt.trim()),
            _ => condition.name.clone(),
        };
        Some(ForestRow { label, rate, group: group(condition.kind) })
    };
    ForestPlot {
        title: format!("{}: persona rate on held-out items", study.name),
        rate_name: format!("decisions that are {}, with Wilson 95 % interval", study.positive),
        rows: study.conditions.iter().filter_map(row).collect(),
        level: Some((0.5, "a coin".to_owned())),
    }
}

fn front(search: &Search, with_candidates: bool) -> Front {
    Front {
        name: search.name.clone(),
        points: search.front.iter().map(|p| (p.candidate.xent, p.candidate.target)).collect(),
        candidates: if with_candidates { search.candidates.clone() } else { Vec::new() },
    }
}

fn fronts(study: &PersonaStudy, target: &str) -> ParetoPlot {
    let searches: Vec<&Search> = study
        .searches
        .iter()
        .filter(|search| matches!(search.kind, ConditionKind::Resga | ConditionKind::RandomMutation))
        .collect();
    let mut references: Vec<Reference> = study
        .conditions
        .iter()
        .zip(&study.targets)
        .filter_map(|(condition, at)| {
            let (xent, target) = (*at)?;
            let name = format!("\u{201c}{}\u{201d}", condition.prompt.as_deref().unwrap_or_default());
            Some(Reference { name, target, xent: Some(xent) })
        })
        .collect();
    references.sort_by(|a, b| a.target.total_cmp(&b.target));
    let shown = tiller_discover::choose::spread(references.len(), 3);
    ParetoPlot {
        title: format!("{}: fluency against effect, gradient and random mutation", study.name),
        target_name: target.to_owned(),
        fronts: searches.iter().enumerate().map(|(i, search)| front(search, i == 0)).collect(),
        references: shown.into_iter().map(|i| references[i].clone()).collect(),
        chosen: None,
    }
}

fn latents(study: &PersonaStudy) -> ParetoPlot {
    let searches = study.searches.iter().filter(|search| search.kind == ConditionKind::Saega);
    ParetoPlot {
        title: format!("{}: fluency against effect, SAE latents", study.name),
        target_name: "shift of the weighted latents, σ".to_owned(),
        fronts: searches.map(|search| front(search, true)).collect(),
        references: Vec::new(),
        chosen: None,
    }
}

fn dose(what: &str, curves: &[&Curve]) -> DosePlot {
    let series = |curve: &&Curve| DoseSeries {
        name: curve.name.clone(),
        points: curve.points.iter().map(|d| [d.times, d.rate.rate, d.rate.low, d.rate.high]).collect(),
    };
    DosePlot {
        title: format!("Steering {what}: persona rate against strength"),
        strength_name: "how often the raw vector is added".to_owned(),
        value_name: "persona rate, with Wilson 95 % interval".to_owned(),
        series: curves.iter().map(series).collect(),
        share: true,
        level: None,
    }
}

fn perplexity(curves: &[Curve]) -> DosePlot {
    let series = |curve: &Curve| {
        let at_zero = curve.points.iter().find(|dose| dose.times == 0.0)?.perplexity?;
        let point = |dose: &super::results::Dose| {
            let ratio = dose.perplexity.unwrap_or(at_zero) / at_zero;
            [dose.times, ratio, ratio, ratio]
        };
        Some(DoseSeries { name: curve.name.clone(), points: curve.points.iter().map(point).collect() })
    };
    DosePlot {
        title: "Steering: what it does to the replies".to_owned(),
        strength_name: "how often the raw vector is added".to_owned(),
        value_name: "perplexity of replies over that at 0".to_owned(),
        series: curves.iter().filter(|curve| curve.how == How::Replies).filter_map(series).collect(),
        share: false,
        level: Some((2.0, "twice".to_owned())),
    }
}
