//! A discovery run from its settings to its saved result.
//!
//! Baselines on selection items first, so that the plot has its reference lines; then EPO, with the front checked for
//! behaviour as it grows; at the end the prompt is chosen on selection items and judged, with the baselines beside
//! it, on held-out items. Projection is never taken for behaviour.

use std::collections::HashMap;
use std::ops::{ControlFlow, Range};

use tiller_discover::evaluate::Treatment;
use tiller_discover::prompt_landscape::PromptLandscape;
use tiller_discover::{choose, epo, front, setup};
use tiller_protocol::discovery::{Candidate, DiscoveryProgress, DiscoverySettings, FrontPoint, RunResult};
use tiller_protocol::evaluation::{Behaviour, Condition, ConditionKind};
use tiller_protocol::persona::{Item, Placement};
use tiller_protocol::problem::Problem;

use super::material::{Material, Shelf, condition, kind, sign, spread};
use super::{Report, Sink, flow};
use crate::models::Loaded;
use crate::plot;
use crate::problem;
use crate::workspace::RunFolder;

/// Points of a front that are measured at the end, among the fluent ones and among the others.
const JUDGED: usize = 8;
/// Points measured at each check during the run.
const CHECKED: usize = 6;
/// New candidates of one report; a plot shows no more.
const MAX_POINTS: usize = 160;
/// Reference of the hypervolume, nats per token: beyond it a prompt is not worth anything.
pub(crate) const XENT_REFERENCE: f64 = 12.0;
/// How often the raw vector is added in the steering baseline; the best on selection items is kept.
const STEERING_TIMES: [f64; 3] = [1.0, 2.0, 3.0];

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
    let material = Material::prepare(loaded, shelf, &mut settings, sink)?;
    let landscape = material.landscape(&settings)?;
    let start = if resume { folder.resume()? } else { epo::Run::default() };
    folder.begin(&settings, resume)?;
    if resume {
        folder.rewrite(&start.history)?;
    }
    let mut baselines = baselines(&material, &landscape, &settings, sink)?;
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
    let mut points = front::front(&found.history);
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
pub(crate) fn baselines(
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
    use tiller_protocol::discovery::{Heading, Objective};
    match (settings.objective, settings.heading) {
        (Objective::ProjectionSigma, Heading::Away) => "shift away from the persona, σ",
        (Objective::ProjectionSigma, Heading::Toward) => "shift toward the persona, σ",
        (Objective::CosineDifference, _) => "shift of the cosine",
        (Objective::RawDot, _) => "dot product, residual units",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets::Assets;
    use crate::jobs::tests::{Quiet, demo, persona};
    use crate::library::Library;

    fn settings() -> DiscoverySettings {
        DiscoverySettings {
            persona: "sycophancy".to_owned(),
            iterations: 3,
            population: 3,
            children: 8,
            n_contexts: 4,
            check_every: 2,
            check_items: 8,
            ..DiscoverySettings::default()
        }
    }

    fn run_with(quiet: &mut Quiet, settings: &DiscoverySettings, folder: &RunFolder, resume: bool) -> RunResult {
        let neutral = Assets::find().unwrap().neutral().unwrap();
        let small = small_persona();
        let library = Library::new(vec![small.path().to_owned()]);
        let shelf = Shelf { library: &library, neutral: &neutral, workspace: None, max_select: None };
        run(demo(), &shelf, settings, (folder, resume), quiet).unwrap()
    }

    /// The shipped persona with few items and two manual prompts.
    fn small_persona() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let shipped = Assets::find().unwrap().personas();
        let mut persona = persona("sycophancy");
        persona.card.manual_prompts.truncate(2);
        crate::workspace::document::write_toml(&dir.path().join("sycophancy.toml"), &persona.card).unwrap();
        std::fs::create_dir(dir.path().join("sycophancy")).unwrap();
        for (name, n) in [("extract", 24), ("contexts", 8), ("select", 8), ("report", 12)] {
            let name = format!("sycophancy/{name}.jsonl");
            let text = std::fs::read_to_string(shipped.join(&name)).unwrap();
            let lines: Vec<&str> = text.lines().take(n).collect();
            std::fs::write(dir.path().join(&name), lines.join("\n")).unwrap();
        }
        dir
    }

    /// Scores read from a file may differ in the last digit.
    #[track_caller]
    fn assert_same(a: &[FrontPoint], b: &[FrontPoint]) {
        let texts = |front: &[FrontPoint]| front.iter().map(|p| p.candidate.text.clone()).collect::<Vec<_>>();
        assert_eq!(texts(a), texts(b));
        for (a, b) in a.iter().zip(b) {
            let (a, b) = (&a.candidate, &b.candidate);
            assert!((a.target - b.target).abs() < 1e-9 && (a.xent - b.xent).abs() < 1e-9, "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_run_reports_its_points_saves_them_and_is_judged_on_held_out_items() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::at(&dir.path().join("run"));
        let mut quiet = Quiet::default();
        let result = run_with(&mut quiet, &settings(), &folder, false);
        assert!(!result.stopped && result.evaluations > 20 && !result.front.is_empty());
        assert_eq!(folder.candidates().unwrap().len() as u64, result.evaluations);
        let read = folder.result().unwrap();
        assert_same(&read.front, &result.front);
        assert_eq!((read.evaluations, read.conditions.len()), (result.evaluations, result.conditions.len()));
        assert!(result.conditions.iter().all(|c| c.select.is_some() && c.report.is_some()));
        let kinds: Vec<ConditionKind> = result.conditions.iter().map(|c| c.kind).collect();
        assert!(kinds.contains(&ConditionKind::NoPrompt) && kinds.contains(&ConditionKind::VectorSteering));
        assert!(kinds.contains(&ConditionKind::Resga));
        let baselines = quiet.reports.iter().position(|report| matches!(report, Report::Baselines { .. }));
        let points = quiet.reports.iter().position(|report| matches!(report, Report::Discovery(_)));
        assert!(baselines < points, "reference lines come before the points");
        for file in ["run.toml", "front.json", "front.png", "result.json"] {
            assert!(dir.path().join("run").join(file).is_file(), "{file}");
        }
    }

    #[test]
    fn a_stopped_run_is_kept_and_goes_on_as_if_unbroken() {
        let dir = tempfile::tempdir().unwrap();
        let (whole, cut) = (RunFolder::at(&dir.path().join("whole")), RunFolder::at(&dir.path().join("cut")));
        let unbroken = run_with(&mut Quiet::default(), &settings(), &whole, false);
        let first_iteration = {
            let mut quiet = Quiet::default();
            run_with(&mut quiet, &settings(), &cut, false);
            quiet.reports.iter().position(|report| matches!(report, Report::Discovery(_))).unwrap()
        };
        let mut quiet = Quiet { stop_after: Some(first_iteration + 3), ..Quiet::default() };
        let stopped = run_with(&mut quiet, &settings(), &cut, false);
        assert!(stopped.stopped && stopped.evaluations < unbroken.evaluations && !stopped.front.is_empty());
        let resumed = run_with(&mut Quiet::default(), &settings(), &cut, true);
        assert_same(&resumed.front, &unbroken.front);
        assert_eq!(cut.candidates().unwrap().len(), whole.candidates().unwrap().len());
    }
}
