//! The list of downloads: which there are, which run, and what becomes of them.
//!
//! Owned by the thread `net`. At most [`AT_ONCE`] run, each on a thread of its own; the others wait for their turn. What
//! is not complete is in `downloads.json`, so that it is there again, paused, after a restart or a crash.

mod row;
mod worker;

use std::sync::Arc;
use std::thread::Builder;

use crossbeam_channel::Sender;
use tiller_hub::listing::RemoteFile;
use tiller_hub::stop::Stop;
use tiller_hub::store::Store;
use tiller_protocol::asset::{Download, DownloadId, DownloadOrder, DownloadPhase};
use tiller_protocol::message::{Command, Event};
use tiller_protocol::problem::Problem;

use crate::net::{Order, question};
use crate::problem;
use crate::studio::Shared;

pub(crate) use row::present_bytes;
pub(crate) use worker::{Measure, Outcome, Plan, asset_path, choice_ids, fetch_plan, pick};

use row::{Row, Run};

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

#[cfg(test)]
mod tests;
