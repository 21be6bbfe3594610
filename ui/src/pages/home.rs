//! Home: the demo in one click, the journey in four steps, recent runs, this computer.

use egui::{Align, Layout, Ui};
use egui_material_icons::icons::{ICON_CHECK, ICON_DEPLOYED_CODE, ICON_FOLDER_OPEN, ICON_MEMORY};
use tiller_protocol::discovery::{Heading, Method};
use tiller_protocol::message::RunSummary;
use tiller_protocol::model::{LoadOptions, ModelSource};

use crate::icon;
use crate::jobs::Purpose;
use crate::number::{bytes, count, parameters};
use crate::page::Page;
use crate::pages::scaffold;
use crate::shared::{Handoff, Shared};
use crate::theme::{self, palette, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::{button, card, problem, progress, stat};

/// Recent runs shown.
const RECENT: usize = 5;

/// Draws the page.
pub(crate) fn show(ui: &mut Ui, shared: &mut Shared) {
    scaffold::scrolling(ui, |ui| {
        scaffold::head(ui, shared, Page::Home, |_, _| {});
        model_card(ui, shared);
        ui.add_space(space::L);
        ui.label(theme::section("What you can do here"));
        journey(ui, shared);
        ui.add_space(space::L);
        recent_runs(ui, shared);
        ui.add_space(space::S);
        machine_line(ui, shared);
    });
}

fn model_card(ui: &mut Ui, shared: &mut Shared) {
    if let Some(failed) = shared.problem(|purpose| matches!(purpose, Purpose::Load(_))).cloned() {
        failed_load(ui, shared, &failed.0, &failed.1);
        ui.add_space(space::S);
    }
    card::show(ui, |ui| {
        if let Some(job) = shared.job.clone().filter(|job| matches!(job.purpose, Purpose::Load(_))) {
            if progress::row(ui, &job) {
                shared.stop();
            }
        } else if let Some(model) = shared.model.clone() {
            ui.horizontal(|ui| {
                icon::show(ui, ICON_DEPLOYED_CODE, 30.0, palette(ui).accent_text);
                ui.vertical(|ui| {
                    stat::row(ui, 24.0, |ui| {
                        ui.label(theme::figure(&model.name));
                        badge::with_icon(ui, Tone::Good, Some(ICON_CHECK), "Open");
                    });
                    let facts = format!(
                        "{} parameters \u{00b7} {} blocks of width {} \u{00b7} {} on {}",
                        parameters(model.n_params),
                        model.n_layers,
                        model.d_model,
                        model.dtype,
                        model.device
                    );
                    ui.label(theme::secondary(ui, facts));
                });
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    if button::primary("Choose a persona").icon(Page::Personas.icon()).show(ui).clicked() {
                        shared.page = Page::Personas;
                    }
                    if button::secondary("Model details").show(ui).clicked() {
                        shared.page = Page::Models;
                    }
                });
            });
        } else {
            start_here(ui, shared);
        }
    });
}

fn start_here(ui: &mut Ui, shared: &mut Shared) {
    ui.horizontal(|ui| {
        icon::show(ui, ICON_DEPLOYED_CODE, 30.0, palette(ui).accent_text);
        ui.vertical(|ui| {
            ui.set_width((ui.available_width() - 390.0).max(260.0));
            ui.label(theme::figure("Start with the demo model"));
            ui.label(theme::secondary(
                ui,
                "It ships with Tiller, runs on any computer and needs no network. It is small: it shows how personas \
                 are found and steered, not how a large assistant talks.",
            ));
        });
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let obstacle = shared.busy();
            let open = button::primary("Open the demo model").icon(ICON_DEPLOYED_CODE).blocked_by(obstacle.clone());
            if open.show(ui).clicked() {
                shared.load(ModelSource::Demo);
            }
            let folder = button::secondary("Open a folder\u{2026}").icon(ICON_FOLDER_OPEN).blocked_by(obstacle);
            if folder.hint("Your own checkpoint in the Hugging Face layout").show(ui).clicked() {
                shared.page = Page::Models;
            }
        });
    });
}

/// The panel of a model that could not be opened; with a way to try again, or to load it although it does not fit.
pub(crate) fn failed_load(
    ui: &mut Ui,
    shared: &mut Shared,
    purpose: &Purpose,
    failure: &tiller_protocol::problem::Problem,
) {
    let anyway = matches!(purpose, Purpose::Load(source) if shared.is_too_large(source));
    let action = if anyway { "Load anyway" } else { "Try again" };
    match problem::show(ui, failure, shared.busy().is_none().then_some(action)) {
        Some(problem::Answer::Act) => {
            if let Purpose::Load(source) = purpose {
                shared.load_with(source.clone(), LoadOptions { anyway, ..LoadOptions::default() });
            }
        }
        Some(problem::Answer::Dismiss) => shared.clear_problem(purpose),
        None => {}
    }
}

struct Step {
    title: &'static str,
    text: &'static str,
    page: Page,
    done: bool,
}

