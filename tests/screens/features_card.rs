//! The page Features: the card of a feature.

use egui::accesskit::Role;
use egui::{Key, Modifiers, Vec2};
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use tiller_protocol::feature::{FeatureCard, FeatureTrouble};
use tiller_protocol::message::{Command, Event, JobId};
use tiller_protocol::problem::Problem;
use tiller_ui::Request;

use super::desk::Desk;
use super::{both, features_card_samples as samples, with_library, with_model};

/// The page with the demo model and an SAE that is open.
pub(crate) fn with_sae(desk: &mut Desk) {
    with_model(desk);
    show_sae(desk);
}

fn show_sae(desk: &mut Desk) {
    desk.press("Features");
    desk.report(Event::Saes(vec![samples::sae()]));
    desk.settle();
    let searched = desk.harness.state().commands.iter().rev().find_map(|command| match command {
        Command::SearchFeatures { job, .. } => Some(*job),
        _ => None,
    });
    let job = searched.expect("the features are listed");
    desk.report(Event::FeaturesFound { job, results: Box::new(samples::results()) });
    let rows = samples::ORDER.map(|latent| samples::row(latent, None)).to_vec();
    desk.report(Event::FeatureRows { sae: samples::sae().id, rows });
    desk.settle();
}

/// Opens a feature from the table and reports its card.
fn open(desk: &mut Desk, card: FeatureCard) {
    desk.press(&format!("Feature {}", card.feature.latent));
    assert!(has_sent(desk, &Command::OpenFeature(card.feature.clone())));
    desk.report(Event::FeatureCard(Ok(Box::new(card))));
    desk.settle();
}

fn has_sent(desk: &Desk, wanted: &Command) -> bool {
    desk.harness.state().commands.contains(wanted)
}

fn scroll_to(desk: &mut Desk, text: &str) {
    desk.harness.get_by_label(text).scroll_to_me();
    // Scrolling is animated.
    desk.harness.run_steps(40);
}

fn type_into(desk: &mut Desk, field: &str, text: &str) {
    desk.harness.get_by_label(field).focus();
    desk.harness.get_by_label(field).type_text(text);
    desk.settle();
}

#[test]
fn a_card_tells_all_that_is_known() {
    both(|desk| {
        with_sae(desk);
        open(desk, samples::full());
        desk.shot("features-card");
        desk.harness.get_by_label("tells 8 of 10 apart");
        desk.harness.get_by_label_contains("Imported, written by gpt-4o-mini");
        desk.harness.get_by_label_contains("Example, strongest on \u{201c}\u{2423}arr\u{201d} (12.4)");
        scroll_to(desk, "What makes it fire");
        desk.shot("features-card-examples");
        scroll_to(desk, "What it does to the next token");
        desk.shot("features-card-tokens");
        scroll_to(desk, "How often and how strongly");
        desk.shot("features-card-histogram");
        desk.harness.get_by_label("Fires on 0.62\u{a0}% of tokens, about 1 in 160.");
        scroll_to(desk, "Similar features");
        desk.shot("features-card-similar");
        scroll_to(desk, "Note");
        desk.shot("features-card-end");
    });
}

#[test]
fn a_card_of_which_nothing_is_known_says_what_to_do() {
    both(|desk| {
        with_sae(desk);
        open(desk, samples::bare());
        desk.shot("features-card-bare");
        desk.harness.get_by_label_contains("Nobody has named it yet");
        assert!(desk.harness.get_by_label("Write a label").accesskit_node().is_disabled());
        scroll_to(desk, "How often and how strongly");
        desk.harness.get_by_label_contains("Not known yet");
        desk.shot("features-card-bare-end");
    });
}

/// Without a model, or with one of another width, the card says which one to open.
#[test]
fn what_needs_the_model_says_so() {
    let mut desk = Desk::open(true);
    with_library(&mut desk);
    show_sae(&mut desk);
    open(&mut desk, FeatureCard { effects: None, ..samples::full() });
    desk.harness.get_by_label_contains("Open that model to see them");
    scroll_to(&mut desk, "Try your own text");
    type_into(&mut desk, "Text to try", "Ahoy");
    desk.harness.get_by_label_contains("Open the model that the SAE reads");
    desk.shot("features-card-no-model");
    let probes = |command: &Command| matches!(command, Command::ProbeFeature { .. });
    assert!(!desk.harness.state().commands.iter().any(probes));
}

#[test]
fn a_card_that_cannot_be_read_says_why() {
    let mut desk = Desk::open(true);
    with_sae(&mut desk);
    desk.press("Feature 123");
    desk.shot("features-card-reading");
    let problem = Problem::new(
        "The index of Demo SAE is damaged",
        "saes/demo-sae-3f2a91c0/features.db is no SQLite database.",
        "Remove the SAE and open it again; its labels come back with it, your notes do not.",
    );
    desk.report(Event::FeatureCard(Err(FeatureTrouble { sae: samples::sae().id, problem })));
    desk.shot("features-card-failed");
    desk.press("Try again");
    let asked = |command: &&Command| **command == Command::OpenFeature(samples::feature(123));
    assert_eq!(desk.harness.state().commands.iter().filter(asked).count(), 2);
}

