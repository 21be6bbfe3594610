//! One download from beginning to end, for the window and for the command.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use tiller_hub::error::HubError;
use tiller_hub::fetch::{self, Control, Phase, Progress};
use tiller_hub::http::Hub;
use tiller_hub::listing::Listing;
use tiller_hub::select::{self, Selection};
use tiller_hub::stop::Stop;
use tiller_hub::store::Store;
use tiller_protocol::asset::{AssetKind, DownloadFile, DownloadOrder, DownloadPhase};
use tiller_protocol::problem::Problem;

use super::What;
use crate::studio::Shared;
use crate::{installed, problem};

/// What is to be downloaded, as the hub has said.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// What it is.
    pub(crate) kind: AssetKind,
    /// The choice for people.
    pub(crate) label: String,
    /// The repository with the files of the choice alone.
    pub(crate) listing: Listing,
}

/// How far a download is.
pub(crate) struct Measure {
    /// What it is doing.
    pub(crate) phase: DownloadPhase,
    /// Its files.
    pub(crate) files: Vec<DownloadFile>,
    /// Bytes per second over the last seconds.
    pub(crate) bytes_per_sec: Option<f64>,
}

/// How a download ended.
pub(crate) enum Outcome {
    /// Complete; the asset is here.
    Done(PathBuf),
    /// It was told to.
    Stopped,
    /// Without success; what has come in is kept.
    Failed(Problem),
}

/// What the thread works on.
pub(super) struct Job {
    pub(super) order: DownloadOrder,
    pub(super) folder: PathBuf,
    pub(super) plan: Option<Plan>,
    pub(super) stop: Stop,
}

/// Does the job, whatever happens in it, and tells its end exactly once.
pub(super) fn work(shared: &Shared, job: &Job, tell: &dyn Fn(What)) {
    let outcome = match catch_unwind(AssertUnwindSafe(|| carry_out(shared, job, tell))) {
        Ok(Ok(path)) => Outcome::Done(path),
        Ok(Err(_)) if job.stop.is_set() => Outcome::Stopped,
        Ok(Err(problem)) => Outcome::Failed(problem),
        Err(panic) => Outcome::Failed(problem::panicked("The download", panic_text(&*panic))),
    };
    if matches!(outcome, Outcome::Done(_)) {
        installed::post(shared);
    }
    tell(What::Ended(outcome));
}

fn carry_out(shared: &Shared, job: &Job, tell: &dyn Fn(What)) -> Result<PathBuf, Problem> {
    let hub = shared.net.hub()?;
    if shared.installed.is_away(&job.folder) {
        return Err(problem::no_storage_folder(&job.folder));
    }
    let plan = if let Some(plan) = &job.plan {
        plan.clone()
    } else {
        let plan = plan(&hub, &job.order, &job.stop)?;
        tell(What::Planned(plan.clone()));
        plan
    };
    let snapshot = fetch_plan(&hub, &plan, &job.folder, &job.stop, &mut |measure| tell(What::Advanced(measure)));
    snapshot.map(|snapshot| asset_path(&snapshot, &job.order.choice)).map_err(|error| problem::hub(&error))
}

/// Asks the hub for what was ordered.
///
/// # Errors
/// Whatever keeps the hub from telling, or a choice that the repository does not have.
fn plan(hub: &Hub, order: &DownloadOrder, stop: &Stop) -> Result<Plan, Problem> {
    let listing = hub.listing(&order.repo, stop).map_err(|error| problem::hub(&error))?;
    let selection = select::choices(&listing.files);
    pick(listing, &selection, &order.choice)
}

/// A repository with the files of one choice.
///
/// # Errors
/// A choice that the repository does not have.
pub(crate) fn pick(listing: Listing, selection: &Selection, asked: &str) -> Result<Plan, Problem> {
    let Some(choice) = selection.choices.iter().find(|choice| choice.id == asked) else {
        let (id, ids) = (&listing.repo.id, choice_ids(selection));
        return Err(match ids.is_empty() {
            true if selection.is_pickle_only => problem::only_pickles(id),
            true => problem::nothing_to_open(id),
            false => problem::no_choice(id, asked, &ids),
        });
    };
    let files = choice.files.clone();
    Ok(Plan { kind: choice.kind, label: choice.label.clone(), listing: Listing { files, ..listing } })
}

/// Names of what can be chosen.
pub(crate) fn choice_ids(selection: &Selection) -> Vec<String> {
    selection.choices.iter().map(|choice| choice.id.clone()).collect()
}

/// Gets what is missing into a folder; returns the snapshot that holds the files.
///
/// # Errors
/// As [`fetch::fetch`].
pub(crate) fn fetch_plan(
    hub: &Hub,
    plan: &Plan,
    folder: &Path,
    stop: &Stop,
    observe: &mut dyn FnMut(Measure),
) -> Result<PathBuf, HubError> {
    let control = Control { stop: stop.clone(), ..Control::default() };
    let mut observer = |progress: &Progress| observe(measure(progress));
    fetch::fetch(hub, &Store::new(folder), &plan.listing, &plan.listing.files, &control, &mut observer)
}

fn measure(progress: &Progress) -> Measure {
    let phase = match &progress.phase {
        Phase::Running => DownloadPhase::Running,
        Phase::Retrying { wait, cause } => {
            DownloadPhase::Retrying { in_secs: wait.as_secs_f64(), cause: cause.clone() }
        }
        Phase::Checking => DownloadPhase::Checking,
    };
    Measure { phase, files: progress.files.clone(), bytes_per_sec: progress.bytes_per_sec }
}

/// What a choice is known by once its snapshot is there.
pub(crate) fn asset_path(snapshot: &Path, choice: &str) -> PathBuf {
    if choice == "." || choice == select::SAFETENSORS { snapshot.to_owned() } else { snapshot.join(choice) }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no reason given")
}
