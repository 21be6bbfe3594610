//! What is on this machine: a table, and everything about the chosen one beside it.

mod detail;
mod removal;

use std::path::{Path, PathBuf};

use egui::{Align, Label, Layout, Ui};
use egui_extras::Column;
use egui_material_icons::icons::{ICON_CHECK, ICON_DEPLOYED_CODE, ICON_ERROR, ICON_LINK_OFF, ICON_PENDING};
use tiller_protocol::asset::{Asset, AssetKind, AssetState};

use super::import::Asking;
use super::{Ask, Kinds, Section, kinds_ui, search_field};
use crate::number::{ago, bytes, count};
use crate::shared::Shared;
use crate::theme::{self, palette, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::empty::Empty;
use crate::widgets::{button, table};

/// Share of the room that the chosen asset takes.
const DETAIL: f32 = 0.4;
/// Width from which on the table has room for all its columns.
const WIDE: f32 = 560.0;

/// State of the part.
#[derive(Default)]
pub(super) struct Installed {
    query: String,
    kinds: Kinds,
    rows: Rows,
    selected: Option<PathBuf>,
    asking: Asking,
    removing: Option<PathBuf>,
    scroll_to_selected: bool,
}

/// Which assets the filters let through; worked out again only when something changes.
#[derive(Default)]
struct Rows {
    made_for: Option<(u64, String, Kinds)>,
    indices: Vec<usize>,
}

impl Rows {
    fn update(&mut self, assets: &[Asset], version: u64, query: &str, kinds: Kinds) {
        let is_made =
            self.made_for.as_ref().is_some_and(|made| made.0 == version && made.1 == query && made.2 == kinds);
        if is_made {
            return;
        }
        let words: Vec<String> = query.to_lowercase().split_whitespace().map(str::to_owned).collect();
        let fits = |asset: &Asset| kinds.has(asset.kind) && has_words(asset, &words);
        self.indices = (0..assets.len()).filter(|index| fits(&assets[*index])).collect();
        self.made_for = Some((version, query.to_owned(), kinds));
    }
}

/// Whether every word is a part of what is known about an asset.
fn has_words(asset: &Asset, words: &[String]) -> bool {
    let facts = [Some(&asset.name), asset.dtype.as_ref(), asset.architecture.as_ref(), asset.reads.as_ref()];
    let mut text = asset.path.display().to_string();
    for fact in facts.into_iter().flatten() {
        text.push(' ');
        text.push_str(fact);
    }
    let text = text.to_lowercase();
    words.iter().all(|word| text.contains(word))
}

impl Installed {
    /// Chooses an asset and brings it into sight.
    pub(super) fn select(&mut self, path: PathBuf) {
        self.selected = Some(path);
        self.scroll_to_selected = true;
        self.query.clear();
    }

    /// As [`Self::select`], with the filter set so that it is in the list.
    pub(super) fn reveal(&mut self, kind: AssetKind, path: PathBuf) {
        if !self.kinds.has(kind) {
            self.kinds = Kinds::All;
        }
        self.select(path);
    }

    /// Draws what narrows the list, from the right.
    pub(super) fn filters(&mut self, ui: &mut Ui) {
        kinds_ui(ui, &mut self.kinds);
        let width = (ui.available_width() - space::S).min(220.0);
        search_field(ui, "Search installed", &mut self.query, width);
    }

    /// Draws the table and the chosen asset in a height of `room`.
    pub(super) fn show(&mut self, ui: &mut Ui, shared: &mut Shared, room: f32) -> Option<Ask> {
        let Some(library) = shared.assets.library() else {
            ui.add_space(space::XXL);
            ui.vertical_centered(|ui| {
                ui.spinner();
                ui.label(theme::secondary(ui, "Looking through the storage folders\u{2026}"));
            });
            return None;
        };
        self.rows.update(&library.assets, shared.assets.version(), &self.query, self.kinds);
        if library.assets.is_empty() {
            return nothing(ui);
        }
        if self.rows.indices.is_empty() {
            self.no_match(ui);
            return None;
        }
        let chosen = self.chosen(&library.assets);
        let mut asked = None;
        let width = ui.available_width();
        ui.allocate_ui_with_layout(egui::vec2(width, room), Layout::left_to_right(Align::Min), |ui| {
            ui.spacing_mut().item_spacing.x = space::L;
            ui.vertical(|ui| {
                ui.set_width(width * (1.0 - DETAIL) - space::L);
                ui.set_height(room);
                self.table(ui, shared, chosen.as_ref().map(|asset| asset.path.as_path()));
            });
            ui.vertical(|ui| {
                ui.set_height(room);
                let Some(asset) = &chosen else { return };
                egui::ScrollArea::vertical().id_salt(("asset", &asset.path)).auto_shrink([false, false]).show(
                    ui,
                    |ui| {
                        let mut parts = detail::Parts { asking: &mut self.asking, removing: &mut self.removing };
                        asked = detail::show(ui, shared, asset, &mut parts);
                    },
                );
            });
        });
        removal::show(ui.ctx(), shared, &mut self.removing);
        asked
    }

    /// The chosen asset when it is in the list, or else the first of the list.
    fn chosen(&self, assets: &[Asset]) -> Option<Asset> {
        let listed = || self.rows.indices.iter().filter_map(|index| assets.get(*index));
        listed().find(|asset| Some(&asset.path) == self.selected.as_ref()).or_else(|| listed().next()).cloned()
    }

    fn table(&mut self, ui: &mut Ui, shared: &Shared, chosen: Option<&Path>) {
        let Some(library) = shared.assets.library() else { return };
        let is_wide = ui.available_width() >= WIDE;
        let mut columns = vec![Column::remainder().at_least(160.0).clip(true), Column::exact(76.0)];
        let mut heads = vec![("Name", ""), ("Size", "Bytes of its files")];
        if is_wide {
            columns.extend([Column::exact(74.0), Column::exact(96.0)]);
            heads.push(("Format", "Number format of the weights as stored"));
            heads.push(("Shape", "Blocks \u{00d7} residual width; latents of an SAE"));
        }
        columns.push(Column::exact(108.0));
        heads.push(("Last used", "When it was last opened"));
        let now = shared.now(ui);
        let mut clicked = None;
        let mut builder = table::clickable(ui, "installed", &columns);
        if std::mem::take(&mut self.scroll_to_selected) {
            let row = self.rows.indices.iter().position(|index| Some(library.assets[*index].path.as_path()) == chosen);
            if let Some(row) = row {
                builder = builder.scroll_to_row(row, Some(Align::Center));
            }
        }
        builder
            .header(22.0, |mut row| {
                for (text, hint) in heads {
                    row.col(|ui| table::head(ui, text, hint));
                }
            })
            .body(|body| {
                body.rows(table::ROW, self.rows.indices.len(), |mut row| {
                    let Some(asset) = library.assets.get(self.rows.indices[row.index()]) else { return };
                    row.set_selected(chosen == Some(asset.path.as_path()));
                    row.col(|ui| table::padded(ui, |ui| name_cell(ui, shared, asset)));
                    row.col(|ui| cell(ui, bytes(asset.bytes)));
                    if is_wide {
                        row.col(|ui| cell(ui, asset.dtype.as_deref().unwrap_or("\u{2013}")));
                        row.col(|ui| cell(ui, shape(asset)));
                    }
                    row.col(|ui| cell(ui, last_used(asset, now)));
                    let response = row.response();
                    let name = format!("Show {}", asset.name);
                    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
                    // Tab and the arrow keys go from row to row, and what has the focus is shown.
                    if response.clicked() || response.gained_focus() {
                        clicked = Some(asset.path.clone());
                    }
                });
            });
        if clicked.is_some() {
            self.selected = clicked;
        }
    }

    fn no_match(&mut self, ui: &mut Ui) {
        let empty = Empty {
            icon: ICON_DEPLOYED_CODE,
            title: "Nothing installed has these words",
            hint: "The search looks at names, paths, number formats and architectures.",
        };
        if empty.show(ui, Some(button::secondary("Show all"))) {
            self.query.clear();
            self.kinds = Kinds::All;
        }
    }
}

fn nothing(ui: &mut Ui) -> Option<Ask> {
    let empty = Empty {
        icon: ICON_DEPLOYED_CODE,
        title: "No model is installed yet",
        hint: "Models from the hub's cache, from added folders and from imports are listed here. Choose one from the \
               catalogue, or drop a model folder or GGUF file on this window.",
    };
    empty.show(ui, Some(button::secondary("Browse the catalogue"))).then_some(Ask::Go(Section::Catalogue))
}

fn cell(ui: &mut Ui, text: impl Into<String>) {
    table::padded(ui, |ui| {
        ui.add(Label::new(theme::mono(text).color(palette(ui).text)).selectable(false).truncate());
    });
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
pub(super) fn state_badge(ui: &mut Ui, state: &AssetState) {
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
