//! Which SAE is searched, and how well it fits the model.

use egui::{Align, Label, Layout, Ui};
use egui_material_icons::icons::{ICON_ADD, ICON_DELETE};
use tiller_protocol::feature::SaeId;

use super::{fit, sae_list};
use crate::shared::Shared;
use crate::theme;
use crate::widgets::{button, field};

/// Least width in which the facts are worth showing, points.
const FACTS: f32 = 110.0;

/// What was pressed.
pub(super) enum Pressed {
    /// Open another one.
    Another,
    /// Remove the one that is shown.
    Remove(SaeId),
}

/// Draws the bar.
pub(super) fn show(ui: &mut Ui, shared: &mut Shared) -> Option<Pressed> {
    let info = shared.features.current()?.clone();
    let mut pressed = None;
    ui.horizontal(|ui| {
        ui.set_min_height(theme::size::PRIMARY);
        let options: Vec<(SaeId, String)> =
            shared.features.saes().unwrap_or_default().iter().map(|sae| (sae.id.clone(), sae.name.clone())).collect();
        let mut chosen = info.id.clone();
        let width = (ui.available_width() * 0.25).clamp(180.0, 260.0);
        // A menu takes the room that its text wants; a long name is cut instead.
        let size = egui::vec2(width, theme::size::CONTROL);
        ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), |ui| {
            ui.set_max_width(width);
            if field::choice(ui, "Sparse autoencoder (SAE)", &mut chosen, &options, width) {
                shared.show_sae(&chosen);
            }
        });
        fit::show(ui, shared, &info);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if button::icon_only(ui, ICON_DELETE, &format!("Remove {}", info.name)).clicked() {
                pressed = Some(Pressed::Remove(info.id.clone()));
            }
            if button::secondary("Open another\u{2026}").icon(ICON_ADD).show(ui).clicked() {
                pressed = Some(Pressed::Another);
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                if ui.available_width() < FACTS {
                    return;
                }
                let facts = sae_list::facts(&info);
                ui.add(Label::new(theme::note(ui, &facts)).truncate()).on_hover_text(facts);
            });
        });
    });
    pressed
}
