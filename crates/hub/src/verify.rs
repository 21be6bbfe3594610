//! Comparing files on the disk with their checksums, without the network.
//!
//! In the cache a file's checksum is the name of the blob that its link leads to; where there are no links, it is what
//! was ordered, or what other tools have noted. A plain folder has none.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::error::HubError;
use crate::listing::Sum;
use crate::stop::Stop;
use crate::store::{Blobs, CachedFile, CachedRevision, Order, if_there, known_to_others, write_whole};
use crate::sums::Summing;

/// Bytes read at a time.
const BUFFER: usize = 1 << 20;

/// What comparing a file has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It has the published checksum.
    Good,
    /// It has another one.
    Differs {
        /// Published, hex.
        expected: String,
        /// Found, hex.
        found: String,
    },
    /// It could not be read to its end.
    Unreadable {
        /// What the system said.
        reason: String,
    },
    /// It should be there and is not, or only in part.
    Missing,
    /// It was read to its end; nobody has published a checksum.
    Unknown,
}

/// A file that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Path inside the repository, with `/`.
    pub path: String,
    /// What it has shown.
    pub finding: Finding,
}

/// Reads the files of a commit that `is_meant` names (by their path inside) and compares them with their checksums. A
/// file that differs is noted, so that the next fetch replaces it.
///
/// `observer` is told the bytes read so far and the bytes of all, after each megabyte.
///
/// # Errors
/// [`HubError::Stopped`].
pub fn verify(
    revision: &CachedRevision,
    is_meant: &dyn Fn(&str) -> bool,
    stop: &Stop,
    observer: &mut dyn FnMut(u64, u64),
) -> Result<Vec<Checked>, HubError> {
    let repo = revision.path.ancestors().nth(2).unwrap_or(&revision.path);
    let mut sums = known_to_others(repo, &revision.commit);
    sums.extend(Order::load(repo, &revision.commit).files);
    let files: Vec<&CachedFile> = revision.files.iter().filter(|file| is_meant(&file.path)).collect();
    let total = files.iter().map(|file| file.bytes).sum();
    let (mut checked, mut read) = (Vec::new(), 0);
    for file in files {
        let is_blob = file.blob.parent() == Some(&Blobs::folder(repo));
        let name = file.blob.file_name().filter(|_| is_blob).and_then(|name| name.to_str());
        let sum = name.or_else(|| sums.get(&file.path).map(|file| file.sum.as_str())).and_then(Sum::from_hex);
        let finding = compare(&file.blob, sum.as_ref(), stop, &mut |n| {
            read += n;
            observer(read, total);
        })?;
        if let Some(sum) = &sum {
            note(&Blobs::new(repo, sum), &finding);
        }
        checked.push(Checked { path: file.path.clone(), finding });
    }
    let missing = revision.missing.iter().filter(|file| is_meant(&file.path));
    checked.extend(missing.map(|file| Checked { path: file.path.clone(), finding: Finding::Missing }));
    checked.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(checked)
}

/// Reads a whole file again that may not have reached the disk when the system ended, and notes what it is.
///
/// # Errors
/// [`HubError::Stopped`].
pub(crate) fn settle_doubt(blobs: &Blobs, sum: &Sum, stop: &Stop) -> Result<(), HubError> {
    if blobs.is_doubtful() && blobs.whole().is_file() {
        log::info!("checking {} again, which was new when the system ended", blobs.name);
        note(blobs, &compare(&blobs.whole(), Some(sum), stop, &mut |_| {})?);
    }
    Ok(())
}

/// Remembers whether a file was found spoilt. Where that cannot be written, the next fetch takes the file for good, as
/// other tools do.
fn note(blobs: &Blobs, finding: &Finding) {
    let path = blobs.spoilt();
    let settled = || if_there(std::fs::remove_file(blobs.unsynced())).map(|_| ());
    let result = match finding {
        Finding::Differs { found, .. } => {
            write_whole(&path, found.as_bytes(), &blobs.scratch()).and_then(|()| settled())
        }
        Finding::Good => if_there(std::fs::remove_file(&path)).and_then(|_| settled()),
        _ => Ok(()),
    };
    if let Err(error) = result {
        log::warn!("{}: {error}", path.display());
    }
}

/// Reads a file to its end and compares it with `sum`, if there is one. `read` is told the bytes of each step.
///
/// # Errors
/// [`HubError::Stopped`].
pub fn compare(path: &Path, sum: Option<&Sum>, stop: &Stop, read: &mut dyn FnMut(u64)) -> Result<Finding, HubError> {
    let unreadable = |error: &std::io::Error| Finding::Unreadable { reason: error.to_string() };
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (bytes, mut file) = match opened {
        Ok(opened) => opened,
        Err(error) => return Ok(unreadable(&error)),
    };
    let mut summing = sum.map(|sum| Summing::like(sum, bytes));
    let mut buffer = vec![0; BUFFER];
    loop {
        stop.check()?;
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                if let Some(summing) = &mut summing {
                    summing.update(&buffer[..n]);
                }
                read(n as u64);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(unreadable(&error)),
        }
    }
    let Some((summing, expected)) = summing.zip(sum) else { return Ok(Finding::Unknown) };
    let found = summing.finish();
    Ok(if found == *expected {
        Finding::Good
    } else {
        Finding::Differs { expected: expected.hex(), found: found.hex() }
    })
}
