//! The page Models: what a model takes before it is loaded, and loading one that does not fit.

use egui::Vec2;
use egui::accesskit::Role;
use egui_kittest::kittest::Queryable as _;
use tiller_protocol::message::{Command, Event};
use tiller_protocol::model::{LoadOptions, MemoryNeed, ModelCheck, ModelSource};
use tiller_protocol::problem::Problem;

use super::desk::Desk;
use super::{both, with_library};

const FOLDER: &str = "/home/ada/models/Llama-3.1-8B-Instruct";

fn source(folder: &str) -> ModelSource {
    ModelSource::Folder(folder.into())
}

/// A model of eight thousand million parameters in bf16, with so much memory free.
pub(crate) fn check(folder: &str, free_bytes: Option<u64>) -> ModelCheck {
    let name = folder.rsplit('/').next().unwrap_or(folder);
    ModelCheck {
        name: name.to_owned(),
        source: source(folder),
        architecture: "LlamaForCausalLM".to_owned(),
        n_layers: 32,
        d_model: 4096,
        context_len: 131_072,
        n_params: 8_030_261_248,
        file_bytes: 16_060_522_496,
        dtype: "bf16".to_owned(),
        has_gradients: true,
        device: "CPU (2 threads)".to_owned(),
        note: None,
        need: MemoryNeed {
            weights_bytes: 16_060_522_496,
            loading_bytes: 700_000_000,
            context_tokens: 4096,
            cache_bytes: 1_073_741_824,
            chat_bytes: 420_000_000,
            discovery_bytes: 2_900_000_000,
            sae_bytes: 0,
        },
        free_bytes,
    }
}

/// The page with a path typed and the answer to what was asked about it.
fn with_check(desk: &mut Desk, folder: &str, check: Result<ModelCheck, Problem>) {
    with_library(desk);
    desk.press("Models");
    let field = (Role::TextInput, "Model folder or file");
    desk.harness.get_by_role_and_label(field.0, field.1).focus();
    desk.harness.get_by_role_and_label(field.0, field.1).type_text(folder);
    desk.settle();
    let asked = Command::CheckModel(source(folder));
    assert!(desk.harness.state().commands.contains(&asked), "nothing was asked about the folder");
    desk.report(Event::ModelChecked { source: source(folder), check: check.map(Box::new) });
    desk.settle();
}

fn last_load(desk: &Desk) -> Option<LoadOptions> {
    desk.harness.state().commands.iter().rev().find_map(|command| match command {
        Command::LoadModel { options, .. } => Some(*options),
        _ => None,
    })
}

#[test]
fn a_model_that_fits_opens() {
    both(|desk| {
        with_check(desk, FOLDER, Ok(check(FOLDER, Some(40_000_000_000))));
        desk.harness.get_by_label("Fits");
        desk.harness.get_by_label_contains("40.0 GB free now");
        desk.shot("models-fits");
        desk.press("Open");
        assert_eq!(last_load(desk), Some(LoadOptions::default()));
    });
}

#[test]
fn a_model_that_does_not_fit_can_be_loaded_anyway() {
    both(|desk| {
        with_check(desk, FOLDER, Ok(check(FOLDER, Some(9_000_000_000))));
        desk.harness.get_by_label("Does not fit");
        desk.shot("models-too-large");
        desk.press("Load anyway");
        assert!(last_load(desk).is_some_and(|options| options.anyway));
    });
}

#[test]
fn a_refused_load_offers_to_go_on() {
    both(|desk| {
        with_library(desk);
        desk.press("Open the demo model");
        let job = desk.last_job();
        let refused = ModelCheck { source: ModelSource::Demo, ..check("/demo", Some(1_000_000)) };
        desk.report(Event::ModelChecked { source: ModelSource::Demo, check: Ok(Box::new(refused)) });
        let problem = Problem::new(
            "The model does not fit the free memory",
            "Tiller demo in f32 needs about 60 MB on CPU (2 threads); 1 MB is free.",
            "Close other programs, or load it anyway.",
        );
        desk.report(Event::Failed { job: Some(job), problem });
        desk.shot("home-too-large");
        desk.press("Load anyway");
        assert!(last_load(desk).is_some_and(|options| options.anyway));
    });
}

#[test]
fn room_for_chat_alone_is_told() {
    both(|desk| {
        let note = "NVIDIA GPU has 12.0 GB free and 17.6 GB are needed, so the processor is used.".to_owned();
        let check = ModelCheck { note: Some(note), ..check(FOLDER, Some(18_000_000_000)) };
        with_check(desk, FOLDER, Ok(check));
        desk.harness.get_by_label("Fits for chat");
        desk.shot("models-chat-only");
    });
}

#[test]
fn what_a_quantised_model_cannot_do_is_told() {
    both(|desk| {
        let check = check(FOLDER, Some(40_000_000_000));
        with_check(desk, FOLDER, Ok(ModelCheck { dtype: "quantised".to_owned(), has_gradients: false, ..check }));
        desk.harness.get_by_label("Fits");
        desk.harness.get_by_label_contains("For discovery choose the number format");
        desk.shot("models-quantised");
    });
}

#[test]
fn a_long_name_and_a_small_window_lose_nothing() {
    for dark in [true, false] {
        let mut desk = Desk::open_at(dark, Vec2::new(1024.0, 700.0));
        let folder = format!("/home/ada/models/{}", "an-instruction-tuned-model-with-a-very-long-name-".repeat(4));
        with_check(&mut desk, &folder, Ok(check(&folder, None)));
        let badge = desk.harness.get_by_label("Free memory unknown").rect();
        assert!(badge.right() < 1024.0, "{badge:?}");
        desk.shot("models-narrow");
    }
}

#[test]
fn a_folder_that_is_no_model_is_told_before_it_is_opened() {
    both(|desk| {
        let problem = Problem::new(
            "Tensors of the model are missing",
            "/home/ada/models/Llama-3.1-8B-Instruct lacks 32 of the 291 tensors that config.json asks for: \
             model.layers.0.self_attn.q_proj.weight (there is model.layers.0.attention.wq.weight), and 31 more.",
            "Convert the checkpoint to the Hugging Face layout, or fetch the original.",
        );
        with_check(desk, FOLDER, Err(problem));
        desk.harness.get_by_label_contains("there is model.layers.0.attention.wq.weight");
        desk.shot("models-broken");
    });
}
