//! The chosen persona: what it is, its vector, its pairs.

use egui::{Align, Layout, Ui};
use egui_material_icons::icons::{ICON_DELETE, ICON_DOWNLOAD, ICON_FORUM, ICON_SCATTER_PLOT, ICON_TARGET};
use tiller_protocol::model::ModelSource;
use tiller_protocol::persona::PersonaSummary;
use tiller_protocol::steering::VectorInfo;

use super::{diagnostics, pairs, poles};
use crate::jobs::Purpose;
use crate::shared::{Handoff, Shared};
use crate::theme::{self, palette, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::{button, card, problem, progress};

/// Draws the persona.
pub(super) fn show(ui: &mut Ui, shared: &mut Shared, persona: &PersonaSummary, browser: &mut pairs::PairBrowser) {
    about(ui, shared, persona);
    ui.add_space(space::S);
    let own = |purpose: &Purpose| matches!(purpose, Purpose::Extract(id) if *id == persona.card.id);
    if let Some((purpose, failure)) = shared.problem(own).cloned() {
        let retry = shared.needs_model().is_none().then_some("Try again");
        match problem::show(ui, &failure, retry) {
            Some(problem::Answer::Act) => shared.extract(&persona.card.id),
            Some(problem::Answer::Dismiss) => shared.clear_problem(&purpose),
            None => {}
        }
        ui.add_space(space::S);
    }
    if let Some(job) = shared.job.clone().filter(|job| own(&job.purpose)) {
        card::show(ui, |ui| {
            if progress::row(ui, &job) {
                shared.stop();
            }
        });
        ui.add_space(space::S);
    }
    if let Some(vector) = shared.vector_of(&persona.card.id).cloned() {
        vector_card(ui, shared, persona, &vector);
        ui.add_space(space::S);
    }
    pairs::show(ui, persona, browser);
}

fn about(ui: &mut Ui, shared: &mut Shared, persona: &PersonaSummary) {
    card::show(ui, |ui| {
        ui.horizontal_top(|ui| {
            ui.vertical(|ui| {
                ui.set_width((ui.available_width() - 190.0).max(240.0));
                ui.label(theme::figure(&persona.card.name));
                ui.label(&persona.card.summary);
                poles(ui, &persona.card.negative, &persona.card.positive);
                let facts = format!(
                    "{} pairs \u{00b7} {} contexts for the search \u{00b7} {} selection and {} held-out questions",
                    persona.n_pairs, persona.n_contexts, persona.n_select, persona.n_report
                );
                ui.label(theme::note(ui, facts));
            });
            ui.with_layout(Layout::top_down(Align::Max), |ui| extract_button(ui, shared, persona));
        });
        if shared.model.is_none() {
            ui.add_space(space::XS);
            let fill = palette(ui).accent_soft;
            card::callout(ui, fill, |ui| {
                ui.horizontal(|ui| {
                    ui.label("A vector is measured inside a model. Open one first.");
                    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                        let open = button::secondary("Open the demo model").blocked_by(shared.busy());
                        if open.show(ui).clicked() {
                            shared.load(ModelSource::Demo);
                        }
                    });
                });
            });
        }
    });
}

fn extract_button(ui: &mut Ui, shared: &mut Shared, persona: &PersonaSummary) {
    let has_vector = shared.vector_of(&persona.card.id).is_some_and(|vector| shared.fits(vector));
    let obstacle = shared.needs_model();
    let wanted = if has_vector {
        button::secondary("Extract again").icon(ICON_TARGET)
    } else {
        button::primary("Extract vector").icon(ICON_TARGET)
    };
    let hint = "Mean of the activations on the + side minus the mean on the \u{2212} side, for every block";
    if wanted.hint(hint).blocked_by(obstacle).show(ui).clicked() {
        shared.extract(&persona.card.id);
    }
}

fn vector_card(ui: &mut Ui, shared: &mut Shared, persona: &PersonaSummary, vector: &VectorInfo) {
    card::show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.label(theme::section("Vector"));
            if !shared.fits(vector) {
                badge::show(ui, Tone::Caution, "Other model");
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if button::icon_only(ui, ICON_DELETE, "Delete vector").clicked() {
                    shared.delete_vector(&vector.id);
                }
                if button::icon_only(ui, ICON_DOWNLOAD, "Export vector").clicked() {
                    shared.export_vector(&vector.id);
                }
                let unfit = (!shared.fits(vector)).then(|| "It belongs to another model.".to_owned());
                if button::primary("Open in chat").icon(ICON_FORUM).blocked_by(unfit.clone()).show(ui).clicked() {
                    shared.handoff = Some(Handoff::Steer(vector.id.clone()));
                }
                let discover = button::secondary("Use in discovery").icon(ICON_SCATTER_PLOT).blocked_by(unfit);
                if discover.show(ui).clicked() {
                    let persona = persona.card.id.clone();
                    shared.handoff = Some(Handoff::Discover { persona, vector: Some(vector.id.clone()) });
                }
            });
        });
        if !shared.fits(vector) {
            let text = format!(
                "This vector was measured on {} and means nothing in another model. Open that model, or extract again.",
                vector.model_name
            );
            ui.label(theme::secondary(ui, text));
        }
        ui.add_space(space::XS);
        diagnostics::show(ui, vector);
    });
}
