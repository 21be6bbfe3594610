//! The thread that reads, compares, copies and deletes the files of models and SAEs: what takes long and needs no model.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::Receiver;
use tiller_protocol::asset::AssetOrigin;
use tiller_protocol::message::{Command, Event, JobId};
use tiller_protocol::problem::Problem;

use crate::engine_thread::panic_text;
use crate::features::{import, open};
use crate::installed::{self, Imported};
use crate::jobs::{EventSink, Sink as _};
use crate::studio::Shared;
use crate::{features_thread, problem};

/// Jobs that are under way or wait for the thread, with the flags that stop them.
#[derive(Debug, Default)]
pub(crate) struct FileJobs {
    stops: Mutex<BTreeMap<JobId, Arc<AtomicBool>>>,
    closing: Arc<AtomicBool>,
}

impl FileJobs {
    /// Notes that a job was handed in.
    pub(crate) fn begin(&self, job: JobId) {
        self.stops().insert(job, Arc::default());
    }

    /// Stops a job, whether it has begun or not.
    pub(crate) fn stop(&self, job: JobId) {
        if let Some(stop) = self.stops().get(&job) {
            stop.store(true, Ordering::Relaxed);
        }
    }

    /// Stops everything: Tiller ends.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.stops().values().for_each(|stop| stop.store(true, Ordering::Relaxed));
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    fn flag(&self, job: JobId) -> Arc<AtomicBool> {
        Arc::clone(self.stops().entry(job).or_default())
    }

    fn end(&self, job: JobId) {
        self.stops().remove(&job);
    }

    fn stops(&self) -> MutexGuard<'_, BTreeMap<JobId, Arc<AtomicBool>>> {
        self.stops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the thread; it ends when the sender of `orders` is gone, once the work in hand has ended.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(shared: Arc<Shared>, orders: Receiver<Command>) -> Result<JoinHandle<()>, Problem> {
    Builder::new()
        .name("files".to_owned())
        .spawn(move || {
            // Nobody waits for what is left over when Tiller ends.
            for command in orders.into_iter().take_while(|_| !shared.file_jobs.is_closing()) {
                carry_out(&shared, command);
            }
        })
        .map_err(|error| problem::no_thread(&error))
}

fn carry_out(shared: &Shared, command: Command) {
    match command {
        Command::ImportAsset { job, path, copy } => run(shared, job, &title("Importing", &path), |sink| {
            let Imported { path, kind, was_known } = shared.installed.import(&path, copy, sink)?;
            if was_known {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                shared.outbox.post(Event::Notice(format!("{name} is in the library already")));
            }
            Ok(Event::Imported { job, kind, path })
        }),
        Command::VerifyAsset { job, path } => run(shared, job, &title("Verifying", &path), |sink| {
            let verdict = shared.installed.verify(&path, sink)?;
            Ok(Event::Verified { job, verdict: Box::new(verdict) })
        }),
        Command::OpenSae { job, path, options } => {
            run(shared, job, &title("Opening", &path), |sink| {
                let places = (&shared.workspace, &shared.installed);
                let info = open::open(places, &path, &options, sink)?;
                if options.delete_original {
                    // The SAE is open either way.
                    delete_original(shared, &info.path);
                }
                Ok(Event::SaeOpened { job, info: Box::new(info) })
            });
            features_thread::post_saes(shared);
        }
        Command::ImportFeatures { job, sae, path, options } => {
            run(shared, job, &title("Importing", &path), |sink| {
                let report = import::import(&shared.workspace, &sae, &path, &options, sink)?;
                shared.outbox.post(Event::FeaturesChanged(sae.clone()));
                Ok(Event::FeaturesImported { job, sae, report: Box::new(report) })
            });
        }
        Command::RemoveAsset(path) => quick(shared, "Removing", |shared| {
            let freed_bytes = remove(shared, &path)?;
            shared.outbox.post(Event::AssetRemoved { path, freed_bytes });
            Ok(())
        }),
        Command::MoveAsset { from, to } => quick(shared, "Looking at the new place", |shared| {
            let mut go_on = |_, _| if shared.file_jobs.is_closing() { Err(problem::stopped()) } else { Ok(()) };
            let warning = shared.installed.move_link(&from, &to, &mut go_on)?;
            if let Some(warning) = warning {
                shared.outbox.post(Event::Notice(warning));
            }
            Ok(())
        }),
        _ => {}
    }
}

/// Does a job, whatever happens in it, and ends it with exactly one event; the list follows.
fn run(shared: &Shared, job: JobId, title: &str, work: impl FnOnce(&mut EventSink<'_>) -> Result<Event, Problem>) {
    let stop = shared.file_jobs.flag(job);
    shared.outbox.post(Event::Started { job, title: title.to_owned() });
    let mut sink = EventSink::new(job, &shared.outbox, stop);
    let outcome = catch_unwind(AssertUnwindSafe(|| work(&mut sink)));
    sink.flush();
    let end = match outcome {
        Ok(Ok(event)) => event,
        Ok(Err(_)) if sink.is_stopped() => Event::Stopped { job },
        Ok(Err(problem)) => Event::Failed { job: Some(job), problem },
        Err(panic) => Event::Failed { job: Some(job), problem: problem::panicked(title, &panic_text(&*panic)) },
    };
    shared.file_jobs.end(job);
    let is_news = !matches!(end, Event::Stopped { .. });
    shared.outbox.post(end);
    if is_news {
        installed::post(shared);
    }
}

/// Does what is no job.
fn quick(shared: &Shared, title: &str, work: impl FnOnce(&Shared) -> Result<(), Problem>) {
    let outcome = catch_unwind(AssertUnwindSafe(|| work(shared)));
    let problem = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(problem)) => Some(problem),
        Err(panic) => Some(problem::panicked(title, &panic_text(&*panic))),
    };
    if let Some(problem) = problem {
        shared.outbox.post(Event::Failed { job: None, problem });
    }
    installed::post(shared);
}

/// Deletes the published files of an SAE that was converted, where the library would; why not is told.
fn delete_original(shared: &Shared, path: &Path) {
    let told = match remove(shared, path) {
        Ok(freed_bytes) => Event::AssetRemoved { path: path.to_owned(), freed_bytes },
        Err(problem) => Event::Failed { job: None, problem },
    };
    shared.outbox.post(told);
}

/// Deletes or forgets an asset that nothing uses.
fn remove(shared: &Shared, path: &Path) -> Result<u64, Problem> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if shared.is_in_use(path) {
        return Err(problem::in_use(&name));
    }
    let asset = shared.installed.list().library.assets.into_iter().find(|asset| asset.path == path);
    let origin = asset.as_ref().map(|asset| &asset.origin);
    if let Some(AssetOrigin::Hub { repo, .. }) = origin {
        let is_writing = shared.net.active().iter().any(|(folder, order)| {
            order.repo.id == repo.id && asset.as_ref().is_some_and(|asset| asset.folder.as_ref() == Some(folder))
        });
        if is_writing {
            return Err(problem::downloading(&asset.map_or(name, |asset| asset.name)));
        }
    }
    shared.installed.remove(path)
}

fn title(what: &str, path: &Path) -> String {
    format!("{what} {}", path.file_name().unwrap_or_default().to_string_lossy())
}

#[cfg(test)]
mod tests;