#[test]
fn labels_are_added_and_removed_and_come_back() {
    let mut desk = Desk::open(true);
    with_sae(&mut desk);
    open(&mut desk, samples::full());
    type_into(&mut desk, "Your own label", "pirate talk");
    desk.harness.key_press(Key::Enter);
    desk.settle();
    let added = Command::AddLabel { feature: samples::feature(123), text: "pirate talk".to_owned() };
    assert!(has_sent(&desk, &added));
    desk.press("Remove label greeting words");
    assert!(has_sent(&desk, &Command::RemoveLabel { feature: samples::feature(123), label: 4 }));
    desk.shot("features-card-removed");
    desk.press("Add it again");
    let again = Command::AddLabel { feature: samples::feature(123), text: "greeting words".to_owned() };
    assert!(has_sent(&desk, &again));
    desk.press("Write a label");
    let writes = |command: &Command| matches!(command, Command::LabelFeatures { latents, .. } if latents == &[123]);
    assert!(desk.harness.state().commands.iter().any(writes));
    desk.shot("features-card-labelling");
}

#[test]
fn keys_and_buttons_walk_the_table() {
    let mut desk = Desk::open(true);
    with_sae(&mut desk);
    open(&mut desk, samples::full());
    desk.harness.key_press(Key::CloseBracket);
    desk.settle();
    assert!(has_sent(&desk, &Command::OpenFeature(samples::feature(87))));
    desk.harness.key_press_modifiers(Modifiers::ALT, Key::ArrowLeft);
    desk.settle();
    desk.press("Previous feature ([)");
    assert!(has_sent(&desk, &Command::OpenFeature(samples::feature(7))));
    // A bracket in a text is a bracket.
    desk.report(Event::FeatureCard(Ok(Box::new(samples::bare()))));
    desk.settle();
    let before = desk.harness.state().commands.len();
    type_into(&mut desk, "Your own label", "x");
    desk.harness.key_press(Key::CloseBracket);
    desk.settle();
    let opened = |command: &Command| matches!(command, Command::OpenFeature(_));
    assert!(!desk.harness.state().commands[before..].iter().any(opened));
}

#[test]
fn a_feature_is_used_elsewhere() {
    let mut desk = Desk::open(true);
    with_sae(&mut desk);
    open(&mut desk, samples::full());
    desk.press("Bookmark this feature");
    let sae = samples::sae().id;
    assert!(has_sent(&desk, &Command::SetBookmark { sae, latents: vec![123], on: true }));
    desk.harness.get_by_label("Take the bookmark away");
    desk.press("Export vector\u{2026}");
    let asks = |request: &Request| matches!(request, Request::PickSavePath { .. });
    assert!(desk.harness.state().requests.iter().any(asks));
    scroll_to(&mut desk, "Similar features");
    desk.press("Show feature 87, nautical words, cosine 0.83");
    assert!(has_sent(&desk, &Command::OpenFeature(samples::feature(87))));
    desk.press("Pin to chat");
    let steered = |command: &Command| matches!(command, Command::SetSteering(steering) if steering.rows.iter().any(|row| row.feature().is_some()));
    assert!(desk.harness.state().commands.iter().any(steered));
}

#[test]
fn a_note_is_saved_after_a_pause_and_on_leaving() {
    let mut desk = Desk::open(true);
    with_sae(&mut desk);
    open(&mut desk, samples::bare());
    scroll_to(&mut desk, "Note");
    desk.harness.get_by_label("Your note").focus();
    desk.harness.step();
    desk.harness.get_by_label("Your note").type_text("Interesting");
    desk.harness.step();
    let saved = |text: &str| Command::SetNote { feature: samples::feature(7), text: text.to_owned() };
    assert!(!has_sent(&desk, &saved("Interesting")));
    desk.harness.run_steps(10);
    assert!(has_sent(&desk, &saved("Interesting")), "the pause was long enough");
    // An older card that comes in meanwhile does not take it back.
    desk.report(Event::FeatureCard(Ok(Box::new(samples::bare()))));
    desk.harness.get_by_label("Your note").type_text(" indeed");
    desk.harness.step();
    desk.press("Next feature (])");
    assert!(has_sent(&desk, &saved("Interesting indeed")), "leaving saves");
}

fn probe_job(desk: &Desk) -> Option<JobId> {
    desk.harness.state().commands.iter().rev().find_map(|command| match command {
        Command::ProbeFeature { job, .. } => Some(*job),
        _ => None,
    })
}

