//! The page Models: what is installed, what the catalogue recommends, bringing in files from elsewhere.

use std::path::{Path, PathBuf};

use egui::accesskit::Role;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use tiller_protocol::asset::{AssetKind, AssetLibrary, Verdict};
use tiller_protocol::message::{Command, Event, JobId};
use tiller_protocol::model::{ModelCheck, ModelSource};
use tiller_protocol::problem::Problem;
use tiller_ui::{Answer, Request};

use super::desk::Desk;
use super::{both, stock, with_library};

/// The page with this library.
pub(crate) fn with_assets(desk: &mut Desk, library: AssetLibrary) {
    with_library(desk);
    desk.report(Event::Assets(Box::new(library)));
    desk.press("Models");
}

fn has_sent(desk: &Desk, wanted: &Command) -> bool {
    desk.harness.state().commands.contains(wanted)
}

/// The number of the import or comparison that was started last.
fn job_beside(desk: &Desk) -> JobId {
    let job = desk.harness.state().commands.iter().rev().find_map(|command| match command {
        Command::ImportAsset { job, .. } | Command::VerifyAsset { job, .. } => Some(*job),
        _ => None,
    });
    job.expect("a job was started")
}

fn path_of(library: &AssetLibrary, name: &str) -> PathBuf {
    library.assets.iter().find(|asset| asset.name == name).map(|asset| asset.path.clone()).expect("it is listed")
}

#[test]
fn every_state_of_an_asset_says_what_to_do() {
    both(|desk| {
        with_assets(desk, stock::library());
        desk.press("Show Llama-3.1-8B-Instruct");
        assert!(desk.harness.query_all_by_label_contains("3 days ago").count() > 1);
        // One checkpoint in the repository: its id names the model.
        let source = ModelSource::Hub("meta-llama/Llama-3.1-8B-Instruct".to_owned());
        let check = super::models::check("/meta-llama/Llama-3.1-8B-Instruct", Some(18_000_000_000));
        let check = Ok(Box::new(ModelCheck { source: source.clone(), ..check }));
        desk.report(Event::ModelChecked { source: source.clone(), check });
        desk.settle();
        desk.harness.get_by_label("Fits for chat");
        desk.shot("assets-ready");
        assert!(has_sent(desk, &Command::CheckModel(source.clone())), "the memory was not asked about");
        desk.press("Open");
        let loads = |command: &Command| matches!(command, Command::LoadModel { source: found, .. } if *found == source);
        assert!(desk.harness.state().commands.iter().any(loads));
        let job = desk.last_job();
        desk.report(Event::Stopped { job });
        desk.settle();

        desk.press("Show Mistral-7B-Instruct-v0.3");
        desk.harness.get_by_label("A tensor of the model is cut short");
        desk.shot("assets-broken");
        desk.press("Download again");
        assert!(has_sent(desk, &Command::AskHub(stock::repo("mistralai/Mistral-7B-Instruct-v0.3"))));
        desk.press("Installed");

        desk.press("Show gemma-2-2b-it");
        desk.harness.get_by_label_contains("3.2 GB of 5.2 GB are here");
        desk.shot("assets-incomplete");

        desk.press("Show Qwen3-4B-Q8_0");
        desk.shot("assets-missing");
        desk.press("Locate\u{2026}");
        let asked = desk.harness.state().requests.iter().find_map(|request| match request {
            Request::PickFile { ticket, .. } => Some(*ticket),
            _ => None,
        });
        let (from, to) =
            (PathBuf::from("/media/ada/usb/Qwen3-4B-Q8_0.gguf"), PathBuf::from("/data/Qwen3-4B-Q8_0.gguf"));
        let answer = Answer { ticket: asked.expect("a file was asked for"), path: Some(to.clone()) };
        desk.harness.state_mut().app.answer(answer);
        desk.settle();
        assert!(has_sent(desk, &Command::MoveAsset { from, to }));
    });
}

