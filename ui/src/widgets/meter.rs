//! A small bar for a value between 0 and 1 in a table cell.

use egui::{Color32, Rect, Sense, Ui, vec2};

use crate::theme::{self, palette};

/// Draws `value` as a figure and a bar in the room left.
pub(crate) fn show(ui: &mut Ui, value: f64, colour: Color32) {
    let palette = palette(ui);
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        let figure = theme::mono(crate::number::decimal(value, 2)).color(palette.text);
        ui.add(egui::Label::new(figure).selectable(false).wrap_mode(egui::TextWrapMode::Extend));
        let width = ui.available_width().clamp(12.0, 56.0);
        let (rect, _) = ui.allocate_exact_size(vec2(width, 5.0), Sense::hover());
        ui.painter().rect_filled(rect, 2.5, palette.hairline);
        let share = value.abs().clamp(0.0, 1.0) as f32;
        let filled = Rect::from_min_size(rect.min, vec2(rect.width() * share, rect.height()));
        ui.painter().rect_filled(filled, 2.5, colour);
    });
}
