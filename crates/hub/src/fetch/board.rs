//! Who does what: the pieces that are still to come, the files on their way, and what went wrong lately.
//!
//! One lock guards it all. It is taken once for each buffer that comes in, a few thousand times a second at most.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Settings;
use super::part::Part;
use super::ranges::Ranges;
use crate::error::HubError;
use crate::listing::RemoteFile;
use crate::retry::Retry;

/// How long a wait may go on unaware that the fetch was stopped.
const TICK: Duration = Duration::from_millis(100);

/// How long one stream is looked at before others join it.
const LOOK: Duration = Duration::from_millis(250);

/// Answers of one file that make no sense, in a row, before it is asked for as a whole, and again before it is given up.
const MAX_NONSENSE: u32 = 3;

/// A file's way.
#[derive(Debug)]
pub(super) enum Stage {
    /// Nobody has opened it yet.
    Ahead,
    /// Somebody is opening it, or waits for another program to be done with it.
    Opening,
    /// Bytes are coming in.
    Open(Arc<Part>),
    /// It stands in its place.
    Whole,
}

/// A file and what has come in of it.
pub(super) struct FileState {
    pub(super) file: RemoteFile,
    pub(super) stage: Stage,
    pub(super) done: Ranges,
    /// Pieces that nobody fetches now.
    waiting: VecDeque<Range<u64>>,
    /// It comes in one stream from the beginning, for its sender answers so whatever is asked.
    in_one: bool,
    /// It is asked for as a whole, for its sender makes no sense of ranges.
    ask_whole: bool,
    /// Answers in a row that made no sense.
    n_nonsense: u32,
    /// It arrived whole with a wrong checksum so many times.
    pub(super) n_wrong: u32,
    /// The note on the disk lacks something.
    is_unnoted: bool,
    /// Pieces that somebody fetches now.
    n_active: usize,
    /// When it was opened, and the bytes that came in since.
    opened: Instant,
    received: u64,
}

/// What a worker is to do next.
pub(super) enum Task {
    /// Open a file that nobody has opened.
    Open(usize),
    /// Fetch a piece of an open file.
    Fetch {
        idx: usize,
        part: Arc<Part>,
        range: Range<u64>,
        /// Ask for the whole file, not for the piece alone.
        ask_whole: bool,
    },
}

/// What came of a failure.
#[derive(Debug)]
struct Trouble {
    since: Instant,
    /// No piece is begun before.
    until: Instant,
    cause: String,
}

pub(super) struct Inner {
    pub(super) files: Vec<FileState>,
    /// The first failure that ends it all.
    failure: Option<HubError>,
    trouble: Option<Trouble>,
    n_failures: u32,
    last_progress: Instant,
    /// Bytes that came over the network.
    pub(super) received: u64,
    /// What the checker waits for: so many bytes from the beginning of a file.
    wanted: Option<(usize, u64)>,
}

/// Shared by all threads of a fetch.
pub(super) struct Board {
    inner: Mutex<Inner>,
    /// There is something to do, or nothing any more.
    changed: Condvar,
    /// A file's beginning has grown.
    grew: Condvar,
    settings: Settings,
    retry: Retry,
}

