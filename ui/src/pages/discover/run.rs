//! A run in sight: plot and table at the left, progress and the chosen prompt at the right.

use egui::Ui;
use tiller_protocol::discovery::Heading;

use super::view::{RunView, Tab};
use super::{front_table, outcome, plot, point_card};
use crate::jobs::Purpose;
use crate::number::{count, decimal};
use crate::pages::home::method_name;
use crate::shared::Shared;
use crate::theme::{self, palette, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::{card, progress, segmented, stat};

/// Width of the right column in a wide window and in a narrow one.
const ASIDE: (f32, f32) = (332.0, 284.0);
/// From this page width on the window is wide.
const WIDE: f32 = 960.0;
/// Room kept for the table under the plot.
const TABLE: f32 = 236.0;

/// Draws the run.
pub(super) fn show(ui: &mut Ui, shared: &mut Shared, view: &mut RunView, running: bool) {
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = space::L;
        let height = ui.available_height();
        let aside = if ui.available_width() >= WIDE { ASIDE.0 } else { ASIDE.1 };
        ui.vertical(|ui| {
            ui.set_width(ui.available_width() - aside - space::L);
            ui.set_min_height(height);
            if view.tab == Tab::Results && view.result.is_some() {
                tabs(ui, view, running);
                egui::ScrollArea::vertical()
                    .id_salt("results")
                    .auto_shrink([false, false])
                    .show(ui, |ui| outcome::show(ui, shared, view));
            } else {
                plot_card(ui, view, (height - TABLE).max(220.0));
                tabs(ui, view, running);
                front_table::show(ui, view);
            }
        });
        ui.vertical(|ui| {
            ui.set_width(aside);
            egui::ScrollArea::vertical().id_salt("run aside").auto_shrink([false, false]).show(ui, |ui| {
                state_card(ui, shared, view, running);
                ui.add_space(space::S);
                point_card::show(ui, shared, view);
            });
        });
    });
}

fn plot_card(ui: &mut Ui, view: &mut RunView, height: f32) {
    card::show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.label(theme::section("Fluency against effect"));
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                segmented::show(
                    ui,
                    "What the plot shows",
                    &mut view.fit_front,
                    &[(false, "All tried"), (true, "Zoom to front")],
                );
            });
        });
        plot::show(ui, view, height - 84.0);
    });
}

fn tabs(ui: &mut Ui, view: &mut RunView, running: bool) {
    ui.horizontal(|ui| {
        let mut options = vec![(Tab::Front, "Front")];
        if running && !view.population.is_empty() {
            options.push((Tab::Population, "Population"));
        }
        if view.result.is_some() {
            options.push((Tab::Results, "Results"));
        }
        if !options.iter().any(|(tab, _)| *tab == view.tab) {
            view.tab = Tab::Front;
        }
        segmented::show(ui, "Table", &mut view.tab, &options);
        let hint = match view.tab {
            Tab::Front => "Nothing tried is both more fluent and more effective than these.",
            Tab::Population => "The present members, one for each weight of fluency.",
            Tab::Results => "The chosen prompt on questions that the search never saw.",
        };
        ui.add(egui::Label::new(theme::note(ui, hint)).truncate()).on_hover_text(hint);
    });
}

fn state_card(ui: &mut Ui, shared: &mut Shared, view: &RunView, running: bool) {
    card::show(ui, |ui| {
        stat::row(ui, 22.0, |ui| {
            ui.label(theme::section(&view.persona));
            let heading = match view.settings.heading {
                Heading::Away => "away",
                Heading::Toward => "toward",
            };
            badge::show(ui, Tone::Neutral, heading);
            badge::show(ui, Tone::Neutral, method_name(view.settings.method));
        });
        if let Some(job) = shared.job.clone().filter(|job| running && job.purpose == Purpose::Discover) {
            if progress::row(ui, &job) {
                shared.stop();
            }
        } else if let Some(run) = &view.result {
            if run.stopped {
                badge::show(ui, Tone::Caution, "Stopped early; what it had is kept");
            } else {
                badge::show(ui, Tone::Good, "Finished");
            }
        } else if view.interrupted {
            badge::show(ui, Tone::Caution, "Ended before it had a result");
        }
        ui.label(theme::note(ui, set_up(view)));
        ui.add_space(space::XS);
        let best = view.front.iter().map(|point| point.candidate.target).fold(f64::NEG_INFINITY, f64::max);
        let best = if best.is_finite() { decimal(best, 2) } else { "\u{2013}".to_owned() };
        ui.horizontal(|ui| {
            small_stat(ui, "Tried", &count(view.evaluations));
            small_stat(ui, "On the front", &view.front.len().to_string());
            small_stat(ui, "Best effect", &best);
        });
        if !view.hypervolume.values().is_empty() {
            ui.add_space(space::XS);
            let width = ui.available_width();
            ui.label(theme::note(ui, "Area under the front (hypervolume)"));
            plot::sparkline(ui, view.hypervolume.values(), width, "Course of the hypervolume");
        }
    });
}

/// What a run can be repeated from, in a line.
fn set_up(view: &RunView) -> String {
    let settings = &view.settings;
    let block = settings.block.map_or_else(String::new, |block| format!("block {block} \u{00b7} "));
    let id = view.result.as_ref().map_or_else(String::new, |run| format!(" \u{00b7} {}", run.id));
    format!("{block}{} tokens \u{00b7} seed {}{id}", settings.prompt_len, settings.seed)
}

fn small_stat(ui: &mut Ui, name: &str, value: &str) {
    ui.vertical(|ui| {
        ui.set_width(78.0);
        ui.spacing_mut().item_spacing.y = 0.0;
        ui.label(theme::note(ui, name));
        ui.label(theme::strong(value).color(palette(ui).text));
    });
}