/// The list is walked by keys: what has the focus is shown.
#[test]
fn the_library_is_reachable_by_keys() {
    let mut desk = Desk::open(true);
    with_assets(&mut desk, stock::library());
    desk.harness.get_by_label("Show Llama-3.1-8B-Instruct").focus();
    desk.settle();
    desk.harness.get_by_label_contains("16\u{202f}070\u{202f}000\u{202f}000 bytes");
    desk.harness.key_press(egui::Key::Tab);
    desk.settle();
    desk.harness.get_by_label("A tensor of the model is cut short");
    // The palette has what concerns assets.
    desk.harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::K);
    desk.settle();
    desk.harness.get_by_label("Command").type_text("add model folder");
    desk.settle();
    desk.harness.key_press(egui::Key::Enter);
    desk.settle();
    let asks = |request: &Request| matches!(request, Request::PickFolder { .. });
    assert!(desk.harness.state().requests.iter().any(asks));
}

/// Files and free memory may have changed while another page was in sight.
#[test]
fn coming_back_to_the_page_looks_again() {
    let mut desk = Desk::open(true);
    with_assets(&mut desk, stock::library());
    let counts = |desk: &Desk| {
        let commands = &desk.harness.state().commands;
        let lists = commands.iter().filter(|command| **command == Command::ListAssets).count();
        (lists, commands.iter().filter(|command| matches!(command, Command::CheckModel(_))).count())
    };
    desk.press("Show Tiller demo");
    assert_eq!(counts(&desk), (1, 1));
    desk.press("Home");
    desk.press("Models");
    assert_eq!(counts(&desk), (2, 2));
    desk.press("Catalogue");
    assert!(has_sent(&desk, &Command::ListCatalogue));
}

#[test]
fn a_dragged_file_is_announced_and_looked_at() {
    both(|desk| {
        with_assets(desk, stock::library());
        desk.harness.input_mut().hovered_files = vec![egui::HoveredFile::default()];
        desk.harness.step();
        desk.harness.input_mut().hovered_files = vec![egui::HoveredFile::default()];
        desk.shot("assets-drop");
    });
}

#[test]
fn an_empty_library_leads_to_the_catalogue() {
    both(|desk| {
        with_assets(desk, AssetLibrary { folders: stock::folders(), assets: Vec::new() });
        desk.harness.get_by_label("No model is installed yet");
        desk.shot("assets-empty");
        desk.report(Event::Catalogue { entries: stock::catalogue(), free_memory_bytes: None });
        desk.press("Browse the catalogue");
        desk.harness.get_by_label("Qwen3 32B");
    });
}

#[test]
fn removing_names_what_is_lost() {
    both(|desk| {
        let library = stock::library();
        let (model, file) =
            (path_of(&library, "Llama-3.1-8B-Instruct"), path_of(&library, "Qwen2.5-7B-Instruct-Q4_K_M"));
        with_assets(desk, library);
        desk.press("Show Llama-3.1-8B-Instruct");
        desk.press("Remove\u{2026}");
        desk.harness.get_by_label_contains("This frees 16.1 GB (16\u{202f}070\u{202f}000\u{202f}000 bytes)");
        desk.shot("assets-remove");
        desk.press("Keep");
        assert!(!has_sent(desk, &Command::RemoveAsset(model.clone())));
        desk.press("Remove\u{2026}");
        desk.press("Delete");
        assert!(has_sent(desk, &Command::RemoveAsset(model.clone())));
        desk.report(Event::AssetRemoved { path: model, freed_bytes: 16_070_000_000 });
        desk.settle();
        desk.harness.get_by_label_contains("16.1 GB are free again");
        assert!(desk.harness.query_by_label("Show Llama-3.1-8B-Instruct").is_none());
        // A linked file is only forgotten, and the demo cannot go.
        desk.press("Show Qwen2.5-7B-Instruct-Q4_K_M");
        desk.press("Remove\u{2026}");
        desk.harness.get_by_label_contains("its files stay in");
        desk.press("Forget");
        assert!(has_sent(desk, &Command::RemoveAsset(file)));
        desk.press("Show Tiller demo");
        assert!(desk.harness.get_by_label("Remove\u{2026}").accesskit_node().is_disabled());
    });
}

