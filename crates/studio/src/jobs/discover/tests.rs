//! Small runs on the demo model.

use tiller_protocol::discovery::Method;
use tiller_protocol::evaluation::ConditionKind;
use tiller_protocol::feature::{FeatureRef, FeatureWeight, SaeId};

use super::*;
use crate::assets::Assets;
use crate::jobs::tests::{Quiet, demo, persona};
use crate::library::Library;
use crate::steering::maker::tests::open_demo;
use crate::workspace::Workspace;

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

#[test]
fn chosen_features_are_climbed_and_bad_choices_refused() {
    let workspace = Workspace::temp();
    let sae = open_demo(&workspace);
    let neutral = Assets::find().unwrap().neutral().unwrap();
    let small = small_persona();
    let library = Library::new(vec![small.path().to_owned()]);
    let shelf = Shelf { library: &library, neutral: &neutral, workspace: Some(&workspace), max_select: Some(8) };
    let weight =
        |sae: &SaeId, latent, weight| FeatureWeight { feature: FeatureRef { sae: sae.clone(), latent }, weight };
    let attempt = |features: Vec<FeatureWeight>| {
        let settings =
            DiscoverySettings { method: Method::Saega, features, iterations: 2, check_every: 0, ..settings() };
        let folder = RunFolder::at(&workspace.root().join("run"));
        run(demo(), &shelf, &settings, (&folder, false), &mut Quiet::default())
    };
    let found = attempt(vec![weight(&sae.id, 3, 1.0), weight(&sae.id, 8, -0.5)]).unwrap();
    assert_eq!(found.settings.block, Some(4));
    assert!(!found.front.is_empty() && found.front.iter().all(|point| point.candidate.target.is_finite()));
    let gone = SaeId("gone-0000".to_owned());
    for (features, word) in [
        (vec![weight(&gone, 3, 1.0)], "gone-0000"),
        (vec![weight(&sae.id, 3, 1.0), weight(&gone, 3, 1.0)], "several SAEs"),
        (vec![weight(&sae.id, 1024, 1.0)], "1024"),
        (vec![weight(&sae.id, 3, 0.0)], "all 0"),
        (vec![weight(&sae.id, 3, f64::NAN)], "no numbers"),
    ] {
        let problem = attempt(features).unwrap_err();
        assert!(problem.to_string().contains(word), "{problem}");
    }
}