#[test]
fn an_own_text_is_tried_while_it_is_typed() {
    both(|desk| {
        with_sae(desk);
        open(desk, samples::full());
        scroll_to(desk, "Try your own text");
        type_into(desk, "Text to try", "Ahoy, arr my friend");
        desk.harness.run_steps(10);
        let job = probe_job(desk).expect("the text is tried");
        desk.report(Event::FeatureProbed { job, probe: Box::new(samples::probe(123)) });
        desk.shot("features-card-probe");
        desk.harness.get_by_label("Fires on 4 of 6 tokens, most on \u{201c}\u{2423}arr\u{201d} (11.2).");
        let words = "Without it the next tokens are 0.19 nats harder to predict (mean over 5 tokens).";
        desk.harness.get_by_label(words);
        // The same text is not tried twice.
        let n_probes = |desk: &Desk| {
            let probes = |command: &&Command| matches!(command, Command::ProbeFeature { .. });
            desk.harness.state().commands.iter().filter(probes).count()
        };
        assert_eq!(n_probes(desk), 1);
        desk.harness.run_steps(10);
        assert_eq!(n_probes(desk), 1);
    });
}

#[test]
fn the_card_fits_a_small_window() {
    for dark in [true, false] {
        let mut desk = Desk::open_at(dark, Vec2::new(1024.0, 700.0));
        with_sae(&mut desk);
        open(&mut desk, samples::full());
        desk.shot("features-card-small");
        scroll_to(&mut desk, "What it does to the next token");
        desk.shot("features-card-small-tokens");
    }
}

#[test]
fn a_dead_feature_cannot_be_used() {
    let mut desk = Desk::open(true);
    with_sae(&mut desk);
    open(&mut desk, FeatureCard { decoder_norm: 0.0, ..samples::bare() });
    desk.harness.get_by_label("Dead feature");
    assert!(desk.harness.get_by_role_and_label(Role::Button, "Pin to chat").accesskit_node().is_disabled());
    desk.shot("features-card-dead");
}

/// Words without end, other scripts, text from right to left, and 200 tokens at once stay within the card.
#[test]
fn odd_texts_stay_within_the_card() {
    both(|desk| {
        // No font here has all of these; in the window the system's fonts do.
        desk.harness.ctx.set_missing_glyph_policy(egui::MissingGlyphPolicy::Tofu);
        with_sae(desk);
        let mut card = samples::full();
        let long = "supercalifragilisticexpialidocious".repeat(6);
        card.row.label = Some(long.clone());
        card.labels[0].text = long;
        card.examples[0] = samples::example(
            "\u{5e9}\u{5dc}\u{5d5}\u{5dd}| \u{5e2}\u{5d5}\u{5dc}\u{5dd}| arr| \u{6d77}\u{76d7}| \u{1f3f4}\u{200d}\u{2620}|\u{202e}x",
            2,
            [1.0, 12.4, 3.0],
            None,
        );
        if let Some(effects) = &mut card.effects {
            effects.promoted[0].token = "averyveryverylongtokenthatdoesnotfitintoacolumn".to_owned();
        }
        open(desk, card);
        scroll_to(desk, "What makes it fire");
        desk.harness.run_steps(10);
        desk.shot("features-card-odd");
        let treasure = "Example, strongest on \u{201c}\u{2423}treasure\u{201d}";
        desk.harness.get_by_label_contains(treasure).scroll_to_me();
        desk.harness.run_steps(40);
        let before = desk.harness.get_by_label_contains(treasure).rect();
        assert!(before.right() < 1280.0, "{before:?}");
        desk.harness.get_by_label_contains(treasure).click();
        desk.settle();
        let after = desk.harness.get_by_label_contains(treasure).rect();
        assert!(after.height() > 2.0 * before.height(), "the whole text is shown: {before:?}, {after:?}");
        desk.shot("features-card-odd-whole");
    });
}

/// A card with all that an import can bring is still drawn within a frame; the figures are printed.
#[test]
fn a_full_card_is_drawn_quickly() {
    let mut desk = Desk::open(true);
    with_sae(&mut desk);
    let mut card = samples::full();
    for copy in 0..40 {
        let mut example = card.examples[3].clone();
        example.peak = 40 + copy;
        example.decile = (copy >= 20).then_some((copy % 10) as u8);
        card.examples.push(example);
    }
    open(&mut desk, card);
    scroll_to(&mut desk, "What makes it fire");
    scroll_to(&mut desk, "Show 18 more");
    desk.press("Show 18 more");
    let mut times = Vec::new();
    for _ in 0..40 {
        let begun = std::time::Instant::now();
        desk.harness.step();
        let shapes = desk.harness.output().shapes.clone();
        assert!(!desk.harness.ctx.tessellate(shapes, 1.0).is_empty());
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("frame with a full card: best {:.1} ms, median {:.1} ms", times[0], times[times.len() / 2]);
    assert_eq!(desk.harness.query_all_by_label_contains("Example, strongest").count(), 26);
}
