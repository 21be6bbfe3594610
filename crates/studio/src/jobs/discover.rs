//! A discovery run from its settings to its saved result.
//!
//! Baselines on selection items first, so that the plot has its reference lines; then EPO, with the front checked for
//! behaviour as it grows; at the end the prompt is chosen on selection items and judged, with the baselines beside
//! it, on held-out items. Projection is never taken for behaviour.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};

use tiller_discover::prompt_landscape::PromptLandscape;
use tiller_discover::{choose, epo, front, setup};
use tiller_protocol::discovery::{DiscoveryProgress, DiscoverySettings, FrontPoint, RunResult};
use tiller_protocol::evaluation::{Behaviour, Condition};
use tiller_protocol::problem::Problem;

use super::baselines::{self, Baselines, held_out};
use super::choice::{chosen, judge_front};
use super::material::{Material, Shelf, spread};
use super::picture::picture;
use super::{Report, Sink, flow};
use crate::models::Loaded;
use crate::workspace::RunFolder;
use crate::{memory, plot, problem};

/// Points of a front that are measured at the end, among the fluent ones and among the others.
const JUDGED: usize = 8;
/// Points measured at each check during the run.
const CHECKED: usize = 6;
/// New candidates of one report; a plot shows no more.
const MAX_POINTS: usize = 160;
/// Reference of the hypervolume, nats per token: beyond it a prompt is not worth anything.
pub(crate) const XENT_REFERENCE: f64 = 12.0;

/// Runs a discovery and saves it in `folder`.
///
/// # Errors
/// Settings, persona or model that cannot be used, a folder that cannot be written, or a stop before the search.
pub(crate) fn run(
    loaded: &Loaded,
    shelf: &Shelf<'_>,
    settings: &DiscoverySettings,
    (folder, resume): (&RunFolder, bool),
    sink: &mut dyn Sink,
) -> Result<RunResult, Problem> {
    let mut settings = settings.clone();
    check(&settings, loaded)?;
    memory::check_search(loaded, &settings)?;
    let material = Material::prepare(loaded, shelf, &mut settings, sink)?;
    let landscape = material.landscape(&settings)?;
    let start = if resume { folder.resume()? } else { epo::Run::default() };
    folder.begin(&settings, resume)?;
    if resume {
        folder.rewrite(&start.history)?;
    }
    let mut baselines = baselines::measure(&material, &landscape, &settings, sink)?;
    let saved = start.history.len();
    let mut watch = Watch {
        material: &material,
        settings: &settings,
        folder,
        saved,
        known: HashMap::new(),
        trouble: None,
        sink: &mut *sink,
    };
    let found = search(&landscape, &settings, (start, None), &mut |report| watch.take(&report));
    let Watch { trouble, saved, .. } = watch;
    if let Some(trouble) = trouble {
        return Err(trouble);
    }
    let found = found?;
    // A stop within an iteration leaves candidates that belong to no checkpoint; they are kept all the same.
    folder.append(&found.history[saved..])?;
    let mut points = landscape.verified_front(&found.history).map_err(|error| problem::discover(&error))?;
    let finished = finish(&material, &settings, &mut points, &mut baselines, sink);
    let stopped = found.stopped || finished.is_err();
    let chosen = match finished {
        Ok(chosen) => chosen,
        Err(_) if sink.is_stopped() => Vec::new(),
        Err(problem) => return Err(problem),
    };
    let result = RunResult {
        id: folder.id(),
        settings,
        front: points,
        evaluations: found.evaluations(),
        stopped,
        conditions: baselines.conditions.iter().cloned().chain(chosen).collect(),
    };
    folder.finish(&result, &plot::png(&picture(&material, &result, &found.history, &baselines.targets).svg())?)?;
    Ok(result)
}

/// Refuses settings that no search can follow, by the names they have in a settings file.
fn check(settings: &DiscoverySettings, loaded: &Loaded) -> Result<(), Problem> {
    if !loaded.model.has_gradients() {
        return Err(problem::no_gradient(&loaded.info.dtype));
    }
    let refuse = |cause: String| Err(problem::bad_input(&cause, "Change this setting and start again."));
    for (value, name) in [
        (settings.prompt_len, "prompt_len (length of the prompt)"),
        (settings.population, "population"),
        (settings.children, "children"),
        (settings.iterations, "iterations"),
        (settings.top_k, "top_k (tokens for each position)"),
        (settings.n_contexts, "n_contexts (number of contexts)"),
    ] {
        if value == 0 {
            return refuse(format!("{name} is 0; it must be at least 1"));
        }
    }
    if settings.prompt_len >= loaded.info.context_len {
        let (len, max) = (settings.prompt_len, loaded.info.context_len);
        return refuse(format!("prompt_len is {len}; the model's context holds {max} tokens, the question included"));
    }
    let (low, high) = (settings.lambda_min, settings.lambda_max);
    if !(low.is_finite() && high.is_finite() && 0.0 <= low && low <= high) {
        return refuse(format!("lambda_min is {low} and lambda_max {high}; they must be 0 or more and rise"));
    }
    Ok(())
}