impl Board {
    /// `present` says of each file which bytes are there, and whether it stands in its place.
    pub(super) fn new(present: Vec<(RemoteFile, Ranges, bool)>, settings: Settings, retry: Retry) -> Self {
        let state = |(file, done, is_whole)| FileState {
            file,
            stage: if is_whole { Stage::Whole } else { Stage::Ahead },
            done,
            waiting: VecDeque::new(),
            in_one: false,
            ask_whole: false,
            n_nonsense: 0,
            n_wrong: 0,
            is_unnoted: false,
            n_active: 0,
            opened: Instant::now(),
            received: 0,
        };
        let inner = Inner {
            files: present.into_iter().map(state).collect(),
            failure: None,
            trouble: None,
            n_failures: 0,
            last_progress: Instant::now(),
            received: 0,
            wanted: None,
        };
        let (changed, grew) = (Condvar::new(), Condvar::new());
        Self { inner: Mutex::new(inner), changed, grew, settings, retry }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change other than bytes that came in, though never for long.
    pub(super) fn wait<'a>(&self, held: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        let most = self.settings.note_every.clamp(Duration::from_millis(5), TICK);
        self.changed.wait_timeout(held, most).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits until so many bytes of a file are there from its beginning, though never for long.
    pub(super) fn wait_for_bytes<'a>(
        &self,
        mut held: MutexGuard<'a, Inner>,
        idx: usize,
        bytes: u64,
    ) -> MutexGuard<'a, Inner> {
        held.wanted = Some((idx, bytes));
        self.grew.wait_timeout(held, TICK).unwrap_or_else(PoisonError::into_inner).0
    }

    fn tell(&self) {
        self.changed.notify_all();
        self.grew.notify_all();
    }

    /// The next thing to do; absent when everything is done or has failed, or `is_stopped`.
    pub(super) fn next(&self, is_stopped: impl Fn() -> bool) -> Option<Task> {
        let mut inner = self.lock();
        loop {
            if is_stopped() || inner.is_over() {
                return None;
            }
            let is_calm = inner.trouble.as_ref().is_none_or(|trouble| trouble.until <= Instant::now());
            if is_calm && let Some(task) = inner.take(self.settings.fast_bytes_per_sec) {
                return Some(task);
            }
            inner = self.wait(inner);
        }
    }

    /// A file was opened, with these bytes in it.
    pub(super) fn opened(&self, idx: usize, part: Part, done: Ranges) {
        let mut inner = self.lock();
        let file = &mut inner.files[idx];
        file.stage = Stage::Open(Arc::new(part));
        file.done = done;
        file.opened = Instant::now();
        file.plan(self.settings.piece_bytes);
        inner.last_progress = Instant::now();
        self.tell();
    }

    /// A file stands in its place.
    pub(super) fn put_in_place(&self, idx: usize) {
        let mut inner = self.lock();
        let file = &mut inner.files[idx];
        file.stage = Stage::Whole;
        file.done = Ranges::first(file.file.bytes);
        file.waiting.clear();
        self.tell();
    }

    /// A file came in whole and wrong: everything of it is to come once more.
    pub(super) fn start_over(&self, idx: usize) {
        let mut inner = self.lock();
        let file = &mut inner.files[idx];
        file.n_wrong += 1;
        file.done = Ranges::default();
        file.plan(self.settings.piece_bytes);
        self.tell();
    }

    /// Bytes were written. Returns whether the writer should go on: the file may have been put in place meanwhile.
    pub(super) fn wrote(&self, idx: usize, range: Range<u64>) -> bool {
        let mut inner = self.lock();
        let n_new = range.end - range.start;
        let file = &mut inner.files[idx];
        if file.is_whole() {
            return false;
        }
        file.done.insert(range);
        file.received += n_new;
        file.is_unnoted = true;
        file.n_nonsense = 0;
        let prefix = file.done.prefix();
        inner.received += n_new;
        inner.last_progress = Instant::now();
        inner.n_failures = 0;
        // Waking the checker for each buffer would cost more than what it does with it.
        if inner.wanted.is_some_and(|(wanted, bytes)| wanted == idx && prefix >= bytes) {
            inner.wanted = None;
            drop(inner);
            self.grew.notify_all();
        }
        true
    }

    /// Nobody fetches a piece any more that somebody has fetched.
    pub(super) fn ended(&self, idx: usize) {
        self.lock().files[idx].n_active -= 1;
        self.changed.notify_all();
    }

    /// A sender knows no ranges: what still waits comes with the one stream. Returns whether the caller is the first to
    /// notice, and so the one to read the stream.
    pub(super) fn in_one(&self, idx: usize) -> bool {
        let mut inner = self.lock();
        let file = &mut inner.files[idx];
        file.waiting.clear();
        !std::mem::replace(&mut file.in_one, true)
    }

    /// A piece, or a stream of the whole file, broke before its end.
    pub(super) fn failed(&self, idx: usize, rest: Range<u64>, is_stream: bool, error: HubError) {
        let mut inner = self.lock();
        let piece_bytes = self.settings.piece_bytes;
        let file = &mut inner.files[idx];
        if file.is_whole() {
            return;
        }
        let comes_in_one = file.in_one || file.ask_whole;
        if is_stream {
            file.in_one = false;
            file.plan(piece_bytes);
        } else if !comes_in_one && !rest.is_empty() {
            file.waiting.push_front(rest);
        }
        // A sender that answers nonsense is asked again, then asked for the whole file, then given up.
        let mut is_passing = error.is_passing();
        if is_nonsense(&error) {
            file.n_nonsense += 1;
            is_passing = true;
            if file.n_nonsense > MAX_NONSENSE && comes_in_one == is_stream {
                is_passing = !std::mem::replace(&mut file.ask_whole, true);
                file.n_nonsense = 0;
                file.plan(piece_bytes);
            }
        }
        if is_passing {
            inner.back_off(&self.retry, self.settings.patience, error);
        } else {
            inner.fail(error);
        }
        self.tell();
    }

    /// Something went wrong that ends it all.
    pub(super) fn fail(&self, error: HubError) {
        self.lock().fail(error);
        self.tell();
    }

    /// Another program holds a file's lock.
    pub(super) fn locked(&self, idx: usize) {
        let mut inner = self.lock();
        let path = inner.files[idx].file.path.clone();
        if inner.last_progress.elapsed() > self.settings.patience {
            inner.fail(HubError::Locked { path });
        } else if inner.trouble().is_none() {
            let cause = HubError::Locked { path }.to_string();
            let now = Instant::now();
            inner.trouble = Some(Trouble { since: now, until: now, cause });
        }
        self.tell();
    }

    /// Files whose note on the disk lacks something.
    pub(super) fn unnoted(&self) -> Vec<(usize, Arc<Part>)> {
        let mut inner = self.lock();
        let unnoted = inner.files.iter_mut().enumerate().filter_map(|(idx, file)| match &file.stage {
            Stage::Open(part) if std::mem::take(&mut file.is_unnoted) => Some((idx, Arc::clone(part))),
            _ => None,
        });
        unnoted.collect()
    }

    /// A note could not be written.
    pub(super) fn keep_unnoted(&self, idx: usize) {
        self.lock().files[idx].is_unnoted = true;
    }

    /// A file that is on its way.
    pub(super) fn part(&self, idx: usize) -> Option<Arc<Part>> {
        match &self.lock().files[idx].stage {
            Stage::Open(part) => Some(Arc::clone(part)),
            _ => None,
        }
    }

    /// Forgets the bytes of a file from `len` on.
    pub(super) fn clip(&self, idx: usize, len: u64) {
        self.lock().files[idx].done.clip(len);
    }

    /// Bytes of a file that are there.
    pub(super) fn done(&self, idx: usize) -> Ranges {
        self.lock().files[idx].done.clone()
    }
}

