//! Taking in what the application reports.

use std::path::PathBuf;

use tiller_protocol::asset::Verdict;
use tiller_protocol::message::{Command, Event, JobId};
use tiller_protocol::model::ModelInfo;
use tiller_protocol::problem::Problem;
use tiller_protocol::steering::VectorInfo;

use super::App;
use crate::action::Action;
use crate::jobs::{Job, Purpose};
use crate::number::plural;
use crate::page::Page;
use crate::shared::last_part;
use crate::widgets::toast::Offer;

impl App {
    /// Takes in one report.
    pub fn apply(&mut self, event: Event) {
        if let Some(event) = self.apply_features(event) {
            self.apply_other(event);
        }
    }

    fn apply_other(&mut self, event: Event) {
        let shared = &mut self.shared;
        match event {
            Event::Personas(list) => shared.personas = Some(list),
            Event::Vectors(list) => {
                shared.vectors = list;
                self.chat.forget_missing(shared);
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
                // Jobs beside the engine's are named by the window, which knows an asset's name for people.
                if let Some(current) = shared.job.as_mut().filter(|current| current.id == job) {
                    current.title = title;
                }
            }
            Event::Progress { job, done, total, unit, elapsed_secs } => {
                if let Some(current) = shared.job_mut(job) {
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
            Event::Assets(library) => shared.assets.set_library(*library),
            Event::Catalogue { entries, free_memory_bytes } => {
                shared.assets.free_memory_bytes = free_memory_bytes;
                shared.assets.set_catalogue(entries);
            }
            Event::HubAnswer { repo, answer } => shared.assets.answered(repo, answer),
            Event::Downloads(list) => shared.assets.downloads = list,
            Event::Imported { job, kind, path } => {
                if shared.assets.finish(job).is_some() {
                    shared.toasts.good(format!("{} is in the library", last_part(&path.display().to_string())));
                    self.models.imported(kind, path);
                    shared.send(Command::ListAssets);
                }
            }
            Event::Verified { job, verdict } => self.verified(job, *verdict),
            Event::AssetRemoved { path, freed_bytes } => shared.asset_removed(&path, freed_bytes),
            Event::Token(state) => {
                shared.assets.token = state;
                self.models.token_known(shared);
            }
            Event::Stopped { job } => self.ended(job, None),
            Event::Failed { job: Some(job), problem } => self.ended(job, Some(problem)),
            Event::Failed { job: None, problem } => shared.loose_problem = Some(problem),
            // Taken in before.
            Event::Saes(_)
            | Event::SaeOpened { .. }
            | Event::SaeTested { .. }
            | Event::FeaturesFound { .. }
            | Event::FeatureRows { .. }
            | Event::FeatureCard(_)
            | Event::FeatureProbed { .. }
            | Event::FeaturesChanged(_)
            | Event::FeaturesImported { .. }
            | Event::FeaturesScanned { .. }
            | Event::FeaturesLabelled { .. }
            | Event::Training { .. }
            | Event::SaeTrained { .. } => {}
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

    /// An asset's files were compared with their checksums.
    fn verified(&mut self, job: JobId, verdict: Verdict) {
        let shared = &mut self.shared;
        let Some(ended) = shared.assets.finish(job) else { return };
        let n_bad = verdict.bad.len();
        if n_bad > 0 {
            shared.toasts.bad(format!("{}: {} damaged", ended.title, plural(n_bad, "file")));
        } else if !Purpose::Verify(PathBuf::new()).shown_on(shared.page) {
            shared.toasts.good(format!("{}: all files are sound", ended.title));
        }
        shared.assets.set_outcome(verdict.path.clone(), Ok(verdict));
    }

    /// A job beside the engine's that did not come to its own end.
    fn ended_beside(&mut self, ended: Job, problem: Option<Problem>) {
        self.shared.features.not_found(ended.id);
        let Some(problem) = problem else {
            if !ended.purpose.is_replaced_silently() {
                self.shared.toasts.good(format!("{} was stopped", ended.title));
            }
            return;
        };
        if !ended.purpose.shown_on(self.shared.page) {
            self.shared.toasts.bad(problem.title.clone());
        }
        match ended.purpose {
            Purpose::Verify(path) => self.shared.assets.set_outcome(path, Err(problem)),
            purpose => self.shared.problems.push((purpose, problem)),
        }
    }

    /// A job that did not come to its own end.
    fn ended(&mut self, job: JobId, problem: Option<Problem>) {
        if let Some(beside) = self.shared.assets.finish(job) {
            self.ended_beside(beside, problem);
            return;
        }
        let Some(ended) = self.shared.finish(job) else { return };
        match ended.purpose {
            Purpose::Chat => self.chat.done(),
            Purpose::Discover => self.discover.interrupted(),
            Purpose::ModelSearch => self.shared.features.not_found(job),
            _ => {}
        }
        match problem {
            Some(problem) => {
                // The page it belongs to shows the whole problem.
                if !ended.purpose.shown_on(self.shared.page) {
                    self.shared.toasts.bad(problem.title.clone());
                }
                self.shared.problems.push((ended.purpose, problem));
            }
            None if ended.purpose.is_replaced_silently() => {}
            None => self.shared.toasts.good(format!("{} was stopped", ended.title)),
        }
    }
}
