//! One row of the table, painted rather than laid out: a million of them must cost as much as a screenful.

use egui::text::{LayoutJob, TextFormat, TextWrapping};
use egui::{Align2, Color32, FontId, Rect, Response, Sense, Stroke, StrokeKind, Ui, pos2, vec2};
use egui_material_icons::icons::{ICON_BOOKMARK, ICON_STICKY_NOTE_2};
use tiller_protocol::feature::{FeatureRow, ScoreKind};

use super::table::placeholder;
use super::table_heads::{Column, Columns};
use crate::icon;
use crate::number::{decimal, signed, significant, small_percent};
use crate::theme::{self, palette, type_size};
use crate::widgets::table;

/// What was done with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was clicked.
    Row,
    /// Its bookmark was set or taken away.
    Bookmark(bool),
}

/// A row about to be shown.
pub(super) struct Row<'a> {
    pub(super) latent: u32,
    /// What is known of it; `None` while it is fetched.
    pub(super) known: Option<&'a FeatureRow>,
    pub(super) score: Option<(ScoreKind, f32)>,
    /// Largest score of the table.
    pub(super) largest: f32,
    pub(super) is_marked: bool,
    /// Its card is in sight.
    pub(super) is_open: bool,
    /// The keys act on it.
    pub(super) has_cursor: bool,
}

