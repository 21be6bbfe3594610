//! A figure with what it means.

use egui::{RichText, Ui};

use crate::theme::{self, type_size};
use crate::widgets::badge::{self, Tone};

/// A figure, its name, and one line of explanation.
pub(crate) fn show(ui: &mut Ui, name: &str, figure: &str, verdict: Option<(Tone, &str)>, meaning: &str) {
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        ui.label(theme::note(ui, name));
        ui.horizontal(|ui| {
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
    ui.horizontal(|ui| {
        ui.spacing_mut().interact_size.y = 18.0;
        let label = egui::Label::new(theme::secondary(ui, name)).wrap_mode(egui::TextWrapMode::Extend);
        ui.add_sized([132.0, 18.0], egui::Label::new(""));
        let rect = ui.min_rect();
        ui.put(egui::Rect::from_min_size(rect.min, egui::vec2(132.0, 18.0)), label.halign(egui::Align::LEFT));
        ui.add(egui::Label::new(value).truncate()).on_hover_text(value);
    });
}
