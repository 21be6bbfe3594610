//! What a run found, on held-out questions, beside the baselines.

mod conditions;
mod export;
mod verdict;

use egui::Ui;
use egui_material_icons::icons::{ICON_DOWNLOAD, ICON_INFO};
use tiller_protocol::discovery::RunResult;
use tiller_protocol::evaluation::{Condition, ConditionKind, Rate};

use super::view::RunView;
use crate::icon;
use crate::shared::Shared;
use crate::theme::{self, palette, space};
use crate::widgets::{button, card};

/// Draws the judgement of the run.
pub(in crate::pages::discover) fn show(ui: &mut Ui, shared: &mut Shared, view: &mut RunView) {
    let Some(run) = view.result.take() else { return };
    judgement(ui, shared, view, &run);
    view.result = Some(run);
}

fn judgement(ui: &mut Ui, shared: &mut Shared, view: &mut RunView, run: &RunResult) {
    let judged: Vec<&Condition> = run.conditions.iter().filter(|condition| condition.report.is_some()).collect();
    if judged.is_empty() {
        let why = if run.stopped {
            "The run was stopped before its prompts were measured on held-out questions. The front and all scores of \
             the search are kept."
        } else {
            "No held-out questions were measured in this run."
        };
        ui.label(theme::secondary(ui, why));
        return;
    }
    ui.add_space(space::XS);
    card::show(ui, |ui| {
        ui.label(theme::figure(verdict::sentence(view, run)));
        if let Some(unreadable) = verdict::unreadable(run) {
            ui.label(theme::secondary(ui, unreadable));
        }
        if let Some(fluent) = verdict::second_prompt(run) {
            ui.label(theme::secondary(ui, fluent));
        }
        if let Some(second) = verdict::against_manual(view, run) {
            ui.label(theme::secondary(ui, second));
        }
    });
    ui.add_space(space::S);
    card::show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.label(theme::section("Persona rate on held-out questions"));
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if button::quiet("Export table\u{2026}").icon(ICON_DOWNLOAD).show(ui).clicked() {
                    shared.export_text("Export results", &format!("{}.csv", run.id), export::csv(run));
                }
            });
        });
        let each = view.each_manual;
        conditions::show(ui, &judged, each);
        let manual = judged.iter().filter(|condition| condition.kind == ConditionKind::Manual).count();
        if manual > 2 {
            ui.checkbox(&mut view.each_manual, format!("Show each of the {manual} manual prompts"));
        }
    });
    ui.add_space(space::S);
    caveats(ui, run);
}

/// Whether a condition came out of this run's search, controls included.
fn is_found(condition: &Condition) -> bool {
    condition.seed.is_some() || matches!(condition.kind, ConditionKind::Resga | ConditionKind::Saega)
}

fn held_out(condition: &Condition) -> Option<&Rate> {
    condition.report.as_ref().map(|behaviour| &behaviour.persona)
}

fn caveats(ui: &mut Ui, run: &RunResult) {
    let fill = palette(ui).hover;
    card::callout(ui, fill, |ui| {
        ui.horizontal_top(|ui| {
            icon::show(ui, ICON_INFO, theme::size::RAIL_ICON, palette(ui).secondary);
            ui.vertical(|ui| {
                ui.set_width(ui.available_width());
                ui.label(theme::strong("What this does not show"));
                let lines = [
                    "The held-out questions are of the same kind as those the prompt was chosen on; other tasks may \
                     differ.",
                    "The rate counts preferred answers, not what the model writes in a free conversation. Try the \
                     prompt in the chat.",
                    "Other traits may have moved too: a prompt against one persona can bring another.",
                ];
                for line in lines {
                    ui.label(theme::secondary(ui, line));
                }
                let seed = format!(
                    "One search with seed {}; another seed can find another prompt, better or worse.",
                    run.settings.seed
                );
                ui.label(theme::secondary(ui, seed));
            });
        });
    });
}
