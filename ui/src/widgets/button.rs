//! Buttons: one primary per page, secondary ones, quiet ones, icon-only ones.

use egui::{Button, Color32, Response, RichText, Stroke, Ui, Vec2, vec2};
use egui_material_icons::MaterialIcon;

use crate::icon;
use crate::theme::{self, size};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    Primary,
    Secondary,
    Quiet,
}

/// A button about to be shown.
#[must_use]
pub(crate) struct ActionButton<'a> {
    label: &'a str,
    weight: Weight,
    icon: Option<MaterialIcon>,
    obstacle: Option<String>,
    hint: Option<String>,
    width: Option<f32>,
}

/// The page's main action.
pub(crate) fn primary(label: &str) -> ActionButton<'_> {
    ActionButton::new(label, Weight::Primary)
}

/// Any other action.
pub(crate) fn secondary(label: &str) -> ActionButton<'_> {
    ActionButton::new(label, Weight::Secondary)
}

/// An action that stays in the background until the pointer is over it.
pub(crate) fn quiet(label: &str) -> ActionButton<'_> {
    ActionButton::new(label, Weight::Quiet)
}

impl<'a> ActionButton<'a> {
    fn new(label: &'a str, weight: Weight) -> Self {
        Self { label, weight, icon: None, obstacle: None, hint: None, width: None }
    }

    /// With an icon in front.
    pub(crate) fn icon(mut self, icon: MaterialIcon) -> Self {
        self.icon = Some(icon);
        self
    }

    /// Not available, and why; `None` leaves it available.
    pub(crate) fn blocked_by(mut self, obstacle: Option<String>) -> Self {
        self.obstacle = obstacle;
        self
    }

    /// Text shown under the pointer.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// At least this wide.
    pub(crate) fn width(mut self, width: f32) -> Self {
        self.width = Some(width);
        self
    }

    /// Draws it.
    pub(crate) fn show(self, ui: &mut Ui) -> Response {
        let palette = theme::palette(ui);
        let enabled = self.obstacle.is_none();
        let response = ui
            .scope(|ui| {
                paint_weight(ui, self.weight);
                let mut label = RichText::new(self.label);
                if self.weight == Weight::Primary {
                    label = label.family(theme::semibold());
                }
                let button = match self.icon {
                    Some(icon) => Button::new((icon::atom(icon, size::ICON), label)),
                    None => Button::new(label),
                };
                let height = if self.weight == Weight::Primary { size::PRIMARY } else { size::CONTROL };
                let quiet = self.weight == Weight::Quiet;
                let button = button
                    .min_size(vec2(self.width.unwrap_or(0.0), height))
                    .frame_when_inactive(!quiet)
                    .wrap_mode(egui::TextWrapMode::Extend);
                ui.add_enabled(enabled, button)
            })
            .inner;
        if response.has_focus() {
            let ring = response.rect.expand(2.0);
            let stroke = Stroke::new(1.5, palette.accent);
            ui.painter().rect_stroke(ring, f32::from(theme::RADIUS) + 2.0, stroke, egui::StrokeKind::Middle);
        }
        let response = match self.hint {
            Some(hint) => response.on_hover_text(hint),
            None => response,
        };
        match self.obstacle {
            Some(obstacle) => response.on_disabled_hover_text(obstacle),
            None => response,
        }
    }
}

fn paint_weight(ui: &mut Ui, weight: Weight) {
    let palette = theme::palette(ui);
    let widgets = &mut ui.visuals_mut().widgets;
    match weight {
        Weight::Secondary => {}
        Weight::Primary => {
            for (part, fill) in [
                (&mut widgets.inactive, palette.primary),
                (&mut widgets.hovered, palette.primary_hover),
                (&mut widgets.active, palette.primary_hover),
            ] {
                part.weak_bg_fill = fill;
                part.bg_stroke = Stroke::new(1.0, fill);
                part.fg_stroke.color = palette.on_primary;
            }
        }
        Weight::Quiet => {
            widgets.inactive.fg_stroke.color = palette.secondary;
            for part in [&mut widgets.hovered, &mut widgets.active] {
                part.weak_bg_fill = palette.hover;
                part.bg_stroke = Stroke::new(1.0, Color32::TRANSPARENT);
                part.fg_stroke.color = palette.text;
            }
        }
    }
}

/// A square button that shows `icon` and is called `name`.
pub(crate) fn icon_only(ui: &mut Ui, icon: MaterialIcon, name: &str) -> Response {
    icon_only_if(ui, icon, name, None)
}

/// As [`icon_only`], not available when there is an `obstacle`.
pub(crate) fn icon_only_if(ui: &mut Ui, icon: MaterialIcon, name: &str, obstacle: Option<&str>) -> Response {
    ui.scope(|ui| {
        paint_weight(ui, Weight::Quiet);
        ui.spacing_mut().button_padding = Vec2::splat(5.0);
        let button = Button::new(icon::atom(icon, size::ICON)).min_size(theme::ICON_BUTTON).frame_when_inactive(false);
        let response = ui.add_enabled(obstacle.is_none(), button).accessible_name(name);
        match obstacle {
            Some(obstacle) => response.on_disabled_hover_text(format!("{name}: {obstacle}")),
            None => response.on_hover_text(name),
        }
    })
    .inner
}
