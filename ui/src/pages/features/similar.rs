//! Features that write nearly the same.

use egui::{Label, Ui};

use crate::theme::{self, palette, size, space};
use crate::widgets::{card, meter, stat};

/// Width of a number and of a similarity.
const COLUMNS: (f32, f32) = (64.0, 92.0);

/// Draws the list; the feature that was chosen.
pub(super) fn show(ui: &mut Ui, similar: &[(u32, f32, Option<String>)]) -> Option<u32> {
    let mut chosen = None;
    ui.spacing_mut().item_spacing.y = 2.0;
    for (latent, cosine, label) in similar {
        let words = label.as_deref().unwrap_or("no label");
        let name = format!("Show feature {latent}, {words}, cosine {cosine:.2}");
        let row = card::clickable(ui, &name, false, egui::Margin::symmetric(8, 1), |ui| {
            stat::row(ui, size::CONTROL - 6.0, |ui| {
                ui.spacing_mut().item_spacing.x = space::S;
                let (number, figure) = COLUMNS;
                ui.allocate_ui(egui::vec2(number, 20.0), |ui| {
                    ui.set_width(number);
                    ui.label(theme::mono(format!("#{latent}")).color(palette(ui).secondary));
                });
                let width = (ui.available_width() - figure - space::S).max(40.0);
                ui.allocate_ui(egui::vec2(width, 20.0), |ui| {
                    ui.set_width(width);
                    let text = match label {
                        Some(label) => egui::RichText::new(label),
                        None => theme::secondary(ui, "No label"),
                    };
                    ui.add(Label::new(text).truncate());
                });
                meter::show(ui, f64::from(*cosine), palette(ui).accent);
            });
        });
        if row.clicked() {
            chosen = Some(*latent);
        }
    }
    chosen
}
