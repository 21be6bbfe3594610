//! Getting files without ever losing a byte.
//!
//! A file comes in pieces over several connections into a part file beside a note of what is there. It is read along for
//! its checksum meanwhile, and appears under its name by one rename once the checksum agrees. Links into the snapshot
//! folder are made when all files are whole, the branch's note last: other programs never see half a download. Whatever
//! ends it, the next fetch goes on from the bytes that are there.
//!
//! Threads: [`Settings::connections`] workers, one checker, and the caller's, which reports and writes the notes.
//! Memory: a few megabytes, whatever the files' sizes.
//!
//! Reading order: [`fetch`], `board` (who does what), `worker`, `checker`, `part`, `journal`.

mod board;
mod checker;
pub(crate) mod journal;
mod part;
mod ranges;
mod rate;
mod worker;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use tiller_protocol::asset::DownloadFile;

use self::board::{Board, FileState, Inner};
use self::ranges::Ranges;
use self::rate::Rate;
use crate::disk;
use crate::error::HubError;
use crate::http::Hub;
use crate::listing::{Listing, RemoteFile};
use crate::stop::Stop;
use crate::store::{self, Blobs, Order, Store};
use crate::verify;

/// Least time between two reports.
const REPORT: Duration = Duration::from_millis(100);

/// How to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Connections at a time.
    pub connections: usize,
    /// A connection that is as fast as this is not joined by others for the same file: they would only cost time.
    pub fast_bytes_per_sec: u64,
    /// Large files come in pieces of so many bytes.
    pub piece_bytes: u64,
    /// Bytes that stay free on the disk.
    pub reserve_bytes: u64,
    /// It is given up after so long without a byte.
    pub patience: Duration,
    /// How often to note which bytes are on the disk: what came in since is lost when the program is killed.
    pub note_every: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections: 4,
            fast_bytes_per_sec: 200_000_000,
            piece_bytes: 64 << 20,
            reserve_bytes: 512 << 20,
            patience: Duration::from_mins(5),
            note_every: Duration::from_millis(500),
        }
    }
}

/// What the caller decides about a fetch.
#[derive(Clone, Debug, Default)]
pub struct Control {
    /// Ends it; what has come in is kept.
    pub stop: Stop,
    /// How to fetch.
    pub settings: Settings,
}

/// What a fetch is doing.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// Bytes are coming in, or about to.
    Running,
    /// Something failed that may pass; it goes on by itself.
    Retrying {
        /// Until then; zero while another program is waited for.
        wait: Duration,
        /// What failed.
        cause: String,
    },
    /// All bytes are there; the last checksums are being compared.
    Checking,
}

/// How far a fetch is.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// All its files, as they were given.
    pub files: Vec<DownloadFile>,
    /// What it is doing.
    pub phase: Phase,
    /// Over the last seconds; absent while nothing comes in.
    pub bytes_per_sec: Option<f64>,
}

/// What all threads of a fetch know.
pub(crate) struct Job<'a> {
    hub: &'a Hub,
    store: &'a Store,
    listing: &'a Listing,
    files: &'a [RemoteFile],
    /// The repository's folder.
    folder: PathBuf,
}

impl Job<'_> {
    fn host(&self) -> String {
        self.hub.settings().endpoint.as_str().to_owned()
    }
}

/// Brings files of a repository into the store, as far as they are not there already, and returns the snapshot's
/// folder. Nothing is asked of the network when everything is there.
///
/// `observer` is called on this thread, about ten times a second at most.
///
/// # Errors
/// [`HubError::DiskFull`] before the first byte or when it happens, [`HubError::BadSum`] when a file arrived wrong twice,
/// [`HubError::Stopped`], and what the hub or the disk answers and does not pass by itself. What has come in is kept
/// (but for a file with a wrong checksum), and another call goes on from there.
pub fn fetch(
    hub: &Hub,
    store: &Store,
    listing: &Listing,
    files: &[RemoteFile],
    control: &Control,
    observer: &mut dyn FnMut(&Progress),
) -> Result<PathBuf, HubError> {
    let bad = |reason: &str| HubError::BadAnswer { url: listing.page.clone(), reason: reason.to_owned() };
    let folder = store.repo_folder(&listing.repo.id).ok_or_else(|| bad("its id is none"))?;
    store::pointer(&folder, &listing.commit, "x").ok_or_else(|| bad("its commit is none"))?;
    let snapshot = folder.join("snapshots").join(&listing.commit);
    let places: Option<Vec<PathBuf>> =
        files.iter().map(|file| store::pointer(&folder, &listing.commit, &file.path)).collect();
    let places = places.ok_or_else(|| bad("a path leads out of the repository"))?;
    let job = Job { hub, store, listing, files, folder };

    for file in files {
        verify::settle_doubt(&Blobs::new(&job.folder, &file.sum), &file.sum, &control.stop)?;
    }
    let board = job.board(control);
    job.check_room(&board, control)?;
    // A cache that has everything may be one that cannot be written to.
    let has_all = board.lock().is_over();
    if !has_all {
        store.make_root()?;
        // Without it, other tools call the repository damaged.
        store::make_folder(&job.folder.join("snapshots"))?;
        let _orders = store.lock_orders(&job.folder)?;
        Order::add(&job.folder, &listing.commit, files)?;
    }
    job.run(&board, control, observer)?;

    for (idx, (file, place)) in files.iter().zip(&places).enumerate() {
        let blob = Blobs::new(&job.folder, &file.sum);
        if blob.is_whole(file.bytes) {
            // Left by a program that was killed between naming the file and taking its note away.
            drop(fs::remove_file(blob.journal()));
            let is_last = files[idx + 1..].iter().all(|other| other.sum != file.sum);
            store::replace_with(&blob.whole(), place, &blob.scratch(), is_last)
                .map_err(|error| store::disk(place, &error))?;
        } else if !store::has(&job.folder, &listing.commit, file) {
            let reason = "another program has deleted it while the rest came in".to_owned();
            return Err(HubError::Disk { path: place.clone(), reason });
        }
    }
    store::write_ref(&job.folder, listing.repo.revision.as_deref(), &listing.commit)?;
    Ok(snapshot)
}

