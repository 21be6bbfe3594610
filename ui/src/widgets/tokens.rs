//! Tokens as running text, coloured by how strongly something fires on each.

use std::ops::Range;
use std::sync::Arc;

use egui::text::{CCursor, LayoutJob, TextFormat};
use egui::{Color32, FontId, Galley, Rect, Response, Sense, Stroke, StrokeKind, Ui, Vec2, vec2};

use crate::theme::{self, Palette, palette, type_size};

/// Distance of lines, points.
const LINE: f32 = 21.0;
/// Strongest fill: text on it keeps its contrast.
const STRONGEST: f32 = 0.62;
/// Weakest fill that is told from none.
const WEAKEST: f32 = 0.10;

/// A token by itself, its whitespace as signs: `␣arr`, `↵`.
pub(crate) fn visible(token: &str) -> String {
    let from_words = token.trim_start_matches(' ');
    let words = from_words.trim_end_matches(' ');
    let blanks = |n: usize| std::iter::repeat_n('\u{2423}', n);
    let (before, after) = (token.len() - from_words.len(), from_words.len() - words.len());
    blanks(before).chain(words.chars().map(sign)).chain(blanks(after)).collect()
}

/// A token in running text: blanks between words stay blanks, what is only whitespace becomes signs.
fn running(token: &str) -> String {
    if token.chars().all(char::is_whitespace) { visible(token) } else { token.chars().map(sign).collect() }
}

/// Line ends, tabs and what would not be drawn, as signs.
fn sign(character: char) -> char {
    match character {
        '\n' | '\r' => '\u{21b5}',
        '\t' => '\u{21e5}',
        // Marks that turn the direction of all text after them.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{b7}',
        control if control.is_control() => '\u{b7}',
        other => other,
    }
}

/// Fill behind a token whose value is `share` of the largest; negative ones are blue.
pub(crate) fn fill(palette: &Palette, share: f32) -> Color32 {
    if share == 0.0 || !share.is_finite() {
        return Color32::TRANSPARENT;
    }
    let strength = WEAKEST + (STRONGEST - WEAKEST) * share.abs().min(1.0);
    (if share > 0.0 { palette.toward } else { palette.away }).gamma_multiply(strength)
}

/// Tokens about to be shown.
pub(crate) struct HeatMap<'a> {
    /// The tokens as text.
    pub(crate) tokens: &'a [String],
    /// A value for each; missing ones are 0.
    pub(crate) values: &'a [f32],
    /// Value of the strongest fill.
    pub(crate) largest: f32,
    /// The token that is ringed.
    pub(crate) peak: Option<usize>,
    /// The tokens that are shown; a dot for the others.
    pub(crate) range: Range<usize>,
    /// What accessibility tools read.
    pub(crate) name: &'a str,
}

/// What became of it.
pub(crate) struct Shown {
    /// The whole.
    pub(crate) response: Response,
    /// The token under the pointer.
    pub(crate) hovered: Option<usize>,
}

