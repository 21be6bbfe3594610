//! The sheet “Train an SAE”: settings, live plots, and what came of it.

use egui::Ui;
use egui_material_icons::icons::{ICON_CHECK_CIRCLE, ICON_PLAY_ARROW};
use tiller_protocol::feature::{OpenOptions, TrainPoint, TrainSettings};
use tiller_protocol::message::Command;

use super::train_form::TrainForm;
use super::train_plots;
use crate::icon;
use crate::jobs::Purpose;
use crate::number::{count, decimal, percent};
use crate::shared::Shared;
use crate::theme::{self, palette, space};
use crate::widgets::sheet::{Part, Sheet};
use crate::widgets::{button, card, problem, progress};

/// State of the sheet.
#[derive(Default)]
pub(super) struct TrainSheet {
    form: TrainForm,
    /// The training that was started last; absent while a new one is set up.
    last: Option<TrainSettings>,
}

/// How far the training in the sheet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It is being set up.
    Form,
    /// It runs.
    Running,
    /// It was stopped or has failed, and can go on from its checkpoint.
    Halted,
    /// Its SAE is saved.
    Done,
}

impl TrainSheet {
    fn phase(&self, shared: &Shared) -> Phase {
        if shared.job.as_ref().is_some_and(|job| job.purpose == Purpose::TrainSae) {
            Phase::Running
        } else if self.last.is_none() {
            Phase::Form
        } else if shared.features.trained.is_some() {
            Phase::Done
        } else {
            Phase::Halted
        }
    }

    /// Draws it; true when it is to be closed.
    pub(super) fn show(&mut self, ui: &Ui, shared: &mut Shared) -> bool {
        let sheet = Sheet {
            title: "Train an SAE",
            purpose: "Learns features from what one block of the open model writes while it reads texts.",
            width: 720.0,
        };
        let mut done = false;
        let closed = sheet.show(ui.ctx(), |ui, part| match part {
            Part::Body => self.body(ui, shared),
            Part::Buttons => done |= self.buttons(ui, shared),
        });
        closed || done
    }

    fn body(&mut self, ui: &mut Ui, shared: &mut Shared) {
        let phase = self.phase(shared);
        let failed = shared.problem(|purpose| *purpose == Purpose::TrainSae).map(|(_, problem)| problem.clone());
        if let Some(failed) = failed {
            if problem::show(ui, &failed, None).is_some() {
                shared.clear_problem(&Purpose::TrainSae);
            }
            ui.add_space(space::S);
        }
        if phase == Phase::Form {
            self.form.show(ui, shared);
            return;
        }
        match phase {
            Phase::Running => {
                if let Some(job) = shared.job.clone() {
                    card::callout(ui, palette(ui).hover, |ui| {
                        if progress::row(ui, &job) {
                            shared.stop();
                        }
                    });
                }
            }
            Phase::Done => self.result(ui, shared),
            Phase::Halted | Phase::Form => {
                let tokens = shared.features.training.last().map_or(0, |point| point.tokens);
                let words = match tokens {
                    0 => "It did not come to its first report.".to_owned(),
                    tokens => {
                        format!("Halted after {} tokens. A checkpoint is kept: go on at any time.", count(tokens))
                    }
                };
                ui.label(theme::secondary(ui, words));
            }
        }
        ui.add_space(space::S);
        train_plots::show(ui, &shared.features.training);
    }

    /// What came of it, in words.
    fn result(&self, ui: &mut Ui, shared: &Shared) {
        let colours = palette(ui);
        let name = self.last.as_ref().map_or("The SAE", |settings| settings.name.as_str());
        card::callout(ui, colours.success_soft, |ui| {
            ui.horizontal_top(|ui| {
                icon::show(ui, ICON_CHECK_CIRCLE, 20.0, colours.success);
                ui.vertical(|ui| {
                    ui.label(theme::strong(format!("{name} is trained and saved")));
                    if let Some(last) = shared.features.training.last() {
                        ui.label(outcome_in_words(last));
                    }
                    let words = "These figures are of the texts it was trained on. Opening it tries it on others.";
                    ui.label(theme::note(ui, words));
                });
            });
        });
    }

    /// The buttons; true when the sheet is to be closed.
    fn buttons(&mut self, ui: &mut Ui, shared: &mut Shared) -> bool {
        match self.phase(shared) {
            Phase::Form => {
                let settings = self.form.settings(shared);
                let obstacle = shared.needs_model().or_else(|| settings.as_ref().err().cloned());
                let start = button::primary("Start training").icon(ICON_PLAY_ARROW).blocked_by(obstacle).show(ui);
                if start.clicked()
                    && let Ok(settings) = settings
                {
                    shared.features.training.clear();
                    self.start(shared, settings);
                }
                button::secondary("Close").show(ui).clicked()
            }
            Phase::Running => button::primary("Go on in the background").show(ui).clicked(),
            Phase::Halted => {
                let resume = button::primary("Go on").icon(ICON_PLAY_ARROW).blocked_by(shared.needs_model()).show(ui);
                if let Some(settings) = self.last.clone().filter(|_| resume.clicked()) {
                    self.start(shared, TrainSettings { resume: true, ..settings });
                }
                self.anew(ui, shared);
                button::secondary("Close").show(ui).clicked()
            }
            Phase::Done => {
                let open = button::primary("Open it").show(ui).clicked();
                if open && let Some(path) = shared.features.trained.clone() {
                    shared.open_sae(path, OpenOptions::default());
                }
                self.anew(ui, shared);
                button::secondary("Close").show(ui).clicked() || open
            }
        }
    }

    /// Back to the form.
    fn anew(&mut self, ui: &mut Ui, shared: &mut Shared) {
        if button::secondary("New training").show(ui).clicked() {
            self.last = None;
            (shared.features.trained, shared.features.training) = (None, Vec::new());
            shared.clear_problem(&Purpose::TrainSae);
        }
    }

    fn start(&mut self, shared: &mut Shared, settings: TrainSettings) {
        shared.features.trained = None;
        self.last = Some(settings.clone());
        let title = format!("Training {}", settings.name);
        shared.start(Purpose::TrainSae, &title, |job| Command::TrainSae { job, settings: Box::new(settings) });
    }
}

/// The last point in words.
fn outcome_in_words(point: &TrainPoint) -> String {
    format!(
        "It leaves {} of the variance unexplained with {} features active on a token; {} of its features are dead.",
        percent(point.fvu),
        decimal(point.l0, 1),
        percent(point.dead)
    )
}
