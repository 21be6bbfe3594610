//! The list of downloads: which there are, which run, and what becomes of them.
//!
//! Owned by the thread `net`. At most [`AT_ONCE`] run, each on a thread of its own; the others wait for their turn. What
//! is not complete is in `downloads.json`, so that it is there again, paused, after a restart or a crash.

mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::Sender;
use tiller_hub::listing::RemoteFile;
use tiller_hub::stop::Stop;
use tiller_hub::store::Store;
use tiller_protocol::asset::{AssetKind, Download, DownloadFile, DownloadId, DownloadOrder, DownloadPhase, RepoRef};
use tiller_protocol::message::{Command, Event};
use tiller_protocol::problem::Problem;

use crate::net::{Order, question};
use crate::problem;
use crate::studio::Shared;
use crate::workspace::{KeptDownload, KeptPlan};

pub(crate) use worker::{Measure, Outcome, Plan, asset_path, choice_ids, fetch_plan, pick};

/// Downloads that run at the same time; each opens several connections.
const AT_ONCE: usize = 2;

/// What a running download tells.
pub(crate) struct News {
    /// Which one.
    id: DownloadId,
    /// Which attempt: an earlier one may still be ending.
    run: u64,
    what: What,
}

pub(crate) enum What {
    /// The hub has answered.
    Planned(Plan),
    /// Bytes have come in.
    Advanced(Measure),
    /// The thread ends.
    Ended(Outcome),
}

/// All downloads.
pub(crate) struct Downloads {
    shared: Arc<Shared>,
    orders: Sender<Order>,
    rows: Vec<Row>,
    n_runs: u64,
    has_news: bool,
}

struct Row {
    download: Download,
    folder: PathBuf,
    plan: Option<Plan>,
    run: Option<Run>,
    /// Cancelled; gone once its thread has ended.
    is_forgotten: bool,
}

struct Run {
    number: u64,
    stop: Stop,
    thread: JoinHandle<()>,
}

impl Downloads {
    /// The unfinished downloads of the workspace, paused; with the problem when their list cannot be read.
    pub(crate) fn open(shared: Arc<Shared>, orders: Sender<Order>) -> (Self, Option<Problem>) {
        let (kept, trouble) = shared.workspace.load_downloads();
        let rows = kept.into_iter().map(Row::restore).collect();
        (Self { shared, orders, rows, n_runs: 0, has_news: false }, trouble)
    }

    /// Whether something has changed since the list was last asked for.
    pub(crate) fn has_news(&self) -> bool {
        self.has_news
    }

    /// Asks for the list to be sent. Returns that it is urgent.
    pub(crate) fn tell(&mut self) -> bool {
        self.has_news = true;
        true
    }

    /// The list for the window.
    pub(crate) fn list(&mut self) -> Vec<Download> {
        self.has_news = false;
        self.rows.iter().filter(|row| !row.is_forgotten).map(|row| row.download.clone()).collect()
    }

    /// Does what the window wants. Returns whether it should see the outcome at once.
    pub(crate) fn carry_out(&mut self, command: Command) -> bool {
        match command {
            Command::StartDownload { id, order } => self.start(id, order),
            Command::PauseDownload(id) => self.with(id, Row::pause),
            Command::ResumeDownload(id) => self.with(id, Row::resume),
            Command::CancelDownload(id) => self.with(id, Row::cancel),
            Command::DismissDownload(id) => {
                let is_ended =
                    |phase: &DownloadPhase| matches!(phase, DownloadPhase::Done { .. } | DownloadPhase::Failed(_));
                self.rows.retain(|row| row.download.id != id || row.run.is_some() || !is_ended(&row.download.phase));
            }
            // Nothing else is sent here.
            _ => return false,
        }
        self.settle()
    }

    /// Stops all that run or wait. Returns whether there was one.
    pub(crate) fn pause_all(&mut self) -> bool {
        let active: Vec<&mut Row> = self.rows.iter_mut().filter(|row| row.download.is_active()).collect();
        let has_any = !active.is_empty();
        active.into_iter().for_each(Row::pause);
        has_any && self.settle()
    }

