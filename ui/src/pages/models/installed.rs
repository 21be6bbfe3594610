//! What is on this machine: a table, and everything about the chosen one beside it.

mod detail;
mod removal;
mod row;

use std::path::{Path, PathBuf};

use egui::{Align, Layout, Ui, vec2};
use egui_material_icons::icons::ICON_DEPLOYED_CODE;
use tiller_protocol::asset::{Asset, AssetKind};

pub(super) use row::state_badge;

use super::import::Asking;
use super::{Ask, Kinds, Section, kinds_ui, search_field};
use crate::shared::Shared;
use crate::theme::{self, space};
use crate::widgets::empty::Empty;
use crate::widgets::{button, table};

/// Share of the room that the chosen asset takes.
const DETAIL: f32 = 0.4;

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

    /// Looks at the chosen one again: the memory that is free may have changed.
    pub(super) fn forget_check(&mut self) {
        self.asking = Asking::default();
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
        ui.allocate_ui_with_layout(vec2(width, room), Layout::left_to_right(Align::Min), |ui| {
            ui.spacing_mut().item_spacing.x = space::L;
            ui.vertical(|ui| {
                ui.set_width(width * (1.0 - DETAIL) - space::L);
                ui.set_height(room);
                self.table(ui, shared, chosen.as_ref().map(|asset| asset.path.as_path()));
            });
            ui.vertical(|ui| {
                ui.set_height(room);
                ui.spacing_mut().item_spacing.x = space::S;
                let Some(asset) = &chosen else { return };
                // The bar floats over the card's padding, so that the card ends where the page does.
                ui.spacing_mut().scroll.floating_allocated_width = 0.0;
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
        let columns = row::Columns::new(ui.available_width());
        let now = shared.now(ui);
        ui.spacing_mut().item_spacing.y = 2.0;
        row::heads(ui, &columns);
        let mut area = egui::ScrollArea::vertical().id_salt("installed").auto_shrink([false, false]);
        if std::mem::take(&mut self.scroll_to_selected) {
            let position =
                self.rows.indices.iter().position(|index| Some(library.assets[*index].path.as_path()) == chosen);
            let above = position.unwrap_or(0) as f32 * (table::ROW + 2.0);
            area = area.vertical_scroll_offset((above - 0.5 * ui.available_height()).max(0.0));
        }
        let mut taken = None;
        area.show_rows(ui, table::ROW, self.rows.indices.len(), |ui, range| {
            for index in &self.rows.indices[range] {
                let Some(asset) = library.assets.get(*index) else { continue };
                let response = row::row_ui(ui, shared, &columns, asset, (chosen == Some(asset.path.as_path()), now));
                // Tab goes from row to row, and what has the focus is shown.
                if response.clicked() || response.gained_focus() {
                    taken = Some(asset.path.clone());
                }
            }
        });
        if taken.is_some() {
            self.selected = taken;
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
