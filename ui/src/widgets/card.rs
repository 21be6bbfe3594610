//! Cards: for one thing each.

use egui::{CornerRadius, Frame, InnerResponse, Response, Sense, Stroke, Ui, UiBuilder};

use crate::theme::{self, palette};

/// A card as wide as there is room.
pub(crate) fn show<R>(ui: &mut Ui, contents: impl FnOnce(&mut Ui) -> R) -> InnerResponse<R> {
    theme::card_frame(ui).show(ui, |ui| {
        ui.set_width(ui.available_width());
        contents(ui)
    })
}

/// A card with a title line.
pub(crate) fn titled<R>(ui: &mut Ui, title: &str, contents: impl FnOnce(&mut Ui) -> R) -> InnerResponse<R> {
    show(ui, |ui| {
        ui.label(theme::section(title));
        ui.add_space(theme::space::XS);
        contents(ui)
    })
}

/// A tinted note: what a result does not show, a caution.
pub(crate) fn callout<R>(ui: &mut Ui, fill: egui::Color32, contents: impl FnOnce(&mut Ui) -> R) -> InnerResponse<R> {
    Frame::new()
        .fill(fill)
        .corner_radius(CornerRadius::same(theme::RADIUS + 2))
        .inner_margin(egui::Margin::same(12))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            contents(ui)
        })
}

/// A row or card that can be clicked, called `name` by accessibility tools; marked when `selected`.
pub(crate) fn clickable(
    ui: &mut Ui,
    name: &str,
    selected: bool,
    margin: egui::Margin,
    contents: impl FnOnce(&mut Ui),
) -> Response {
    let palette = palette(ui);
    let shown = ui.scope_builder(UiBuilder::new().sense(Sense::click()), |ui| {
        let response = ui.response();
        let fill = if selected {
            palette.accent_soft
        } else if response.hovered() {
            palette.hover
        } else {
            palette.card
        };
        let line = if selected || response.has_focus() { palette.accent } else { palette.hairline };
        Frame::new()
            .fill(fill)
            .stroke(Stroke::new(1.0, line))
            .corner_radius(CornerRadius::same(theme::CARD_RADIUS - 2))
            .inner_margin(margin)
            .show(ui, |ui| {
                ui.set_width(ui.available_width());
                ui.style_mut().interaction.selectable_labels = false;
                contents(ui);
            });
    });
    let response = shown.response.on_hover_cursor(egui::CursorIcon::PointingHand);
    let info_name = name.to_owned();
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, selected, &info_name));
    response
}
