//! Discover: set a run up, watch its front grow, judge what it found.

mod advanced;
mod climbed;
mod cloud;
mod form;
mod front_table;
mod outcome;
mod plot;
mod point_card;
mod points;
mod run;
mod steps;
mod view;

use egui::Ui;
use egui_material_icons::icons::{ICON_ADD, ICON_PLAY_ARROW};
use tiller_protocol::discovery::{DiscoveryProgress, DiscoverySettings, Heading, Method, RunResult};
use tiller_protocol::evaluation::Condition;
use tiller_protocol::feature::FeatureRef;
use tiller_protocol::message::Command;
use tiller_protocol::persona::PersonaKind;
use tiller_protocol::steering::VectorId;

use crate::action::Action;
use crate::jobs::Purpose;
use crate::page::Page;
use crate::pages::scaffold;
use crate::shared::Shared;
use crate::theme::space;
use crate::widgets::toast::Offer;
use crate::widgets::{button, problem};
use form::Form;
use view::{Baseline, RunView};

/// The page's state.
#[derive(Default)]
pub(crate) struct DiscoverPage {
    form: Form,
    view: Option<RunView>,
    opening: Option<String>,
    setting_up: bool,
}

impl DiscoverPage {
    /// Fills the form for a persona and, if there is one, a vector.
    pub(crate) fn set_up(&mut self, shared: &Shared, persona: &str, vector: Option<VectorId>) {
        self.form.choose_persona(shared, persona);
        self.form.settings.vector = vector;
        self.setting_up = true;
    }

    /// Adds features, all of one SAE, to what a run by SAEGA climbs.
    pub(crate) fn climb(&mut self, shared: &mut Shared, features: &[FeatureRef]) {
        self.form.climb(shared, features);
        self.setting_up = true;
    }

    /// Asks for a saved run.
    pub(crate) fn open(&mut self, shared: &mut Shared, id: String) {
        self.setting_up = false;
        shared.send(Command::OpenRun { id: id.clone() });
        self.opening = Some(id);
    }

    /// Why a run cannot be started now.
    pub(crate) fn obstacle(&self, shared: &Shared) -> Option<String> {
        if let Some(obstacle) = shared.needs_model() {
            return Some(obstacle);
        }
        if shared.model.as_ref().is_some_and(|model| !model.has_gradients) {
            let reason = "Quantised weights have no gradient. Open the model with the number format f32 or bf16.";
            return Some(reason.to_owned());
        }
        if shared.persona(&self.form.persona(shared)).is_none() {
            return Some("Choose a persona first.".to_owned());
        }
        let no_sae = shared.model.as_ref().is_some_and(|model| model.n_sae_latents == 0);
        (self.form.settings.method == Method::Saega && no_sae && self.form.settings.features.is_empty())
            .then(|| "The loaded model has no sparse autoencoder. Choose features of one, or RESGA.".to_owned())
    }

    /// Starts the run as set up.
    pub(crate) fn start(&mut self, shared: &mut Shared) {
        let settings = DiscoverySettings { persona: self.form.persona(shared), ..self.form.settings.clone() };
        self.setting_up = false;
        self.opening = None;
        self.view = Some(view_of(shared, settings.clone()));
        shared.start(Purpose::Discover, "Discovering prompts", |job| Command::StartDiscovery {
            job,
            settings: Box::new(settings),
        });
    }

    /// Takes in a batch of the running run.
    pub(crate) fn progress(&mut self, progress: DiscoveryProgress) {
        if let Some(view) = &mut self.view {
            view.progress(progress);
        }
    }

    /// Takes in the baselines of the running run.
    pub(crate) fn baselines(&mut self, conditions: Vec<Condition>, targets: Vec<Option<(f64, f64)>>) {
        if let Some(view) = &mut self.view {
            let positions = targets.into_iter().chain(std::iter::repeat(None));
            view.baselines = conditions
                .into_iter()
                .zip(positions)
                .map(|(condition, position)| Baseline { condition, position })
                .collect();
        }
    }

    /// Takes in the end of the running run.
    pub(crate) fn done(&mut self, shared: &mut Shared, run: RunResult) {
        let words = if run.stopped { "Run stopped and kept" } else { "Run finished" };
        if shared.page != Page::Discover {
            let text = format!("{words}: {} prompts on the front", run.front.len());
            shared.toasts.offer(text, "Show", Offer::Act(Action::Go(Page::Discover)));
        }
        match &mut self.view {
            Some(view) => view.finish(run),
            None => self.show_run(shared, run),
        }
    }

