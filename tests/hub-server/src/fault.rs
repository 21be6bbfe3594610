//! Faults on demand: what a hub, a network or a disk in between does on a bad day.

use std::ops::Range;
use std::time::Duration;

/// What goes wrong with an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The connection closes after so many bytes of the body.
    Cut(u64),
    /// After so many bytes of the body nothing more comes, and the connection stays open.
    Stall(u64),
    /// The body comes at so many bytes a second.
    Slow(u64),
    /// `Content-Length` says so many bytes more (or fewer) than the file has.
    WrongLength(i64),
    /// The byte at this offset of the file is another one.
    WrongByte(u64),
    /// The hub answers with this status.
    Status(u16),
    /// The hub answers 429 and asks to wait so many seconds.
    TooMany(u64),
    /// The storage behind the hub answers with this status.
    StorageStatus(u16),
    /// The range asked for is ignored: 200 and the whole file.
    NoRange,
    /// `Content-Range` names another place than was asked for.
    WrongRange,
    /// The connection closes before a byte of the answer.
    Hangup,
    /// The answer's head comes this much later.
    Late(Duration),
}

impl Fault {
    /// Whether it concerns the hub itself rather than whoever sends the body.
    pub(crate) fn is_front(&self) -> bool {
        matches!(self, Self::Status(_) | Self::TooMany(_) | Self::Hangup | Self::Late(_))
    }
}

/// A fault, where it strikes, and how often still.
#[derive(Clone, Debug)]
pub(crate) struct Trap {
    /// A file's path, or with a leading `/` the beginning of a request's path.
    pub(crate) place: String,
    pub(crate) fault: Fault,
    pub(crate) times: usize,
}

/// Takes the first fault that strikes here.
///
/// `file` is the file that is asked for, `target` the path of the request. `body` is the range that is sent when the
/// question is about whoever sends the body, absent when it is about the hub (of small files both are the hub).
pub(crate) fn spring(
    traps: &mut Vec<Trap>,
    file: Option<&str>,
    target: &str,
    body: Option<&Range<u64>>,
) -> Option<Fault> {
    let at = traps.iter().position(|trap| {
        let here = if trap.place.starts_with('/') {
            target.starts_with(&trap.place)
        } else {
            file == Some(trap.place.as_str())
        };
        let is_reached = match (&trap.fault, body) {
            (Fault::WrongByte(at), Some(range)) => range.contains(at),
            (fault, body) => fault.is_front() == body.is_none(),
        };
        here && is_reached
    })?;
    let fault = traps[at].fault.clone();
    traps[at].times = traps[at].times.saturating_sub(1);
    if traps[at].times == 0 {
        traps.remove(at);
    }
    Some(fault)
}