impl Job<'_> {
    fn board(&self, control: &Control) -> Board {
        let present = self.files.iter().map(|file| {
            let is_whole = store::has(&self.folder, &self.listing.commit, file);
            let done = journal::present(&Blobs::new(&self.folder, &file.sum), file.bytes);
            let done = if is_whole { Ranges::first(file.bytes) } else { done };
            (file.clone(), done, is_whole)
        });
        Board::new(present.collect(), control.settings, self.hub.settings().retry)
    }

    fn check_room(&self, board: &Board, control: &Control) -> Result<(), HubError> {
        let needed: u64 = board.lock().files.iter().map(|file| file.file.bytes - file.done.total()).sum();
        // A system that does not tell will say so when it is full.
        let Some(free) = disk::free_bytes(self.store.root()).ok().filter(|_| needed > 0) else { return Ok(()) };
        if needed.saturating_add(control.settings.reserve_bytes) > free {
            return Err(HubError::DiskFull { folder: self.store.root().to_owned(), needed, free });
        }
        Ok(())
    }

    /// Runs the threads to their end, reporting meanwhile.
    fn run(&self, board: &Board, control: &Control, observer: &mut dyn FnMut(&Progress)) -> Result<(), HubError> {
        let mut reporter = Reporter { observer, rate: Rate::default(), last: None };
        if board.lock().is_over() {
            reporter.report(board, true);
            return Ok(());
        }
        thread::scope(|scope| {
            for n in 0..control.settings.connections.max(1) {
                let worker = || worker::work(self, board, control);
                spawn(scope, format!("hub-fetch-{n}"), board, worker);
            }
            spawn(scope, "hub-check".to_owned(), board, || checker::check(self, board, control));
            let mut noted = Instant::now();
            loop {
                let inner = board.lock();
                if control.stop.is_set() || inner.is_over() {
                    break;
                }
                drop(board.wait(inner));
                if noted.elapsed() >= control.settings.note_every {
                    note(board);
                    noted = Instant::now();
                }
                reporter.report(board, false);
            }
        });
        for idx in note(board) {
            note_on_full_disk(board, idx);
        }
        reporter.report(board, true);
        let mut inner = board.lock();
        if let Some(error) = inner.take_failure() {
            return Err(error);
        }
        if inner.is_over() { Ok(()) } else { Err(HubError::Stopped) }
    }
}

/// Starts a thread of a fetch. That it cannot be started, or panics, ends the fetch.
fn spawn<'s>(scope: &'s thread::Scope<'s, '_>, name: String, board: &'s Board, work: impl FnOnce() + Send + 's) {
    let guarded = move || {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
            let reason = "a thread of the download ended unexpectedly".to_owned();
            board.fail(HubError::Disk { path: PathBuf::new(), reason });
        }
    };
    if let Err(error) = thread::Builder::new().name(name).spawn_scoped(scope, guarded) {
        board.fail(HubError::Disk { path: PathBuf::new(), reason: format!("no thread could be started: {error}") });
    }
}

/// Writes down what is on the disk. Returns the files whose note could not be written, which costs nothing as long as
/// another try follows.
fn note(board: &Board) -> Vec<usize> {
    let mut failed = Vec::new();
    for (idx, part) in board.unnoted() {
        if let Err(error) = part.note(|| board.done(idx)) {
            log::warn!("{error}");
            board.keep_unnoted(idx);
            failed.push(idx);
        }
    }
    failed
}

/// Gives up the last bytes of a file so that there is room for its note. Only when nobody writes to it any more.
fn note_on_full_disk(board: &Board, idx: usize) {
    let Some(part) = board.part(idx) else { return };
    let noted = part.shorten().map(|len| board.clip(idx, len)).and_then(|()| part.note(|| board.done(idx)));
    if let Err(error) = noted {
        log::warn!("{error}");
    }
}

struct Reporter<'a> {
    observer: &'a mut dyn FnMut(&Progress),
    rate: Rate,
    last: Option<(Instant, Progress)>,
}

impl Reporter<'_> {
    /// Reports if something has changed and the last report is old enough, or in any case if it is the last.
    fn report(&mut self, board: &Board, is_last: bool) {
        let now = Instant::now();
        if !is_last && self.last.as_ref().is_some_and(|(time, _)| now.duration_since(*time) < REPORT) {
            return;
        }
        let progress = progress(&board.lock(), &mut self.rate, now);
        if is_last || self.last.as_ref().is_none_or(|(_, last)| *last != progress) {
            (self.observer)(&progress);
        }
        self.last = Some((now, progress));
    }
}

fn progress(inner: &Inner, rate: &mut Rate, now: Instant) -> Progress {
    let file = |state: &FileState| DownloadFile {
        path: state.file.path.clone(),
        done_bytes: state.done.total(),
        total_bytes: state.file.bytes,
        is_complete: state.is_whole(),
    };
    let files: Vec<DownloadFile> = inner.files.iter().map(file).collect();
    let is_all_there = files.iter().all(|file| file.done_bytes == file.total_bytes);
    let phase = match inner.trouble() {
        Some((wait, cause)) => Phase::Retrying { wait, cause },
        None if is_all_there => Phase::Checking,
        None => Phase::Running,
    };
    Progress { files, phase, bytes_per_sec: rate.sample(now, inner.received) }
}
