//! The table of what is installed: its columns and rows.

use egui::{Align, Label, Layout, Rect, Response, Sense, Stroke, Ui, UiBuilder, vec2};
use egui_material_icons::icons::{ICON_CHECK, ICON_ERROR, ICON_LINK_OFF, ICON_PENDING};
use tiller_protocol::asset::{Asset, AssetKind, AssetState};

use crate::number::{ago, bytes, count};
use crate::shared::Shared;
use crate::theme::{self, palette, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::table;

/// Width from which on the table has room for all its columns.
const WIDE: f32 = 560.0;

/// Widths of the columns; the name takes what is left.
pub(super) struct Columns {
    name: f32,
    others: Vec<(f32, &'static str, &'static str)>,
}

impl Columns {
    /// For a table of this width.
    pub(super) fn new(room: f32) -> Self {
        let mut others = vec![(76.0, "Size", "Bytes of its files")];
        if room >= WIDE {
            others.push((74.0, "Format", "Number format of the weights as stored"));
            others.push((96.0, "Shape", "Blocks \u{00d7} residual width; latents of an SAE"));
        }
        others.push((116.0, "Last used", "When it was last opened"));
        let taken: f32 = others.iter().map(|column| column.0).sum();
        Self { name: (room - taken - space::S).max(120.0), others }
    }

    /// What stands in the cells after the name.
    fn texts(&self, asset: &Asset, now: Option<u64>) -> Vec<String> {
        let text = |head: &str| match head {
            "Size" => bytes(asset.bytes),
            "Format" => asset.dtype.clone().unwrap_or_else(|| "\u{2013}".to_owned()),
            "Shape" => shape(asset),
            _ => last_used(asset, now),
        };
        self.others.iter().map(|column| text(column.1)).collect()
    }
}

/// The names of the columns.
pub(super) fn heads(ui: &mut Ui, columns: &Columns) {
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 22.0), Sense::hover());
    let mut left = rect.left() + space::S;
    for (width, text, hint) in std::iter::once((columns.name, "Name", "")).chain(columns.others.iter().copied()) {
        table::head(&mut cell(ui, rect, (left, width)), text, hint);
        left += width;
    }
}

/// A part of a row, with a gap at its right.
fn cell(ui: &mut Ui, row: Rect, (left, width): (f32, f32)) -> Ui {
    let rect = Rect::from_x_y_ranges(left..=left + width - space::M, row.y_range());
    ui.new_child(UiBuilder::new().max_rect(rect).layout(Layout::left_to_right(Align::Center)))
}

/// One row is one control, so that a click anywhere and one Tab reach it.
pub(super) fn row_ui(
    ui: &mut Ui,
    shared: &Shared,
    columns: &Columns,
    asset: &Asset,
    state: (bool, Option<u64>),
) -> Response {
    let (is_chosen, now) = state;
    let colours = palette(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), table::ROW), Sense::click());
    let radius = f32::from(theme::RADIUS);
    if is_chosen || response.hovered() {
        let fill = if is_chosen { colours.accent_soft } else { colours.hover };
        ui.painter().rect_filled(rect, radius, fill);
    }
    if response.has_focus() {
        ui.painter().rect_stroke(rect, radius, Stroke::new(1.5, colours.accent), egui::StrokeKind::Inside);
    }
    let mut left = rect.left() + space::S;
    name_cell(&mut cell(ui, rect, (left, columns.name)), shared, asset);
    left += columns.name;
    for ((width, ..), text) in columns.others.iter().zip(columns.texts(asset, now)) {
        let text = theme::mono(text).color(colours.text);
        cell(ui, rect, (left, *width)).add(Label::new(text).selectable(false).truncate());
        left += width;
    }
    let name = format!("Show {}", asset.name);
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, is_chosen, &name));
    response.on_hover_cursor(egui::CursorIcon::PointingHand)
}

/// Badges stand at the right end, so that a long name never pushes them out.
fn name_cell(ui: &mut Ui, shared: &Shared, asset: &Asset) {
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        state_badge(ui, &asset.state);
        if shared.is_open(asset) {
            badge::with_icon(ui, Tone::Good, Some(ICON_CHECK), "Open");
        }
        if asset.kind == AssetKind::Sae {
            badge::show(ui, Tone::Neutral, "SAE");
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            ui.add(Label::new(&asset.name).selectable(false).truncate());
        });
    });
}

/// What is wrong, in a word; nothing when the asset is ready.
pub(crate) fn state_badge(ui: &mut Ui, state: &AssetState) {
    match state {
        AssetState::Ready => {}
        AssetState::Incomplete { .. } => badge::with_icon(ui, Tone::Caution, Some(ICON_PENDING), "Incomplete"),
        AssetState::Missing => badge::with_icon(ui, Tone::Caution, Some(ICON_LINK_OFF), "Missing"),
        AssetState::Broken(_) => badge::with_icon(ui, Tone::Bad, Some(ICON_ERROR), "Broken"),
    }
}

/// `32 × 4 096`, or the latents of an SAE.
fn shape(asset: &Asset) -> String {
    match (asset.kind, asset.n_layers, asset.d_model, asset.d_sae) {
        (AssetKind::Model, Some(blocks), Some(width), _) => format!("{blocks} \u{00d7} {}", count(width as u64)),
        (AssetKind::Sae, _, _, Some(latents)) => count(latents as u64),
        _ => "\u{2013}".to_owned(),
    }
}

/// `3 days ago`; a dash where it is not known.
pub(super) fn last_used(asset: &Asset, now: Option<u64>) -> String {
    match (asset.last_used, now) {
        (None, _) => "not yet".to_owned(),
        (Some(used), Some(now)) => ago(now.saturating_sub(used)),
        (Some(_), None) => "before".to_owned(),
    }
}
