//! The model that is open.

use egui::{CollapsingHeader, Ui};
use egui_material_icons::icons::{ICON_CHECK, ICON_EJECT};
use tiller_protocol::message::Command;
use tiller_protocol::model::{ModelInfo, ModelSource};

use crate::number::{bytes, count, parameters};
use crate::pages::scaffold;
use crate::shared::Shared;
use crate::theme::{self, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::{button, card, stat};

/// Draws its card: the main facts in one line, the others folded.
pub(super) fn show(ui: &mut Ui, shared: &mut Shared, model: &ModelInfo) {
    card::show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.scope(|ui| {
                // The button must not be pushed out of sight by a long name.
                ui.set_max_width(ui.available_width() - 190.0);
                ui.add(egui::Label::new(theme::figure(&model.name)).truncate());
            });
            badge::with_icon(ui, Tone::Good, Some(ICON_CHECK), "Open");
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let unload = button::secondary("Unload").icon(ICON_EJECT).blocked_by(shared.busy());
                if unload.show(ui).clicked() {
                    shared.send(Command::UnloadModel);
                }
            });
        });
        let line = format!(
            "{} parameters \u{00b7} {} blocks of width {} \u{00b7} {} on {} \u{00b7} {} in memory",
            parameters(model.n_params),
            model.n_layers,
            count(model.d_model as u64),
            model.dtype,
            model.device,
            bytes(model.weights_bytes)
        );
        ui.label(theme::secondary(ui, line));
        CollapsingHeader::new("All facts").id_salt("facts of the open model").show(ui, |ui| {
            ui.add_space(space::XS);
            facts(ui, model);
        });
    });
}

fn facts(ui: &mut Ui, model: &ModelInfo) {
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
}
