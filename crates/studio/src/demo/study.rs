//! The study of one persona.

use std::ops::ControlFlow;

use tiller_discover::prompt_landscape::PromptLandscape;
use tiller_discover::{baselines, direction, epo, front, stats};
use tiller_protocol::discovery::{Candidate, DiscoverySettings, Heading, Method};
use tiller_protocol::evaluation::{Condition, ConditionKind};
use tiller_protocol::problem::Problem;

use super::Order;
use super::plan::Plan;
use super::results::{Manual, PersonaStudy, Search, Test};
use crate::jobs::Sink;
use crate::jobs::baselines::{self as held_against, Baselines};
use crate::jobs::choice;
use crate::jobs::discover::{self, XENT_REFERENCE};
use crate::jobs::material::{Material, Shelf, kind};
use crate::problem;

/// Candidates kept for the figure of a search.
const MAX_DOTS: usize = 1500;

/// Studies one persona.
///
/// # Errors
/// A persona that cannot be loaded, a failure of the model, or a stop.
pub(super) fn run(order: &Order<'_>, plan: &Plan, persona: &str, sink: &mut dyn Sink) -> Result<PersonaStudy, Problem> {
    let seed = plan.seeds.first().copied().unwrap_or_default();
    let mut settings = plan.settings(persona, Method::Resga, seed);
    let shelf = Shelf { library: order.library, neutral: order.neutral, workspace: None, max_select: plan.max_select };
    sink.part(&format!("Extracting {persona}"));
    let material = Material::prepare(order.loaded, &shelf, &mut settings, sink)?;
    let landscape = material.landscape(&settings)?;
    let name = material.persona.card.name.clone();
    sink.part(&format!("{name}: baselines"));
    let Baselines { conditions, targets, steering_times } =
        held_against::measure(&material, &landscape, &settings, sink)?;
    let direction = material.direction()?;
    let (card, block) = (&material.persona.card, material.block);
    let mut study = PersonaStudy {
        persona: card.id.clone(),
        name: name.clone(),
        positive: card.positive.clone(),
        negative: card.negative.clone(),
        n_pairs: material.persona.pairs.len(),
        n_items: (material.persona.select.len(), material.persona.report.len()),
        vector: material.vector.info.blocks[block].clone(),
        projected_out: settings.project_out.clone(),
        cosine_kept: direction::cosine(&direction, &material.vector.directions[block]),
        conditions,
        targets,
        searches: Vec::new(),
        chosen: None,
        fluent: None,
        manual: None,
        against_none: None,
        against_manual: None,
    };
    let is_first = plan.personas.first().is_some_and(|first| first == persona);
    for (settings, evaluations_of) in searches(plan, &settings, is_first || plan.compare_all) {
        let budget = evaluations_of.map(|i: usize| study.searches[i].evaluations);
        sink.part(&format!("{name}: {}, seed {}", choice::label(&settings), settings.seed));
        search(&material, &settings, (budget, plan.n_judged), &mut study, sink)?;
    }
    sink.part(&format!("{name}: held-out items"));
    report(&material, &settings, steering_times, &mut study, sink)?;
    sum_up(&mut study, settings.heading);
    Ok(study)
}

/// All searches of a persona, each with the index of the search whose number of evaluations it gets.
fn searches(plan: &Plan, first: &DiscoverySettings, compares: bool) -> Vec<(DiscoverySettings, Option<usize>)> {
    let n_seeds = if compares { plan.seeds.len() } else { 1 };
    let seeded = |seed: &u64| DiscoverySettings { seed: *seed, ..first.clone() };
    let gradient: Vec<DiscoverySettings> = plan.seeds.iter().take(n_seeds).map(seeded).collect();
    let mut searches: Vec<(DiscoverySettings, Option<usize>)> =
        gradient.iter().map(|settings| (settings.clone(), None)).collect();
    if compares {
        for (i, settings) in gradient.iter().enumerate() {
            searches.push((baselines::random_mutation(settings), Some(i)));
        }
    }
    searches.push((DiscoverySettings { method: Method::Saega, block: None, ..first.clone() }, None));
    searches.push((baselines::random_direction(first), Some(0)));
    searches
}

