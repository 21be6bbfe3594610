//! Choosing an SAE: those that were opened, those on this machine, a file or folder from elsewhere, or a new one.

use std::path::{Path, PathBuf};

use egui::{Align, Layout, TextEdit, Ui};
use egui_material_icons::icons::{ICON_ARROW_BACK, ICON_DELETE, ICON_DRAFT, ICON_FOLDER_OPEN};
use tiller_protocol::asset::{Asset, AssetKind, AssetState};
use tiller_protocol::feature::{SaeId, SaeInfo};

use super::open_options::Options;
use super::{fit, removal};
use crate::features::PathFor;
use crate::jobs::Purpose;
use crate::number::{bytes, count};
use crate::page::Page;
use crate::pages::models::Section;
use crate::shared::{Handoff, Shared};
use crate::theme::{self, palette, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::{button, card, problem, progress, stat};

/// State of the list.
#[derive(Default)]
pub(super) struct SaeList {
    path: String,
    options: Options,
    removing: Option<SaeId>,
}

/// What was pressed in a row.
enum Pressed {
    Show(SaeId),
    Remove(SaeId),
}

impl SaeList {
    /// Puts a file or folder into the path field.
    pub(super) fn choose(&mut self, path: &Path) {
        self.path = path.display().to_string();
        self.options = Options::default();
    }

    /// Empties the path field.
    pub(super) fn clear(&mut self) {
        self.path.clear();
        self.options = Options::default();
    }

    /// Draws everything; `choosing` is set to `false` to go back to the features.
    pub(super) fn show(&mut self, ui: &mut Ui, shared: &mut Shared, choosing: &mut bool) {
        if let Some(path) = shared.features.take_path(PathFor::Sae) {
            self.choose(&path);
        }
        introduction(ui, shared, choosing);
        self.opening(ui, shared);
        self.opened(ui, shared, choosing);
        installed(ui, shared);
        self.elsewhere(ui, shared);
        removal::show(ui.ctx(), shared, &mut self.removing);
    }

    /// The opening that is under way, or why the last one failed.
    fn opening(&mut self, ui: &mut Ui, shared: &mut Shared) {
        if let Some(job) = shared.beside(|purpose| matches!(purpose, Purpose::OpenSae(_))).cloned() {
            card::show(ui, |ui| {
                if progress::row(ui, &job) {
                    shared.stop_beside(job.id);
                }
                ui.label(theme::note(
                    ui,
                    "The file is converted once, so that its features can be searched at once later.",
                ));
            });
            ui.add_space(space::S);
        }
        let failed = shared.problem(|purpose| matches!(purpose, Purpose::OpenSae(_))).cloned();
        let Some((Purpose::OpenSae(path), failed)) = failed else { return };
        if self.path.is_empty() {
            self.path = path.display().to_string();
        }
        // What is missing may be known to the user.
        self.options.unfold();
        match problem::show(ui, &failed, Some("Try again")) {
            Some(problem::Answer::Act) => shared.open_sae(path, self.options.chosen()),
            Some(problem::Answer::Dismiss) => shared.clear_problem(&Purpose::OpenSae(path)),
            None => {}
        }
        ui.add_space(space::S);
    }

    fn opened(&mut self, ui: &mut Ui, shared: &mut Shared, choosing: &mut bool) {
        let saes: Vec<SaeInfo> = shared.features.saes().unwrap_or_default().to_vec();
        if saes.is_empty() {
            return;
        }
        ui.label(theme::section("Opened"));
        for info in &saes {
            match opened_row(ui, shared, info) {
                Some(Pressed::Show(id)) => {
                    shared.show_sae(&id);
                    *choosing = false;
                }
                Some(Pressed::Remove(id)) => self.removing = Some(id),
                None => {}
            }
        }
        ui.add_space(space::S);
    }

    /// A file or folder that is in no list.
    fn elsewhere(&mut self, ui: &mut Ui, shared: &mut Shared) {
        ui.label(theme::section("From a file or folder"));
        card::show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.set_min_height(theme::size::PRIMARY);
                let width = (ui.available_width() - 256.0).max(200.0);
                let field = TextEdit::singleline(&mut self.path)
                    .hint_text("SAE folder or file (.safetensors, .npz, .pt): type its path, or drop it on this window")
                    .desired_width(width)
                    .margin(egui::Margin::symmetric(8, 5));
                ui.add(field).accessible_name("SAE folder or file");
                if button::secondary("Folder\u{2026}").icon(ICON_FOLDER_OPEN).show(ui).clicked() {
                    shared.pick_feature_folder(PathFor::Sae, "Choose an SAE folder");
                }
                if button::secondary("File\u{2026}").icon(ICON_DRAFT).show(ui).clicked() {
                    shared.pick_feature_file(PathFor::Sae, "Choose an SAE file");
                }
                let missing = self.path.trim().is_empty().then(|| "Choose a file or folder first.".to_owned());
                let open = button::primary("Open").blocked_by(missing.or_else(|| busy_opening(shared)));
                if open.show(ui).clicked() {
                    shared.open_sae(PathBuf::from(self.path.trim()), self.options.chosen());
                }
            });
            self.options.show(ui);
        });
    }
}

/// What an SAE is, or the way back to the one that is shown.
fn introduction(ui: &mut Ui, shared: &Shared, choosing: &mut bool) {
    if let Some(current) = shared.features.current() {
        let name = format!("Back to {}", current.name);
        if button::quiet(&name).icon(ICON_ARROW_BACK).show(ui).clicked() {
            *choosing = false;
        }
        ui.add_space(space::XS);
        return;
    }
    card::callout(ui, palette(ui).accent_soft, |ui| {
        ui.label(
            "A sparse autoencoder (SAE) takes the activations of one block apart into many features, of which few \
                 are active at a time. Open one to search its features by label, by text or by contrast, to see what \
                 each fires on, and to steer with it.",
        );
    });
    ui.add_space(space::S);
}

