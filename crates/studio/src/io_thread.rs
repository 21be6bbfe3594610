//! The thread that reads and writes the workspace.

use std::fs;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::Receiver;
use tiller_protocol::message::{Command, Event};
use tiller_protocol::problem::Problem;
use tiller_protocol::steering::VectorId;

use crate::catalogue;
use crate::installed;
use crate::models;
use crate::problem;
use crate::studio::Shared;
use crate::workspace::atomic;

/// Starts the thread; it ends when the sender of `orders` is gone.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(shared: Arc<Shared>, orders: Receiver<Command>) -> Result<JoinHandle<()>, Problem> {
    Builder::new()
        .name("io".to_owned())
        .spawn(move || {
            for command in orders {
                if let Err(problem) = carry_out(&shared, command) {
                    shared.outbox.post(Event::Failed { job: None, problem });
                }
            }
        })
        .map_err(|error| problem::no_thread(&error))
}

fn carry_out(shared: &Shared, command: Command) -> Result<(), Problem> {
    let workspace = &shared.workspace;
    match command {
        Command::Refresh => refresh(shared),
        Command::CheckModel(source) => {
            let plan = models::plan(&source, shared.sources(), shared.choice(), &shared.held());
            let check = plan.map(|plan| Box::new(plan.check));
            shared.outbox.post(Event::ModelChecked { source, check });
        }
        Command::ListCatalogue => catalogue::post(shared),
        Command::OpenRun { id } => {
            let run = workspace.run(&id)?;
            shared.outbox.post(Event::RunLoaded(Box::new(run)));
        }
        Command::SaveSettings(settings) => {
            workspace.save_settings(&settings)?;
            shared.settings.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&settings);
            shared.outbox.post(Event::Settings(settings));
        }
        Command::ExportText { path, text } => {
            atomic::write(&path, text.as_bytes())?;
            saved(shared, &path);
        }
        Command::ExportVector { vector, path } => {
            export_vector(shared, &vector, &path)?;
            saved(shared, &path);
        }
        Command::DeleteVector(id) => {
            workspace.delete_vector(&id)?;
            post_vectors(shared);
        }
        Command::RestoreVector(id) => {
            workspace.restore_vector(&id)?;
            post_vectors(shared);
        }
        Command::ListAssets => installed::post(shared),
        Command::AddFolder(path) => {
            let kept = shared.installed.add_folder(&path)?;
            shared.outbox.post(Event::Notice(format!("Looking into {}", kept.display())));
            installed::post(shared);
        }
        Command::ForgetFolder(path) => {
            shared.installed.forget_folder(&path)?;
            installed::post(shared);
        }
        Command::ChooseFolder(path) => {
            shared.installed.choose_folder(&path)?;
            installed::post(shared);
        }
        // Everything else goes to the engine or acts at once; `Studio::send` sees to that.
        _ => {}
    }
    Ok(())
}

fn refresh(shared: &Shared) {
    if let Err(problem) = &shared.assets {
        shared.outbox.post(Event::Failed { job: None, problem: problem.clone() });
    }
    let (personas, troubles) = shared.library.summaries();
    shared.outbox.post(Event::Personas(personas));
    report(shared, troubles);
    post_vectors(shared);
    post_runs(shared);
    let settings = shared.settings.lock().unwrap_or_else(PoisonError::into_inner).clone();
    shared.outbox.post(Event::Settings(settings));
    catalogue::post(shared);
    installed::post(shared);
}

/// Sends the vector library.
pub(crate) fn post_vectors(shared: &Shared) {
    let (vectors, troubles) = shared.workspace.vectors();
    shared.outbox.post(Event::Vectors(vectors));
    report(shared, troubles);
}

/// Sends the list of runs.
pub(crate) fn post_runs(shared: &Shared) {
    let (runs, troubles) = shared.workspace.runs();
    shared.outbox.post(Event::Runs(runs));
    report(shared, troubles);
}

fn report(shared: &Shared, troubles: Vec<Problem>) {
    for problem in troubles {
        shared.outbox.post(Event::Failed { job: None, problem });
    }
}

fn export_vector(shared: &Shared, id: &VectorId, path: &Path) -> Result<(), Problem> {
    let from = shared.workspace.vector(id)?.info.path;
    let bytes = fs::read(&from).map_err(|error| problem::read_failed(&from, &error))?;
    atomic::write(path, &bytes)
}

fn saved(shared: &Shared, path: &Path) {
    let name = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    shared.outbox.post(Event::Notice(format!("Saved {name}")));
}
