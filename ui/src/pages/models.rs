//! Models: open the demo or a folder; facts about the one that is open.

use std::path::{Path, PathBuf};

use egui::{TextEdit, Ui};
use egui_material_icons::icons::{ICON_CHECK, ICON_DEPLOYED_CODE, ICON_EJECT, ICON_FOLDER_OPEN};
use tiller_protocol::message::Command;
use tiller_protocol::model::{ModelInfo, ModelSource};

use crate::jobs::Purpose;
use crate::number::{bytes, count, parameters};
use crate::page::Page;
use crate::pages::{home, scaffold};
use crate::shared::Shared;
use crate::theme::{self, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::{button, card, field, progress, stat};

/// The page's state.
#[derive(Default)]
pub(crate) struct ModelsPage {
    folder: String,
}

impl ModelsPage {
    /// Puts a folder into the path field.
    pub(crate) fn choose(&mut self, folder: &Path) {
        self.folder = folder.display().to_string();
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
        card::titled(ui, "Open a folder", |ui| {
            let help = "A folder with config.json, tokenizer.json and safetensors weights in the Hugging Face layout. \
                        Llama-type models are supported. You can also drop the folder on this window.";
            field::show(ui, "Model folder", help, |ui| {
                ui.horizontal(|ui| {
                    let width = (ui.available_width() - 250.0).max(200.0);
                    let text = TextEdit::singleline(&mut self.folder)
                        .hint_text("/path/to/model")
                        .desired_width(width)
                        .margin(egui::Margin::symmetric(8, 6));
                    ui.add(text);
                    let obstacle = shared.busy();
                    if button::secondary("Choose\u{2026}").icon(ICON_FOLDER_OPEN).show(ui).clicked() {
                        shared.pick_model_folder();
                    }
                    let path = self.folder.trim();
                    let obstacle =
                        obstacle.or_else(|| path.is_empty().then(|| "Type or choose a folder first.".to_owned()));
                    if button::primary("Open").blocked_by(obstacle).show(ui).clicked() {
                        shared.load(ModelSource::Folder(PathBuf::from(path)));
                    }
                });
            });
        });
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
        let template = if model.has_chat_template { "yes" } else { "no: plain text only" };
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
