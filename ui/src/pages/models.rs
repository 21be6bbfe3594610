//! Models: open the demo or a folder, and what it would take; facts about the one that is open.

mod fit;

use std::path::{Path, PathBuf};

use egui::{TextEdit, Ui};
use egui_material_icons::icons::{ICON_CHECK, ICON_DEPLOYED_CODE, ICON_DRAFT, ICON_EJECT, ICON_FOLDER_OPEN};
use tiller_protocol::message::Command;
use tiller_protocol::model::{DeviceChoice, DtypeChoice, LoadOptions, ModelInfo, ModelSource};

use crate::jobs::Purpose;
use crate::number::{bytes, count, parameters};
use crate::page::Page;
use crate::pages::{home, scaffold, settings};
use crate::shared::Shared;
use crate::theme::{self, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::{button, card, field, progress, stat};

/// The page's state.
#[derive(Default)]
pub(crate) struct ModelsPage {
    folder: String,
    /// What the last check was asked for; another answer is to be expected when any of it changes.
    asked: Option<Asked>,
}

/// Everything that a check depends on, as far as the window knows.
#[derive(Clone, PartialEq)]
struct Asked {
    source: ModelSource,
    device: DeviceChoice,
    dtype: DtypeChoice,
    loaded: Option<String>,
}

impl ModelsPage {
    /// Puts a folder or file into the path field.
    pub(crate) fn choose(&mut self, folder: &Path) {
        self.folder = folder.display().to_string();
        self.asked = None;
    }

    /// The model that the path field names.
    fn source(&self) -> Option<ModelSource> {
        let path = self.folder.trim();
        (!path.is_empty()).then(|| ModelSource::Folder(PathBuf::from(path)))
    }

    /// Asks what a model is and whether it fits, unless that was asked under the same circumstances.
    fn ask(&mut self, shared: &mut Shared, source: &ModelSource) {
        let asked = Asked {
            source: source.clone(),
            device: shared.settings.device,
            dtype: shared.settings.dtype,
            loaded: shared.model.as_ref().map(|model| model.hash.clone()),
        };
        if self.asked.as_ref() != Some(&asked) {
            self.asked = Some(asked);
            shared.send(Command::CheckModel(source.clone()));
        }
    }

    /// Draws the page.
    pub(crate) fn show(&mut self, ui: &mut Ui, shared: &mut Shared) {
        scaffold::scrolling(ui, |ui| {
            scaffold::head(ui, shared, Page::Models, |_, _| {});
            if let Some(failed) = shared.problem(|purpose| matches!(purpose, Purpose::Load(_))).cloned() {
                home::failed_load(ui, shared, &failed.0, &failed.1);
                ui.add_space(space::S);
            }
            if let Some(job) = shared.job.clone().filter(|job| matches!(job.purpose, Purpose::Load(_))) {
                card::show(ui, |ui| {
                    if progress::row(ui, &job) {
                        shared.stop();
                    }
                });
                ui.add_space(space::S);
            }
            if let Some(model) = shared.model.clone() {
                loaded(ui, shared, &model);
                ui.add_space(space::S);
            }
            demo(ui, shared);
            ui.add_space(space::S);
            self.folder_card(ui, shared);
        });
    }

    fn folder_card(&mut self, ui: &mut Ui, shared: &mut Shared) {
        card::titled(ui, "Open a folder or a file", |ui| {
            let help = "A folder with config.json, tokenizer.json and safetensors weights in the Hugging Face layout, \
                        or a GGUF file. You can also drop it on this window.";
            field::show(ui, "Model folder or file", help, |ui| {
                ui.horizontal(|ui| self.folder_row(ui, shared));
            });
            if let Some(source) = self.source() {
                self.ask(shared, &source);
                if let Some(check) = shared.check_of(&source) {
                    ui.add_space(space::XS);
                    fit::show(ui, check);
                }
            }
            ui.add_space(space::S);
            egui::CollapsingHeader::new("Device and number format").show(ui, |ui| {
                let before = shared.settings.clone();
                settings::device_and_format(ui, shared, "Automatic takes the accelerator if the model fits there.");
                if shared.settings != before {
                    shared.save_settings();
                }
            });
        });
    }

    /// The path and what can be done with it.
    fn folder_row(&mut self, ui: &mut Ui, shared: &mut Shared) {
        // The main button is higher than the field; all stand on one middle line.
        ui.set_min_height(theme::size::PRIMARY);
        let width = (ui.available_width() - 340.0).max(200.0);
        let text = TextEdit::singleline(&mut self.folder)
            .hint_text("/path/to/model")
            .desired_width(width)
            .margin(egui::Margin::symmetric(8, 6));
        // Its hint would be its name otherwise.
        ui.add(text).accessible_name("Model folder or file");
        if button::secondary("Folder\u{2026}").icon(ICON_FOLDER_OPEN).show(ui).clicked() {
            shared.pick_model_folder();
        }
        if button::secondary("File\u{2026}").icon(ICON_DRAFT).show(ui).clicked() {
            shared.pick_model_file();
        }
        let source = self.source();
        let unnamed = || source.is_none().then(|| "Type or choose a folder or file first.".to_owned());
        let obstacle = shared.busy().or_else(unnamed);
        let anyway = source.as_ref().is_some_and(|source| shared.is_too_large(source));
        let label = if anyway { "Load anyway" } else { "Open" };
        let clicked = button::primary(label).blocked_by(obstacle).show(ui).clicked();
        if let (true, Some(source)) = (clicked, source) {
            shared.load_with(source, LoadOptions { anyway, ..LoadOptions::default() });
        }
    }
}

fn demo(ui: &mut Ui, shared: &mut Shared) {
    let open_now = shared.model.as_ref().is_some_and(|model| model.source == ModelSource::Demo);
    if open_now {
        return;
    }
    card::titled(ui, "Demo model", |ui| {
        ui.label(theme::secondary(
            ui,
            "A small model trained for Tiller, with personas, evaluation items and a sparse autoencoder. It ships with \
             the program: no network, no waiting.",
        ));
        ui.add_space(space::XS);
        let button = button::secondary("Open the demo model").icon(ICON_DEPLOYED_CODE).blocked_by(shared.busy());
        if button.show(ui).clicked() {
            shared.load(ModelSource::Demo);
        }
    });
}

fn loaded(ui: &mut Ui, shared: &mut Shared, model: &ModelInfo) {
    card::show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.label(theme::figure(&model.name));
            badge::with_icon(ui, Tone::Good, Some(ICON_CHECK), "Open");
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let unload = button::secondary("Unload").icon(ICON_EJECT).blocked_by(shared.busy());
                if unload.show(ui).clicked() {
                    shared.send(Command::UnloadModel);
                }
            });
        });
        ui.add_space(space::XS);
        let sae = model.sae_block.map_or_else(
            || "none ships with it".to_owned(),
            |block| format!("{} latents at block {block}", count(model.n_sae_latents as u64)),
        );
        let template = match (model.has_chat_template, model.folds_system) {
            (false, _) => "no: plain text only",
            (true, false) => "yes",
            (true, true) => "yes; instructions are put in front of the first message",
        };
        let source = match &model.source {
            ModelSource::Demo => "ships with Tiller".to_owned(),
            ModelSource::Folder(path) => path.display().to_string(),
            ModelSource::Hub(id) => id.clone(),
        };
        let facts = [
            ("Architecture", model.architecture.clone()),
            ("Parameters", parameters(model.n_params)),
            ("Blocks", model.n_layers.to_string()),
            ("Residual width", model.d_model.to_string()),
            ("Attention heads", model.n_heads.to_string()),
            ("Vocabulary", format!("{} tokens", count(model.vocab_size as u64))),
            ("Context", format!("{} tokens", count(model.context_len as u64))),
            ("Number format", model.dtype.clone()),
            ("Weights in memory", bytes(model.weights_bytes)),
            ("Device", model.device.clone()),
            ("Chat template", template.to_owned()),
            ("Sparse autoencoder", sae),
            ("Source", source),
            ("Weights hash", model.hash.clone()),
        ];
        let half = facts.len().div_ceil(2);
        scaffold::columns(ui, 2, |ui, column| {
            for (name, value) in facts.iter().skip(column * half).take(half) {
                stat::line(ui, name, value);
            }
        });
    });
}
