//! Taking in what the application reports.

use tiller_protocol::message::{Event, JobId};
use tiller_protocol::model::ModelInfo;
use tiller_protocol::problem::Problem;
use tiller_protocol::steering::VectorInfo;

use super::App;
use crate::action::Action;
use crate::jobs::Purpose;
use crate::page::Page;
use crate::widgets::toast::Offer;

impl App {
    /// Takes in one report.
    pub fn apply(&mut self, event: Event) {
        let shared = &mut self.shared;
        match event {
            Event::Personas(list) => shared.personas = Some(list),
            Event::Vectors(list) => {
                shared.vectors = list;
                self.chat.forget_missing_vectors(shared);
            }
            Event::Runs(list) => shared.runs = list,
            Event::Settings(settings) => shared.settings = settings,
            Event::RunLoaded(run) => self.discover.loaded(*run),
            Event::Notice(text) => shared.toasts.good(text),
            Event::ModelUnloaded => {
                shared.model = None;
                shared.tokens_per_sec = None;
                shared.toasts.good("Model unloaded");
            }
            Event::Started { job, title } => {
                if let Some(current) = shared.job.as_mut().filter(|current| current.id == job) {
                    current.title = title;
                }
            }
            Event::Progress { job, done, total, unit, elapsed_secs } => {
                if let Some(current) = shared.job.as_mut().filter(|current| current.id == job) {
                    current.progress((done, total), unit, elapsed_secs);
                }
            }
            Event::ModelChecked { source, check } => shared.checked(source, check),
            Event::ModelReady { job, info } => self.model_ready(job, *info),
            Event::VectorReady { job, info } => self.vector_ready(job, *info),
            Event::Discovery { job, progress } => {
                if shared.is_current(job) {
                    self.discover.progress(*progress);
                }
            }
            Event::Baselines { job, conditions, targets } => {
                if shared.is_current(job) {
                    self.discover.baselines(conditions, targets);
                }
            }
            Event::DiscoveryDone { job, run } => {
                if shared.finish(job).is_some() {
                    self.discover.done(shared, *run);
                }
            }
            // The window asks for no evaluations of its own yet; a run brings its own.
            Event::Evaluated { job, .. } => drop(shared.finish(job)),
            Event::ChatDelta { job, side, text } => {
                if shared.is_current(job) {
                    self.chat.delta(side, &text);
                }
            }
            Event::ChatSideDone { job, side, reason, n_tokens, tokens_per_sec } => {
                if shared.is_current(job) {
                    shared.tokens_per_sec = Some(tokens_per_sec);
                    self.chat.side_done(side, reason, n_tokens, tokens_per_sec);
                }
            }
            Event::ChatDone { job } => {
                if shared.finish(job).is_some() {
                    self.chat.done();
                }
            }
            Event::Assets(_)
            | Event::Catalogue { .. }
            | Event::HubAnswer { .. }
            | Event::Downloads(_)
            | Event::Imported { .. }
            | Event::Verified { .. }
            | Event::AssetRemoved { .. }
            | Event::Token(_) => {}
            Event::Stopped { job } => self.ended(job, None),
            Event::Failed { job: Some(job), problem } => self.ended(job, Some(problem)),
            Event::Failed { job: None, problem } => shared.loose_problem = Some(problem),
        }
    }

    fn model_ready(&mut self, job: JobId, info: ModelInfo) {
        self.shared.finish(job);
        let text = format!("{} is open", info.name);
        self.shared.model = Some(info);
        self.shared.tokens_per_sec = None;
        self.shared.toasts.offer(text, "Choose a persona", Offer::Act(Action::Go(Page::Personas)));
    }

    fn vector_ready(&mut self, job: JobId, info: VectorInfo) {
        self.shared.finish(job);
        let text = format!("Vector {} extracted", info.name);
        let id = info.id.clone();
        // Extracting again replaces the vector.
        self.shared.vectors.retain(|vector| vector.id != id);
        self.shared.vectors.push(info);
        self.shared.toasts.offer(text, "Open in chat", Offer::SteerWith(id));
    }

    /// A job that did not come to its own end.
    fn ended(&mut self, job: JobId, problem: Option<Problem>) {
        let Some(ended) = self.shared.finish(job) else { return };
        match ended.purpose {
            Purpose::Chat => self.chat.done(),
            Purpose::Discover => self.discover.interrupted(),
            Purpose::Load(_) | Purpose::Extract(_) => {}
        }
        match problem {
            Some(problem) => {
                // The page it belongs to shows the whole problem.
                if !ended.purpose.shown_on(self.shared.page) {
                    self.shared.toasts.bad(problem.title.clone());
                }
                self.shared.problems.push((ended.purpose, problem));
            }
            None => self.shared.toasts.good(format!("{} was stopped", ended.title)),
        }
    }
}
