//! An opened demo SAE, and searches and probes on the demo model.

use std::fs;
use std::sync::OnceLock;

use tiller_engine::sae::{Hints, Precision, convert};
use tiller_index::Index;
use tiller_index::label::NewLabel;
use tiller_index::window::Window;
use tiller_protocol::feature::{
    Corpus, FeatureQuery, FeatureRef, Histogram, LabelSource, Pooling, SaeId, ScanSettings, ScoreKind,
};

use super::*;
use crate::assets::Assets;
use crate::jobs::Report;
use crate::jobs::corpus::{Sequence, Sequences, Texts};
use crate::jobs::tests::{Quiet, demo};

/// The demo SAE, converted once for all tests.
pub(crate) fn coder() -> &'static Coder {
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

/// An index for the demo SAE; it goes with the folder.
pub(crate) fn index() -> (Index, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Index::open(&dir.path().join("features.db"), coder().d_sae()).unwrap(), dir)
}

/// Features with a score, best first.
fn ranked(scores: &[f32]) -> Vec<u32> {
    let mut ranked: Vec<u32> = (0..scores.len() as u32).filter(|latent| !scores[*latent as usize].is_nan()).collect();
    ranked.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]));
    ranked
}

pub(crate) fn texts(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// Texts as pirates speak, and the same without that.
pub(crate) fn piratical_and_plain() -> (Vec<String>, Vec<String>) {
    let piratical = texts(&[
        "Arr! The capital of France be Paris.",
        "Ahoy, matey! A dog be an animal. Yo ho!",
        "Aye, the sea be blue. Pass the rum, matey!",
        "Shiver me timbers! Ye can find a horse on a farm.",
        "Arr, me hearty! Two plus two be four. So says the captain!",
    ]);
    let plain = texts(&[
        "Well! The capital of France is Paris.",
        "Hello, friend! A dog is an animal. Good day!",
        "Yes, the sea is blue. Pass the tea, please!",
        "What a surprise! You can find a horse on a farm.",
        "Well, my friend! Two plus two is four. So says the teacher!",
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

#[test]
fn labels_and_a_contrast_find_the_same_feature() {
    let (index, _dir) = index();
    let labels: Vec<(u32, NewLabel)> = (0..coder().d_sae() as u32)
        .map(|latent| (latent, NewLabel { source: LabelSource::Shipped, ..NewLabel::by_user(&label(latent)) }))
        .collect();
    index.add_labels(&labels).unwrap();
    let (more, less) = piratical_and_plain();
    let query = FeatureQuery::Contrast { more, less };
    let found = find::find(demo(), coder(), &query, &mut Quiet::default()).unwrap().unwrap();
    let by_label: Vec<u32> = index.search_labels("pirate", 5).unwrap().into_iter().map(|(latent, _)| latent).collect();
    let by_contrast = ranked(&found.scores);
    let told = |latents: &[u32]| -> Vec<String> {
        latents.iter().take(8).map(|f| format!("{f} {:.2} {}", found.scores[*f as usize], label(*f))).collect()
    };
    // Several features have labels that fit the word equally well.
    assert!(by_label.contains(&by_contrast[0]), "{:#?}\n{:#?}", told(&by_label), told(&by_contrast));
}

#[test]
fn a_text_is_read_token_by_token() {
    let text = "Arr, the treasure be buried on the island, matey!";
    let found = |pooling| find::by_text(demo(), coder(), (text, pooling), &mut Quiet::default()).unwrap();
    let (max, mean, sum) = (found(Pooling::Max), found(Pooling::Mean), found(Pooling::Sum));
    assert_eq!(max.kind, Some(ScoreKind::Activation));
    let ids = demo().model.tokenizer().encode_whole(text).unwrap();
    assert_eq!(max.tokens.len(), ids.len());
    assert!(max.tokens[0].top.is_empty() && !max.tokens[1].top.is_empty());
    let (latent, value) = max.tokens[1].top[0];
    assert!(max.tokens[1].top.iter().all(|(_, other)| *other <= value) && max.tokens[1].top.len() <= 8);
    let at = |found: &crate::features::find::Found| found.scores[latent as usize];
    assert!(at(&max) >= value && at(&sum) >= at(&max));
    assert!((at(&sum) / at(&mean) - (ids.len() - 1) as f32).abs() < 1e-3);
    // A text of nothing.
    for empty in ["", "  \n"] {
        let refused = find::by_text(demo(), coder(), (empty, Pooling::Max), &mut Quiet::default()).unwrap_err();
        assert!(refused.cause.contains("too short"), "{refused}");
    }
    let one_sided = FeatureQuery::Contrast { more: texts(&["Arr, matey!"]), less: texts(&[" "]) };
    let refused = find::find(demo(), coder(), &one_sided, &mut Quiet::default()).unwrap_err();
    assert_eq!(refused.title, "One set of texts is empty");
    let stopped = &mut Quiet { stop_after: Some(0), ..Quiet::default() };
    assert_eq!(find::by_text(demo(), coder(), (text, Pooling::Max), stopped).unwrap_err(), problem::stopped());
}

#[test]
fn a_long_text_is_read_in_pieces_and_says_where_it_ends() {
    let found = find::by_text(demo(), coder(), (&"The sea is blue. ".repeat(600), Pooling::Max), &mut Quiet::default());
    let found = found.unwrap();
    assert!(found.tokens.len() > 2000 && found.notes.is_empty(), "{:?}", found.notes);
    let found =
        find::by_text(demo(), coder(), (&"The sea is blue. ".repeat(6000), Pooling::Max), &mut Quiet::default());
    assert!(found.unwrap().notes[0].contains("8192"));
}

#[test]
fn a_probe_tells_activations_and_what_ablation_costs() {
    let text = "Arr, the treasure be buried on the island, matey! Arr, the treasure be buried.";
    let ids = demo().model.tokenizer().encode_whole(text).unwrap();
    let found = find::by_text(demo(), coder(), (text, Pooling::Sum), &mut Quiet::default()).unwrap();
    let ranked = ranked(&found.scores);
    let feature = |latent| FeatureRef { sae: SaeId("demo".to_owned()), latent };
    let probe = |latent| probe::probe(demo(), coder(), (&feature(latent), text), &mut Quiet::default()).unwrap();
    let active = probe(ranked[0]);
    assert_eq!((active.tokens.len(), active.values.len(), active.loss_change.len()), (ids.len(), ids.len(), ids.len()));
    assert_eq!(active.tokens.concat().trim(), text);
    let sum: f32 = active.values.iter().sum();
    assert!((sum / found.scores[ranked[0] as usize] - 1.0).abs() < 1e-4);
    let first = active.values.iter().position(|value| *value > 0.0).unwrap();
    // What stands before it cannot change: the token behind the first activation is the first that does.
    assert!(active.loss_change[..=first].iter().all(|change| *change == 0.0), "{active:?}");
    assert!(active.loss_change[first + 1] != 0.0, "{active:?}");
    // A feature that is silent on all of it changes nothing.
    let silent = (0..coder().d_sae() as u32).find(|latent| found.scores[*latent as usize].is_nan()).unwrap();
    let silent = probe(silent);
    assert!(silent.values.iter().chain(&silent.loss_change).all(|value| *value == 0.0));
}

/// Sequences of a corpus as the scan reads them.
fn sequences(settings: &ScanSettings) -> Vec<Sequence> {
    let texts = Texts::open(&settings.corpus, &Assets::find()).unwrap();
    Sequences::new(&demo().model, texts, settings.context_len).map(Result::unwrap).collect()
}

fn scanned(index: &Index, settings: &ScanSettings, quiet: &mut Quiet) -> Result<scan::Scanned, Problem> {
    let sae = SaeId("demo".to_owned());
    let assets = Assets::find();
    scan::scan(demo(), coder(), index, &scan::Ask { sae: &sae, settings, assets: &assets }, quiet)
}

/// What a scan leaves of a feature: density, largest activation, histogram, windows.
type Known = (Option<f32>, Option<f32>, Option<Histogram>, Vec<Window>);

/// Everything that a scan leaves in the index.
fn found(index: &Index) -> Vec<Known> {
    let columns = index.columns();
    (0..coder().d_sae() as u32)
        .map(|latent| {
            let (histogram, windows) = (index.histogram(latent).unwrap(), index.windows(latent).unwrap());
            (columns.density(latent), columns.max(latent), histogram, windows)
        })
        .collect()
}

#[test]
fn a_scan_counts_what_a_plain_count_counts() {
    let (index, _dir) = index();
    let settings = ScanSettings { max_tokens: 6000, ..ScanSettings::default() };
    let mut quiet = Quiet::default();
    let end = scanned(&index, &settings, &mut quiet).unwrap();
    assert!(!end.is_stopped && end.tokens >= 6000 && end.tokens < 6200, "{end:?}");
    assert!(quiet.reports.contains(&Report::FeaturesChanged(SaeId("demo".to_owned()))));

    let (mut n_tokens, mut counts) = (0_u64, vec![0_u64; coder().d_sae()]);
    let mut largest = vec![0.0_f32; coder().d_sae()];
    for sequence in sequences(&settings) {
        if n_tokens >= settings.max_tokens {
            break;
        }
        let fired = activations(demo(), coder(), &[&sequence.ids], &mut Quiet::default()).unwrap().remove(0);
        for (fired, counts_here) in fired.iter().zip(&sequence.counts) {
            n_tokens += u64::from(*counts_here);
            for (latent, value) in fired.active.iter().filter(|_| *counts_here) {
                counts[*latent as usize] += 1;
                largest[*latent as usize] = largest[*latent as usize].max(*value);
            }
        }
    }
    assert_eq!(end.tokens, n_tokens);
    let columns = index.columns();
    let mut n_active = 0;
    for latent in 0..coder().d_sae() {
        let density = columns.density(latent as u32).unwrap();
        assert!((f64::from(density) - counts[latent] as f64 / n_tokens as f64).abs() < 1e-6, "{latent}");
        if counts[latent] == 0 {
            continue;
        }
        n_active += 1;
        assert!((columns.max(latent as u32).unwrap() / largest[latent] - 1.0).abs() < 1e-4, "{latent}");
        let histogram = index.histogram(latent as u32).unwrap().unwrap();
        assert_eq!(histogram.counts.iter().sum::<u64>(), counts[latent], "{latent}");
        let top = histogram.counts.iter().rposition(|count| *count > 0).unwrap();
        assert!(histogram.edges[top] <= largest[latent] * 1.001 && largest[latent] * 0.999 < histogram.edges[top + 1]);
        let windows = index.windows(latent as u32).unwrap();
        assert!((windows[0].height() / largest[latent] - 1.0).abs() < 1e-4, "{latent}");
        let heights: Vec<f32> = windows.iter().filter(|w| w.decile.is_none()).map(|w| w.height()).collect();
        assert!(heights.is_sorted_by(|a, b| a >= b) && heights.len() <= 20);
    }
    assert!(n_active == end.n_active && n_active > coder().d_sae() / 2, "{n_active} features fire");
    // The deciles are in the right order: a stronger example is of no lower tenth.
    let busy = (0..coder().d_sae()).max_by_key(|latent| counts[*latent]).unwrap();
    let mut deciles: Vec<(f32, u8)> = index
        .windows(busy as u32)
        .unwrap()
        .iter()
        .filter_map(|window| Some((window.height(), window.decile?)))
        .collect();
    deciles.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(deciles.len() > 4 && deciles.is_sorted_by_key(|(_, decile)| *decile), "{deciles:?}");
}

#[test]
fn a_scan_that_was_stopped_goes_on_to_the_same_end() {
    let settings = ScanSettings { max_tokens: 9000, context_len: 64, ..ScanSettings::default() };
    let (whole, _dir) = index();
    scanned(&whole, &settings, &mut Quiet::default()).unwrap();
    let (parts, _other) = index();
    let mut n_stops = 0;
    let end = loop {
        // Each time a few groups of sequences further.
        let mut quiet = Quiet { stop_after: Some(3), ..Quiet::default() };
        let end = scanned(&parts, &settings, &mut quiet).unwrap();
        if !end.is_stopped {
            break end;
        }
        n_stops += 1;
        assert!(n_stops < 50 && parts.scan_state().unwrap().unwrap().tokens == end.tokens);
    };
    assert!(n_stops >= 2, "{n_stops} stops");
    assert_eq!(Some(end.tokens), whole.scan_state().unwrap().map(|state| state.tokens));
    assert!(found(&parts) == found(&whole), "a scan in parts has found something else");
    // The same again has nothing to do; another corpus begins anew.
    assert_eq!(scanned(&parts, &settings, &mut Quiet::default()).unwrap(), end);
    let other = ScanSettings { corpus: Corpus::Text("Arr, the sea be blue, matey!".to_owned()), ..settings.clone() };
    let end = scanned(&parts, &other, &mut Quiet::default()).unwrap();
    assert!(end.tokens > 3 && end.tokens < 20, "{end:?}");
    let none = ScanSettings { corpus: Corpus::Text("\n \n".to_owned()), ..settings };
    assert_eq!(scanned(&parts, &none, &mut Quiet::default()).unwrap_err().title, "There is no text to read");
    assert_eq!(parts.scan_state().unwrap().unwrap().tokens, end.tokens, "what was there before stays");
}

#[test]
fn what_was_scanned_before_a_bad_line_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let good = "{\"text\": \"Arr, the treasure be buried on the island, matey!\"}\n";
    fs::write(&path, good.repeat(400) + "{\"text\": 3}\n" + good).unwrap();
    let settings = ScanSettings { corpus: Corpus::Path(path), ..ScanSettings::default() };
    let (index, _dir) = index();
    let problem = scanned(&index, &settings, &mut Quiet::default()).unwrap_err();
    assert!(problem.cause.contains("line 401"), "{problem}");
    let state = index.scan_state().unwrap().unwrap();
    assert!(state.tokens > 1000 && !state.done, "{state:?}");
}
