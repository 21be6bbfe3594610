//! The text that was searched by, token by token: a click narrows the table to what fires there.

use egui::{ScrollArea, Ui};

use crate::shared::Shared;
use crate::theme::{self, space};
use crate::widgets::{chip, tokens};

/// Draws the tokens of the last search; `chosen` is the one whose features the table shows.
pub(super) fn show(ui: &mut Ui, shared: &Shared, chosen: &mut Option<usize>) {
    let Some(results) = shared.features.results().filter(|results| !results.tokens.is_empty()) else {
        *chosen = None;
        return;
    };
    if chosen.is_some_and(|token| token >= results.tokens.len()) {
        *chosen = None;
    }
    ScrollArea::vertical().id_salt("tokens of the search").max_height(2.0 * (chip::HEIGHT + 6.0)).show(ui, |ui| {
        chip::row(ui, |ui| {
            chip::lead(ui, "Token by token");
            for (position, fires) in results.tokens.iter().enumerate() {
                let mut on = *chosen == Some(position);
                let name = tokens::visible(&fires.token);
                let response = ui.push_id(position, |ui| chip::toggle(ui, &name, &mut on)).inner;
                if response.clicked() {
                    *chosen = on.then_some(position);
                }
                response.on_hover_ui(|ui| hint(ui, shared, &fires.top));
            }
            if chosen.is_some() && chip::show(ui, "Whole text").clicked() {
                *chosen = None;
            }
        });
    });
    ui.add_space(space::XS);
}

/// The features that fire on a token, strongest first.
fn hint(ui: &mut Ui, shared: &Shared, top: &[(u32, f32)]) {
    if top.is_empty() {
        ui.label("Nothing fires here.");
        return;
    }
    for (latent, value) in top.iter().take(4) {
        let label = shared.features.rows.get(*latent).and_then(|row| row.label.clone()).unwrap_or_default();
        ui.label(format!("#{latent} {label}  {}", crate::number::significant(f64::from(*value))));
    }
    ui.label(theme::note(ui, "Click to see these features in the table."));
}
