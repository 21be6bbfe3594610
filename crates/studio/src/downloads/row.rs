//! One download of the list: what it is, how far it is, and the thread that works for it.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use tiller_hub::listing::RemoteFile;
use tiller_hub::stop::Stop;
use tiller_hub::store::Store;
use tiller_protocol::asset::{AssetKind, Download, DownloadFile, DownloadId, DownloadOrder, DownloadPhase, RepoRef};

use super::{Measure, Outcome, Plan};
use crate::workspace::{KeptDownload, KeptPlan};

/// A download with what it takes to carry it out.
pub(super) struct Row {
    pub(super) download: Download,
    pub(super) folder: PathBuf,
    pub(super) plan: Option<Plan>,
    pub(super) run: Option<Run>,
    /// Cancelled; gone once its thread has ended.
    pub(super) is_forgotten: bool,
}

/// A thread at work for a download.
pub(super) struct Run {
    pub(super) number: u64,
    pub(super) stop: Stop,
    pub(super) thread: JoinHandle<()>,
}

impl Row {
    /// It waits for its turn.
    pub(super) fn new(id: DownloadId, order: DownloadOrder, folder: PathBuf) -> Self {
        let label = if order.choice == "." { order.repo.id.clone() } else { order.choice.clone() };
        let download = Download {
            id,
            order,
            kind: AssetKind::Model,
            label,
            phase: DownloadPhase::Waiting,
            files: Vec::new(),
            bytes_per_sec: None,
            secs_left: None,
        };
        Self { download, folder, plan: None, run: None, is_forgotten: false }
    }

    /// As it was kept, paused.
    pub(super) fn restore(kept: KeptDownload) -> Self {
        let mut row = Self::new(kept.id, kept.order, kept.folder);
        row.download.phase = DownloadPhase::Paused;
        let plan = kept.plan.and_then(|plan| plan.restore(&row.download.order));
        if let Some((kind, label, listing)) = plan {
            row.set_plan(Plan { kind, label, listing });
        }
        row
    }

    /// What is kept of it while it is not complete.
    pub(super) fn keep(&self) -> KeptDownload {
        KeptDownload {
            id: self.download.id,
            order: self.download.order.clone(),
            folder: self.folder.clone(),
            plan: self.plan.as_ref().map(|plan| KeptPlan::new(plan.kind, &plan.label, &plan.listing)),
        }
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        let repo = &self.download.order.repo.id;
        if self.download.label == *repo { repo.clone() } else { format!("{repo} ({})", self.download.label) }
    }

    /// Whether it is what was ordered.
    pub(super) fn is_for(&self, order: &DownloadOrder) -> bool {
        let own = &self.download.order;
        is_same(&own.repo, &order.repo) && own.choice == order.choice && order.folder.as_deref() == Some(&self.folder)
    }

    /// Whether both may want the same files.
    pub(super) fn shares_folder(&self, other: &Self) -> bool {
        self.folder == other.folder && self.download.order.repo.id == other.download.order.repo.id
    }

    /// The hub has said what it is.
    pub(super) fn set_plan(&mut self, plan: Plan) {
        self.download.kind = plan.kind;
        self.download.label.clone_from(&plan.label);
        self.download.files = files(&plan, &self.folder);
        self.plan = Some(plan);
    }

    /// Stops it; nothing is lost.
    pub(super) fn pause(&mut self) {
        if self.download.is_active() {
            self.set_phase(DownloadPhase::Paused);
            self.stop();
        }
    }

    /// Lets it wait for its turn again.
    pub(super) fn resume(&mut self) {
        if matches!(self.download.phase, DownloadPhase::Paused | DownloadPhase::Failed(_)) {
            self.set_phase(DownloadPhase::Waiting);
        }
    }

    /// Stops it for good.
    pub(super) fn cancel(&mut self) {
        self.is_forgotten = true;
        self.stop();
    }

    fn stop(&self) {
        if let Some(run) = &self.run {
            run.stop.set();
        }
    }

    fn set_phase(&mut self, phase: DownloadPhase) {
        self.download.phase = phase;
        self.download.bytes_per_sec = None;
        self.download.secs_left = None;
    }

    /// Takes in how far it is. Returns whether it does something else now.
    pub(super) fn advance(&mut self, measure: Measure) -> bool {
        if self.run.as_ref().is_none_or(|run| run.stop.is_set()) {
            return false;
        }
        let is_other = std::mem::discriminant(&self.download.phase) != std::mem::discriminant(&measure.phase);
        self.download.phase = measure.phase;
        self.download.files = measure.files;
        self.download.bytes_per_sec = measure.bytes_per_sec;
        let missing = self.download.total_bytes().saturating_sub(self.download.done_bytes());
        self.download.secs_left = measure.bytes_per_sec.filter(|rate| *rate > 0.0).map(|rate| missing as f64 / rate);
        is_other
    }

    /// Its thread has ended. Returns what is to be told.
    pub(super) fn end(&mut self, outcome: Outcome) -> Option<String> {
        let run = self.run.take()?;
        let was_stopped = run.stop.is_set();
        if run.thread.join().is_err() {
            log::error!("a download ended with a panic");
        }
        if let Some(plan) = &self.plan {
            self.download.files = files(plan, &self.folder);
        }
        match outcome {
            Outcome::Done(path) => {
                self.set_phase(DownloadPhase::Done { path });
                for file in &mut self.download.files {
                    (file.done_bytes, file.is_complete) = (file.total_bytes, true);
                }
                return Some(format!("Downloaded {}", self.name()));
            }
            Outcome::Failed(problem) if !was_stopped => self.set_phase(DownloadPhase::Failed(problem)),
            // Resumed before its thread had ended: it waits for the next one.
            _ if self.download.phase == DownloadPhase::Waiting => {}
            _ => self.set_phase(DownloadPhase::Paused),
        }
        None
    }
}

/// What of a plan's files is in a folder.
fn files(plan: &Plan, folder: &Path) -> Vec<DownloadFile> {
    let store = Store::new(folder);
    let file = |file: &RemoteFile| {
        let done_bytes = store.present_bytes(&plan.listing.repo.id, &plan.listing.commit, file);
        // All bytes of a file may be there before they are checked.
        let is_complete = store.is_whole(&plan.listing.repo.id, file);
        DownloadFile { path: file.path.clone(), done_bytes, total_bytes: file.bytes, is_complete }
    };
    plan.listing.files.iter().map(file).collect()
}

/// Bytes of a plan's files that are in a folder.
pub(crate) fn present_bytes(plan: &Plan, folder: &Path) -> u64 {
    files(plan, folder).iter().map(|file| file.done_bytes).sum()
}

/// Whether both name the same revision of the same repository.
fn is_same(a: &RepoRef, b: &RepoRef) -> bool {
    let revision = |repo: &'_ RepoRef| repo.revision.clone().unwrap_or_else(|| "main".to_owned());
    a.id == b.id && revision(a) == revision(b)
}