#[test]
fn verifying_tells_what_is_damaged() {
    both(|desk| {
        let library = stock::library();
        let path = path_of(&library, "Llama-3.1-8B-Instruct");
        with_assets(desk, library);
        desk.press("Show Llama-3.1-8B-Instruct");
        desk.press("Verify");
        let job = job_beside(desk);
        desk.report(Event::Progress { job, done: 4_000, total: 16_070, unit: "MB".to_owned(), elapsed_secs: 2.0 });
        desk.shot("assets-verifying");
        desk.press("Stop");
        assert!(has_sent(desk, &Command::Cancel(job)));
        let bad =
            vec![("model-00002-of-00004.safetensors".to_owned(), "its SHA-256 begins with 1f0c, not 9a2b".to_owned())];
        let verdict = Verdict { path: path.clone(), good: vec!["config.json".to_owned()], bad, unknown: Vec::new() };
        desk.report(Event::Verified { job, verdict: Box::new(verdict) });
        desk.shot("assets-verified-bad");
        desk.harness.get_by_label("1 file damaged");
        desk.press("Verify");
        let job = job_beside(desk);
        let good = (1..=7).map(|index| format!("file-{index}")).collect();
        let verdict = Verdict { path, good, bad: Vec::new(), unknown: vec!["notes.txt".to_owned()] };
        desk.report(Event::Verified { job, verdict: Box::new(verdict) });
        desk.shot("assets-verified");
        desk.harness.get_by_label("All files are sound");
    });
}

