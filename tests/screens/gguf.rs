//! GGUF files in the window.

use std::path::Path;

use tiller_protocol::message::{Command, Event};
use tiller_protocol::model::{ModelInfo, ModelSource};
use tiller_ui::{Answer, Request};

use super::{both, samples, with_library};

/// A file is chosen by a dialog of its own, shown by its path, and opened.
#[test]
fn a_file_is_chosen_and_opened() {
    both(|desk| {
        with_library(desk);
        desk.press("Models");
        desk.press("File\u{2026}");
        let asked = desk.harness.state().requests.iter().find_map(|request| match request {
            Request::PickFile { ticket, extension, .. } if extension == "gguf" => Some(*ticket),
            _ => None,
        });
        let path = Path::new("/home/ada/models/Qwen2.5-7B-Q4_K_M.gguf").to_path_buf();
        let answer = Answer { ticket: asked.expect("a file was asked for"), path: Some(path.clone()) };
        desk.harness.state_mut().app.answer(answer);
        desk.settle();
        let source = ModelSource::Folder(path);
        assert!(desk.harness.state().commands.contains(&Command::CheckModel(source.clone())));
        desk.press("Open");
        let loads = |command: &Command| matches!(command, Command::LoadModel { source: found, .. } if *found == source);
        assert!(desk.harness.state().commands.iter().any(loads));
    });
}

/// A search on quantised weights cannot be started, and the button says why.
#[test]
fn quantised_weights_are_not_searched() {
    both(|desk| {
        with_library(desk);
        desk.press("Open the demo model");
        let job = desk.last_job();
        let model = ModelInfo { has_gradients: false, dtype: "q4_k".to_owned(), ..samples::model() };
        desk.report(Event::ModelReady { job, info: Box::new(model) });
        desk.settle();
        desk.press("Discover");
        desk.press("Start");
        let starts = |command: &Command| matches!(command, Command::StartDiscovery { .. });
        assert!(!desk.harness.state().commands.iter().any(starts));
        desk.shot("discover-quantised");
    });
}
