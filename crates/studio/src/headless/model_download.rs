//! `tiller model download`: what a repository offers, and getting it.

mod here;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::Builder;
use std::time::{Duration, Instant};

use serde::Serialize;
use tiller_hub::error::HubError;
use tiller_hub::http::Hub;
use tiller_hub::stop::Stop;
use tiller_protocol::asset::{AssetKind, HubListing, RepoRef};
use tiller_protocol::problem::Problem;

use super::options::{Global, Step, Watch};
use crate::downloads::{self, Measure, Plan};
use crate::installed::Installed;
use crate::net::Net;
use crate::net::question::{self, Offer};
use crate::problem;
use crate::workspace::Workspace;

/// How often a stop is looked for while the network is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What is taken where a repository offers it and nothing is named.
const USUAL: &str = tiller_hub::select::SAFETENSORS;

/// `tiller model download`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadOptions {
    /// From where.
    pub repo: RepoRef,
    /// Which of its choices; the only one, or the safetensors checkpoint, when absent.
    pub choice: Option<String>,
    /// Into which folder; the one that the window's downloads go to when absent.
    pub folder: Option<PathBuf>,
}

/// Result of [`model_download`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DownloadResult {
    /// From where.
    pub repo: RepoRef,
    /// At this commit.
    pub commit: String,
    /// Which of its choices.
    pub choice: String,
    /// What it is.
    pub kind: AssetKind,
    /// The choice for people.
    pub label: String,
    /// The storage folder.
    pub folder: PathBuf,
    /// The checkpoint folder, GGUF file or SAE folder; absent when it was stopped.
    pub path: Option<PathBuf>,
    /// Bytes of its files that were on the disk before.
    pub present_bytes: u64,
    /// Bytes of its files that are on the disk now.
    pub done_bytes: u64,
    /// Bytes of its files.
    pub total_bytes: u64,
    /// Whether it was stopped before the end; the same command goes on from there.
    pub stopped: bool,
}

/// What a repository offers, with exact bytes.
///
/// # Errors
/// Whatever keeps the hub from telling.
pub fn model_offers(global: &Global, options: &DownloadOptions) -> Result<HubListing, Problem> {
    let (net, folder, _) = prepare(global, options)?;
    let hub = net.hub()?;
    let offer = ask(global, &hub, &options.repo)?;
    Ok(offer.tell(&folder))
}

/// Downloads one choice of a repository, or what is missing of it. Each file is checked before it appears. Where the
/// network must not be used, what is here whole already is the answer.
///
/// # Errors
/// Whatever keeps the hub from handing it out, a model that Tiller would not run, an unclear choice, a full disk.
pub fn model_download(global: &Global, options: &DownloadOptions) -> Result<DownloadResult, Problem> {
    let (net, folder, installed) = prepare(global, options)?;
    let hub = net.hub()?;
    if hub.is_offline()
        && let Some(result) = here::result(&installed, options, &folder)
    {
        return Ok(result);
    }
    let offer = ask(global, &hub, &options.repo)?;
    if let Some(problem) = offer.obstacle.or(offer.locked) {
        return Err(problem);
    }
    let ids = downloads::choice_ids(&offer.selection);
    let choice = match (&options.choice, ids.as_slice()) {
        (Some(choice), _) => choice.clone(),
        (None, [only]) => only.clone(),
        (None, ids) if ids.iter().any(|id| id == USUAL) => USUAL.to_owned(),
        (None, ids) => return Err(problem::which_choice(&options.repo.id, ids)),
    };
    let plan = downloads::pick(offer.listing, &offer.selection, &choice)?;
    let total_bytes = plan.listing.files.iter().map(|file| file.bytes).sum();
    let present_bytes = downloads::present_bytes(&plan, &folder);
    if options.folder.is_some() {
        keep_in_library(&installed, &folder)?;
    }
    let mut done_bytes = present_bytes;
    let mut report = Report::new(global, &plan);
    let ended = stoppable(&global.watch, |stop| {
        downloads::fetch_plan(&hub, &plan, &folder, stop, &mut |measure| {
            done_bytes = measure.files.iter().map(|file| file.done_bytes).sum();
            report.show(&measure);
        })
    })?;
    let path = match ended {
        Ok(snapshot) => Some(downloads::asset_path(&snapshot, &choice)),
        Err(HubError::Stopped) => None,
        Err(error) => return Err(problem::hub(&error)),
    };
    Ok(DownloadResult {
        repo: options.repo.clone(),
        commit: plan.listing.commit,
        choice,
        kind: plan.kind,
        label: plan.label,
        folder,
        stopped: path.is_none(),
        present_bytes,
        done_bytes: if path.is_some() { total_bytes } else { done_bytes },
        path,
        total_bytes,
    })
}