#[test]
fn the_list_is_searched_and_stays_quick() {
    let mut desk = Desk::open(true);
    with_assets(&mut desk, stock::many(200));
    let mut times = Vec::new();
    for _ in 0..40 {
        let begun = std::time::Instant::now();
        desk.harness.step();
        let shapes = desk.harness.output().shapes.clone();
        assert!(!desk.harness.ctx.tessellate(shapes, 1.0).is_empty());
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("frame with 200 assets: best {:.1} ms, median {:.1} ms", times[0], times[times.len() / 2]);
    // Rows out of sight cost nothing; drawing all 200 would make hundreds of names.
    let rows = desk.harness.query_all_by_label_contains("Show model-number-").count();
    assert!((5..40).contains(&rows), "{rows} rows are drawn");
    desk.harness.get_by_role_and_label(Role::TextInput, "Search installed").focus();
    desk.harness.get_by_role_and_label(Role::TextInput, "Search installed").type_text("NUMBER-12 owner");
    desk.settle();
    assert_eq!(desk.harness.query_all_by_label_contains("Show model-number-").count(), 10);
    desk.harness.get_by_role_and_label(Role::TextInput, "Search installed").type_text(" nowhere");
    desk.settle();
    desk.press("Show all");
    assert!(desk.harness.query_all_by_label_contains("Show model-number-").count() > 4);
}

#[test]
fn a_folder_from_elsewhere_is_added_as_it_is_or_copied() {
    both(|desk| {
        with_assets(desk, stock::library());
        let path = Path::new("/home/ada/models/gemma-scope-layer-12");
        desk.harness.get_by_label("Model folder or file").focus();
        desk.harness.get_by_label("Model folder or file").type_text(&path.display().to_string());
        desk.settle();
        desk.shot("assets-import-looking");
        desk.press("Add to the library");
        let job = job_beside(desk);
        assert!(has_sent(desk, &Command::ImportAsset { job, path: path.to_path_buf(), copy: false }));
        let problem = Problem::new(
            "There is no model in this folder",
            "It holds neither config.json nor a GGUF file nor an SAE's cfg.json.",
            "Choose the folder that holds them.",
        );
        desk.report(Event::Failed { job: Some(job), problem });
        desk.shot("assets-import-bad");
        desk.harness.get_by_label("There is no model in this folder");
        desk.harness.get_by_label("Copy into Tiller's folder").click();
        desk.settle();
        desk.press("Add to the library");
        let job = job_beside(desk);
        assert!(has_sent(desk, &Command::ImportAsset { job, path: path.to_path_buf(), copy: true }));
        desk.report(Event::Progress { job, done: 100, total: 302, unit: "MB".to_owned(), elapsed_secs: 1.0 });
        desk.shot("assets-import-copying");
        desk.report(Event::Imported { job, kind: AssetKind::Sae, path: path.to_path_buf() });
        desk.settle();
        desk.harness.get_by_label_contains("gemma-scope-layer-12 is in the library");
        assert!(has_sent(desk, &Command::ListAssets));
    });
}

#[test]
fn storage_folders_are_shown_and_chosen() {
    both(|desk| {
        with_assets(desk, stock::library());
        desk.harness.get_by_label_contains("Storage folders: 3 folders").click();
        desk.settle();
        desk.harness.get_by_label_contains("Storage folders: 3 folders").scroll_to_me();
        desk.shot("assets-folders");
        desk.harness.get_by_role_and_label(Role::Button, "Download here").scroll_to_me();
        desk.settle();
        desk.press("Download here");
        assert!(has_sent(desk, &Command::ChooseFolder("/media/ada/models".into())));
        desk.press("Forget /media/ada/models");
        assert!(has_sent(desk, &Command::ForgetFolder("/media/ada/models".into())));
        desk.press("Add folder\u{2026}");
        let asked = desk.harness.state().requests.iter().find_map(|request| match request {
            Request::PickFolder { ticket, .. } => Some(*ticket),
            _ => None,
        });
        let answer = Answer { ticket: asked.expect("a folder was asked for"), path: Some("/data/models".into()) };
        desk.harness.state_mut().app.answer(answer);
        desk.settle();
        assert!(has_sent(desk, &Command::AddFolder("/data/models".into())));
    });
}

#[test]
fn the_catalogue_tells_what_fits_and_leads_to_the_exact_files() {
    both(|desk| {
        with_assets(desk, stock::library());
        desk.report(Event::Catalogue { entries: stock::catalogue(), free_memory_bytes: Some(20_000_000_000) });
        desk.press("Catalogue");
        desk.shot("catalogue");
        desk.harness.get_by_label_contains(
            "8.0 B parameters \u{b7} 32 blocks of width 4\u{202f}096 \u{b7} 16.1 GB to download",
        );
        desk.harness.get_by_label_contains("does not fit");
        // What is installed is opened, not downloaded again.
        desk.harness.get_by_role_and_label(Role::Button, "Open Llama 3.1 8B Instruct");
        // What is only partly here is not called installed.
        desk.harness.get_by_role_and_label(Role::Button, "Download Gemma 2 2B Instruct");
        desk.harness.get_by_label("Incomplete");
        desk.harness.get_by_role_and_label(Role::Button, "Show Gemma Scope, block 20, 16k latents");
        desk.press("SAEs");
        assert!(desk.harness.query_by_label("Qwen3 32B").is_none());
        desk.press("All");
        desk.press("Download Qwen2.5 1.5B Instruct");
        assert!(has_sent(desk, &Command::AskHub(stock::repo("Qwen/Qwen2.5-1.5B-Instruct"))));
        let started = |command: &Command| matches!(command, Command::StartDownload { .. });
        assert!(!desk.harness.state().commands.iter().any(started), "nothing is downloaded before it was seen");
    });
}

#[test]
fn what_does_not_fit_can_be_left_out() {
    let mut desk = Desk::open(true);
    with_assets(&mut desk, stock::library());
    desk.report(Event::Catalogue { entries: stock::catalogue(), free_memory_bytes: Some(3_000_000_000) });
    desk.press("Catalogue");
    desk.harness.get_by_label("Qwen3 32B");
    desk.harness.get_by_label("Fits this machine").click();
    desk.settle();
    assert!(desk.harness.query_by_label("Qwen3 32B").is_none());
    desk.harness.get_by_label("Qwen2.5 1.5B Instruct");
    // The free memory has changed: the list is made anew.
    desk.report(Event::Catalogue { entries: stock::catalogue(), free_memory_bytes: Some(90_000_000_000) });
    desk.settle();
    desk.harness.get_by_label("Qwen3 32B");
}

#[test]
fn nothing_is_clipped_in_the_smallest_window() {
    let mut desk = Desk::open_at(false, egui::vec2(1024.0, 700.0));
    with_assets(&mut desk, stock::library());
    desk.report(Event::Catalogue { entries: stock::catalogue(), free_memory_bytes: Some(20_000_000_000) });
    desk.press("Show Mistral-7B-Instruct-v0.3");
    desk.harness.get_by_label("A tensor of the model is cut short");
    desk.shot("small-assets");
    desk.press("Catalogue");
    desk.shot("small-catalogue");
    let button = desk.harness.get_by_label("Download Qwen3 32B").rect();
    assert!(button.right() < 1024.0, "{button:?}");
}