/// Runs one search, measures its front on selection items and adds what is chosen to the study.
fn search(
    material: &Material<'_>,
    settings: &DiscoverySettings,
    (evaluations, n_judged): (Option<u64>, usize),
    study: &mut PersonaStudy,
    sink: &mut dyn Sink,
) -> Result<(), Problem> {
    let landscape = landscape(material, settings)?;
    let mut progress = Vec::new();
    let mut best = f64::NEG_INFINITY;
    let found = discover::search(&landscape, settings, (epo::Run::default(), evaluations), &mut |report| {
        if let epo::Report::Iteration { run, new } = report {
            best = run.history[new].iter().map(|candidate| candidate.target).fold(best, f64::max);
            progress.push((run.evaluations(), best));
            // A control goes on until it has spent the evaluations of the search that it is held against.
            sink.step(run.iteration, settings.iterations.max(run.iteration), "iterations");
        }
        if sink.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    sink.check()?;
    let mut points = landscape.verified_front(&found.history).map_err(|error| problem::discover(&error))?;
    choice::judge_front(material, settings, (&mut points, n_judged), sink)?;
    let mut chosen = choice::chosen(settings, &points);
    if matches!(kind(settings), ConditionKind::RandomDirection | ConditionKind::RandomMutation) {
        chosen.truncate(1);
    }
    let first = study.conditions.len();
    for condition in &mut chosen {
        condition.name = format!("{}, seed {}", condition.name, settings.seed);
    }
    let scores: Vec<(f64, f64)> = points.iter().map(|p| (p.candidate.target, p.candidate.xent)).collect();
    let every = found.history.len().div_ceil(MAX_DOTS).max(1);
    study.searches.push(Search {
        name: format!("{}, seed {}", choice::label(settings), settings.seed),
        kind: kind(settings),
        seed: settings.seed,
        evaluations: found.evaluations(),
        gradients: found.gradients,
        hypervolume: front::hypervolume(&scores, 0.0, XENT_REFERENCE),
        best_target: best,
        progress,
        candidates: found.history.iter().step_by(every).map(|c: &Candidate| (c.xent, c.target)).collect(),
        front: points,
        conditions: (first..first + chosen.len()).collect(),
    });
    study.targets.extend(std::iter::repeat_n(None, chosen.len()));
    study.conditions.extend(chosen);
    Ok(())
}

fn landscape<'a>(material: &Material<'a>, settings: &DiscoverySettings) -> Result<PromptLandscape<'a>, Problem> {
    match (settings.method, &material.loaded.sae) {
        // The SAE may read elsewhere than the vector is taken.
        (Method::Saega, Some(sae)) => {
            material.landscape(&DiscoverySettings { block: Some(sae.site().block()), ..settings.clone() })
        }
        _ => material.landscape(settings),
    }
}

/// Measures every condition on held-out items.
fn report(
    material: &Material<'_>,
    settings: &DiscoverySettings,
    steering_times: f64,
    study: &mut PersonaStudy,
    sink: &mut dyn Sink,
) -> Result<(), Problem> {
    let total = study.conditions.len();
    for (i, measured) in study.conditions.iter_mut().enumerate() {
        sink.step(i, total, "conditions");
        measured.report = Some(held_against::held_out(material, settings, measured, steering_times, sink)?);
    }
    Ok(())
}

/// Chooses on selection items and compares on held-out ones.
fn sum_up(study: &mut PersonaStudy, heading: Heading) {
    let sign = if heading == Heading::Away { 1.0 } else { -1.0 };
    let discovered =
        |c: &Condition| matches!(c.kind, ConditionKind::Resga | ConditionKind::Saega) && c.select.is_some();
    let best = |keep: &dyn Fn(&Condition) -> bool| {
        let key = |c: &Condition| c.select.as_ref().map(|s| (sign * s.persona.rate, sign * s.mean_margin));
        let order = |a: &(f64, f64), b: &(f64, f64)| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1));
        let candidates = study.conditions.iter().enumerate().filter(|(_, c)| discovered(c) && keep(c));
        candidates.filter_map(|(i, c)| Some((i, key(c)?))).min_by(|a, b| order(&a.1, &b.1)).map(|(i, _)| i)
    };
    let fluent = best(&|c| c.xent.is_some_and(|xent| xent < tiller_discover::choose::FLUENT_NATS));
    let chosen = best(&|_| true);
    let manual: Vec<usize> =
        (0..study.conditions.len()).filter(|i| study.conditions[*i].kind == ConditionKind::Manual).collect();
    let conditions: Vec<Condition> = manual.iter().map(|i| study.conditions[*i].clone()).collect();
    let rate = |c: &Condition| c.report.as_ref().map(|report| sign * report.persona.rate);
    let rates: Vec<(usize, f64)> = conditions.iter().enumerate().filter_map(|(i, c)| Some((i, rate(c)?))).collect();
    let best = rates.iter().min_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| *i);
    let summary = baselines::manual_summary(&conditions, heading);
    study.manual = summary.zip(best).map(|(summary, best)| Manual::new(&summary.mean, manual[best]));
    (study.chosen, study.fluent) = (chosen, fluent);
    let decisions = |i: usize| study.conditions[i].report.as_ref().map(|report| report.decisions.clone());
    let test = |other: Option<usize>| -> Option<Test> {
        Some(stats::mcnemar(&decisions(chosen?)?, &decisions(other?)?).into())
    };
    let against_none = test(study.conditions.iter().position(|c| c.kind == ConditionKind::NoPrompt));
    let against_manual = test(study.manual.as_ref().map(|manual| manual.best));
    (study.against_none, study.against_manual) = (against_none, against_manual);
}
