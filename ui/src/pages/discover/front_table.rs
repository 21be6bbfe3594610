//! The prompts of the front, or of the present population, as a table; a click chooses one.

use egui::{Label, Sense, Ui};
use egui_extras::Column;
use tiller_protocol::discovery::Candidate;

use super::view::{RunView, Tab, fluency_words};
use crate::number::{decimal, percent};
use crate::theme::{self, palette, space};
use crate::widgets::empty::Empty;
use crate::widgets::{interval, table};

/// Draws the table that the tab names.
pub(super) fn show(ui: &mut Ui, view: &mut RunView) {
    let rows: Vec<(Candidate, Option<String>)> = match view.tab {
        Tab::Population => view.population.iter().map(|candidate| (candidate.clone(), rate(view, candidate))).collect(),
        Tab::Front | Tab::Results => {
            view.front.iter().map(|point| (point.candidate.clone(), rate(view, &point.candidate))).collect()
        }
    };
    if rows.is_empty() {
        waiting(ui, view);
        return;
    }
    let columns = [
        Column::remainder().at_least(180.0).clip(true),
        Column::exact(110.0),
        Column::exact(56.0),
        Column::exact(84.0),
    ];
    let heads = [
        ("Prompt", "Exactly as it is to be pasted"),
        ("Fluency (nats)", "Cross-entropy of the prompt, nats per token; lower is more fluent"),
        ("Effect", "In the objective's unit; higher is better"),
        ("Persona rate", "On selection questions, once measured"),
    ];
    let mut chosen = None;
    let selected = view.selected.as_ref().map(|candidate| candidate.id);
    ui.push_id(view.tab as u8, |ui| {
        table::builder(ui, "prompts", &columns)
            .sense(Sense::click())
            .header(22.0, |mut row| {
                for (text, hint) in heads {
                    row.col(|ui| table::head(ui, text, hint));
                }
            })
            .body(|body| {
                body.rows(table::ROW - 4.0, rows.len(), |mut row| {
                    let (candidate, rate) = &rows[row.index()];
                    row.set_selected(selected == Some(candidate.id));
                    row.col(|ui| {
                        let text = theme::mono(candidate.text.trim()).color(palette(ui).text);
                        ui.add(Label::new(text).selectable(false).truncate());
                    });
                    row.col(|ui| {
                        let words = format!("{} {}", decimal(candidate.xent, 2), fluency_words(candidate.xent));
                        ui.add(Label::new(theme::mono(words)).selectable(false));
                    });
                    row.col(|ui| {
                        ui.add(Label::new(theme::mono(decimal(candidate.target, 2))).selectable(false));
                    });
                    row.col(|ui| {
                        let text = rate.clone().unwrap_or_else(|| "not yet".to_owned());
                        ui.add(Label::new(theme::mono(text)).selectable(false));
                    });
                    let name = format!("Choose prompt {}", candidate.text.trim());
                    let response = row.response();
                    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
                    if response.clicked() {
                        chosen = Some(candidate.clone());
                    }
                });
            });
    });
    if chosen.is_some() {
        view.selected = chosen;
    }
}

fn rate(view: &RunView, candidate: &Candidate) -> Option<String> {
    let behaviour = view.on_front(candidate.id)?.select.as_ref()?;
    Some(percent(behaviour.persona.rate))
}

fn waiting(ui: &mut Ui, view: &RunView) {
    if view.result.is_some() || view.interrupted {
        let empty = Empty {
            icon: crate::page::Page::Discover.icon(),
            title: "This run has no prompts",
            hint: "It ended before the first iteration. Start a new run.",
        };
        empty.show(ui, None);
        return;
    }
    ui.add_space(space::L);
    ui.vertical_centered(|ui| {
        ui.spinner();
        ui.label(theme::secondary(ui, "Measuring the baselines, then the first prompts appear\u{2026}"));
    });
}

/// The rate of a candidate on selection questions as figure and bar.
pub(super) fn rate_bar(ui: &mut Ui, view: &RunView, candidate: &Candidate) -> bool {
    let Some(behaviour) = view.on_front(candidate.id).and_then(|point| point.select.as_ref()) else {
        return false;
    };
    interval::show(ui, &behaviour.persona, palette(ui).accent);
    true
}
