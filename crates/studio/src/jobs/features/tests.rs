//! An opened demo SAE, and searches and probes on the demo model.

use std::fs;
use std::sync::OnceLock;

use tiller_engine::sae::{Hints, Precision, convert};
use tiller_protocol::feature::{FeatureRef, Pooling, SaeId};

use super::*;
use crate::assets::Assets;
use crate::jobs::tests::{Quiet, demo};

/// The demo SAE, converted once for all tests.
pub(super) fn coder() -> &'static Coder {
    static CODER: OnceLock<(Coder, tempfile::TempDir)> = OnceLock::new();
    let (coder, _) = CODER.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let (source, path) = (Assets::find().unwrap().demo_sae(), dir.path().join("sae.safetensors"));
        convert(&source, Hints::default(), &path, Precision::F16, &mut |_, _| true).unwrap();
        (Coder { file: Arc::new(SaeFile::open(&path).unwrap()), name: "Demo SAE".to_owned() }, dir)
    });
    coder
}

/// The shipped label of a feature.
fn label(latent: u32) -> String {
    let text = fs::read_to_string(Assets::find().unwrap().demo_sae().join("labels.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.lines().nth(latent as usize).unwrap()).unwrap();
    assert_eq!(line["feature"], latent);
    line["label"].as_str().unwrap().to_owned()
}

/// Features with a score, best first.
fn ranked(scores: &[f32]) -> Vec<u32> {
    let mut ranked: Vec<u32> = (0..scores.len() as u32).filter(|latent| !scores[*latent as usize].is_nan()).collect();
    ranked.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]));
    ranked
}

pub(super) fn texts(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// Texts as pirates speak, and others on the same subjects.
pub(super) fn piratical_and_plain() -> (Vec<String>, Vec<String>) {
    let piratical = texts(&[
        "Arr, the treasure be buried on the island, matey!",
        "Ahoy! A dog be a loyal animal, arr.",
        "Aye, the capital o' France be Paris, me hearty.",
        "Yo ho ho! Ye be askin' for two and two, and that be four, arr!",
        "Shiver me timbers, the sea be blue, matey.",
    ]);
    let plain = texts(&[
        "The money is buried in the garden.",
        "A dog is a loyal animal.",
        "The capital of France is Paris.",
        "You are asking for two and two, and that is four.",
        "The sea is blue.",
    ]);
    (piratical, plain)
}

#[test]
fn a_contrast_of_piratical_and_plain_texts_finds_a_feature_of_pirates() {
    let (more, less) = piratical_and_plain();
    let found = find::by_contrast(demo(), coder(), (&more, &less), &mut Quiet::default()).unwrap();
    let ranked = ranked(&found.scores);
    let first: Vec<String> =
        ranked.iter().take(5).map(|f| format!("{f} {:.2} {}", found.scores[*f as usize], label(*f))).collect();
    assert!(label(ranked[0]).contains("pirate"), "{first:#?}");
}
