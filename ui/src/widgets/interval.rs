//! A share with its interval, as a bar with a tick.

use egui::{Rect, Sense, Stroke, Ui, pos2, vec2};
use tiller_protocol::evaluation::Rate;

use crate::number::percent;
use crate::theme::{self, palette};

/// Width of the bar, points.
const BAR: f32 = 120.0;

/// The rate in words: `21 % (14 to 30 %, 84 of 400)`.
pub(crate) fn in_words(rate: &Rate) -> String {
    format!("{} ({:.0} to {}, {} of {})", percent(rate.rate), rate.low * 100.0, percent(rate.high), rate.hits, rate.n)
}

/// Draws `rate` as figure and bar; `colour` fills the interval.
pub(crate) fn show(ui: &mut Ui, rate: &Rate, colour: egui::Color32) {
    let words = format!("{}\nWilson 95 % interval; the thin line is 50 %.", in_words(rate));
    described(ui, rate, colour, &words);
}

/// As [`show`], with `words` of one's own under the pointer.
pub(crate) fn described(ui: &mut Ui, rate: &Rate, colour: egui::Color32, words: &str) {
    let palette = palette(ui);
    ui.horizontal(|ui| {
        let text = theme::mono(format!("{:>3.0}\u{a0}%", rate.rate * 100.0)).color(palette.text);
        ui.add(egui::Label::new(text).selectable(false).wrap_mode(egui::TextWrapMode::Extend));
        let width = BAR.min(ui.available_width()).max(40.0);
        let (rect, response) = ui.allocate_exact_size(vec2(width, 14.0), Sense::hover());
        let x = |share: f64| rect.left() + rect.width() * share.clamp(0.0, 1.0) as f32;
        let middle = rect.center().y;
        let track = Rect::from_min_max(pos2(rect.left(), middle - 2.0), pos2(rect.right(), middle + 2.0));
        ui.painter().rect_filled(track, 2.0, palette.hairline);
        let chance = Stroke::new(1.0, palette.outline);
        ui.painter().vline(x(0.5), rect.y_range(), chance);
        let whiskers = Rect::from_min_max(pos2(x(rate.low), middle - 4.0), pos2(x(rate.high), middle + 4.0));
        ui.painter().rect_filled(whiskers, 2.0, colour.gamma_multiply(0.45));
        ui.painter().vline(x(rate.rate), middle - 6.0..=middle + 6.0, Stroke::new(2.5, colour));
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, words));
        response.on_hover_text(words);
    });
}