impl HeatMap<'_> {
    /// Draws them over the width left.
    pub(crate) fn show(&self, ui: &mut Ui, sense: Sense) -> Shown {
        let range = self.range.start.min(self.tokens.len())..self.range.end.min(self.tokens.len());
        let (job, starts) = self.job(ui, &range);
        let galley = ui.fonts_mut(|fonts| fonts.layout_job(job));
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), galley.size().y), sense);
        let name = self.name.to_owned();
        let role = if sense.senses_click() { egui::Role::Button } else { egui::Role::Label };
        response.widget_info(|| egui::WidgetInfo::labeled(role, true, &name));
        let hovered = response.hover_pos().and_then(|pointer| {
            let position = token_at(&galley, &starts, pointer - rect.min)?;
            Some(range.start + position)
        });
        if ui.is_rect_visible(rect) {
            let ringed = self.peak.filter(|peak| range.contains(peak)).map(|peak| (peak, palette(ui).text));
            let hinted = hovered.filter(|token| self.peak != Some(*token)).map(|token| (token, palette(ui).secondary));
            ui.painter().galley(rect.min, Arc::clone(&galley), palette(ui).text);
            for (token, colour) in ringed.into_iter().chain(hinted) {
                let place = place_of(&galley, &starts, token - range.start, &self.tokens[token]);
                let ring = place.translate(rect.min.to_vec2()).expand2(vec2(2.0, -0.5));
                ui.painter().rect_stroke(ring, 3.0, Stroke::new(1.2, colour), StrokeKind::Middle);
            }
        }
        Shown { response, hovered }
    }

    /// The text with its colours, and the character at which each token begins, with the end at last.
    fn job(&self, ui: &Ui, range: &Range<usize>) -> (LayoutJob, Vec<usize>) {
        let palette = palette(ui);
        let plain = TextFormat {
            font_id: FontId::proportional(type_size::BODY),
            color: palette.text,
            line_height: Some(LINE),
            expand_bg: 0.0,
            ..TextFormat::default()
        };
        let faint = TextFormat { color: palette.secondary, ..plain.clone() };
        let mut job = LayoutJob { break_on_newline: false, ..LayoutJob::default() };
        job.wrap.max_width = ui.available_width();
        let mut n_chars = 0;
        if range.start > 0 {
            job.append("\u{2026}", 0.0, faint.clone());
            n_chars += 1;
        }
        let mut starts = Vec::with_capacity(range.len() + 1);
        for position in range.clone() {
            let text = running(&self.tokens[position]);
            let value = self.values.get(position).copied().unwrap_or(0.0);
            let share = if self.largest > 0.0 { value / self.largest } else { 0.0 };
            let is_blank = self.tokens[position].chars().all(char::is_whitespace);
            let format = if is_blank { &faint } else { &plain };
            starts.push(n_chars);
            n_chars += text.chars().count();
            job.append(&text, 0.0, TextFormat { background: fill(palette, share), ..format.clone() });
        }
        starts.push(n_chars);
        if range.end < self.tokens.len() {
            job.append("\u{2026}", 0.0, faint);
        }
        (job, starts)
    }
}

/// The token that has the place `at` of the galley.
fn token_at(galley: &Galley, starts: &[usize], at: Vec2) -> Option<usize> {
    let cursor = galley.cursor_from_pos(at);
    let edge = galley.pos_from_cursor(cursor).left();
    // The cursor stands between two characters: the pointer is over the one on its own side.
    let character = if at.x < edge { cursor.index.0.checked_sub(1)? } else { cursor.index.0 };
    let after = starts.partition_point(|start| *start <= character);
    let token = after.checked_sub(1)?;
    (token + 1 < starts.len()).then_some(token)
}

/// Where a token stands in the galley, without the blank before it; the first line of it when it is broken.
fn place_of(galley: &Galley, starts: &[usize], token: usize, text: &str) -> Rect {
    let blanks = text.chars().take_while(|character| *character == ' ').count();
    let (start, end) = (starts[token], starts[token + 1]);
    let start = if start + blanks < end { start + blanks } else { start };
    let from = galley.pos_from_cursor(CCursor { index: start.into(), prefer_next_row: true });
    let to = galley.pos_from_cursor(CCursor { index: end.into(), prefer_next_row: false });
    if (from.top() - to.top()).abs() < 1.0 {
        return from.union(to);
    }
    let row = galley.rows.iter().find(|row| (row.rect().top() - from.top()).abs() < 1.0);
    row.map_or(from, |row| Rect::from_min_max(from.min, row.rect().max))
}

/// A scale from no activation to the largest.
pub(crate) fn scale(ui: &mut Ui, largest: &str) {
    const WIDTH: f32 = 72.0;
    let palette = palette(ui);
    crate::widgets::stat::row(ui, 16.0, |ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        ui.label(theme::note(ui, "0"));
        let (rect, _) = ui.allocate_exact_size(vec2(WIDTH, 8.0), Sense::hover());
        let steps = 12;
        for step in 0..steps {
            let left = rect.left() + rect.width() * step as f32 / steps as f32;
            let part =
                Rect::from_min_size(egui::pos2(left, rect.top()), vec2(rect.width() / steps as f32, rect.height()));
            ui.painter().rect_filled(part, 0.0, fill(palette, (step + 1) as f32 / steps as f32));
        }
        ui.label(theme::note(ui, largest));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitespace_is_seen() {
        assert_eq!(visible(" arr"), "\u{2423}arr");
        assert_eq!(visible("  "), "\u{2423}\u{2423}");
        assert_eq!(visible("a b "), "a b\u{2423}");
        assert_eq!(visible("\n"), "\u{21b5}");
        assert_eq!(running(" arr\n"), " arr\u{21b5}");
        assert_eq!(running(" "), "\u{2423}");
        assert_eq!(running("\u{202e}x"), "\u{b7}x");
    }
}
