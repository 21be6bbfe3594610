//! A figure with what it means.

use egui::{RichText, Ui};

use crate::theme::{self, type_size};
use crate::widgets::badge::{self, Tone};

/// A figure, its name, and one line of explanation.
pub(crate) fn show(ui: &mut Ui, name: &str, figure: &str, verdict: Option<(Tone, &str)>, meaning: &str) {
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        ui.label(theme::note(ui, name));
        row(ui, 24.0, |ui| {
            ui.label(theme::figure(figure));
            if let Some((tone, word)) = verdict {
                badge::show(ui, tone, word);
            }
        });
        if !meaning.is_empty() {
            ui.label(RichText::new(meaning).size(type_size::SMALL).color(theme::palette(ui).secondary));
        }
    });
}

/// A name and a value on one line.
pub(crate) fn line(ui: &mut Ui, name: &str, value: &str) {
    row(ui, 20.0, |ui| {
        named(ui, name, 140.0);
        ui.add(egui::Label::new(value).truncate()).on_hover_text(value);
    });
}

/// A left-aligned name of a fixed width.
pub(crate) fn named(ui: &mut Ui, name: &str, width: f32) {
    let height = ui.spacing().interact_size.y;
    let layout = egui::Layout::left_to_right(egui::Align::Center);
    ui.allocate_ui_with_layout(egui::vec2(width, height), layout, |ui| {
        ui.set_width(width);
        ui.add(egui::Label::new(theme::secondary(ui, name)).truncate());
    });
}

/// A row of low height: text only, no controls.
pub(crate) fn row<R>(ui: &mut Ui, height: f32, contents: impl FnOnce(&mut Ui) -> R) -> R {
    ui.scope(|ui| {
        ui.spacing_mut().interact_size.y = height;
        ui.horizontal(contents).inner
    })
    .inner
}
