//! The chosen prompt: text, scores, and what can be done with it.

use egui::{CornerRadius, Frame, Margin, Ui};
use egui_material_icons::icons::{ICON_CONTENT_COPY, ICON_DOWNLOAD, ICON_FORUM};
use tiller_protocol::discovery::Candidate;
use tiller_protocol::persona::Placement;

use super::front_table::rate_bar;
use super::view::{RunView, fluency_words};
use crate::number::{decimal, signed};
use crate::shared::{Handoff, Shared};
use crate::theme::{self, palette, space};
use crate::widgets::{button, card, stat};

/// Draws the card.
pub(super) fn show(ui: &mut Ui, shared: &mut Shared, view: &RunView) {
    card::titled(ui, "Chosen prompt", |ui| {
        let Some(candidate) = &view.selected else {
            ui.label(theme::secondary(ui, "Click a point of the plot or a row of the table."));
            return;
        };
        text(ui, candidate);
        scores(ui, view, candidate);
        ui.add_space(space::XS);
        buttons(ui, shared, view, candidate);
    });
}

fn text(ui: &mut Ui, candidate: &Candidate) {
    Frame::new()
        .fill(palette(ui).background)
        .corner_radius(CornerRadius::same(theme::RADIUS))
        .inner_margin(Margin::same(12))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.label(theme::mono(&candidate.text).size(theme::type_size::BODY));
        });
}

fn scores(ui: &mut Ui, view: &RunView, candidate: &Candidate) {
    line(ui, "Fluency", |ui| {
        ui.label(format!("{}, {} nats per token", fluency_words(candidate.xent), decimal(candidate.xent, 2)));
    });
    line(ui, "Effect", |ui| {
        let text = format!("{} {}, {}", signed(candidate.target, 2), view.effect_unit(), view.effect_words());
        ui.label(text).on_hover_text(view.effect_meaning());
    });
    line(ui, "Persona rate", |ui| {
        if !rate_bar(ui, view, candidate) {
            ui.label(theme::secondary(ui, "not measured yet"));
        }
    });
    if let Some(words) = view.reference_rates() {
        ui.label(theme::note(ui, words));
    }
    line(ui, "Found in", |ui| {
        ui.label(format!("iteration {}", candidate.iteration));
    });
    ui.label(theme::note(ui, format!("Placed as: {}", view.settings.placement.label().to_lowercase())));
}

fn line(ui: &mut Ui, name: &str, value: impl FnOnce(&mut Ui)) {
    stat::row(ui, 20.0, |ui| {
        stat::named(ui, name, 84.0);
        value(ui);
    });
}

fn buttons(ui: &mut Ui, shared: &mut Shared, view: &RunView, candidate: &Candidate) {
    ui.horizontal(|ui| {
        let placed = view.settings.placement != Placement::AssistantPrefill;
        let obstacle = (!placed).then(|| "The chat cannot begin a reply with a prompt; copy it instead.".to_owned());
        if button::primary("Use in chat").icon(ICON_FORUM).blocked_by(obstacle).show(ui).clicked() {
            shared.handoff = Some(Handoff::Prompt {
                text: candidate.text.clone(),
                placement: view.settings.placement,
                persona: view.settings.persona.clone(),
            });
        }
        if button::secondary("Copy").icon(ICON_CONTENT_COPY).show(ui).clicked() {
            ui.ctx().copy_text(candidate.text.clone());
            shared.toasts.good("Prompt copied");
        }
        if button::icon_only(ui, ICON_DOWNLOAD, "Export prompt").clicked() {
            let name = format!("{}-prompt.txt", view.settings.persona);
            shared.export_text("Export prompt", &name, candidate.text.clone());
        }
    });
}
