//! What the catalogue recommends: models with the SAEs that read them, what they cost and what fits this machine.

use egui::{Align, Label, Layout, Rect, Sense, Stroke, Ui, UiBuilder, vec2};
use egui_material_icons::icons::{ICON_CHECK, ICON_DOWNLOAD, ICON_LOCK, ICON_TRAVEL_EXPLORE, ICON_WARNING};
use tiller_protocol::asset::{Asset, AssetKind, AssetState, CatalogueEntry, Gate};

use super::installed::state_badge;
use super::{Ask, Kinds, kinds_ui, search_field};
use crate::number::{bytes, count, parameters};
use crate::shared::Shared;
use crate::theme::{self, palette, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::empty::Empty;
use crate::widgets::{button, card};

/// Height of a row.
const ROW: f32 = 60.0;
/// Distance by which SAEs stand behind the model that they read.
const INDENT: f32 = 24.0;
/// Room for badge and button at the end of a row.
const END: f32 = 250.0;

/// State of the part.
#[derive(Default)]
pub(super) struct Catalogue {
    query: String,
    kinds: Kinds,
    only_fitting: bool,
    made_for: Option<MadeFor>,
    rows: Vec<Row>,
}

/// What the rows were worked out for.
#[derive(PartialEq)]
struct MadeFor {
    version: u64,
    query: String,
    kinds: Kinds,
    only_fitting: bool,
}

/// A row: an entry, and whether it stands behind the model that it reads.
#[derive(Clone, Copy)]
struct Row {
    entry: usize,
    indented: bool,
}

/// Whether a model fits the memory that is free, as far as that is known; an SAE always does.
fn fits(entry: &CatalogueEntry, free: Option<u64>) -> bool {
    match (&entry.shape, free) {
        (Some(shape), Some(free)) => shape.best_fit(free).is_some(),
        _ => true,
    }
}

/// Whether every word is a part of what is known about an entry.
fn has_words(entry: &CatalogueEntry, words: &[String]) -> bool {
    let text = format!("{} {} {} {} {}", entry.name, entry.repo.id, entry.licence, entry.note, entry.reads.join(" "));
    let text = text.to_lowercase();
    words.iter().all(|word| text.contains(word))
}

impl Catalogue {
    /// Draws what narrows the list, from the right.
    pub(super) fn filters(&mut self, ui: &mut Ui) {
        ui.checkbox(&mut self.only_fitting, "Fits this machine")
            .on_hover_text("Only models that fit the memory that is free now, in some number format");
        kinds_ui(ui, &mut self.kinds);
        let width = (ui.available_width() - space::S).min(200.0);
        search_field(ui, "Search the catalogue", &mut self.query, width);
    }

    /// Works the rows out anew when anything has changed that they depend on.
    fn update(&mut self, entries: &[CatalogueEntry], free: Option<u64>, version: u64) {
        let made_for =
            MadeFor { version, query: self.query.clone(), kinds: self.kinds, only_fitting: self.only_fitting };
        if self.made_for.as_ref() == Some(&made_for) {
            return;
        }
        let words: Vec<String> = self.query.to_lowercase().split_whitespace().map(str::to_owned).collect();
        let wanted = |entry: &CatalogueEntry| {
            self.kinds.has(entry.kind) && has_words(entry, &words) && (!self.only_fitting || fits(entry, free))
        };
        self.rows = grouped(entries, wanted);
        self.made_for = Some(made_for);
    }

    /// Draws the list in a height of `room`.
    pub(super) fn show(&mut self, ui: &mut Ui, shared: &mut Shared, room: f32) -> Option<Ask> {
        let free = shared.assets.free_memory_bytes;
        let Some(entries) = shared.assets.catalogue() else {
            ui.add_space(space::XXL);
            ui.vertical_centered(|ui| ui.spinner());
            return None;
        };
        self.update(entries, free, shared.assets.version());
        if self.rows.is_empty() {
            self.no_match(ui);
            return None;
        }
        let mut asked = None;
        let mut open = None;
        card::show(ui, |ui| {
            ui.label(theme::note(ui, head_words(free)));
            ui.add_space(space::XS);
            ui.spacing_mut().item_spacing.y = 0.0;
            let height = room - 70.0;
            egui::ScrollArea::vertical().id_salt("catalogue").auto_shrink([false, true]).max_height(height).show_rows(
                ui,
                ROW,
                self.rows.len(),
                |ui, range| {
                    for row in &self.rows[range] {
                        let Some(entry) = entries.get(row.entry) else { continue };
                        let found = shared.assets.installed(&entry.repo, entry.kind, entry.choice.as_deref());
                        match row_ui(ui, shared, entry, *row, found) {
                            Some(Pressed::Open) => open = found.cloned(),
                            Some(Pressed::Show) => asked = found.map(|asset| Ask::Asset(asset.path.clone())),
                            Some(Pressed::Download) => {
                                asked = Some(Ask::Repo(entry.repo.clone(), entry.choice.clone()));
                            }
                            None => {}
                        }
                    }
                },
            );
        });
        if let Some(asset) = open {
            shared.open_asset(&asset);
        }
        asked
    }

    fn no_match(&mut self, ui: &mut Ui) {
        let empty = Empty {
            icon: ICON_TRAVEL_EXPLORE,
            title: "Nothing in the catalogue is like this",
            hint: "Any other model of the hub can be fetched by its name: choose From the hub above.",
        };
        if empty.show(ui, Some(button::secondary("Show all"))) {
            *self = Self::default();
        }
    }
}

/// Models in their order, each followed by the SAEs that read it; then the other SAEs.
fn grouped(entries: &[CatalogueEntry], wanted: impl Fn(&CatalogueEntry) -> bool) -> Vec<Row> {
    let is_model = |entry: &CatalogueEntry| entry.kind == AssetKind::Model;
    // An SAE that reads several models stands behind the first one that it names.
    let host = |sae: &CatalogueEntry| {
        let found = |id: &String| entries.iter().position(|entry| is_model(entry) && entry.repo.id == *id);
        sae.reads.iter().find_map(found)
    };
    let saes: Vec<(usize, Option<usize>)> = (0..entries.len())
        .filter(|index| !is_model(&entries[*index]) && wanted(&entries[*index]))
        .map(|index| (index, host(&entries[index])))
        .collect();
    let mut rows = Vec::new();
    for (index, model) in entries.iter().enumerate().filter(|(_, entry)| is_model(entry)) {
        let is_shown = wanted(model);
        if is_shown {
            rows.push(Row { entry: index, indented: false });
        }
        let behind = saes.iter().filter(|(_, host)| *host == Some(index));
        rows.extend(behind.map(|(sae, _)| Row { entry: *sae, indented: is_shown }));
    }
    rows.extend(saes.iter().filter(|(_, host)| host.is_none()).map(|(sae, _)| Row { entry: *sae, indented: false }));
    rows
}

fn head_words(free: Option<u64>) -> String {
    let memory = free.map_or_else(
        || "The free memory of this machine is not known".to_owned(),
        |free| format!("{} of memory is free now", bytes(free)),
    );
    format!(
        "{memory}. Nothing is downloaded before you have seen the exact files. The list can be extended: put a \
         catalogue.toml into the workspace."
    )
}

enum Pressed {
    Open,
    Show,
    Download,
}

fn row_ui(ui: &mut Ui, shared: &Shared, entry: &CatalogueEntry, row: Row, found: Option<&Asset>) -> Option<Pressed> {
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
    ui.painter().hline(rect.x_range(), rect.top(), Stroke::new(1.0, palette(ui).hairline));
    let left = if row.indented { INDENT } else { 0.0 };
    let text = Rect::from_min_max(rect.min + vec2(left, 9.0), rect.max - vec2(END, 0.0));
    let mut ui_text = ui.new_child(UiBuilder::new().max_rect(text).layout(Layout::top_down(Align::Min)));
    words_ui(&mut ui_text, shared, entry);
    let end = Rect::from_min_max(egui::pos2(rect.right() - END, rect.top()), rect.max - vec2(space::S, 0.0));
    let mut ui_end = ui.new_child(UiBuilder::new().max_rect(end).layout(Layout::right_to_left(Align::Center)));
    end_ui(&mut ui_end, shared, entry, found)
}

/// Name, and the facts in one line below it.
fn words_ui(ui: &mut Ui, shared: &Shared, entry: &CatalogueEntry) {
    ui.spacing_mut().item_spacing.y = 3.0;
    ui.spacing_mut().item_spacing.x = space::S;
    ui.horizontal(|ui| {
        ui.spacing_mut().interact_size.y = 20.0;
        ui.add(Label::new(theme::strong(&entry.name)).truncate()).on_hover_text(&entry.note);
        if entry.kind == AssetKind::Sae {
            badge::show(ui, Tone::Neutral, "SAE");
        }
        if entry.gate != Gate::Open {
            badge::with_icon(ui, Tone::Caution, Some(ICON_LOCK), gate_word(entry.gate));
        }
        if entry.is_own {
            badge::show(ui, Tone::Neutral, "Your list");
        }
    });
    // What decides comes first: the rest is cut off where there is little room.
    let mut facts: Vec<String> = fit_words(entry, shared.assets.free_memory_bytes).into_iter().collect();
    if let Some(shape) = &entry.shape {
        facts.push(format!("{} parameters", parameters(shape.n_params)));
        facts.push(format!("{} blocks of width {}", shape.n_layers, count(shape.d_model as u64)));
    }
    facts.extend(entry.download_bytes.map(|total| format!("{} to download", bytes(total))));
    facts.push(format!("licence {}", entry.licence));
    let hover = format!("{}\n{}\nLicence: {}", entry.repo.id, entry.note, entry.licence);
    ui.add(Label::new(theme::note(ui, facts.join(" \u{00b7} "))).truncate()).on_hover_text(hover);
}

/// Which number format fits this machine; nothing where that is not known.
fn fit_words(entry: &CatalogueEntry, free: Option<u64>) -> Option<String> {
    let (shape, free) = (entry.shape.as_ref()?, free?);
    Some(match shape.best_fit(free) {
        Some(weights) => format!("fits in {}", weights.format),
        None => "does not fit".to_owned(),
    })
}

/// A gate in two or three words.
pub(super) fn gate_word(gate: Gate) -> &'static str {
    match gate {
        Gate::Open => "Open",
        Gate::Automatic => "Accept licence",
        Gate::Manual => "Ask for access",
    }
}

