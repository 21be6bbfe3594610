//! Badges: one or two words about a thing's state.

use egui::{Color32, CornerRadius, Frame, Margin, RichText, Ui};
use egui_material_icons::MaterialIcon;

use crate::icon;
use crate::theme::{self, palette, type_size};

/// How a state is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// A fact.
    Neutral,
    /// Selected or current.
    Accent,
    /// As it should be.
    Good,
    /// Worth a look.
    Caution,
    /// Broken.
    Bad,
}

/// Text colour and background of a tone.
pub(crate) fn colours(ui: &Ui, tone: Tone) -> (Color32, Color32) {
    let palette = palette(ui);
    match tone {
        Tone::Neutral => (palette.secondary, palette.hover),
        Tone::Accent => (palette.accent_text, palette.accent_soft),
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
pub(crate) fn with_icon(ui: &mut Ui, tone: Tone, icon: Option<MaterialIcon>, text: &str) {
    let (text_colour, fill) = colours(ui, tone);
    Frame::new()
        .fill(fill)
        .corner_radius(CornerRadius::same(theme::RADIUS))
        .inner_margin(Margin::symmetric(7, 2))
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            ui.horizontal(|ui| {
                ui.spacing_mut().interact_size.y = 16.0;
                if let Some(icon) = icon {
                    icon::show(ui, icon, 14.0, text_colour);
                }
                let text = RichText::new(text).size(type_size::SMALL).color(text_colour);
                ui.add(egui::Label::new(text).selectable(false).wrap_mode(egui::TextWrapMode::Extend));
            });
        });
}
