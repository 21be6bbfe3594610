//! What may be said when an SAE is opened, where its file does not say it.

use egui::{CollapsingHeader, DragValue, Ui};
use tiller_protocol::feature::OpenOptions;

use crate::theme::{self, space};

/// Options that are being set; each counts once its box is ticked.
#[derive(Default)]
pub(super) struct Options {
    unfolded: bool,
    block: (bool, usize),
    k: (bool, usize),
    mean_norm: (bool, f32),
    delete_original: bool,
}

impl Options {
    /// Shows them although nobody has asked.
    pub(super) fn unfold(&mut self) {
        self.unfolded = true;
    }

    /// What was said.
    pub(super) fn chosen(&self) -> OpenOptions {
        OpenOptions {
            block: self.block.0.then_some(self.block.1),
            k: self.k.0.then_some(self.k.1),
            mean_norm: self.mean_norm.0.then_some(self.mean_norm.1),
            delete_original: self.delete_original,
        }
    }

    /// Draws them.
    pub(super) fn show(&mut self, ui: &mut Ui) {
        let hint = "Off: the published files stay. On: they are deleted once converted, where they lie in a storage \
                    folder of Tiller's.";
        ui.checkbox(&mut self.delete_original, "Delete the published files after opening").on_hover_text(hint);
        let open = self.unfolded.then_some(true);
        CollapsingHeader::new("If the file does not say where it belongs\u{2026}")
            .id_salt("sae options")
            .open(open)
            .show_unindented(ui, |ui| {
                let words = "Tick what you know; it goes before what the file says.";
                ui.label(theme::note(ui, words));
                row(ui, "Block whose output it reads, from 0", &mut self.block, |value| {
                    DragValue::new(value).range(0..=511).speed(0.1)
                });
                row(ui, "Features that pass at once (k)", &mut self.k, |value| {
                    DragValue::new(value).range(1..=65_536).speed(0.2)
                });
                row(ui, "Mean length of the activations it was trained on", &mut self.mean_norm, |value| {
                    DragValue::new(value).range(0.001..=100_000.0).speed(0.1)
                });
                ui.add_space(space::XS);
            });
        self.unfolded = false;
    }
}

/// A box to tick and a number called `name`.
fn row<T>(ui: &mut Ui, name: &str, (on, value): &mut (bool, T), number: impl FnOnce(&mut T) -> DragValue<'_>) {
    ui.horizontal(|ui| {
        ui.checkbox(on, name);
        ui.spacing_mut().interact_size.x = 84.0;
        let response = ui.add_enabled(*on, number(value));
        response.accessible_name(format!("{name} (number)"));
    });
}