/// The hub, and the folder that downloads go to.
fn prepare(global: &Global, options: &DownloadOptions) -> Result<(Net, PathBuf, Installed), Problem> {
    let workspace = Workspace::read_only(global.workspace.as_deref())?;
    let net = Net::new(&global.hub, workspace.load_settings().0.offline);
    let installed = Installed::new(&workspace, global.hub.cache.clone(), None);
    let folder = options.folder.clone().unwrap_or_else(|| installed.download_folder());
    if installed.is_away(&folder) {
        return Err(problem::no_storage_folder(&folder));
    }
    Ok((net, folder, installed))
}

/// Has the library list what is downloaded into a folder, also while it is unfinished.
fn keep_in_library(installed: &Installed, folder: &Path) -> Result<(), Problem> {
    fs::create_dir_all(folder).map_err(|error| problem::write_failed(folder, &error))?;
    // One that is known, or lies in one that is, needs no adding.
    if let Err(problem) = installed.add_folder(folder) {
        log::debug!("{problem}");
    }
    Ok(())
}

fn ask(global: &Global, hub: &Arc<Hub>, repo: &RepoRef) -> Result<Offer, Problem> {
    stoppable(&global.watch, |stop| question::offer(hub, repo, stop))?.map_err(|error| problem::hub(&error))
}

/// Does work on another thread while this one looks at the stop flag of the command.
fn stoppable<T: Send>(watch: &Watch, work: impl FnOnce(&Stop) -> T + Send) -> Result<T, Problem> {
    let stop = Stop::new();
    let (done, ended) = crossbeam_channel::bounded(1);
    std::thread::scope(|scope| {
        let work = || drop(done.send(work(&stop)));
        Builder::new()
            .name("download".to_owned())
            .spawn_scoped(scope, work)
            .map_err(|error| problem::no_thread(&error))?;
        loop {
            match ended.recv_timeout(LOOK_EVERY) {
                Ok(result) => return Ok(result),
                Err(crossbeam_channel::RecvTimeoutError::Disconnected) => {
                    return Err(problem::panicked("The download", "its thread ended"));
                }
                Err(crossbeam_channel::RecvTimeoutError::Timeout) if watch.is_stopped() => stop.set(),
                Err(crossbeam_channel::RecvTimeoutError::Timeout) => {}
            }
        }
    })
}

/// Tells the command how far it is.
struct Report<'a> {
    global: &'a Global,
    title: String,
    began: Instant,
}

impl<'a> Report<'a> {
    fn new(global: &'a Global, plan: &Plan) -> Self {
        Self { global, title: format!("Downloading {} ({})", plan.listing.repo.id, plan.label), began: Instant::now() }
    }

    fn show(&mut self, measure: &Measure) {
        let Some(on_step) = &self.global.watch.on_step else { return };
        let files = &measure.files;
        let whole = files.iter().filter(|file| file.is_complete).count();
        let in_work = files.iter().filter(|file| !file.is_complete && file.done_bytes > 0);
        let in_work = in_work.map(|file| {
            let name = file.path.rsplit('/').next().unwrap_or(&file.path);
            format!("{name} {:.0} %", 100.0 * file.done_bytes as f64 / file.total_bytes.max(1) as f64)
        });
        let mut detail = vec![format!("{whole} of {} files", files.len())];
        detail.extend(in_work);
        on_step(&Step {
            title: self.title.clone(),
            done: files.iter().map(|file| file.done_bytes).sum(),
            total: files.iter().map(|file| file.total_bytes).sum(),
            unit: "bytes".to_owned(),
            elapsed_secs: self.began.elapsed().as_secs_f64(),
            rate: Some(measure.bytes_per_sec.unwrap_or(0.0)),
            detail: detail.join(", "),
        });
    }
}