/// Searches a landscape; `watch` is told of every batch and every iteration. With a number of evaluations the search
/// takes as many iterations as that many candidates need.
///
/// # Errors
/// Settings that no search can follow, or a failure of the model.
pub(crate) fn search(
    landscape: &PromptLandscape<'_>,
    settings: &DiscoverySettings,
    (start, evaluations): (epo::Run, Option<u64>),
    watch: &mut epo::Observer<'_>,
) -> Result<epo::Run, Problem> {
    let mut epo_settings = setup::epo_settings(landscape, settings).map_err(|error| problem::discover(&error))?;
    if let Some(evaluations) = evaluations {
        epo_settings = tiller_discover::baselines::equal_effort(&epo_settings, evaluations);
    }
    epo::resume(landscape, &epo_settings, start, watch).map_err(|error| problem::discover(&error))
}

/// What is done after every iteration of a run.
struct Watch<'a> {
    material: &'a Material<'a>,
    settings: &'a DiscoverySettings,
    folder: &'a RunFolder,
    /// Candidates that are in the folder.
    saved: usize,
    /// Behaviour of candidates that were on the front at a check.
    known: HashMap<u64, Behaviour>,
    trouble: Option<Problem>,
    sink: &'a mut dyn Sink,
}

impl Watch<'_> {
    fn take(&mut self, report: &epo::Report<'_>) -> ControlFlow<()> {
        let epo::Report::Iteration { run, new } = report else { return flow(self.sink) };
        match self.save_and_report(run, new.clone()) {
            Ok(()) => flow(self.sink),
            Err(problem) => {
                if !self.sink.is_stopped() {
                    self.trouble = Some(problem);
                }
                ControlFlow::Break(())
            }
        }
    }

    fn save_and_report(&mut self, run: &epo::Run, new: Range<usize>) -> Result<(), Problem> {
        let (settings, points) = (self.settings, &run.history[new]);
        self.folder.append(points)?;
        self.folder.checkpoint(run)?;
        self.saved = run.history.len();
        let mut front = front::front(&run.history);
        let is_due =
            settings.check_every > 0 && run.iteration > 0 && run.iteration.is_multiple_of(settings.check_every);
        if is_due {
            let items = &spread(&self.material.persona.select, settings.check_items.max(1));
            for i in choose::spread(front.len(), CHECKED) {
                let candidate = &front[i].candidate;
                if !self.known.contains_key(&candidate.id) {
                    let prompt = (Some(candidate.text.as_str()), settings.placement);
                    let found = self.material.prompted(items, prompt, self.sink)?;
                    self.known.insert(candidate.id, found);
                }
            }
        }
        for point in &mut front {
            point.select = self.known.get(&point.candidate.id).cloned();
        }
        let every = points.len().div_ceil(MAX_POINTS).max(1);
        let scores: Vec<(f64, f64)> = front.iter().map(|p| (p.candidate.target, p.candidate.xent)).collect();
        self.sink.report(Report::Discovery(Box::new(DiscoveryProgress {
            iteration: run.iteration,
            iterations: settings.iterations,
            evaluations: run.evaluations(),
            new_points: points.iter().step_by(every).cloned().collect(),
            hypervolume: front::hypervolume(&scores, 0.0, XENT_REFERENCE),
            best_target: scores.iter().map(|score| score.0).fold(f64::NEG_INFINITY, f64::max),
            front,
            population: run.population(),
        })));
        self.sink.step(run.iteration, settings.iterations, "iterations");
        Ok(())
    }
}

/// Chooses on selection items and judges on held-out items: fills the baselines' `report` and returns the chosen.
fn finish(
    material: &Material<'_>,
    settings: &DiscoverySettings,
    points: &mut [FrontPoint],
    baselines: &mut Baselines,
    sink: &mut dyn Sink,
) -> Result<Vec<Condition>, Problem> {
    sink.check()?;
    judge_front(material, settings, (points, JUDGED), sink)?;
    let mut chosen = chosen(settings, points);
    let total = baselines.conditions.len() + chosen.len();
    for (i, measured) in baselines.conditions.iter_mut().chain(&mut chosen).enumerate() {
        sink.step(i, total, "held-out checks");
        measured.report = Some(held_out(material, settings, measured, baselines.steering_times, sink)?);
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests;