    /// The running run ended without a result.
    pub(crate) fn interrupted(&mut self) {
        match &mut self.view {
            Some(view) if view.evaluations > 0 => view.interrupted = true,
            // Nothing to look at: back to the settings, which may be the cause.
            _ => {
                self.view = None;
                self.setting_up = true;
            }
        }
    }

    /// Takes in a saved run.
    pub(crate) fn loaded(&mut self, run: RunResult) {
        if self.opening.take().is_some_and(|id| id == run.id) {
            self.view = Some(RunView { settings: run.settings.clone(), ..RunView::default() });
            if let Some(view) = &mut self.view {
                view.points.extend(run.front.iter().map(|point| point.candidate.clone()));
                view.finish(run);
            }
        }
    }

    fn show_run(&mut self, shared: &Shared, run: RunResult) {
        let mut view = view_of(shared, run.settings.clone());
        view.finish(run);
        self.view = Some(view);
    }

    /// Draws the page.
    pub(crate) fn show(&mut self, ui: &mut Ui, shared: &mut Shared) {
        self.name_loaded_run(shared);
        let running = shared.job.as_ref().is_some_and(|job| job.purpose == Purpose::Discover);
        let forming = (self.setting_up || self.view.is_none()) && !running;
        if forming {
            scaffold::scrolling(ui, |ui| {
                self.form_head(ui, shared);
                self.failure(ui, shared);
                self.form.show(ui, shared);
            });
        } else {
            scaffold::fixed(ui, |ui| {
                self.run_head(ui, shared, running);
                self.failure(ui, shared);
                if let Some(view) = &mut self.view {
                    run::show(ui, shared, view, running);
                }
            });
        }
    }

    /// A run that was opened from the workspace learns its names once the library is known.
    fn name_loaded_run(&mut self, shared: &Shared) {
        if let Some(view) = self.view.as_mut().filter(|view| view.persona.is_empty()) {
            let named = view_of(shared, view.settings.clone());
            (view.persona, view.poles) = (named.persona, named.poles);
            view.manual_pulls_along = named.manual_pulls_along;
        }
    }

    fn form_head(&mut self, ui: &mut Ui, shared: &mut Shared) {
        scaffold::head(ui, shared, Page::Discover, |ui, shared| {
            let start = button::primary("Start").icon(ICON_PLAY_ARROW).width(110.0);
            if start.blocked_by(self.obstacle(shared)).show(ui).clicked() {
                self.start(shared);
            }
            if self.view.is_some() && button::secondary("Back to the run").show(ui).clicked() {
                self.setting_up = false;
            }
        });
    }

    fn run_head(&mut self, ui: &mut Ui, shared: &mut Shared, running: bool) {
        scaffold::head(ui, shared, Page::Discover, |ui, _| {
            if !running && button::primary("New run").icon(ICON_ADD).show(ui).clicked() {
                self.setting_up = true;
                if let Some(view) = &self.view {
                    self.form.repeat(&view.settings);
                }
            }
        });
    }

    fn failure(&mut self, ui: &mut Ui, shared: &mut Shared) {
        if let Some((purpose, failure)) = shared.problem(|purpose| *purpose == Purpose::Discover).cloned() {
            let retry = self.obstacle(shared).is_none().then_some("Start again");
            match problem::show(ui, &failure, retry) {
                Some(problem::Answer::Act) => self.start(shared),
                Some(problem::Answer::Dismiss) => shared.clear_problem(&purpose),
                None => {}
            }
            ui.add_space(space::S);
        }
    }
}

/// An empty view with the persona's names.
fn view_of(shared: &Shared, settings: DiscoverySettings) -> RunView {
    let card = shared.persona(&settings.persona).map(|persona| &persona.card);
    let name = card.map_or_else(|| settings.persona.clone(), |card| card.name.clone());
    let poles = card.map_or_else(
        || ("the persona".to_owned(), "its opposite".to_owned()),
        |card| (card.positive.clone(), card.negative.clone()),
    );
    let toward = settings.heading == Heading::Toward;
    let style = card.is_some_and(|card| card.kind == PersonaKind::Style);
    RunView { manual_pulls_along: toward == style, ..RunView::new(settings, name, poles) }
}
