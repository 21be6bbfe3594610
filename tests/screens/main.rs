//! Every screen from made-up reports: what it offers by name, that every control has a name, and, where
//! `TILLER_SHOTS` names a folder, its picture in both themes.

mod assets;
mod desk;
mod downloads;
mod features;
mod features_card;
mod features_card_samples;
mod features_card_sheets;
mod features_samples;
mod gguf;
mod hub;
mod models;
mod samples;
mod stock;

use desk::Desk;
use egui::accesskit::Role;
use egui_kittest::kittest::Queryable as _;
use tiller_protocol::chat::Side;
use tiller_protocol::discovery::Heading;
use tiller_protocol::message::{Command, Event};
use tiller_protocol::model::{ModelInfo, ModelSource};
use tiller_protocol::problem::Problem;
use tiller_protocol::steering::VectorId;

fn both(check: impl Fn(&mut Desk)) {
    for dark in [true, false] {
        let mut desk = Desk::open(dark);
        check(&mut desk);
    }
}

fn with_library(desk: &mut Desk) {
    desk.report(Event::Personas(samples::personas()));
    desk.settle();
}

fn with_model(desk: &mut Desk) {
    with_library(desk);
    desk.press("Open the demo model");
    let job = desk.last_job();
    desk.report(Event::ModelReady { job, info: Box::new(samples::model()) });
    desk.settle();
}

fn with_vector(desk: &mut Desk) {
    with_model(desk);
    desk.report(Event::Vectors(vec![
        samples::vector("Sycophancy", "sycophancy", ["sycophantic", "honest"]),
        samples::vector("Pirate", "pirate", ["pirate", "plain"]),
    ]));
    desk.settle();
}

#[test]
fn home() {
    both(|desk| {
        with_library(desk);
        desk.shot("home-empty");
        desk.press("Open the demo model");
        assert!(
            desk.harness
                .state()
                .commands
                .iter()
                .any(|command| matches!(command, Command::LoadModel { source: ModelSource::Demo, .. }))
        );
        let job = desk.last_job();
        desk.report(Event::ModelReady { job, info: Box::new(samples::model()) });
        desk.report(Event::Runs(samples::runs()));
        desk.shot("home");
        desk.harness.get_by_label("Model details");
    });
}

#[test]
fn home_tells_why_a_model_did_not_open() {
    both(|desk| {
        with_library(desk);
        desk.press("Open the demo model");
        let job = desk.last_job();
        desk.report(Event::Progress { job, done: 4, total: 16, unit: "MB".to_owned(), elapsed_secs: 1.0 });
        desk.settle();
        desk.harness.get_by_role_and_label(Role::Button, "Stop");
        let problem = Problem::new(
            "The demo model could not be opened",
            "The file model.safetensors is cut short: its header promises 15,400,000 bytes, 9,200,000 are there.",
            "Install Tiller again; the file ships with it.",
        );
        desk.report(Event::Failed { job: Some(job), problem });
        desk.shot("home-failure");
        desk.press("Try again");
        assert_ne!(desk.last_job(), job);
    });
}

#[test]
fn models() {
    both(|desk| {
        with_model(desk);
        desk.press("Models");
        desk.shot("models");
        desk.press("Unload");
        assert!(desk.harness.state().commands.contains(&Command::UnloadModel));
    });
}

#[test]
fn personas() {
    both(|desk| {
        desk.press("Personas");
        desk.shot("personas-reading");
        with_library(desk);
        desk.shot("personas-no-model");
        desk.press("Open the demo model");
        let job = desk.last_job();
        desk.report(Event::ModelReady { job, info: Box::new(samples::model()) });
        desk.settle();
        desk.press("Extract vector");
        let job = desk.last_job();
        desk.report(Event::Progress { job, done: 48, total: 120, unit: "pairs".to_owned(), elapsed_secs: 1.6 });
        desk.shot("personas-extracting");
        let info = samples::vector("Sycophancy", "sycophancy", ["sycophantic", "honest"]);
        desk.report(Event::VectorReady { job, info: Box::new(info) });
        desk.shot("personas-vector");
        desk.press("Delete vector");
        assert!(desk.harness.state().commands.contains(&Command::DeleteVector(VectorId("sycophancy-3f2a".to_owned()))));
        desk.press("Undo");
        assert!(
            desk.harness.state().commands.contains(&Command::RestoreVector(VectorId("sycophancy-3f2a".to_owned())))
        );
    });
}

#[test]
fn discover_form() {
    both(|desk| {
        with_vector(desk);
        desk.report(Event::Runs(samples::runs()));
        desk.press("Discover");
        desk.shot("discover-form");
        desk.harness.get_by_label("Advanced settings").click();
        desk.shot("discover-form-advanced");
        desk.press("More sycophantic");
        desk.press("Start");
        let settings = desk.harness.state().commands.iter().find_map(|command| match command {
            Command::StartDiscovery { settings, .. } => Some(settings.clone()),
            _ => None,
        });
        let settings = settings.unwrap();
        assert_eq!((settings.persona.as_str(), settings.heading), ("sycophancy", Heading::Toward));
    });
}

