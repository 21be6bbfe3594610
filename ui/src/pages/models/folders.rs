//! The folders that assets are kept in.

use egui::{Align, CollapsingHeader, Layout, Ui};
use egui_material_icons::icons::{
    ICON_CHECK, ICON_CREATE_NEW_FOLDER, ICON_FOLDER_OPEN, ICON_HARD_DRIVE, ICON_LINK_OFF, ICON_WARNING,
};
use tiller_protocol::asset::{FolderKind, StorageFolder};
use tiller_protocol::message::Command;

use crate::face::Request;
use crate::icon;
use crate::number::{bytes, plural};
use crate::shared::Shared;
use crate::theme::{self, palette, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::{button, card};

/// Height of the card while it is folded, points.
pub(super) const HEIGHT: f32 = 62.0;

/// Draws the card: one line, and the folders below when unfolded.
pub(super) fn show(ui: &mut Ui, shared: &mut Shared) {
    let Some(library) = shared.assets.library() else { return };
    let folders = library.folders.clone();
    card::show(ui, |ui| {
        let title = format!("Storage folders: {}", summary(&folders));
        CollapsingHeader::new(title).id_salt("storage folders").show_unindented(ui, |ui| {
            for folder in &folders {
                row(ui, shared, folder);
            }
            if button::secondary("Add folder\u{2026}").icon(ICON_CREATE_NEW_FOLDER).show(ui).clicked() {
                shared.pick_storage_folder();
            }
        });
    });
}

/// `2 folders, 48 GB used, 112 GB free for downloads`.
fn summary(folders: &[StorageFolder]) -> String {
    let used: u64 = folders.iter().map(|folder| folder.used_bytes).sum();
    let mut parts = vec![plural(folders.len(), "folder"), format!("{} used", bytes(used))];
    if let Some(free) = folders.iter().find(|folder| folder.is_chosen).and_then(|folder| folder.free_bytes) {
        parts.push(format!("{} free for downloads", bytes(free)));
    }
    let n_gone = folders.iter().filter(|folder| !folder.is_present).count();
    if n_gone > 0 {
        parts.push(format!("{n_gone} not there"));
    }
    parts.join(", ")
}

fn row(ui: &mut Ui, shared: &mut Shared, folder: &StorageFolder) {
    ui.horizontal(|ui| {
        icon::show(ui, ICON_HARD_DRIVE, theme::size::RAIL_ICON, palette(ui).secondary);
        let kind = match folder.kind {
            FolderKind::HubCache => "Shared with other tools (hub cache)",
            FolderKind::Added => "Added by you",
            FolderKind::Imports => "Copies made by import",
        };
        let free = folder.free_bytes.map_or_else(String::new, |free| format!(" \u{00b7} {} free", bytes(free)));
        let facts = format!("{kind} \u{00b7} {} used{free}", bytes(folder.used_bytes));
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            ui.set_width((ui.available_width() - 400.0).max(200.0));
            ui.add(egui::Label::new(theme::mono(folder.path.display().to_string())).truncate());
            ui.add(egui::Label::new(theme::note(ui, facts)).truncate());
        });
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| actions(ui, shared, folder));
    });
    ui.add_space(space::XS);
}

fn actions(ui: &mut Ui, shared: &mut Shared, folder: &StorageFolder) {
    let path = folder.path.display().to_string();
    if folder.kind == FolderKind::Added {
        let name = format!("Forget {path}");
        if button::icon_only(ui, ICON_LINK_OFF, &name).clicked() {
            shared.send(Command::ForgetFolder(folder.path.clone()));
        }
    }
    if !folder.is_present {
        badge::with_icon(ui, Tone::Caution, Some(ICON_WARNING), "Not there");
        return;
    }
    if button::icon_only(ui, ICON_FOLDER_OPEN, &format!("Show {path}")).clicked() {
        shared.request(Request::OpenLink(path));
    }
    if folder.is_chosen {
        badge::with_icon(ui, Tone::Good, Some(ICON_CHECK), "Downloads go here");
    } else if folder.kind != FolderKind::Imports && button::secondary("Download here").show(ui).clicked() {
        shared.send(Command::ChooseFolder(folder.path.clone()));
    }
}
