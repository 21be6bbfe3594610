//! The thread that answers questions about features which need no model: searches, rows, cards, notes.
//!
//! It keeps the SAEs asked for last open. Nothing here waits for the engine, so that features are browsed while a reply is
//! written; what the loaded model adds, its logit lens, is shared.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::Receiver;
use tiller_protocol::feature::{FeatureRef, FeatureSearch, FeatureTrouble, SaeId};
use tiller_protocol::message::{Command, Event, JobId};
use tiller_protocol::problem::Problem;

use crate::engine_thread::panic_text;
use crate::features::shelf::{self, OpenSae, Shelf};
use crate::features::{card, export, find, open};
use crate::problem;
use crate::studio::Shared;

/// Starts the thread; it ends when the sender of `orders` is gone.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(shared: Arc<Shared>, orders: Receiver<Command>) -> Result<JoinHandle<()>, Problem> {
    Builder::new()
        .name("features".to_owned())
        .spawn(move || {
            let mut desk = Desk { shared, shelf: Shelf::default() };
            for command in orders {
                desk.take(command);
            }
        })
        .map_err(|error| problem::no_thread(&error))
}

/// Sends the list of opened SAEs.
pub(crate) fn post_saes(shared: &Shared) {
    let (infos, problems) = shelf::list(&shared.workspace);
    shared.outbox.post(Event::Saes(infos));
    for problem in problems {
        shared.outbox.post(Event::Failed { job: None, problem });
    }
}

struct Desk {
    shared: Arc<Shared>,
    shelf: Shelf,
}

impl Desk {
    /// Answers a command, whatever happens meanwhile.
    fn take(&mut self, command: Command) {
        let asked = command.clone();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.answer(command)));
        let problem = match outcome {
            Ok(Ok(())) => return,
            Ok(Err(problem)) => problem,
            Err(panic) => {
                // What was in use when it happened is opened anew.
                self.shelf = Shelf::default();
                problem::panicked("Looking at features", &panic_text(&*panic))
            }
        };
        self.shared.outbox.post(match asked {
            Command::SearchFeatures { job, .. } => Event::Failed { job: Some(job), problem },
            Command::OpenFeature(feature) => Event::FeatureCard(Err(FeatureTrouble { sae: feature.sae, problem })),
            _ => Event::Failed { job: None, problem },
        });
    }

    fn answer(&mut self, command: Command) -> Result<(), Problem> {
        match command {
            Command::ListSaes => post_saes(&self.shared),
            Command::RemoveSae(sae) => {
                self.shelf.close(&sae);
                self.shared.workspace.remove_sae(&sae)?;
                post_saes(&self.shared);
            }
            Command::MoveSae { sae, block } => {
                open::move_to(&self.shared.workspace, &sae, block)?;
                post_saes(&self.shared);
            }
            Command::SearchFeatures { job, search } => self.search(job, &search)?,
            Command::FeatureRows { sae, latents } => {
                let open = self.shelf.get(&self.shared.workspace, &sae)?;
                let rows = open.index.rows(&latents).map_err(|error| problem::index(&open.info.name, &error))?;
                self.shared.outbox.post(Event::FeatureRows { sae, rows });
            }
            Command::OpenFeature(feature) => {
                let lens = self.shared.features.lens();
                let open = self.shelf.get(&self.shared.workspace, &feature.sae)?;
                let card = card::card(open, feature.latent, lens.as_deref())?;
                self.shared.outbox.post(Event::FeatureCard(Ok(Box::new(card))));
            }
            Command::SetBookmark { sae, latents, on } => {
                self.change(&sae, |open| open.index.set_bookmarks(&latents, on))?;
            }
            Command::SetNote { feature: FeatureRef { sae, latent }, text } => {
                self.change(&sae, |open| open.index.set_note(latent, &text))?;
            }
            Command::AddLabel { feature: FeatureRef { sae, latent }, text } => {
                let label = tiller_index::label::NewLabel::by_user(&text);
                self.change(&sae, |open| open.index.add_labels(&[(latent, label)]).map(drop))?;
            }
            Command::RemoveLabel { feature, label } => {
                self.change(&feature.sae, |open| open.index.remove_label(label).map(drop))?;
            }
            Command::ExportFeature { feature, path } => {
                let open = self.shelf.get(&self.shared.workspace, &feature.sae)?;
                export::export(open, feature.latent, &path)?;
                let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into());
                self.shared.outbox.post(Event::Notice(format!("Saved {name}")));
            }
            // Everything else goes elsewhere; `Studio::send` sees to that.
            _ => {}
        }
        Ok(())
    }

    fn search(&mut self, job: JobId, search: &FeatureSearch) -> Result<(), Problem> {
        let shared = Arc::clone(&self.shared);
        let is_stopped = || shared.features.is_stopped(job);
        if is_stopped() {
            // A newer one was asked for while it waited.
            self.shared.outbox.post(Event::Stopped { job });
            return Ok(());
        }
        let lens = self.shared.features.lens();
        let open = self.shelf.get(&self.shared.workspace, &search.sae)?;
        let found = find::find(&self.shared.workspace, open, lens.as_deref(), search);
        self.shared.outbox.post(match found {
            _ if is_stopped() => Event::Stopped { job },
            Ok(results) => Event::FeaturesFound { job, results: Box::new(results) },
            Err(problem) => Event::Failed { job: Some(job), problem },
        });
        Ok(())
    }

    /// Changes what is known of features, and says so.
    fn change(
        &mut self,
        sae: &SaeId,
        change: impl FnOnce(&OpenSae) -> tiller_index::Result<()>,
    ) -> Result<(), Problem> {
        let open = self.shelf.get(&self.shared.workspace, sae)?;
        change(open).map_err(|error| problem::index(&open.info.name, &error))?;
        self.shared.outbox.post(Event::FeaturesChanged(sae.clone()));
        Ok(())
    }
}