fn end_ui(ui: &mut Ui, shared: &Shared, entry: &CatalogueEntry, found: Option<&Asset>) -> Option<Pressed> {
    let named = |verb: &str| format!("{verb} {}", entry.name);
    // What is only partly there is no reason to think that it can be opened.
    if let Some(asset) = found.filter(|asset| asset.state == AssetState::Ready) {
        let (label, pressed) = match entry.kind {
            AssetKind::Model => ("Open", Pressed::Open),
            AssetKind::Sae => ("Show", Pressed::Show),
        };
        let open_now = shared.is_open(asset).then(|| "It is open.".to_owned());
        let obstacle = open_now.or_else(|| shared.busy().filter(|_| entry.kind == AssetKind::Model));
        let response = button::secondary(label).blocked_by(obstacle).show(ui).accessible_name(named(label));
        badge::with_icon(ui, Tone::Good, Some(ICON_CHECK), "Installed");
        return response.clicked().then_some(pressed);
    }
    let response =
        button::secondary("Download\u{2026}").icon(ICON_DOWNLOAD).show(ui).accessible_name(named("Download"));
    if let Some(asset) = found {
        state_badge(ui, &asset.state);
    } else if !fits(entry, shared.assets.free_memory_bytes) {
        badge::with_icon(ui, Tone::Caution, Some(ICON_WARNING), "Too large");
    }
    response.clicked().then_some(Pressed::Download)
}
