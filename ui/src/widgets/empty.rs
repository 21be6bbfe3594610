//! Empty pages: one sentence, one hint, one button.

use egui::{Align, Layout, Ui};
use egui_material_icons::MaterialIcon;

use crate::icon;
use crate::theme::{self, palette, space};
use crate::widgets::button::ActionButton;

/// What an empty place says.
pub(crate) struct Empty<'a> {
    /// Sign of the page.
    pub(crate) icon: MaterialIcon,
    /// What the place is for.
    pub(crate) title: &'a str,
    /// What to do.
    pub(crate) hint: &'a str,
}

impl Empty<'_> {
    /// Draws it in the middle of the room left; returns whether the button was pressed.
    pub(crate) fn show(self, ui: &mut Ui, action: Option<ActionButton<'_>>) -> bool {
        let mut clicked = false;
        let top = ((ui.available_height() - 180.0) * 0.4).clamp(space::XL, 220.0);
        ui.with_layout(Layout::top_down(Align::Center), |ui| {
            ui.add_space(top);
            icon::show(ui, self.icon, 36.0, palette(ui).secondary);
            ui.add_space(space::S);
            ui.label(theme::section(self.title));
            ui.scope(|ui| {
                ui.set_max_width(ui.available_width().min(440.0));
                ui.label(theme::secondary(ui, self.hint));
            });
            if let Some(action) = action {
                ui.add_space(space::S);
                clicked = action.show(ui).clicked();
            }
        });
        clicked
    }
}