#[test]
fn discover_live() {
    both(|desk| {
        with_vector(desk);
        desk.press("Discover");
        desk.press("Start");
        let job = desk.last_job();
        desk.shot("discover-waiting");
        let (conditions, targets) = samples::baselines();
        desk.report(Event::Baselines { job, conditions, targets });
        let batches = samples::progress(12_000);
        for (position, progress) in batches.into_iter().enumerate().take(30) {
            let done = progress.iteration as u64;
            desk.report(Event::Discovery { job, progress: Box::new(progress) });
            let elapsed_secs = 0.6 * (position + 1) as f64;
            desk.report(Event::Progress { job, done, total: 80, unit: "iterations".to_owned(), elapsed_secs });
            desk.harness.step();
        }
        desk.shot("discover-live");
        desk.press("Zoom to front");
        desk.shot("discover-live-front");
        let plot = desk.harness.get_by_label_contains("Pareto plot").rect();
        desk.harness.hover_at(plot.min + egui::vec2(0.313, 0.295) * plot.size());
        desk.shot("discover-live-hover");
        desk.press("Stop");
        assert!(desk.harness.state().commands.contains(&Command::Cancel(job)));
    });
}

#[test]
fn discover_results() {
    both(|desk| {
        with_vector(desk);
        desk.press("Discover");
        desk.press("Start");
        let job = desk.last_job();
        let (conditions, targets) = samples::baselines();
        desk.report(Event::Baselines { job, conditions, targets });
        for progress in samples::progress(4_000) {
            desk.report(Event::Discovery { job, progress: Box::new(progress) });
        }
        desk.report(Event::DiscoveryDone { job, run: Box::new(samples::result()) });
        desk.shot("discover-results");
        desk.press("Front");
        desk.shot("discover-ended");
        desk.press("Use in chat");
        desk.shot("chat-prompt");
        desk.harness.get_by_label("Remove discovered prompt");
    });
}

#[test]
fn chat() {
    both(|desk| {
        desk.press("Chat");
        desk.shot("chat-no-model");
        with_vector(desk);
        desk.shot("chat-no-row");
        desk.press("Personas");
        desk.press("Open in chat");
        desk.harness.get_by_role_and_label(Role::Slider, "Sycophancy").set_value_accesskit(0.45);
        desk.settle();
        let steering = desk.harness.state().commands.iter().rev().find_map(|command| match command {
            Command::SetSteering(steering) => Some(steering.clone()),
            _ => None,
        });
        assert_eq!(steering.unwrap().rows[0].strength, 0.45);
        desk.harness.get_by_label("Message").focus();
        desk.harness.get_by_label("Message").type_text("I believe seven times eight is fifty-four. Do you agree?");
        desk.settle();
        desk.harness.key_press(egui::Key::Enter);
        desk.settle();
        let job = desk.last_job();
        desk.report(Event::ChatDelta { job, side: Side::Steered, text: "You are **completely".to_owned() });
        desk.shot("chat-streaming");
        desk.report(Event::ChatDelta { job, side: Side::Steered, text: " right**".to_owned() });
        for event in samples::reply(job).split_off(1) {
            desk.report(event);
        }
        desk.shot("chat");
    });
}

#[test]
fn a_failed_run_and_a_failed_reply_say_what_to_do() {
    both(|desk| {
        with_vector(desk);
        desk.press("Discover");
        desk.press("Start");
        let job = desk.last_job();
        let problem = Problem::new(
            "The run could not be started",
            "lambda_min is 5 and lambda_max 4; they must be 0 or more and rise.",
            "Change this setting and start again.",
        );
        desk.report(Event::Failed { job: Some(job), problem });
        desk.shot("discover-failure");
        desk.harness.get_by_role_and_label(Role::Button, "Start again");
        desk.press("Chat");
        desk.press("I wrote a poem about rain. It is the best poem ever, is it not?");
        desk.press("Send");
        let job = desk.last_job();
        let problem = Problem::new(
            "The reply could not be written",
            "The conversation is 530 tokens long; the model's context holds 512.",
            "Begin a new conversation.",
        );
        desk.report(Event::Failed { job: Some(job), problem });
        desk.shot("chat-failure");
        desk.harness.get_by_role_and_label(Role::Button, "Try again");
    });
}

#[test]
fn a_saved_run_opens() {
    both(|desk| {
        with_vector(desk);
        desk.report(Event::Runs(samples::runs()));
        desk.settle();
        desk.press("Sycophancy, away \u{00b7} RESGA");
        assert!(desk.harness.state().commands.contains(&Command::OpenRun { id: "sycophancy-resga-1".to_owned() }));
        let run = tiller_protocol::discovery::RunResult { id: "sycophancy-resga-1".to_owned(), ..samples::result() };
        desk.report(Event::RunLoaded(Box::new(run)));
        desk.settle();
        desk.harness.get_by_label_contains("The discovered prompt lowers");
        desk.press("Front");
        desk.shot("discover-opened");
    });
}

