//! The page Models: downloads in every phase.

use egui_kittest::kittest::Queryable as _;
use tiller_protocol::asset::{DownloadId, DownloadPhase};
use tiller_protocol::message::{Command, Event};
use tiller_protocol::problem::Problem;

use super::assets::with_assets;
use super::desk::Desk;
use super::{both, stock};

/// The part with these downloads.
fn with_downloads(desk: &mut Desk, phases: Vec<(&str, DownloadPhase)>) {
    with_assets(desk, stock::library());
    let list = phases.into_iter().enumerate();
    let list = list.map(|(index, (id, phase))| stock::download(index as u64 + 1, id, phase)).collect();
    desk.report(Event::Downloads(list));
    desk.harness.key_press_modifiers(egui::Modifiers::COMMAND | egui::Modifiers::SHIFT, egui::Key::D);
    desk.settle();
}

fn last(desk: &Desk) -> &Command {
    desk.harness.state().commands.last().expect("something was asked for")
}

#[test]
fn no_downloads_lead_to_the_catalogue() {
    both(|desk| {
        with_assets(desk, stock::library());
        desk.press("Downloads");
        desk.shot("downloads-empty");
        desk.press("Browse the catalogue");
    });
}

#[test]
fn every_phase_of_a_download_is_told_and_can_be_acted_on() {
    both(|desk| {
        let retrying = DownloadPhase::Retrying { in_secs: 8.0, cause: "the connection was closed".to_owned() };
        with_downloads(
            desk,
            vec![
                ("meta-llama/Llama-3.1-8B-Instruct", DownloadPhase::Running),
                ("Qwen/Qwen3-4B", retrying),
                ("google/gemma-2-2b-it", DownloadPhase::Checking),
                ("google/gemma-3-1b-it", DownloadPhase::Waiting),
            ],
        );
        desk.harness.get_by_label("Downloads (4)");
        desk.harness.get_by_label_contains("42.3 MB per second");
        desk.harness.get_by_label_contains("in 8 s: the connection was closed");
        desk.shot("downloads");
        desk.harness.get_all_by_label_contains("1 of 2 files complete").next().expect("files").click();
        desk.shot("downloads-files");
        desk.press("Pause meta-llama/Llama-3.1-8B-Instruct");
        assert_eq!(*last(desk), Command::PauseDownload(DownloadId(1)));
        // What has come in is not thrown away unasked.
        desk.press("Cancel meta-llama/Llama-3.1-8B-Instruct");
        assert_eq!(*last(desk), Command::PauseDownload(DownloadId(1)));
        desk.shot("downloads-cancel");
        desk.harness.get_by_label_contains("1\u{202f}204\u{202f}224\u{202f}000 bytes");
        desk.press("Cancel the download");
        assert_eq!(*last(desk), Command::CancelDownload(DownloadId(1)));
        // Nothing has come in of this one.
        desk.press("Cancel google/gemma-3-1b-it");
        assert_eq!(*last(desk), Command::CancelDownload(DownloadId(4)));
        desk.press("Pause all");
        assert_eq!(*last(desk), Command::PauseDownload(DownloadId(4)));
    });
}

#[test]
fn ended_downloads_go_on_or_open() {
    both(|desk| {
        let problem = Problem::new(
            "The download stopped because the disk is full",
            "3.2 GB more are needed in /home/ada/.cache/huggingface/hub; 1.1 GB are free.",
            "Free space, then try again. What has come in is kept.",
        );
        let path = stock::from_hub("meta-llama/Llama-3.1-8B-Instruct", 0).path;
        with_downloads(
            desk,
            vec![
                ("Qwen/Qwen3-4B", DownloadPhase::Paused),
                ("google/gemma-2-2b-it", DownloadPhase::Failed(problem)),
                ("meta-llama/Llama-3.1-8B-Instruct", DownloadPhase::Done { path }),
            ],
        );
        desk.shot("downloads-ended");
        desk.press("Resume Qwen/Qwen3-4B");
        assert_eq!(*last(desk), Command::ResumeDownload(DownloadId(1)));
        desk.press("Try again");
        assert_eq!(*last(desk), Command::ResumeDownload(DownloadId(2)));
        desk.press("Take meta-llama/Llama-3.1-8B-Instruct off the list");
        assert_eq!(*last(desk), Command::DismissDownload(DownloadId(3)));
        desk.press("Open meta-llama/Llama-3.1-8B-Instruct");
        assert!(matches!(last(desk), Command::LoadModel { .. }));
    });
}
