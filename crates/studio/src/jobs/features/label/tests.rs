//! Answers, rules, and labels of the demo model.

use tiller_protocol::feature::ScanSettings;

use super::ask::read;
use super::*;
use crate::assets::Assets;
use crate::jobs::features::scan;
use crate::jobs::features::tests::{coder, index};
use crate::jobs::tests::{Quiet, demo};

fn passage(tokens: &[&str], values: &[f32], peak: usize) -> Passage {
    Passage { tokens: tokens.iter().map(|token| (*token).to_owned()).collect(), values: values.to_vec(), peak }
}

#[test]
fn answers_are_read_as_models_write_them() {
    for (answer, label) in [
        ("Pirate words", Some("Pirate words")),
        ("\n\n- \"Pirate words.\"\nBecause they are.", Some("Pirate words")),
        ("Label: **Pirate words**", Some("Pirate words")),
        ("The label is: Pirate words", Some("Pirate words")),
        ("The marked words have in common that they are all about the sea.", None),
        ("\u{ab}Arr\u{bb}", None),
        ("(A)", None),
        ("(B) words of the sea", None),
        ("A", None),
        ("I know this. Hoist the sails!", None),
        ("\u{6d77}", Some("\u{6d77}")),
        ("...", None),
        ("", None),
        ("\u{130}label: x", Some("\u{130}label: x")),
    ] {
        assert_eq!(read(answer).as_deref(), label, "{answer:?}");
    }
}

#[test]
fn active_tokens_are_marked_and_lines_stay_lines() {
    let passage = passage(&["Ahoy", ",", " old", " mate", "y", "\n", "!"], &[0.0, 0.0, 0.1, 2.0, 1.0, 0.0, 0.0], 3);
    assert_eq!(passage.marked(), "Ahoy, old \u{ab}matey\u{bb} / !");
    assert_eq!(passage.text(), "Ahoy, old matey / !");
}

#[test]
fn a_rule_names_the_most_frequent_peaks() {
    let on = |token: &str| passage(&["x", token], &[0.0, 1.0], 1);
    let shown: Vec<Passage> = [" arr", " sea", " arr", " arr", " sea", " cat"].map(on).into();
    let rule = rule::of(&shown);
    assert_eq!(rule.text(), "on \u{201c} arr\u{201d}, \u{201c} sea\u{201d}, \u{201c} cat\u{201d}");
    assert!(rule.holds(&on(" sea")) && !rule.holds(&on(" dog")));
    let spread: Vec<Passage> = [" a", " b", " c", " d", " e", " f", " g", " a"].map(on).into();
    assert_eq!(rule::of(&spread).text(), "mostly on \u{201c} a\u{201d}");
}

#[test]
fn the_score_is_balanced_accuracy_on_both_sides() {
    let active = vec![passage(&["arr"], &[1.0], 0), passage(&["aye"], &[1.0], 0)];
    let silent = vec![passage(&["cat"], &[0.0], 0), passage(&["arr"], &[0.0], 0)];
    let test = Test { active: &active, silent: &silent };
    let judge = |passages: &[Passage]| Ok(passages.iter().map(|passage| passage.tokens[0] == "arr").collect());
    assert_eq!(test.score(&judge).unwrap(), Some(0.5));
    assert_eq!(test.score(&|passages: &[Passage]| Ok(vec![true; passages.len()])).unwrap(), Some(0.5));
    assert_eq!(Test { active: &active[..1], silent: &silent }.score(&judge).unwrap(), None);
}

#[test]
fn the_demo_model_labels_what_was_scanned() {
    let (index, _dir) = index();
    let sae = SaeId("demo".to_owned());
    let written = |latents: &[u32], quiet: &mut Quiet| {
        label(demo(), coder(), &index, &Ask { sae: &sae, latents, lens: None }, quiet)
    };
    let refused = written(&[1, 2, 3], &mut Quiet::default()).unwrap_err();
    assert_eq!(refused.title, "There are no examples to label from");

    let settings = ScanSettings { max_tokens: 8000, ..ScanSettings::default() };
    let ask = scan::Ask { sae: &sae, settings: &settings, assets: &Assets::find() };
    scan::scan(demo(), coder(), &index, &ask, &mut Quiet::default()).unwrap();
    let columns = index.columns();
    let mut latents: Vec<u32> = (0..coder().d_sae() as u32).collect();
    latents.sort_by(|a, b| columns.density(*b).unwrap().total_cmp(&columns.density(*a).unwrap()));
    latents.truncate(4);

    // Stopped after the first, gone on with, and nothing left to do.
    let mut quiet = Quiet { stop_after: Some(2), ..Quiet::default() };
    let first = written(&latents, &mut quiet).unwrap();
    assert!(first.is_stopped && first.labels.len() == 1, "{first:?}");
    let rest = written(&latents, &mut Quiet::default()).unwrap();
    assert_eq!((rest.labels.len(), rest.known, rest.is_stopped), (3, 1, false), "{rest:?}");
    assert_eq!(written(&latents, &mut Quiet::default()).unwrap().known, 4);
    for (latent, label) in first.labels.iter().chain(&rest.labels) {
        let kept = index.labels(*latent).unwrap().remove(0);
        assert_eq!((&kept.text, &kept.method, kept.score), (&label.text, &label.method, label.score));
        assert!(kept.score.is_some_and(|score| (0.0..=1.0).contains(&score)), "{kept:?}");
        let (is_rule, has_model) = (kept.method.as_deref() == Some(RULE), kept.model.is_some());
        assert!(is_rule != has_model && kept.source == LabelSource::Model, "{kept:?}");
    }
    // A single one is written again and does not pile up.
    assert_eq!(written(&latents[..1], &mut Quiet::default()).unwrap().labels, first.labels);
    assert_eq!(index.labels(latents[0]).unwrap().len(), 1);
}
