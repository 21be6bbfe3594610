//! The table of features. Whatever there are, only the rows in sight are drawn, fetched or thought of.

use std::ops::Range;
use std::sync::Arc;

use egui::{Rect, ScrollArea, Sense, Stroke, StrokeKind, Ui, pos2, vec2};
use tiller_protocol::feature::{FeatureQuery, FeatureSearch, ScoreKind};
use tiller_protocol::message::Command;

use super::keys;
use super::table_heads::{self, Columns};
use super::table_row::{Row, Taken};
use crate::page::Page;
use crate::shared::Shared;
use crate::theme::{self, palette, space};
use crate::widgets::empty::Empty;
use crate::widgets::{button, table};

/// Scores in the order of the table.
type Scores = (ScoreKind, Arc<Vec<f32>>);

/// State of the table.
#[derive(Default)]
pub(super) struct Table {
    /// Token of the searched text whose features are shown alone.
    pub(super) token: Option<usize>,
    /// The table is to take the keyboard.
    pub(super) focus: bool,
    /// Position that is to be in sight.
    scroll_to: Option<usize>,
    /// Rows above the window, and rows in it, in the frame before.
    offset: f32,
    view: f32,
    /// The search whose answer was drawn last.
    drawn: Option<FeatureSearch>,
    /// What one token's table was made from, and that table.
    token_view: Option<(u64, usize, Arc<Vec<u32>>, Scores)>,
}

/// What is asked of the rest of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Show all features again.
    Everything,
    /// Write labels by hand, import them, or search without.
    Import,
}

impl Table {
    /// Draws the table over the room left.
    pub(super) fn show(&mut self, ui: &mut Ui, shared: &mut Shared) -> Option<Ask> {
        let Some(results) = shared.features.results().cloned() else {
            if shared.features.awaited.is_some() {
                ui.add_space(space::XXL);
                ui.vertical_centered(|ui| ui.spinner());
            }
            return None;
        };
        if self.drawn.as_ref() != Some(&results.search) {
            self.drawn = Some(results.search.clone());
            self.scroll_to = Some(0);
            self.token = None;
        }
        if results.order.is_empty() {
            return nothing(ui, shared);
        }
        let (order, scores) = match self.token_view(shared) {
            Some((order, scores)) => (order, Some(scores)),
            None => (Arc::clone(&results.order), results.scores.clone()),
        };
        let columns = Columns::new(ui.available_width(), scores.as_ref().map(|scores| scores.0));
        table_heads::show(ui, shared, &columns);
        self.body(ui, shared, &columns, &order, scores.as_ref());
        None
    }

    /// The features of the chosen token, made once.
    fn token_view(&mut self, shared: &Shared) -> Option<(Arc<Vec<u32>>, Scores)> {
        let token = self.token?;
        let answer = shared.features.answers();
        if self.token_view.as_ref().is_none_or(|view| (view.0, view.1) != (answer, token)) {
            let fires = shared.features.results()?.tokens.get(token)?;
            let (order, values): (Vec<u32>, Vec<f32>) = fires.top.iter().copied().unzip();
            self.token_view = Some((answer, token, Arc::new(order), (ScoreKind::Activation, Arc::new(values))));
            self.scroll_to = Some(0);
        }
        self.token_view.as_ref().map(|view| (Arc::clone(&view.2), view.3.clone()))
    }

