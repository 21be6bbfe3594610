//! Chips: small things to click, in rows that wrap.

use egui::{Button, CornerRadius, Response, RichText, Stroke, Ui, vec2};

use crate::theme::{self, palette, type_size};

/// Height of a chip.
pub(crate) const HEIGHT: f32 = 24.0;

/// A suggestion to click.
pub(crate) fn show(ui: &mut Ui, text: &str) -> Response {
    chip(ui, text, false)
}

/// A chip that is on or off; true when it was changed.
pub(crate) fn toggle(ui: &mut Ui, text: &str, on: &mut bool) -> Response {
    let mut response = chip(ui, text, *on);
    if response.clicked() {
        *on = !*on;
        response.mark_changed();
    }
    let (name, on) = (text.to_owned(), *on);
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, on, &name));
    response
}

fn chip(ui: &mut Ui, text: &str, on: bool) -> Response {
    let palette = palette(ui);
    let (fill, line, ink) = if on {
        (palette.accent_soft, palette.accent, palette.accent_text)
    } else {
        (palette.button, palette.outline, palette.text)
    };
    ui.scope(|ui| {
        ui.spacing_mut().button_padding = vec2(9.0, 2.0);
        ui.spacing_mut().interact_size.y = HEIGHT;
        ui.visuals_mut().widgets.inactive.weak_bg_fill = fill;
        let button = Button::new(RichText::new(text).size(type_size::SMALL).color(ink))
            .corner_radius(CornerRadius::same(HEIGHT as u8 / 2))
            .stroke(Stroke::new(1.0, line))
            .min_size(vec2(0.0, HEIGHT))
            .wrap_mode(egui::TextWrapMode::Extend);
        let response = ui.add(button);
        if response.has_focus() {
            let ring = Stroke::new(1.5, palette.accent);
            ui.painter().rect_stroke(response.rect.expand(2.0), HEIGHT * 0.5 + 2.0, ring, egui::StrokeKind::Middle);
        }
        response.on_hover_cursor(egui::CursorIcon::PointingHand)
    })
    .inner
}

/// A row of chips that wraps.
pub(crate) fn row<R>(ui: &mut Ui, contents: impl FnOnce(&mut Ui) -> R) -> R {
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing = vec2(6.0, 6.0);
        ui.spacing_mut().interact_size.y = HEIGHT;
        ui.horizontal_wrapped(contents).inner
    })
    .inner
}

/// What stands before the chips of a row.
pub(crate) fn lead(ui: &mut Ui, text: &str) {
    ui.label(theme::note(ui, text));
}
