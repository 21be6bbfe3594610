//! The page Features: the sheets that scan texts, import labels and train an SAE.

use std::path::PathBuf;

use egui::Vec2;
use egui_kittest::kittest::Queryable as _;
use tiller_protocol::feature::{Corpus, ImportReport, SaeInfo};
use tiller_protocol::message::{Command, Event, JobId};
use tiller_protocol::problem::Problem;
use tiller_ui::{Answer, Request};

use super::desk::Desk;
use super::features_card::with_sae;
use super::{both, features_card_samples as samples, with_model};

/// The last command that this finds a job in.
fn job_of(desk: &Desk, find: impl Fn(&Command) -> Option<JobId>) -> JobId {
    desk.harness.state().commands.iter().rev().find_map(find).expect("a job was started")
}

fn scan_job(desk: &Desk) -> JobId {
    job_of(desk, |command| match command {
        Command::ScanFeatures { job, .. } => Some(*job),
        _ => None,
    })
}

#[test]
fn texts_are_scanned_with_results_as_it_goes() {
    both(|desk| {
        with_sae(desk);
        desk.press("Scan texts\u{2026}");
        desk.shot("features-scan");
        desk.press("10 thousand");
        desk.press("Start scan");
        let job = scan_job(desk);
        let scans = |command: &Command| {
            matches!(command, Command::ScanFeatures { settings, .. }
                if settings.max_tokens == 10_000 && settings.corpus == Corpus::Shipped)
        };
        assert!(desk.harness.state().commands.iter().any(scans));
        desk.report(Event::Progress { job, done: 0, total: 10_000, unit: "tokens".to_owned(), elapsed_secs: 0.1 });
        desk.report(Event::Progress { job, done: 4_000, total: 10_000, unit: "tokens".to_owned(), elapsed_secs: 4.0 });
        desk.shot("features-scan-running");
        desk.press("Stop");
        assert!(desk.harness.state().commands.contains(&Command::Cancel(job)));
        desk.report(Event::Stopped { job });
        desk.report(Event::Saes(vec![SaeInfo { scanned_tokens: 4_000, ..samples::sae() }]));
        desk.settle();
        // The time is now known, and the scan can go on.
        desk.harness.get_by_label_contains("at the speed of the last scan");
        desk.harness.get_by_label_contains("Goes on where the last scan stopped");
        desk.shot("features-scan-stopped");
        desk.press("Begin again");
        desk.press("Start scan");
        let anew = |command: &Command| matches!(command, Command::ScanFeatures { settings, .. } if !settings.resume);
        assert!(desk.harness.state().commands.iter().any(anew));
        let job = scan_job(desk);
        let problem = Problem::new(
            "The texts could not be read",
            "/home/ada/corpus/notes.txt is not UTF-8 text: byte 0xff at position 1,204.",
            "Save it as UTF-8, or choose other texts.",
        );
        desk.report(Event::Failed { job: Some(job), problem });
        desk.shot("features-scan-failed");
        desk.press("Close this sheet");
        assert!(desk.harness.query_by_label("Start scan").is_none());
        // The failure is still told, and leads back.
        desk.harness.get_by_label("The texts could not be read");
        desk.shot("features-scan-failed-closed");
        desk.press("Back to the scan");
        desk.harness.get_by_label("Start scan");
    });
}

#[test]
fn texts_of_ones_own_are_chosen_or_pasted() {
    let mut desk = Desk::open(true);
    with_sae(&mut desk);
    desk.press("Scan texts\u{2026}");
    desk.press("File or folder");
    desk.press("Folder\u{2026}");
    let asked = desk.harness.state().requests.iter().find_map(|request| match request {
        Request::PickFolder { ticket, .. } => Some(*ticket),
        _ => None,
    });
    let path = PathBuf::from("/home/ada/corpus");
    desk.harness.state_mut().app.answer(Answer { ticket: asked.expect("a folder is asked for"), path: Some(path) });
    desk.shot("features-scan-folder");
    desk.press("Pasted");
    desk.harness.get_by_label("Pasted texts").focus();
    desk.harness.get_by_label("Pasted texts").type_text("Ahoy, matey.\n\nGood morning.");
    desk.settle();
    desk.harness.get_by_label("2 texts");
    desk.press("Start scan");
    let pasted = |command: &Command| matches!(command, Command::ScanFeatures { settings, .. } if matches!(settings.corpus, Corpus::Text(_)));
    assert!(desk.harness.state().commands.iter().any(pasted));
}