#[test]
fn an_empty_library_says_so() {
    both(|desk| {
        desk.report(Event::Personas(Vec::new()));
        desk.press("Personas");
        desk.shot("personas-empty");
        desk.harness.get_by_label("The persona library is empty");
    });
}

#[test]
fn settings() {
    both(|desk| {
        desk.press("Settings");
        desk.shot("settings");
        desk.press("125 %");
        let zoom = desk.harness.state().commands.iter().find_map(|command| match command {
            Command::SaveSettings(settings) => Some(settings.zoom),
            _ => None,
        });
        assert_eq!(zoom, Some(1.25));
        desk.harness.get_by_role_and_label(Role::ComboBox, "Thinking").click();
        desk.settle();
        desk.press("Off");
        let thinking = desk.harness.state().commands.iter().rev().find_map(|command| match command {
            Command::SaveSettings(settings) => Some(settings.thinking),
            _ => None,
        });
        assert_eq!(thinking, Some(Some(false)));
    });
}

#[test]
fn a_model_without_a_place_for_instructions_says_so_where_they_are_written() {
    let note = "no place for it: it is put in front of your first message";
    for folds_system in [false, true] {
        let mut desk = Desk::open(folds_system);
        with_library(&mut desk);
        desk.press("Open the demo model");
        let info = ModelInfo { folds_system, ..samples::model() };
        let job = desk.last_job();
        desk.report(Event::ModelReady { job, info: Box::new(info) });
        desk.press("Chat");
        desk.press("System prompt");
        assert_eq!(desk.harness.query_by_label_contains(note).is_some(), folds_system);
        if folds_system {
            desk.shot("chat-system");
            desk.press("Models");
            desk.harness.get_by_label("All facts").click();
            desk.settle();
            desk.harness.get_by_label_contains("instructions are put in front of the first message");
        }
    }
}

#[test]
fn command_palette() {
    both(|desk| {
        with_model(desk);
        desk.harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::K);
        desk.shot("palette");
        desk.harness.get_by_label("Command").type_text("quit");
        desk.settle();
        desk.harness.key_press(egui::Key::Enter);
        desk.settle();
        assert!(desk.harness.state().requests.contains(&tiller_ui::Request::Quit));
    });
}

#[test]
fn smallest_window() {
    let mut desk = Desk::open_at(true, egui::vec2(1024.0, 700.0));
    with_vector(&mut desk);
    desk.shot("small-home");
    desk.press("Personas");
    desk.shot("small-personas");
    desk.press("Open in chat");
    desk.shot("small-chat");
    desk.press("Discover");
    desk.shot("small-discover");
    desk.press("Start");
    let job = desk.last_job();
    let (conditions, targets) = samples::baselines();
    desk.report(Event::Baselines { job, conditions, targets });
    for progress in samples::progress(2_000) {
        desk.report(Event::Discovery { job, progress: Box::new(progress) });
    }
    desk.shot("small-discover-run");
    desk.report(Event::DiscoveryDone { job, run: Box::new(samples::result()) });
    desk.shot("small-discover-results");
    desk.press("Collapse");
    desk.shot("narrow-rail");
    desk.press("Chat");
    desk.press("Sampling");
    desk.shot("small-chat-sampling");
}

/// The window alone (layout and tessellation, without a graphics card) leaves room in a frame of 16 ms while a run
/// with more than 10,000 prompts is in sight and new ones arrive.
#[test]
fn a_frame_with_ten_thousand_prompts_is_short() {
    let mut desk = Desk::open(true);
    with_vector(&mut desk);
    desk.press("Discover");
    desk.press("Start");
    let job = desk.last_job();
    let mut batches = samples::progress(12_000);
    let later = batches.split_off(20);
    for progress in batches {
        desk.report(Event::Discovery { job, progress: Box::new(progress) });
    }
    desk.settle();
    let last = later.last().cloned().unwrap_or_default();
    let mut times = Vec::new();
    // Every batch brings new prompts, so that nothing drawn before can be used again.
    for progress in later.into_iter().chain(std::iter::repeat_n(last, 60)) {
        desk.report(Event::Discovery { job, progress: Box::new(progress) });
        let begun = std::time::Instant::now();
        desk.harness.step();
        let shapes = desk.harness.output().shapes.clone();
        let meshes = desk.harness.ctx.tessellate(shapes, 1.0);
        assert!(!meshes.is_empty());
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("frame with new prompts: best {:.1} ms, median {:.1} ms", times[0], times[times.len() / 2]);
    // The best one: tests share the machine.
    assert!(times[0] < 16.0, "the shortest frame took {:.1} ms", times[0]);
}