    fn body(
        &mut self,
        ui: &mut Ui,
        shared: &mut Shared,
        columns: &Columns,
        order: &Arc<Vec<u32>>,
        scores: Option<&Scores>,
    ) {
        let room = ui.available_rect_before_wrap();
        // The table as a whole has the keyboard, not each of a million rows.
        let surface = ui.interact(room, ui.scope_id().with("features"), Sense::focusable_noninteractive());
        let name = format!("Features: {}", crate::number::plural(order.len(), "row"));
        surface.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Table, true, &name));
        if std::mem::take(&mut self.focus) {
            surface.request_focus();
            if shared.features.selection.cursor.is_none() {
                shared.features.selection.only(order, 0);
            }
        }
        if let Some(position) = keys::table(ui, shared, &surface, order, self.view as usize) {
            self.bring_into_sight(position);
        }
        ui.spacing_mut().item_spacing.y = 0.0;
        let mut area = ScrollArea::vertical().id_salt("features").auto_shrink([false, false]);
        if let Some(position) = self.scroll_to.take() {
            area = area.vertical_scroll_offset(position as f32 * table::ROW);
        }
        let largest = scores.map_or(0.0, |(_, values)| values.first().copied().unwrap_or(0.0).abs());
        let mut taken = None;
        let mut in_sight = 0..0;
        let shown = area.show_rows(ui, table::ROW, order.len(), |ui, range| {
            in_sight = range.clone();
            for position in range {
                let Some(latent) = order.get(position).copied() else { continue };
                let row = Row {
                    latent,
                    known: shared.features.rows.get(latent),
                    score: scores.and_then(|(kind, values)| Some((*kind, *values.get(position)?))),
                    largest,
                    is_marked: shared.features.selection.has(latent),
                    is_open: shared.features.open.as_ref().is_some_and(|open| open.latent == latent),
                    has_cursor: surface.has_focus() && shared.features.selection.cursor == Some(position),
                };
                if let Some(act) = row.show(ui, columns) {
                    taken = Some((position, act));
                }
            }
        });
        self.offset = shown.state.clamped_offset().y / table::ROW;
        self.view = shown.inner_rect.height() / table::ROW;
        if surface.has_focus() {
            let ring = Stroke::new(1.5, palette(ui).accent);
            ui.painter().rect_stroke(room, f32::from(theme::RADIUS), ring, StrokeKind::Inside);
        }
        fetch(ui, shared, order, in_sight);
        if let Some((position, act)) = taken {
            act_on(ui, shared, order, position, act);
            surface.request_focus();
        }
    }

    /// Scrolls no further than needed to have the row at `position` in sight.
    fn bring_into_sight(&mut self, position: usize) {
        let at = position as f32;
        if at < self.offset {
            self.scroll_to = Some(position);
        } else if at + 1.0 > self.offset + self.view {
            self.scroll_to = Some((position + 1).saturating_sub(self.view.floor().max(1.0) as usize));
        }
    }
}

/// What a click on a row does.
fn act_on(ui: &Ui, shared: &mut Shared, order: &[u32], position: usize, act: Taken) {
    let Some(latent) = order.get(position).copied() else { return };
    let modifiers = ui.input(|input| input.modifiers);
    let selection = &mut shared.features.selection;
    match act {
        Taken::Bookmark(on) => shared.bookmark(vec![latent], on),
        Taken::Row if modifiers.shift => selection.extend(order, position),
        Taken::Row if modifiers.command => selection.toggle(order, position),
        Taken::Row => {
            selection.only(order, position);
            shared.open_latent(latent);
        }
    }
}

/// Asks for the rows in sight, and for as many above and below, that are not known.
fn fetch(ui: &Ui, shared: &mut Shared, order: &[u32], in_sight: Range<usize>) {
    let Some(sae) = shared.features.current().map(|info| info.id.clone()) else { return };
    let margin = in_sight.len();
    let near = in_sight.start.saturating_sub(margin)..(in_sight.end + margin).min(order.len());
    let now = ui.input(|input| input.time);
    let latents = shared.features.rows.wanted(order[near].iter().copied(), now);
    if !latents.is_empty() {
        shared.send(Command::FeatureRows { sae, latents });
    }
}

/// Why the table is empty, and what to do.
fn nothing(ui: &mut Ui, shared: &Shared) -> Option<Ask> {
    let search = &shared.features.search;
    let has_labels = shared.features.current().is_some_and(|sae| sae.n_labelled > 0);
    if matches!(search.query, FeatureQuery::Label(_)) && !has_labels {
        let empty = Empty {
            icon: Page::Features.icon(),
            title: "This SAE has no labels yet",
            hint: "Search by a text or by the contrast of texts, which needs none. Labels can be imported, written by \
                   the loaded model, or by yourself.",
        };
        return empty.show(ui, Some(button::secondary("Import labels\u{2026}"))).then_some(Ask::Import);
    }
    let (title, hint) = if search.filter == tiller_protocol::feature::FeatureFilter::default() {
        ("No feature was found", "Try other words, or another way to search.")
    } else {
        ("No feature passes the filters", "Take filters away, or try other words.")
    };
    let empty = Empty { icon: Page::Features.icon(), title, hint };
    empty.show(ui, Some(button::secondary("Show all features"))).then_some(Ask::Everything)
}

/// A bar in place of a text that is not known yet.
pub(super) fn placeholder(ui: &Ui, cell: Rect, share: f32) {
    let bar = Rect::from_min_size(pos2(cell.left(), cell.center().y - 4.0), vec2((cell.width() * share).max(8.0), 8.0));
    ui.painter().rect_filled(bar, 4.0, palette(ui).hairline);
}