/// The SAEs of the library that were not opened yet, those that read the loaded model first.
fn installed(ui: &mut Ui, shared: &mut Shared) {
    let opened: Vec<PathBuf> =
        shared.features.saes().unwrap_or_default().iter().map(|info| info.path.clone()).collect();
    let Some(library) = shared.assets.library() else { return };
    let is_new = |asset: &&Asset| asset.kind == AssetKind::Sae && !opened.contains(&asset.path);
    let mut found: Vec<Asset> = library.assets.iter().filter(is_new).cloned().collect();
    found.sort_by_key(|asset| !reads_loaded(shared, asset));
    ui.label(theme::section("On this machine"));
    if found.is_empty() {
        let words = if opened.is_empty() { "No SAE is installed yet." } else { "Every installed SAE is open." };
        ui.label(theme::secondary(ui, words));
    }
    for asset in &found {
        installed_row(ui, shared, asset);
    }
    ui.add_space(space::S);
    ui.horizontal(|ui| {
        let get = button::secondary("Get an SAE").icon(Page::Models.icon());
        if get.hint("Shows the SAEs of the catalogue on the page Models").show(ui).clicked() {
            shared.handoff = Some(Handoff::Models(Section::Catalogue));
        }
    });
    ui.add_space(space::S);
}

fn busy_opening(shared: &Shared) -> Option<String> {
    shared
        .beside(|purpose| matches!(purpose, Purpose::OpenSae(_)))
        .map(|job| format!("{} is running. Wait for it or stop it.", job.title))
}

/// Whether an installed SAE reads activations of the loaded model, as far as its file tells.
fn reads_loaded(shared: &Shared, asset: &Asset) -> bool {
    shared.model.as_ref().is_some_and(|model| asset.d_model == Some(model.d_model))
}

/// One opened SAE.
fn opened_row(ui: &mut Ui, shared: &Shared, info: &SaeInfo) -> Option<Pressed> {
    let mut pressed = None;
    let remove = format!("Remove {}", info.name);
    let row = card::clickable(ui, &format!("Show {}", info.name), false, egui::Margin::symmetric(12, 8), |ui| {
        let height = 38.0;
        let size = egui::vec2(ui.available_width(), height);
        ui.allocate_ui_with_layout(size, Layout::right_to_left(Align::Center), |ui| {
            if button::icon_only(ui, ICON_DELETE, &remove).clicked() {
                pressed = Some(Pressed::Remove(info.id.clone()));
            }
            fit::badge(ui, shared, info);
            let size = egui::vec2(ui.available_width(), height);
            ui.allocate_ui_with_layout(size, Layout::top_down(Align::Min), |ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                ui.add(egui::Label::new(theme::strong(&info.name)).truncate());
                let facts = facts(info);
                ui.add(egui::Label::new(theme::note(ui, &facts)).truncate()).on_hover_text(facts);
            });
        });
    });
    if pressed.is_none() && row.clicked() {
        pressed = Some(Pressed::Show(info.id.clone()));
    }
    pressed
}

/// `16 384 features · block 20 · jumprelu · Gemma Scope · 300 MB`
pub(super) fn facts(info: &SaeInfo) -> String {
    let mut parts = vec![
        format!("{} features", count(info.d_sae as u64)),
        format!("block {}", info.site.block()),
        info.architecture.clone(),
        info.format.clone(),
        bytes(info.bytes),
    ];
    parts.extend(info.reads.as_ref().map(|model| format!("trained on {model}")));
    parts.join(" \u{00b7} ")
}

/// One SAE of the library.
fn installed_row(ui: &mut Ui, shared: &mut Shared, asset: &Asset) {
    card::show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.vertical(|ui| {
                ui.set_width((ui.available_width() - 90.0).max(200.0));
                ui.spacing_mut().item_spacing.y = 2.0;
                stat::row(ui, 20.0, |ui| {
                    ui.add(egui::Label::new(theme::strong(&asset.name)).truncate());
                    if reads_loaded(shared, asset) {
                        badge::show(ui, Tone::Good, "Has the loaded model's width");
                    }
                });
                let mut parts = Vec::new();
                parts.extend(asset.d_sae.map(|latents| format!("{} features", count(latents as u64))));
                parts.extend(asset.n_layers.map(|block| format!("block {block}")));
                parts.extend(asset.architecture.clone());
                parts.push(bytes(asset.bytes));
                parts.extend(asset.reads.as_ref().map(|model| format!("trained on {model}")));
                ui.label(theme::note(ui, parts.join(" \u{00b7} "))).on_hover_text(asset.path.display().to_string());
            });
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let obstacle = match &asset.state {
                    AssetState::Ready => busy_opening(shared),
                    AssetState::Incomplete { .. } => Some("Its files are not all here yet.".to_owned()),
                    AssetState::Missing => Some("Its path is gone.".to_owned()),
                    AssetState::Broken(problem) => Some(problem.to_string()),
                };
                let open = button::secondary("Open").blocked_by(obstacle).show(ui);
                if open.accessible_name(format!("Open {}", asset.name)).clicked() {
                    shared.open_sae(asset.path.clone(), tiller_protocol::feature::OpenOptions::default());
                }
            });
        });
    });
}
