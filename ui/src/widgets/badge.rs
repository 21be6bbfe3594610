//! Badges: one or two words about a thing's state.

use egui::{Align2, Color32, FontId, Sense, Ui, vec2};
use egui_material_icons::MaterialIcon;

use crate::icon;
use crate::theme::{self, palette, type_size};

/// Height of a badge.
const HEIGHT: f32 = 20.0;
/// Room at either end.
const PADDING: f32 = 7.0;
/// Icon in a badge, and the gap after it.
const SIGN: (f32, f32) = (13.0, 4.0);

/// How a state is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// A fact.
    Neutral,
    /// As it should be.
    Good,
    /// Worth a look.
    Caution,
    /// Broken.
    Bad,
}

/// Text colour and background of a tone.
fn colours(ui: &Ui, tone: Tone) -> (Color32, Color32) {
    let palette = palette(ui);
    match tone {
        Tone::Neutral => (palette.secondary, palette.hover),
        Tone::Good => (palette.success, palette.success_soft),
        Tone::Caution => (palette.warning, palette.warning_soft),
        Tone::Bad => (palette.error, palette.error_soft),
    }
}

/// A badge with `text`.
pub(crate) fn show(ui: &mut Ui, tone: Tone, text: &str) {
    with_icon(ui, tone, None, text);
}

/// A badge with an icon and `text`.
pub(crate) fn with_icon(ui: &mut Ui, tone: Tone, sign: Option<MaterialIcon>, text: &str) {
    let (ink, fill) = colours(ui, tone);
    let galley = ui.painter().layout_no_wrap(text.to_owned(), FontId::proportional(type_size::SMALL), ink);
    let lead = if sign.is_some() { SIGN.0 + SIGN.1 } else { 0.0 };
    let (rect, response) = ui.allocate_exact_size(vec2(galley.size().x + lead + 2.0 * PADDING, HEIGHT), Sense::hover());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, text));
    ui.painter().rect_filled(rect, f32::from(theme::RADIUS) - 1.0, fill);
    if let Some(sign) = sign {
        let at = egui::pos2(rect.left() + PADDING + SIGN.0 * 0.5, rect.center().y);
        let sign_rect = egui::Rect::from_center_size(at, egui::Vec2::splat(SIGN.0));
        icon::paint(ui, sign_rect, sign, SIGN.0, ink);
    }
    let at = egui::pos2(rect.left() + PADDING + lead, rect.center().y);
    let at = Align2::LEFT_CENTER.anchor_size(at, galley.size()).min;
    ui.painter().galley(at, galley, ink);
}