impl Row<'_> {
    /// Draws it over the width left.
    pub(super) fn show(&self, ui: &mut Ui, columns: &Columns) -> Option<Taken> {
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), table::ROW));
        // The table has the keyboard, so rows take clicks alone.
        let response = ui.interact(rect, ui.scope_id().with(("feature", self.latent)), Sense::CLICK);
        let (name, marked) = (self.name(), self.is_marked);
        response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, marked, &name));
        self.background(ui, rect, &response);
        let mut taken = response.clicked().then_some(Taken::Row);
        for (column, cell) in columns.cells(rect) {
            match column {
                Column::Bookmark => {
                    if let Some(on) = self.bookmark(ui, rect, cell, &response) {
                        taken = Some(Taken::Bookmark(on));
                    }
                }
                Column::Number => figure(ui, cell, &self.latent.to_string(), palette(ui).text),
                Column::Label => self.label(ui, cell),
                Column::Density => {
                    self.fact(ui, cell, |row| row.density.map(|density| small_percent(f64::from(density))));
                }
                Column::Max => {
                    self.fact(ui, cell, |row| row.max_activation.map(|value| significant(f64::from(value))));
                }
                Column::Score(_) => self.score(ui, cell),
            }
        }
        taken
    }

    /// What accessibility tools read.
    fn name(&self) -> String {
        match self.known.and_then(|row| row.label.as_ref()) {
            Some(label) => format!("Feature {}, {label}", self.latent),
            None => format!("Feature {}", self.latent),
        }
    }

    fn background(&self, ui: &Ui, rect: Rect, response: &Response) {
        let palette = palette(ui);
        let radius = f32::from(theme::RADIUS);
        if self.is_marked {
            ui.painter().rect_filled(rect, radius, palette.accent_soft);
        } else if response.hovered() {
            ui.painter().rect_filled(rect, radius, palette.hover);
        }
        if self.is_open {
            let bar = Rect::from_min_size(rect.min + vec2(0.0, 4.0), vec2(3.0, rect.height() - 8.0));
            ui.painter().rect_filled(bar, 1.5, palette.accent);
        }
        if self.has_cursor {
            let ring = Stroke::new(1.0, palette.accent);
            ui.painter().rect_stroke(rect.shrink(0.5), radius, ring, StrokeKind::Inside);
        }
    }

    /// The sign of a bookmark; without one, its outline under the pointer. Returns what it was changed to.
    fn bookmark(&self, ui: &Ui, row: Rect, cell: Rect, response: &Response) -> Option<bool> {
        let on = self.known?.bookmarked;
        let place = Rect::from_x_y_ranges(row.left()..=cell.right() + 6.0, row.y_range());
        let button = ui.interact(place, ui.scope_id().with(("bookmark", self.latent)), Sense::CLICK);
        let name = format!("Bookmark {}", self.latent);
        button.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, on, &name));
        let palette = palette(ui);
        let colour = match (on, button.hovered(), response.hovered()) {
            (true, _, _) => Some(palette.accent_text),
            (false, true, _) => Some(palette.text),
            (false, false, true) => Some(palette.outline),
            _ => None,
        };
        if let Some(colour) = colour {
            if on {
                let back = Rect::from_center_size(place.center() + vec2(1.0, 0.0), vec2(20.0, 20.0));
                ui.painter().rect_filled(back, 5.0, palette.accent_soft);
            }
            icon::paint(ui, place.translate(vec2(1.0, 0.0)), ICON_BOOKMARK, 15.0, colour);
        }
        button.clicked().then_some(!on)
    }

    fn label(&self, ui: &Ui, cell: Rect) {
        let palette = palette(ui);
        let Some(row) = self.known else {
            // Of uneven length, so that it reads as text to come.
            placeholder(ui, cell, 0.35 + 0.05 * (self.latent % 7) as f32);
            return;
        };
        let mut cell = cell;
        if row.noted {
            let place = Rect::from_center_size(pos2(cell.right() - 7.0, cell.center().y), vec2(14.0, 14.0));
            icon::paint(ui, place, ICON_STICKY_NOTE_2, 14.0, palette.secondary);
            cell.max.x -= 20.0;
        }
        if row.dead {
            let font = FontId::proportional(type_size::SMALL);
            let at = pos2(cell.right(), cell.center().y);
            let text = ui.painter().text(at, Align2::RIGHT_CENTER, "dead", font, palette.warning);
            cell.max.x = text.left() - 6.0;
        }
        match &row.label {
            Some(label) => text(ui, cell, label, if row.dead { palette.secondary } else { palette.text }),
            None => text(ui, cell, "no label", palette.secondary),
        }
    }

    /// A figure of the row; a dash where it is not known.
    fn fact(&self, ui: &Ui, cell: Rect, value: impl Fn(&FeatureRow) -> Option<String>) {
        match self.known.map(value) {
            Some(Some(words)) => figure(ui, cell, &words, palette(ui).text),
            Some(None) => figure(ui, cell, "\u{2013}", palette(ui).secondary),
            None => placeholder(ui, Rect::from_x_y_ranges(cell.right() - 34.0..=cell.right(), cell.y_range()), 1.0),
        }
    }

    /// The score as a figure, with a bar for its share of the best.
    fn score(&self, ui: &Ui, cell: Rect) {
        let Some((kind, value)) = self.score else { return };
        let palette = palette(ui);
        let words = match kind {
            ScoreKind::Cosine => decimal(f64::from(value), 3),
            ScoreKind::LogitEffect | ScoreKind::Difference => signed(f64::from(value), 2),
            ScoreKind::Activation => significant(f64::from(value)),
        };
        figure(ui, cell, &words, palette.text);
        let room = Rect::from_x_y_ranges(cell.left()..=cell.right() - 62.0, cell.y_range());
        if self.largest > 0.0 && room.width() > 12.0 {
            let share = (value.abs() / self.largest).clamp(0.0, 1.0);
            let track = Rect::from_center_size(room.center(), vec2(room.width(), 5.0));
            ui.painter().rect_filled(track, 2.5, palette.hairline);
            let bar = Rect::from_min_size(track.min, vec2(track.width() * share, track.height()));
            let colour = match (kind, value < 0.0) {
                (ScoreKind::Activation, _) => palette.accent,
                (_, false) => palette.toward,
                (_, true) => palette.away,
            };
            ui.painter().rect_filled(bar, 2.5, colour);
        }
    }
}

/// A figure at the right of a cell.
fn figure(ui: &Ui, cell: Rect, words: &str, colour: Color32) {
    let font = FontId::monospace(type_size::SMALL);
    ui.painter().text(pos2(cell.right(), cell.center().y), Align2::RIGHT_CENTER, words, font, colour);
}

/// A text at the left of a cell, cut where it ends.
fn text(ui: &Ui, cell: Rect, words: &str, colour: Color32) {
    let format = TextFormat { font_id: FontId::proportional(type_size::BODY), color: colour, ..TextFormat::default() };
    let mut job = LayoutJob::single_section(words.to_owned(), format);
    job.wrap = TextWrapping::truncate_at_width(cell.width());
    job.break_on_newline = false;
    let galley = ui.fonts_mut(|fonts| fonts.layout_job(job));
    let at = pos2(cell.left(), cell.center().y - galley.size().y * 0.5);
    ui.painter().galley(at, galley, colour);
}
