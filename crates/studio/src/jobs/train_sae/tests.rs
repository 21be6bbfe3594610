use std::fs;

use tiller_engine::Device;
use tiller_engine::sae::Sae;
use tiller_protocol::feature::{Corpus, TrainKind};

use super::*;
use crate::jobs::tests::{Quiet, demo};

/// Short, over a store that is filled several times.
fn settings(kind: TrainKind) -> TrainSettings {
    TrainSettings {
        block: Some(4),
        kind,
        d_sae: 96,
        k: 8,
        tokens: 256 * 24,
        batch: 256,
        learning_rate: Some(0.005),
        seed: 5,
        ..TrainSettings::default()
    }
}

fn run(settings: &TrainSettings, out: &Path, sink: &mut Quiet) -> Result<Trained, Problem> {
    let ask = Ask { settings, precision: Precision::F32, out, assets: &Assets::find() };
    train(demo(), &ask, sink)
}

fn points(quiet: &Quiet) -> Vec<TrainPoint> {
    let point = |report: &Report| if let Report::Training(point) = report { Some(*point) } else { None };
    quiet.reports.iter().filter_map(point).collect()
}

#[test]
fn every_kind_is_trained_and_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    for kind in TrainKind::ALL {
        let out = dir.path().join(kind.label());
        let mut quiet = Quiet::default();
        let trained = run(&settings(kind), &out, &mut quiet).unwrap();
        assert!(!trained.is_stopped && trained.block == 4 && trained.last.tokens == 256 * 24);
        let points = points(&quiet);
        assert_eq!(points.len(), 24);
        let (first, last) = (points[0].fvu, points[23].fvu);
        assert!(last < 0.5 * first && last < 0.4, "{kind:?}: {first} {last}");
        let sae = Sae::load(&out, &Device::Cpu).unwrap();
        assert_eq!((sae.d_sae(), sae.d_model(), sae.site().block()), (96, demo().info.d_model, 4));
        let mut names: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["cfg.json", "sae_weights.safetensors"], "no checkpoint stays");
    }
}

#[test]
fn a_training_that_was_stopped_anywhere_ends_with_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(TrainKind::BatchTopK);
    let whole = dir.path().join("whole");
    let mut quiet = Quiet::default();
    run(&settings, &whole, &mut quiet).unwrap();
    let of_steps = quiet.reports.iter().position(|report| matches!(report, Report::Training(_))).unwrap();
    let pieces = dir.path().join("pieces");
    // Two reports a step: in the first turn, at its end (a store holds four steps or so), and later.
    for stop_after in [of_steps + 3, 8, 9, 12] {
        let mut quiet = Quiet { stop_after: Some(stop_after), ..Quiet::default() };
        let trained = run(&TrainSettings { resume: true, ..settings.clone() }, &pieces, &mut quiet).unwrap();
        assert!(trained.is_stopped && pieces.join("checkpoint.safetensors").is_file());
        assert!(!pieces.join("cfg.json").exists());
    }
    let mut quiet = Quiet::default();
    let trained = run(&TrainSettings { resume: true, ..settings.clone() }, &pieces, &mut quiet).unwrap();
    assert!(!trained.is_stopped && points(&quiet).len() < 24, "it went on");
    for name in ["sae_weights.safetensors", "cfg.json"] {
        assert!(fs::read(whole.join(name)).unwrap() == fs::read(pieces.join(name)).unwrap(), "{name}");
    }
    let early = run(&settings, &dir.path().join("none"), &mut Quiet { stop_after: Some(0), ..Quiet::default() });
    assert_eq!(early, Err(problem::stopped()));
}

#[test]
fn what_cannot_be_trained_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let texts = dir.path().join("texts.jsonl");
    fs::write(&texts, "{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}\n").unwrap();
    let empty = dir.path().join("empty.txt");
    fs::write(&empty, "\n \n").unwrap();
    let base = settings(TrainKind::TopK);
    let with = |corpus: &Path| TrainSettings { corpus: Corpus::Path(corpus.to_owned()), ..base.clone() };
    let cases = [
        (TrainSettings { block: Some(60), ..base.clone() }, "Block 60"),
        (TrainSettings { k: 0, ..base.clone() }, "K is 0"),
        (TrainSettings { learning_rate: Some(1e12), ..base.clone() }, "beyond all bounds"),
        (TrainSettings { d_sae: 1 << 40, ..base.clone() }, "needs about"),
        (with(&texts), "tokens behind their first"),
        (with(&empty), "empty.txt"),
        (with(&dir.path().join("nowhere")), "nowhere"),
    ];
    for (settings, fact) in cases {
        let problem = run(&settings, &out, &mut Quiet::default()).unwrap_err();
        assert!(problem.cause.contains(fact) && !problem.next_step.is_empty(), "{fact}: {problem:?}");
    }
    assert!(!out.exists(), "nothing was written");

    let mut quiet = Quiet { stop_after: Some(12), ..Quiet::default() };
    assert!(run(&base, &out, &mut quiet).unwrap().is_stopped);
    let resumed = |settings: TrainSettings| {
        let settings = TrainSettings { resume: true, ..settings };
        run(&settings, &out, &mut Quiet::default()).unwrap_err()
    };
    let other: Vec<String> = (0..400).map(|n| format!("The tide is at {n} feet, and the ship sails on.")).collect();
    let others = dir.path().join("others.txt");
    fs::write(&others, other.join("\n")).unwrap();
    assert!(resumed(with(&others)).cause.contains("other texts"));
    assert!(resumed(TrainSettings { block: Some(3), ..base.clone() }).cause.contains("block 4"));
    assert!(resumed(TrainSettings { k: 9, ..base.clone() }).cause.contains("(k)"));
    let checkpoint = out.join("checkpoint.safetensors");
    let whole = fs::read(&checkpoint).unwrap();
    fs::write(&checkpoint, &whole[..whole.len() / 3]).unwrap();
    assert_eq!(resumed(base.clone()).title, "The checkpoint is damaged");

    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let problem = run(&base, &file.join("in"), &mut Quiet::default()).unwrap_err();
    assert_eq!(problem.title, "A file cannot be written");
}
