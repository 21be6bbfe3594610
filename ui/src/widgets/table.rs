//! Heads and cells of tables.

use egui::{Label, RichText, TextWrapMode, Ui};
use egui_extras::{Column, TableBuilder};

use crate::theme::{self, palette, size, type_size};

/// A quiet table: no stripes, hairlines between rows.
pub(crate) fn builder<'a>(ui: &'a mut Ui, name: &'a str, columns: &[Column]) -> TableBuilder<'a> {
    with_gap(ui, name, columns, theme::space::M)
}

/// As [`builder`], for rows that are clicked: there is no gap between cells that a click could get lost in. Cells
/// keep their distance by themselves, with [`padded`].
pub(crate) fn clickable<'a>(ui: &'a mut Ui, name: &'a str, columns: &[Column]) -> TableBuilder<'a> {
    with_gap(ui, name, columns, 0.0).sense(egui::Sense::click())
}

/// What a cell of a [`clickable`] table holds, with room at its right.
pub(crate) fn padded(ui: &mut Ui, contents: impl FnOnce(&mut Ui)) {
    ui.spacing_mut().item_spacing.x = theme::space::S;
    let size = egui::vec2(ui.available_width() - theme::space::M, ui.available_height());
    ui.allocate_ui_with_layout(size, egui::Layout::left_to_right(egui::Align::Center), contents);
}

fn with_gap<'a>(ui: &'a mut Ui, name: &'a str, columns: &[Column], gap: f32) -> TableBuilder<'a> {
    ui.spacing_mut().item_spacing = egui::vec2(gap, 2.0);
    ui.spacing_mut().interact_size.y = 18.0;
    let mut builder = TableBuilder::new(ui)
        .id_salt(name)
        .cell_layout(egui::Layout::left_to_right(egui::Align::Center))
        .min_scrolled_height(64.0)
        .auto_shrink([false, true]);
    for column in columns {
        builder = builder.column(*column);
    }
    builder
}

/// Head of a column.
pub(crate) fn head(ui: &mut Ui, text: &str, hint: &str) {
    let text = RichText::new(text).size(type_size::SMALL).color(palette(ui).secondary);
    let response = ui.add(Label::new(text).selectable(false).wrap_mode(TextWrapMode::Truncate));
    if !hint.is_empty() {
        response.on_hover_text(hint);
    }
}

/// Height of rows.
pub(crate) const ROW: f32 = size::TABLE_ROW;
