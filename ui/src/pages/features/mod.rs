//! Features: choose an SAE, find a feature, understand it, use it.
//!
//! Above: which SAE, and what is searched for. Below: the table at the left, the card of the open feature at the right.

mod card;
mod card_head;
mod card_note;
mod effects;
mod examples;
mod filters;
mod fit;
mod histogram;
mod import;
mod keys;
mod labels;
mod open_options;
mod probe;
mod removal;
mod results_bar;
mod sae_bar;
mod sae_list;
mod scan;
mod scan_corpus;
mod search;
mod search_fields;
mod sheets;
mod similar;
mod strip;
mod table;
mod table_heads;
mod table_row;
mod train;
mod train_form;
mod train_plots;

use std::path::Path;

use egui::Ui;
use egui_material_icons::icons::{ICON_DOWNLOAD, ICON_MANAGE_SEARCH, ICON_MODEL_TRAINING};
use tiller_protocol::feature::{FeatureFilter, SaeId};
use tiller_protocol::message::Command;

use crate::page::Page;
use crate::pages::scaffold;
use crate::shared::Shared;
use crate::theme::{palette, space};
use crate::widgets::button;

/// Least and first width of the card, points.
const CARD: (f32, f32) = (320.0, 440.0);
/// Least width of the table, points.
const TABLE: f32 = 380.0;

/// A form over the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sheet {
    /// Labels, statistics or examples from files.
    Import,
    /// Run the model over texts.
    Scan,
    /// Train an SAE.
    Train,
}

/// The page's state.
#[derive(Default)]
pub(crate) struct FeaturesPage {
    /// It was in sight in the frame before.
    seen: bool,
    /// The list of SAEs is in sight although one is open.
    choosing: bool,
    list: sae_list::SaeList,
    /// The SAE that is to be removed, once that is confirmed.
    removing: Option<SaeId>,
    search: search::SearchBar,
    table: table::Table,
    card: card::Card,
    /// The form that is open.
    sheet: Option<Sheet>,
    sheets: sheets::Sheets,
}

impl FeaturesPage {
    /// Another page is in sight.
    pub(crate) fn leave(&mut self, shared: &mut Shared) {
        if self.seen {
            self.card.leave(shared);
        }
        self.seen = false;
    }

    /// An SAE was opened: its features are to be seen.
    pub(crate) fn opened(&mut self) {
        self.choosing = false;
        self.list.clear();
    }

    /// Shows the list of SAEs.
    pub(crate) fn choose_sae(&mut self) {
        self.choosing = true;
    }

    /// Takes the file or folder of an SAE that was dropped on the window.
    pub(crate) fn choose(&mut self, path: &Path) {
        if self.sheet == Some(Sheet::Import) {
            self.sheets.import(path);
            return;
        }
        self.choosing = true;
        self.list.choose(path);
    }

    /// Puts the cursor into the search field.
    pub(crate) fn focus_search(&mut self) {
        self.choosing = false;
        self.search.focus = true;
    }

    /// Asks anew for what may have changed while another page was in sight.
    fn arrive(&mut self, shared: &mut Shared) {
        if !self.seen {
            self.seen = true;
            shared.send(Command::ListSaes);
            shared.send(Command::ListAssets);
        }
        if shared.features.current().is_none() && !self.choosing {
            shared.show_some_sae();
        }
        shared.try_new_sae();
    }

    /// Draws the page.
    pub(crate) fn show(&mut self, ui: &mut Ui, shared: &mut Shared) {
        self.arrive(shared);
        if self.choosing || shared.features.current().is_none() {
            scaffold::scrolling(ui, |ui| {
                self.head(ui, shared);
                self.list.show(ui, shared, &mut self.choosing);
            });
        } else {
            scaffold::fixed(ui, |ui| {
                self.head(ui, shared);
                self.above(ui, shared);
                self.panes(ui, shared);
            });
            if keys::page(ui, shared) == Some(keys::Pressed::Search) {
                self.search.focus = true;
            }
        }
        removal::show(ui.ctx(), shared, &mut self.removing);
        self.sheets.show(ui, shared, &mut self.sheet);
    }

    fn head(&mut self, ui: &mut Ui, shared: &mut Shared) {
        scaffold::head(ui, shared, Page::Features, |ui, shared| {
            if button::secondary("Train an SAE\u{2026}").icon(ICON_MODEL_TRAINING).show(ui).clicked() {
                self.sheet = Some(Sheet::Train);
            }
            if shared.features.current().is_none() || self.choosing {
                return;
            }
            if button::secondary("Scan texts\u{2026}").icon(ICON_MANAGE_SEARCH).show(ui).clicked() {
                self.sheet = Some(Sheet::Scan);
            }
            if button::secondary("Import\u{2026}").icon(ICON_DOWNLOAD).show(ui).clicked() {
                self.sheet = Some(Sheet::Import);
            }
        });
        sheets::failures(ui, shared, &mut self.sheet);
    }

    /// Which SAE, what is searched for, and what was found.
    fn above(&mut self, ui: &mut Ui, shared: &mut Shared) {
        ui.spacing_mut().item_spacing.y = 6.0;
        match sae_bar::show(ui, shared) {
            Some(sae_bar::Pressed::Another) => self.choosing = true,
            Some(sae_bar::Pressed::Remove(id)) => self.removing = Some(id),
            None => {}
        }
        if let Some(latent) = shared.features.similar_to.take() {
            self.search.similar_to(latent);
        }
        if self.search.show(ui, shared) == search::Typed::Enter {
            self.table.focus = true;
        }
        strip::show(ui, shared, &mut self.table.token);
        results_bar::show(ui, shared, self.table.token);
    }

    /// The table at the left, the card at the right.
    fn panes(&mut self, ui: &mut Ui, shared: &mut Shared) {
        let room = ui.available_width();
        let fill = palette(ui).background;
        let most = (room - TABLE - space::L).max(CARD.0);
        egui::Panel::right("feature card")
            .default_size(CARD.1.min(most))
            .size_range(CARD.0..=most)
            .show_separator_line(false)
            .frame(egui::Frame::new().fill(fill).inner_margin(egui::Margin { left: 12, ..egui::Margin::ZERO }))
            .show(ui, |ui| {
                if let Some(sheet) = self.card.show(ui, shared) {
                    self.sheet = Some(sheet);
                }
            });
        egui::CentralPanel::default().frame(egui::Frame::new().fill(fill)).show(ui, |ui| {
            match self.table.show(ui, shared) {
                Some(table::Ask::Import) => self.sheet = Some(Sheet::Import),
                Some(table::Ask::Everything) => {
                    self.search.clear();
                    filters::change(shared, |search| search.filter = FeatureFilter::default());
                }
                None => {}
            }
        });
    }
}
