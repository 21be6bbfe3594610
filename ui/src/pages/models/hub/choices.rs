//! What of a repository can be downloaded by itself: one row each, and the files of the one that is taken.

use egui::{Align, CollapsingHeader, Label, Layout, Rect, Sense, Stroke, Ui, UiBuilder, vec2};
use egui_material_icons::icons::{ICON_CHECK, ICON_RADIO_BUTTON_CHECKED, ICON_RADIO_BUTTON_UNCHECKED};
use tiller_protocol::asset::{AssetKind, HubChoice, HubFile};

use super::super::search_field;
use crate::icon;
use crate::number::{bytes, count, plural};
use crate::theme::{self, palette, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::stat;

/// Height of a row.
const ROW: f32 = 34.0;
/// Height of a file's row.
const FILE: f32 = 22.0;
/// Rows in sight.
const MOST: f32 = 7.0;
/// From so many choices on there is a field that narrows them.
const MANY: usize = 8;

/// Draws the choices; another one that was taken.
pub(super) fn show(ui: &mut Ui, choices: &[HubChoice], taken: &str, query: &mut String) -> Option<String> {
    let mut chosen = None;
    if choices.len() > MANY {
        search_field(ui, "Search these choices", query, 260.0);
        ui.add_space(space::XS);
    }
    let words = query.to_lowercase();
    let has_words =
        |choice: &&HubChoice| words.split_whitespace().all(|word| choice.label.to_lowercase().contains(word));
    let listed: Vec<&HubChoice> = choices.iter().filter(|choice| choices.len() <= MANY || has_words(choice)).collect();
    if listed.is_empty() {
        ui.label(theme::secondary(ui, "No choice has these words."));
    }
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        let area = egui::ScrollArea::vertical().id_salt("choices").auto_shrink([false, true]);
        area.max_height(MOST * (ROW + 2.0)).show_rows(ui, ROW, listed.len(), |ui, range| {
            for choice in &listed[range] {
                if row(ui, choice, choice.id == taken) {
                    chosen = Some(choice.id.clone());
                }
            }
        });
    });
    chosen
}

fn row(ui: &mut Ui, choice: &HubChoice, selected: bool) -> bool {
    let colours = palette(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::click());
    if selected || response.hovered() {
        let fill = if selected { colours.accent_soft } else { colours.hover };
        ui.painter().rect_filled(rect, f32::from(theme::RADIUS), fill);
    }
    if response.has_focus() {
        let stroke = Stroke::new(1.5, colours.accent);
        ui.painter().rect_stroke(rect, f32::from(theme::RADIUS), stroke, egui::StrokeKind::Inside);
    }
    let (sign, ink) = if selected {
        (ICON_RADIO_BUTTON_CHECKED, colours.accent_text)
    } else {
        (ICON_RADIO_BUTTON_UNCHECKED, colours.secondary)
    };
    let sign_rect = Rect::from_center_size(egui::pos2(rect.left() + 18.0, rect.center().y), vec2(20.0, 20.0));
    icon::paint(ui, sign_rect, sign, theme::size::RAIL_ICON, ink);
    let inner = Rect::from_min_max(rect.min + vec2(36.0, 0.0), rect.max - vec2(space::M, 0.0));
    let mut ui_row = ui.new_child(UiBuilder::new().max_rect(inner).layout(Layout::right_to_left(Align::Center)));
    ui_row.style_mut().interaction.selectable_labels = false;
    ui_row.label(theme::mono(bytes(choice.total_bytes())));
    ui_row.label(theme::note(&ui_row, plural(choice.files.len(), "file")));
    let present = choice.total_bytes() - choice.missing_bytes();
    if choice.missing_bytes() == 0 {
        badge::with_icon(&mut ui_row, Tone::Good, Some(ICON_CHECK), "On this machine");
    } else if present > 0 {
        badge::show(&mut ui_row, Tone::Neutral, &format!("{} here already", bytes(present)));
    }
    if choice.kind == AssetKind::Sae {
        badge::show(&mut ui_row, Tone::Neutral, "SAE");
    }
    ui_row.with_layout(Layout::left_to_right(Align::Center), |ui| {
        ui.add(Label::new(&choice.label).truncate());
    });
    let name = format!("Choose {}", choice.label);
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::RadioButton, true, selected, &name));
    response.on_hover_cursor(egui::CursorIcon::PointingHand).clicked()
}

/// The files of a choice, folded; one row each.
pub(super) fn files(ui: &mut Ui, choice: &HubChoice) {
    let title = format!("Files to the byte ({})", choice.files.len());
    CollapsingHeader::new(title).id_salt(("files of", &choice.id)).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        let area = egui::ScrollArea::vertical().id_salt("choice files").auto_shrink([false, true]);
        area.max_height(10.0 * FILE).show_rows(ui, FILE, choice.files.len(), |ui, range| {
            for file in &choice.files[range] {
                file_row(ui, file);
            }
        });
    });
}

fn file_row(ui: &mut Ui, file: &HubFile) {
    stat::row(ui, FILE, |ui| {
        let width = (ui.available_width() - 330.0).max(120.0);
        ui.allocate_ui_with_layout(vec2(width, FILE), Layout::left_to_right(Align::Center), |ui| {
            ui.set_width(width);
            ui.add(Label::new(theme::mono(&file.path)).truncate());
        });
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.label(theme::mono(format!("{} bytes", count(file.bytes))));
            if file.present_bytes >= file.bytes {
                ui.label(theme::note(ui, "here already"));
            } else if file.present_bytes > 0 {
                ui.label(theme::note(ui, format!("{} here already", bytes(file.present_bytes))));
            }
        });
    });
}