fn journey(ui: &mut Ui, shared: &mut Shared) {
    let judged = shared.runs.iter().any(|run| !run.stopped);
    let steps = [
        Step {
            title: "Extract a persona",
            text: "Pairs of opposite prompts become a direction inside the model, in seconds.",
            page: Page::Personas,
            done: !shared.vectors.is_empty(),
        },
        Step {
            title: "Steer a conversation",
            text: "Drag a slider and watch steered and plain replies part, side by side.",
            page: Page::Chat,
            done: shared.steered,
        },
        Step {
            title: "Discover a prompt",
            text: "Search for short readable prompts that do what the direction does.",
            page: Page::Discover,
            done: !shared.runs.is_empty(),
        },
        Step {
            title: "Compare what you found",
            text: "Held-out questions, intervals and baselines say which prompt is better.",
            page: Page::Discover,
            done: judged,
        },
    ];
    let mut went = None;
    scaffold::columns(ui, steps.len(), |ui, position| {
        let step = &steps[position];
        let clicked = card::clickable(ui, step.title, false, theme::card_margin(), |ui| {
            ui.set_min_height(112.0);
            step_number(ui, position + 1, step.done);
            ui.add_space(space::XS);
            ui.label(theme::strong(step.title));
            ui.label(theme::secondary(ui, step.text));
        })
        .clicked();
        if clicked {
            went = Some((position, step.page));
        }
    });
    if let Some((position, page)) = went {
        shared.page = page;
        if position == 3
            && let Some(run) = shared.runs.first()
        {
            shared.handoff = Some(Handoff::Run(run.id.clone()));
        }
    }
}

fn step_number(ui: &mut Ui, number: usize, done: bool) {
    let colours = palette(ui);
    let (rect, _) = ui.allocate_exact_size(egui::Vec2::splat(24.0), egui::Sense::hover());
    let (fill, text) =
        if done { (colours.success_soft, colours.success) } else { (colours.accent_soft, colours.accent_text) };
    ui.painter().circle_filled(rect.center(), 12.0, fill);
    if done {
        icon::paint(ui, rect, ICON_CHECK, 15.0, text);
    } else {
        let font = egui::FontId::new(theme::type_size::BODY, theme::semibold());
        ui.painter().text(rect.center(), egui::Align2::CENTER_CENTER, number.to_string(), font, text);
    }
}

fn recent_runs(ui: &mut Ui, shared: &mut Shared) {
    ui.label(theme::section("Recent discovery runs"));
    if shared.runs.is_empty() {
        ui.label(theme::secondary(ui, "None yet. Runs are kept here with everything that was tried."));
        return;
    }
    let runs: Vec<RunSummary> = shared.runs.iter().take(RECENT).cloned().collect();
    for run in runs {
        let title = run_title(&run);
        let margin = egui::Margin::symmetric(14, 9);
        let clicked = card::clickable(ui, &title, false, margin, |ui| {
            stat::row(ui, 22.0, |ui| {
                icon::show(ui, Page::Discover.icon(), theme::size::RAIL_ICON, palette(ui).secondary);
                ui.label(theme::strong(&title));
                ui.label(theme::note(ui, run_facts(&run)));
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    if run.stopped {
                        badge::show(ui, Tone::Caution, "Stopped early");
                    }
                    ui.label(theme::note(ui, &run.id));
                });
            });
        })
        .clicked();
        if clicked {
            shared.handoff = Some(Handoff::Run(run.id.clone()));
        }
    }
}

/// A run in a few words: `Sycophancy, away · RESGA`.
pub(crate) fn run_title(run: &RunSummary) -> String {
    let heading = match run.settings.heading {
        Heading::Away => "away",
        Heading::Toward => "toward",
    };
    format!("{}, {heading} \u{00b7} {}", run.persona, method_name(run.settings.method))
}

/// Name of a method.
pub(crate) fn method_name(method: Method) -> &'static str {
    match method {
        Method::Resga => "RESGA",
        Method::Saega => "SAEGA",
    }
}

fn run_facts(run: &RunSummary) -> String {
    format!("{} prompts tried \u{00b7} {} on the front", count(run.evaluations), run.n_front)
}

fn machine_line(ui: &mut Ui, shared: &Shared) {
    let machine = &shared.machine;
    let mut parts = Vec::new();
    if !machine.processor.is_empty() {
        parts.push(machine.processor.clone());
    }
    if machine.memory_bytes > 0 {
        parts.push(format!("{} memory", bytes(machine.memory_bytes)));
    }
    if machine.accelerators.is_empty() {
        parts.push("no accelerator found; models run on the processor".to_owned());
    } else {
        parts.push(machine.accelerators.join(", "));
    }
    ui.add_space(space::S);
    ui.horizontal(|ui| {
        icon::show(ui, ICON_MEMORY, theme::size::ICON, palette(ui).secondary);
        ui.label(theme::note(ui, format!("This computer: {}", parts.join(" \u{00b7} "))));
    });
}
