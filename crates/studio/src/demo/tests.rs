//! A small made-up study, for the tests of findings and report.

use tiller_discover::stats::{mean_interval, wilson};
use tiller_protocol::discovery::DiscoverySettings;
use tiller_protocol::evaluation::{Behaviour, ConditionKind};
use tiller_protocol::steering::BlockDiagnostics;

use super::results::{Manual, PersonaStudy, Times};
use super::*;
use crate::jobs::material::condition;

/// Behaviour with a given rate.
pub(super) fn rated(hits: usize, n: usize) -> Behaviour {
    Behaviour {
        persona: wilson(hits, n),
        as_written: Some(wilson(hits / 2, n / 2)),
        swapped: Some(wilson(hits / 2, n / 2)),
        free: None,
        first_letter: Some(wilson(n / 2, n)),
        mean_margin: 0.0,
        mean_abs_margin: 1.0,
        decisions: (0..n).map(|i| i < hits).collect(),
    }
}

/// No prompt, two manual prompts and a discovered one with these hits of `n`.
pub(super) fn study(hits: &[usize; 4], n: usize) -> PersonaStudy {
    let kinds = [ConditionKind::NoPrompt, ConditionKind::Manual, ConditionKind::Manual, ConditionKind::Resga];
    let prompts = [None, Some("Be <honest>."), Some("Tell the truth."), Some(" always truthful")];
    let conditions = kinds.iter().zip(prompts).zip(hits).map(|((kind, prompt), hits)| {
        let mut made = condition(format!("{kind:?}"), *kind, prompt);
        (made.select, made.report) = (Some(rated(*hits, n)), Some(rated(*hits, n)));
        made
    });
    let rates: Vec<f64> = hits[1..3].iter().map(|h| *h as f64 / n as f64).collect();
    PersonaStudy {
        persona: "sycophancy".to_owned(),
        name: "Sycophancy".to_owned(),
        positive: "sycophantic".to_owned(),
        negative: "honest".to_owned(),
        n_pairs: 10,
        n_items: (10, 20),
        vector: BlockDiagnostics {
            block: 3,
            norm: 10.0,
            resid_norm: 100.0,
            split_half_cos: 0.9,
            agreement: 1.0,
            auroc: 0.99,
            neutral_sigma: 1.0,
            letter_cos: 0.0,
        },
        projected_out: vec!["pirate".to_owned()],
        cosine_kept: 0.99,
        conditions: conditions.collect(),
        targets: vec![None, Some((2.0, 1.0)), Some((3.0, 1.5)), None],
        searches: Vec::new(),
        chosen: Some(3),
        fluent: None,
        manual: Some(Manual { low: 0.28, high: 0.52, ..Manual::new(&mean_interval(&rates), 1) }),
        against_none: None,
        against_manual: None,
    }
}

#[test]
fn the_report_is_whole_and_needs_no_network() {
    let results = Results {
        format: 1,
        tiller: "0.1.0".to_owned(),
        model: "Tiller demo".to_owned(),
        model_hash: "0123".to_owned(),
        n_params: 2_853_696,
        quick: true,
        seed: 0,
        settings: DiscoverySettings::default(),
        personas: vec![study(&[80, 30, 50, 10], 100)],
        steering: None,
        findings: vec!["A & B".to_owned()],
        stopped: true,
        times: Times::default(),
    };
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &results).unwrap();
    let page = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for part in ["A &amp; B", "Be &lt;honest&gt;.", "What this does not show", "was stopped", "<svg", "10 % ["] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("http"), "nothing is fetched");
    for name in ["rates-sycophancy.png", "front-sycophancy.png", "results.json"] {
        assert!(dir.path().join(name).is_file(), "{name}");
    }
}

#[test]
fn plans_have_three_seeds_and_two_personas_at_least() {
    for quick in [true, false] {
        let plan = plan::Plan::new(quick, 5);
        assert_eq!(plan.seeds, [5, 6, 7]);
        assert!(plan.personas.len() >= 2 && plan.personas[0] == "sycophancy");
    }
}
