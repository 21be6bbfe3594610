//! A connection's thread: takes a piece, fetches it, writes it, takes the next.

use std::ops::Range;
use std::time::Duration;

use super::board::{Board, Task};
use super::part::Part;
use super::{Control, Job};
use crate::error::HubError;
use crate::store::{self, Blobs};

/// Bytes taken from a connection at a time.
const BUFFER: usize = 1 << 20;

/// How often a lock that another program holds is tried.
const LOCK_TICK: Duration = Duration::from_millis(200);

/// Works until nothing is left to do.
pub(super) fn work(job: &Job<'_>, board: &Board, control: &Control) {
    let mut buffer = vec![0; BUFFER];
    while let Some(task) = board.next(|| control.stop.is_set()) {
        match task {
            Task::Open(idx) => {
                if let Err(error) = open(job, board, control, idx) {
                    board.fail(error);
                }
            }
            Task::Fetch { idx, part, range, ask_whole } => {
                let mut piece = Piece { board, idx, part: &part, rest: range, is_stream: ask_whole };
                let result = piece.fetch(job, control, &mut buffer);
                board.ended(idx);
                if let Err(error) = result {
                    board.failed(idx, piece.rest, piece.is_stream, error);
                }
            }
        }
    }
}

/// Locks a file and opens it, or finds it whole.
fn open(job: &Job<'_>, board: &Board, control: &Control, idx: usize) -> Result<(), HubError> {
    let file = &job.files[idx];
    let blobs = Blobs::new(&job.folder, &file.sum);
    let lock = loop {
        if let Some(lock) = job.store.try_lock(&blobs)? {
            break lock;
        }
        board.locked(idx);
        if board.lock().is_over() {
            return Ok(());
        }
        control.stop.wait(LOCK_TICK)?;
    };
    // Another program may have been faster.
    if store::has(&job.folder, &job.listing.commit, file) {
        board.put_in_place(idx);
        return Ok(());
    }
    let (part, done) = Part::open(blobs, file.bytes, lock)?;
    board.opened(idx, part, done);
    Ok(())
}

/// A piece of a file on its way in.
struct Piece<'a> {
    board: &'a Board,
    idx: usize,
    part: &'a Part,
    /// What is still to come.
    rest: Range<u64>,
    /// All of the file comes with it.
    is_stream: bool,
}

impl Piece<'_> {
    fn fetch(&mut self, job: &Job<'_>, control: &Control, buffer: &mut [u8]) -> Result<(), HubError> {
        let file = &job.files[self.idx];
        let is_all = self.rest == (0..file.bytes);
        let range = (!self.is_stream && !is_all).then(|| self.rest.clone());
        let mut body = job.hub.open(job.listing, file, range, &control.stop)?;
        if body.range.start != self.rest.start || body.range.end > self.rest.end {
            // The whole file comes although a part was asked for. One stream of it is enough.
            if !self.board.in_one(self.idx) {
                self.rest = 0..0;
                return Ok(());
            }
            self.rest = body.range.clone();
            self.is_stream = true;
        }
        while !self.rest.is_empty() {
            let want = buffer.len().min((self.rest.end - self.rest.start) as usize);
            let n = body.read_on(&mut buffer[..want])?;
            if n == 0 {
                return Err(HubError::Unreachable { host: job.host(), reason: "the answer ended early".to_owned() });
            }
            let came = self.rest.start..self.rest.start + n as u64;
            // A stream from the beginning brings again what is there.
            let is_there = self.board.lock().files[self.idx].done.contains(&came);
            if !is_there {
                self.part.write_at(&buffer[..n], came.start)?;

                if !self.board.wrote(self.idx, came.clone()) {
                    return Ok(());
                }
            }
            self.rest.start = came.end;
        }
        Ok(())
    }
}