impl Inner {
    /// Whether there is nothing left to do.
    pub(super) fn is_over(&self) -> bool {
        self.failure.is_some() || self.files.iter().all(FileState::is_whole)
    }

    pub(super) fn take_failure(&mut self) -> Option<HubError> {
        self.failure.take()
    }

    /// What it waits for and why, unless bytes have come in since.
    pub(super) fn trouble(&self) -> Option<(Duration, String)> {
        let trouble = self.trouble.as_ref().filter(|trouble| self.last_progress <= trouble.since)?;
        Some((trouble.until.saturating_duration_since(Instant::now()), trouble.cause.clone()))
    }

    fn fail(&mut self, error: HubError) {
        let error = match error {
            HubError::DiskFull { folder, free, .. } => {
                let missing = self.files.iter().map(|file| file.file.bytes - file.done.total());
                HubError::DiskFull { folder, needed: missing.sum(), free }
            }
            other => other,
        };
        self.failure.get_or_insert(error);
    }

    fn back_off(&mut self, retry: &Retry, patience: Duration, error: HubError) {
        let now = Instant::now();
        // Several connections that fail together are one failure.
        if self.trouble.as_ref().is_none_or(|trouble| trouble.until <= now) {
            self.n_failures += 1;
        }
        let wait = match &error {
            error if is_nonsense(error) => Some(retry.first_wait),
            error => retry.wait_after(self.n_failures.max(1), error),
        };
        let Some(wait) = wait.filter(|_| now.duration_since(self.last_progress) <= patience) else {
            return self.fail(error);
        };
        let until = self.trouble.as_ref().map_or(now, |trouble| trouble.until).max(now + wait);
        self.trouble = Some(Trouble { since: now, until, cause: error.to_string() });
    }

    /// Pieces in the order of the files, so that each file's beginning grows and can be read along.
    fn take(&mut self, fast_bytes_per_sec: u64) -> Option<Task> {
        for idx in 0..self.files.len() {
            let (before, rest) = self.files.split_at_mut(idx);
            let Some(file) = rest.first_mut() else { continue };
            match &file.stage {
                Stage::Ahead => {
                    // The same content under two names comes once.
                    let is_twin = |other: &FileState| other.file.sum == file.file.sum && !other.is_whole();
                    if !before.iter().any(is_twin) {
                        file.stage = Stage::Opening;
                        return Some(Task::Open(idx));
                    }
                }
                Stage::Open(part) => {
                    if file.takes_more(fast_bytes_per_sec)
                        && let Some(range) = file.waiting.pop_front()
                    {
                        file.n_active += 1;
                        return Some(Task::Fetch { idx, part: Arc::clone(part), range, ask_whole: file.ask_whole });
                    }
                }
                Stage::Opening | Stage::Whole => {}
            }
        }
        None
    }
}

/// Whether an answer makes no sense, or is a refusal that the hub has given no reason for: a store behind it may be out
/// of step for a moment.
fn is_nonsense(error: &HubError) -> bool {
    matches!(error, HubError::BadAnswer { .. } | HubError::Status { status: 400..=499, .. }) && !error.is_passing()
}

impl FileState {
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.stage, Stage::Whole)
    }

    /// Whether another stream would help: not beside one that is fast by itself.
    fn takes_more(&self, fast_bytes_per_sec: u64) -> bool {
        let time = self.opened.elapsed();
        let is_slow = || self.received as f64 / time.as_secs_f64() < fast_bytes_per_sec as f64;
        self.n_active == 0 || fast_bytes_per_sec == u64::MAX || (time >= LOOK && is_slow())
    }

    /// What is missing becomes pieces, or one stream.
    fn plan(&mut self, piece_bytes: u64) {
        self.waiting = self.done.gaps(self.file.bytes, piece_bytes).into();
        if self.ask_whole && !self.waiting.is_empty() {
            self.waiting = std::iter::once(0..self.file.bytes).collect();
        }
    }
}
