//! Columns of the table and their heads, which sort it.

use egui::{Align2, FontId, Rect, Sense, Ui, pos2, vec2};
use egui_material_icons::icons::{ICON_ARROW_DOWNWARD, ICON_ARROW_UPWARD};
use tiller_protocol::feature::{FeatureSort, ScoreKind};

use super::filters;
use crate::icon;
use crate::shared::Shared;
use crate::theme::{palette, space, type_size};

/// Height of the heads.
const HEIGHT: f32 = 26.0;
/// Least width of the labels; other columns make room for them.
const LABEL: f32 = 150.0;

/// What a column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// Whether it is bookmarked.
    Bookmark,
    /// Its number.
    Number,
    /// Its label.
    Label,
    /// Share of tokens on which it is active.
    Density,
    /// Largest activation.
    Max,
    /// Score of the search.
    Score(ScoreKind),
}

/// The columns with their widths.
pub(super) struct Columns(Vec<(Column, f32)>);

impl Columns {
    /// For a table of `room` points.
    pub(super) fn new(room: f32, score: Option<ScoreKind>) -> Self {
        let mut columns = vec![(Column::Bookmark, 30.0), (Column::Number, 68.0), (Column::Label, 0.0)];
        columns.extend([(Column::Density, 78.0), (Column::Max, 78.0)]);
        columns.extend(score.map(|kind| (Column::Score(kind), 132.0)));
        let left = |columns: &[(Column, f32)]| room - space::M - columns.iter().map(|(_, width)| width).sum::<f32>();
        for unneeded in [Column::Max, Column::Density] {
            if left(&columns) < LABEL {
                columns.retain(|(column, _)| *column != unneeded);
            }
        }
        let label = left(&columns).max(80.0);
        columns.iter_mut().filter(|(column, _)| *column == Column::Label).for_each(|(_, width)| *width = label);
        Self(columns)
    }

    /// Each column with its part of a row, a gap at its right left out.
    pub(super) fn cells(&self, row: Rect) -> impl Iterator<Item = (Column, Rect)> {
        let mut left = row.left();
        self.0.iter().map(move |(column, width)| {
            let cell = Rect::from_x_y_ranges(left..=left + width - space::M, row.y_range());
            left += width;
            (*column, cell)
        })
    }
}

/// Name, sort, whether it is sorted from large to small at first, and meaning of a column.
fn about(column: Column) -> Option<(&'static str, FeatureSort, bool, &'static str)> {
    Some(match column {
        Column::Bookmark => return None,
        Column::Number => ("Number", FeatureSort::Number, false, "Number of the feature in its SAE, from 0"),
        Column::Label => ("Label", FeatureSort::Label, false, "What people or models say it stands for"),
        Column::Density => ("Density", FeatureSort::Density, true, "Share of tokens on which it is active"),
        Column::Max => ("Max", FeatureSort::MaxActivation, true, "Largest activation seen, residual units"),
        Column::Score(kind) => (kind.label(), FeatureSort::Rank, false, "How well it matches the search; best first"),
    })
}

/// Draws the heads; a click sorts.
pub(super) fn show(ui: &mut Ui, shared: &mut Shared, columns: &Columns) {
    let (row, _) = ui.allocate_exact_size(vec2(ui.available_width(), HEIGHT), Sense::hover());
    let (sort, reversed) = (shared.features.search.sort, shared.features.search.reversed);
    let mut chosen = None;
    for (column, cell) in columns.cells(row) {
        let Some((name, by, large_first, meaning)) = about(column) else { continue };
        let is_on = sort == by;
        let response = ui.interact(cell, ui.scope_id().with(("head", name)), Sense::click());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, format!("Sort by {name}")));
        let palette = palette(ui);
        let colour = if is_on || response.hovered() || response.has_focus() { palette.text } else { palette.secondary };
        let font = FontId::proportional(type_size::SMALL);
        let at_right = column != Column::Label;
        let (anchor, x) =
            if at_right { (Align2::RIGHT_CENTER, cell.right()) } else { (Align2::LEFT_CENTER, cell.left()) };
        let text = ui.painter().text(pos2(x, cell.center().y), anchor, name, font, colour);
        if is_on && (by != FeatureSort::Rank || reversed) {
            let sign = if reversed { ICON_ARROW_DOWNWARD } else { ICON_ARROW_UPWARD };
            let x = if at_right { text.left() - 9.0 } else { text.right() + 9.0 };
            let place = Rect::from_center_size(pos2(x, cell.center().y), vec2(12.0, 12.0));
            icon::paint(ui, place, sign, 13.0, palette.accent_text);
        }
        if response.has_focus() {
            ui.painter().hline(text.x_range(), text.bottom() + 2.0, egui::Stroke::new(1.5, palette.accent));
        }
        if response.clicked() {
            chosen = Some(next((sort, reversed), by, large_first));
        }
        response.on_hover_cursor(egui::CursorIcon::PointingHand).on_hover_text(meaning);
    }
    let line = egui::Stroke::new(1.0, palette(ui).hairline);
    ui.painter().hline(row.x_range(), row.bottom(), line);
    if let Some((by, reversed)) = chosen {
        filters::change(shared, |search| (search.sort, search.reversed) = (by, reversed));
    }
}

/// The first click sorts, the second turns it round, the third goes back to the search's own order.
fn next(now: (FeatureSort, bool), by: FeatureSort, large_first: bool) -> (FeatureSort, bool) {
    if now.0 != by {
        (by, large_first)
    } else if now.1 == large_first {
        (by, !large_first)
    } else {
        (FeatureSort::Rank, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_clicks_go_round() {
        let first = next((FeatureSort::Rank, false), FeatureSort::Density, true);
        let second = next(first, FeatureSort::Density, true);
        assert_eq!([first, second], [(FeatureSort::Density, true), (FeatureSort::Density, false)]);
        assert_eq!(next(second, FeatureSort::Density, true), (FeatureSort::Rank, false));
    }

    #[test]
    fn a_narrow_table_keeps_its_labels() {
        let row = |width| Rect::from_min_size(pos2(0.0, 0.0), vec2(width, 28.0));
        for width in [380.0, 420.0, 560.0, 900.0] {
            let columns = Columns::new(width, Some(ScoreKind::Cosine));
            let label = columns.cells(row(width)).find(|(column, _)| *column == Column::Label).unwrap().1;
            assert!(label.width() >= 110.0, "{width}: {}", label.width());
            assert!(columns.cells(row(width)).all(|(_, cell)| cell.right() <= width), "{width}");
        }
    }
}
