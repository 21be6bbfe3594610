//! Reads each file along while it comes in, and puts it in its place once its checksum agrees.
//!
//! It follows the bytes that are there without a gap from the file's beginning and reads them from the file: the system
//! still has them in its memory, and connection and checker need not wait for each other. After a resumption the part
//! on the disk is read first.

use super::board::{Board, Stage};
use super::part::Part;
use super::{Control, Job};
use crate::error::HubError;
use crate::listing::Sum;
use crate::sums::Summing;

/// Bytes read at a time: few enough to stay in the processor's caches.
const BUFFER: usize = 256 << 10;

/// Fewer bytes than this are not worth waking up for, unless they are the last.
const BATCH: u64 = 8 << 20;

/// Files that arrived wrong so many times are given up.
const MAX_WRONG: u32 = 2;

/// Checks all files, in order.
pub(super) fn check(job: &Job<'_>, board: &Board, control: &Control) {
    let mut buffer = vec![0; BUFFER];
    for idx in 0..job.files.len() {
        loop {
            let Some(part) = opened(board, control, idx) else { return };
            // None: the file is whole already.
            let Some(part) = part else { break };
            match settle(job, board, control, (idx, &part), &mut buffer) {
                Ok(true) => break,
                Ok(false) => {}
                Err(HubError::Stopped) => return,
                Err(error) => return board.fail(error),
            }
        }
    }
}

/// Waits until a file is open. Inner `None`: it is whole; outer `None`: there is nothing left to do.
#[expect(clippy::option_option, reason = "two ways of having nothing to check, which a caller tells apart at once")]
fn opened(board: &Board, control: &Control, idx: usize) -> Option<Option<std::sync::Arc<Part>>> {
    let mut inner = board.lock();
    loop {
        match &inner.files[idx].stage {
            Stage::Open(part) => return Some(Some(std::sync::Arc::clone(part))),
            Stage::Whole => return Some(None),
            Stage::Ahead | Stage::Opening if control.stop.is_set() || inner.is_over() => return None,
            Stage::Ahead | Stage::Opening => inner = board.wait(inner),
        }
    }
}

/// Follows a file to its end. Whether it is in its place; if not, it is coming once more.
fn settle(
    job: &Job<'_>,
    board: &Board,
    control: &Control,
    (idx, part): (usize, &Part),
    buffer: &mut [u8],
) -> Result<bool, HubError> {
    let file = &job.files[idx];
    let found = sum(job, board, control, (idx, part), buffer)?;
    if found == file.sum {
        part.put_in_place()?;
        board.put_in_place(idx);
        return Ok(true);
    }
    log::warn!("{}: checksum {} where {} was expected", file.path, found.hex(), file.sum.hex());
    let n_wrong = board.lock().files[idx].n_wrong + 1;
    if n_wrong >= MAX_WRONG {
        part.delete()?;
        return Err(HubError::BadSum { path: file.path.clone(), expected: file.sum.hex(), found: found.hex() });
    }
    part.start_over(|| board.start_over(idx))?;
    Ok(false)
}

fn sum(
    job: &Job<'_>,
    board: &Board,
    control: &Control,
    (idx, part): (usize, &Part),
    buffer: &mut [u8],
) -> Result<Sum, HubError> {
    let file = &job.files[idx];
    let mut summing = Summing::like(&file.sum, file.bytes);
    let mut at = 0;
    while at < file.bytes {
        control.stop.check()?;
        let there = board.lock().files[idx].done.prefix();
        if there == at {
            grown(board, control, idx, at)?;
            continue;
        }
        let want = buffer.len().min((there - at) as usize);
        let n = part.read_at(&mut buffer[..want], at)?;
        summing.update(&buffer[..n]);
        at += n as u64;
    }
    Ok(summing.finish())
}

/// Waits until enough bytes after `at` are there from the beginning.
fn grown(board: &Board, control: &Control, idx: usize, at: u64) -> Result<(), HubError> {
    let mut inner = board.lock();
    loop {
        let there = inner.files[idx].done.prefix();
        let enough = inner.files[idx].file.bytes.min(at + BATCH);
        if there >= enough {
            return Ok(());
        }
        if control.stop.is_set() || inner.is_over() {
            return Err(HubError::Stopped);
        }
        inner = board.wait_for_bytes(inner, idx, enough);
    }
}