    /// Takes in what a thread tells. Returns whether the window should see it at once.
    pub(crate) fn take(&mut self, news: News) -> bool {
        let News { id, run, what } = news;
        let is_meant = |row: &&mut Row| row.download.id == id && row.run.as_ref().is_some_and(|own| own.number == run);
        let Some(row) = self.rows.iter_mut().find(is_meant) else { return false };
        self.has_news = true;
        match what {
            What::Planned(plan) => {
                row.set_plan(plan);
                self.save();
                true
            }
            What::Advanced(measure) => row.advance(measure),
            What::Ended(outcome) => {
                let notice = row.end(outcome);
                self.settle();
                if let Some(notice) = notice {
                    self.shared.outbox.post(Event::Notice(notice));
                }
                true
            }
        }
    }

    /// Stops all threads and waits for them, which takes a moment; what has come in is kept.
    pub(crate) fn end(mut self) {
        self.save();
        for run in self.rows.iter().filter_map(|row| row.run.as_ref()) {
            run.stop.set();
        }
        for run in self.rows.iter_mut().filter_map(|row| row.run.take()) {
            if run.thread.join().is_err() {
                log::error!("a download ended with a panic");
            }
        }
        while let Some(i) = self.rows.iter().position(|row| row.is_forgotten) {
            let gone = self.rows.remove(i);
            self.discard(&gone);
        }
    }

    fn start(&mut self, id: DownloadId, mut order: DownloadOrder) {
        if let Ok(repo) = question::repo(&order.repo) {
            order.repo = repo;
        }
        let folder = order.folder.clone().unwrap_or_else(|| self.shared.installed.download_folder());
        order.folder = Some(folder.clone());
        let same = |row: &Row| !row.is_forgotten && row.is_for(&order);
        if let Some(i) = self.rows.iter().position(same) {
            let row = &mut self.rows[i];
            let notice = match row.download.phase {
                DownloadPhase::Done { .. } => None,
                DownloadPhase::Paused | DownloadPhase::Failed(_) => {
                    row.resume();
                    Some(format!("Going on with the download of {}", row.name()))
                }
                _ => Some(format!("{} is being downloaded already", row.name())),
            };
            if let Some(notice) = notice {
                self.shared.outbox.post(Event::Notice(notice));
                return;
            }
            // Files may have been removed since; what is still there is not fetched again.
            self.rows.remove(i);
        }
        let is_taken = |id: DownloadId| self.rows.iter().any(|row| row.download.id == id);
        let next = self.rows.iter().map(|row| row.download.id.0).max().map_or(0, |last| last + 1);
        let id = if is_taken(id) { DownloadId(next) } else { id };
        self.rows.push(Row::new(id, order, folder));
    }

    fn with(&mut self, id: DownloadId, change: impl FnOnce(&mut Row)) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.download.id == id && !row.is_forgotten) {
            change(row);
        }
    }

    /// Brings everything in line with the rows: cancelled ones go, waiting ones begin, the document is written. Returns
    /// that the window should see it at once.
    fn settle(&mut self) -> bool {
        while let Some(i) = self.rows.iter().position(|row| row.is_forgotten && row.run.is_none()) {
            let gone = self.rows.remove(i);
            self.discard(&gone);
        }
        while let Some(i) = self.next_to_run() {
            self.begin(i);
        }
        let active = self.rows.iter().filter(|row| row.run.is_some());
        self.shared.net.set_active(active.map(|row| (row.folder.clone(), row.download.order.clone())).collect());
        self.save();
        self.has_news = true;
        true
    }

    fn next_to_run(&self) -> Option<usize> {
        if self.rows.iter().filter(|row| row.run.is_some()).count() >= AT_ONCE {
            return None;
        }
        // The files of a cancelled download are still to be deleted.
        let is_held = |row: &Row| self.rows.iter().any(|other| other.is_forgotten && other.shares_folder(row));
        self.rows
            .iter()
            .position(|row| row.download.phase == DownloadPhase::Waiting && row.run.is_none() && !is_held(row))
    }

    fn begin(&mut self, i: usize) {
        self.n_runs += 1;
        let row = &mut self.rows[i];
        let (stop, number) = (Stop::new(), self.n_runs);
        let job = worker::Job {
            order: row.download.order.clone(),
            folder: row.folder.clone(),
            plan: row.plan.clone(),
            stop: stop.clone(),
        };
        let (shared, orders, id) = (Arc::clone(&self.shared), self.orders.clone(), row.download.id);
        let tell = move |what: What| {
            let is_small = matches!(what, What::Advanced(_));
            let order = Order::News(News { id, run: number, what });
            // A report that finds no room is followed by another; nobody listens any more when Tiller ends.
            if is_small { drop(orders.try_send(order)) } else { drop(orders.send(order)) }
        };
        match Builder::new().name("download".to_owned()).spawn(move || worker::work(&shared, &job, &tell)) {
            Ok(thread) => row.run = Some(Run { number, stop, thread }),
            Err(error) => row.download.phase = DownloadPhase::Failed(problem::no_thread(&error)),
        }
    }

    /// Deletes what has come in of unfinished files that no other download wants.
    fn discard(&self, gone: &Row) {
        let Some(plan) = &gone.plan else { return };
        let others = self.rows.iter().filter(|row| row.shares_folder(gone)).filter_map(|row| row.plan.as_ref());
        let wanted: Vec<&RemoteFile> = others.flat_map(|plan| &plan.listing.files).collect();
        let unwanted = plan.listing.files.iter().filter(|file| wanted.iter().all(|other| other.sum != file.sum));
        let unwanted: Vec<RemoteFile> = unwanted.cloned().collect();
        let store = Store::new(&gone.folder);
        if let Err(error) = store.discard(&plan.listing.repo.id, &plan.listing.commit, &unwanted) {
            self.shared.outbox.post(Event::Failed { job: None, problem: problem::hub(&error) });
        }
    }

    fn save(&self) {
        let unfinished = self.rows.iter().filter(|row| !row.is_forgotten);
        let unfinished = unfinished.filter(|row| !matches!(row.download.phase, DownloadPhase::Done { .. }));
        if let Err(problem) = self.shared.workspace.save_downloads(unfinished.map(Row::keep).collect()) {
            self.shared.outbox.post(Event::Failed { job: None, problem });
        }
    }
}