#[test]
fn an_import_reports_what_it_added_and_can_be_insisted_on() {
    both(|desk| {
        with_sae(desk);
        desk.press("Import\u{2026}");
        desk.shot("features-import");
        desk.harness.get_by_label("File or folder to import").focus();
        desk.harness.get_by_label("File or folder to import").type_text("/home/ada/exports/explanations");
        desk.settle();
        desk.press("Import");
        let import_job = |desk: &Desk| {
            job_of(desk, |command| match command {
                Command::ImportFeatures { job, .. } => Some(*job),
                _ => None,
            })
        };
        let job = import_job(desk);
        desk.report(Event::Progress { job, done: 12, total: 40, unit: "MB".to_owned(), elapsed_secs: 2.0 });
        desk.shot("features-import-running");
        let problem = Problem::new(
            "These labels are of another SAE",
            "The file names gemma-2-2b, source 20-gemmascope-res-16k; this SAE reads Tiller demo after block 4.",
            "Choose the export of this SAE, or import it anyway: the labels will then stand at the same numbers.",
        );
        desk.report(Event::Failed { job: Some(job), problem });
        desk.shot("features-import-mismatch");
        desk.press("Import anyway");
        let anyway = |command: &Command| matches!(command, Command::ImportFeatures { options, .. } if options.anyway);
        assert!(desk.harness.state().commands.iter().any(anyway), "{:?}", desk.harness.state().commands.last());
        let job = import_job(desk);
        let report = ImportReport {
            form: "Neuronpedia explanations".to_owned(),
            n_rows: 1204,
            n_labels: 1180,
            n_stats: 0,
            n_examples: 0,
            n_skipped: 24,
            reasons: vec![
                "Line 17: the index 16,384 is not below 1,024, the number of features.".to_owned(),
                "Line 401: this is no JSON: it ends in the middle of a string.".to_owned(),
            ],
        };
        desk.report(Event::FeaturesImported { job, sae: samples::sae().id, report: Box::new(report) });
        desk.shot("features-import-report");
        desk.harness.get_by_label_contains("Added 1\u{202f}180 labels");
        desk.harness.get_by_label_contains("Line 401");
        desk.press("Close this sheet");
    });
}

fn train_job(desk: &Desk) -> JobId {
    job_of(desk, |command| match command {
        Command::TrainSae { job, .. } => Some(*job),
        _ => None,
    })
}

#[test]
fn a_training_is_set_up_watched_halted_gone_on_with_and_opened() {
    both(|desk| {
        with_model(desk);
        desk.press("Features");
        desk.press("Train an SAE\u{2026}");
        desk.shot("features-train");
        desk.press("Usual");
        desk.harness.get_by_label("Advanced settings").click();
        desk.shot("features-train-advanced");
        desk.press("Small demo");
        desk.press("Start training");
        let job = train_job(desk);
        let named = |command: &Command| {
            matches!(command, Command::TrainSae { settings, .. }
                if settings.name == "Tiller demo block 3, 512 features" && !settings.resume)
        };
        assert!(desk.harness.state().commands.iter().any(named), "{:?}", desk.harness.state().commands.last());
        let points = samples::training();
        let tokens = |done: u64| (done, 300_000);
        desk.report(Event::Training { job, points: points[..40].to_vec() });
        let (done, total) = tokens(81_920);
        desk.report(Event::Progress { job, done, total, unit: "tokens".to_owned(), elapsed_secs: 20.0 });
        desk.shot("features-train-running");
        desk.press("Stop");
        desk.report(Event::Stopped { job });
        desk.settle();
        desk.harness.get_by_label_contains("Halted after 81\u{202f}920 tokens");
        desk.shot("features-train-halted");
        desk.press("Go on");
        let resumed = |command: &Command| matches!(command, Command::TrainSae { settings, .. } if settings.resume);
        assert!(desk.harness.state().commands.iter().any(resumed));
        let job = train_job(desk);
        desk.report(Event::Training { job, points: points[40..].to_vec() });
        let path = PathBuf::from("/home/ada/.local/share/tiller/imports/my-sae");
        desk.report(Event::SaeTrained { job, path: path.clone() });
        desk.shot("features-train-done");
        desk.press("Open it");
        let opens = |command: &Command| matches!(command, Command::OpenSae { path: found, .. } if *found == path);
        assert!(desk.harness.state().commands.iter().any(opens));
    });
}

#[test]
fn a_training_that_fails_says_why_in_place() {
    let mut desk = Desk::open_at(true, Vec2::new(1024.0, 700.0));
    with_model(&mut desk);
    desk.press("Features");
    desk.press("Train an SAE\u{2026}");
    desk.shot("features-train-small");
    desk.press("Start training");
    let job = train_job(&desk);
    desk.report(Event::Training { job, points: samples::training()[..12].to_vec() });
    let problem = Problem::new(
        "The training has diverged",
        "The loss became infinite after 24,576 tokens at a learning rate of 0.01.",
        "Choose a smaller learning rate; the checkpoint before that is kept.",
    );
    desk.report(Event::Failed { job: Some(job), problem });
    desk.shot("features-train-failed");
    desk.harness.get_by_label("The training has diverged");
    desk.press("New training");
    desk.harness.get_by_label("Start training");
}
