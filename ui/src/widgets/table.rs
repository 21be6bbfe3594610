//! Heads and cells of tables.

use egui::{Label, RichText, TextWrapMode, Ui};
use egui_extras::{Column, TableBuilder};

use crate::theme::{self, palette, size, type_size};

/// A quiet table: no stripes, hairlines between rows.
pub(crate) fn builder<'a>(ui: &'a mut Ui, name: &'a str, columns: &[Column]) -> TableBuilder<'a> {
    ui.spacing_mut().item_spacing = egui::vec2(theme::space::M, 2.0);
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