impl Row {
    fn new(id: DownloadId, order: DownloadOrder, folder: PathBuf) -> Self {
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
    fn restore(kept: KeptDownload) -> Self {
        let mut row = Self::new(kept.id, kept.order, kept.folder);
        row.download.phase = DownloadPhase::Paused;
        let plan = kept.plan.and_then(|plan| plan.restore(&row.download.order));
        if let Some((kind, label, listing)) = plan {
            row.set_plan(Plan { kind, label, listing });
        }
        row
    }

    fn keep(&self) -> KeptDownload {
        KeptDownload {
            id: self.download.id,
            order: self.download.order.clone(),
            folder: self.folder.clone(),
            plan: self.plan.as_ref().map(|plan| KeptPlan::new(plan.kind, &plan.label, &plan.listing)),
        }
    }

    /// For people.
    fn name(&self) -> String {
        let repo = &self.download.order.repo.id;
        if self.download.label == *repo { repo.clone() } else { format!("{repo} ({})", self.download.label) }
    }

    fn is_for(&self, order: &DownloadOrder) -> bool {
        let own = &self.download.order;
        is_same(&own.repo, &order.repo) && own.choice == order.choice && order.folder.as_deref() == Some(&self.folder)
    }

    fn shares_folder(&self, other: &Self) -> bool {
        self.folder == other.folder && self.download.order.repo.id == other.download.order.repo.id
    }

    fn set_plan(&mut self, plan: Plan) {
        self.download.kind = plan.kind;
        self.download.label.clone_from(&plan.label);
        self.download.files = files(&plan, &self.folder);
        self.plan = Some(plan);
    }

    fn pause(&mut self) {
        if self.download.is_active() {
            self.set_phase(DownloadPhase::Paused);
            self.stop();
        }
    }

    fn resume(&mut self) {
        if matches!(self.download.phase, DownloadPhase::Paused | DownloadPhase::Failed(_)) {
            self.set_phase(DownloadPhase::Waiting);
        }
    }

    fn cancel(&mut self) {
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
    fn advance(&mut self, measure: Measure) -> bool {
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
    fn end(&mut self, outcome: Outcome) -> Option<String> {
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
        let done_bytes = store.present_bytes(&plan.listing.repo.id, file);
        let is_complete = done_bytes == file.bytes;
        DownloadFile { path: file.path.clone(), done_bytes, total_bytes: file.bytes, is_complete }
    };
    plan.listing.files.iter().map(file).collect()
}

/// Whether both name the same revision of the same repository.
fn is_same(a: &RepoRef, b: &RepoRef) -> bool {
    let revision = |repo: &'_ RepoRef| repo.revision.clone().unwrap_or_else(|| "main".to_owned());
    a.id == b.id && revision(a) == revision(b)
}

#[cfg(test)]
mod tests;
