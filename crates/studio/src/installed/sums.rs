//! Whether files are still the same: by size and time of change, which costs nothing, and by SHA-256.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tiller_protocol::problem::Problem;

use crate::problem;

/// Bytes read between two looks at the stop flag.
const CHUNK: usize = 1 << 20;

/// Names, sizes and times of change of some files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Stamp(String);

impl Stamp {
    /// Their state now; what is not there has a state, too.
    pub(crate) fn of(files: &[PathBuf]) -> Self {
        let mut hasher = Sha256::new();
        for path in files {
            let name = path.file_name().map(|name| name.as_encoded_bytes()).unwrap_or_default();
            hasher.update((name.len() as u64).to_le_bytes());
            hasher.update(name);
            let (bytes, nanos) = fs::metadata(path).map_or((u64::MAX, 0), |found| {
                let changed = found.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                (found.len(), changed.map_or(0, |since| since.as_nanos()))
            });
            hasher.update(bytes.to_le_bytes());
            hasher.update(nanos.to_le_bytes());
        }
        Self(head(&hasher))
    }
}

/// What reading files in full has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WeightSum {
    /// SHA-256 of all of them one after the other, first 16 hex digits.
    pub(crate) hash: String,
    /// SHA-256 of each by its name, hex.
    pub(crate) files: BTreeMap<String, String>,
}

/// Adds files up.
#[derive(Debug, Default)]
pub(super) struct Adder {
    /// Of the files before this one and of this one so far.
    all: Sha256,
    /// Of this one alone; absent when there is no other.
    one: Option<Sha256>,
    files: BTreeMap<String, String>,
}

impl Adder {
    /// For so many files.
    pub(super) fn new(n_files: usize) -> Self {
        Self { one: (n_files > 1).then(Sha256::new), ..Self::default() }
    }

    /// Takes the next bytes of a file.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.all.update(bytes);
        if let Some(one) = &mut self.one {
            one.update(bytes);
        }
    }

    /// Ends a file.
    pub(super) fn end(&mut self, name: String) {
        let sum = self.one.as_mut().map_or_else(|| self.all.clone().finalize(), |one| std::mem::take(one).finalize());
        self.files.insert(name, tiller_hub::listing::Sum::Sha256(sum.into()).hex());
    }

    /// The sums.
    pub(super) fn total(self) -> WeightSum {
        WeightSum { hash: head(&self.all), files: self.files }
    }
}

impl WeightSum {
    /// Reads files in their order; `progress(done_bytes, total_bytes)` may end it.
    ///
    /// # Errors
    /// A file that cannot be read, or what `progress` says.
    pub(crate) fn of(
        files: &[PathBuf],
        progress: &mut dyn FnMut(u64, u64) -> Result<(), Problem>,
    ) -> Result<Self, Problem> {
        let total = total_bytes(files);
        let mut adder = Adder::new(files.len());
        let mut done = 0;
        for path in files {
            read(path, &mut |bytes| {
                adder.add(bytes);
                done += bytes.len() as u64;
                progress(done, total)
            })?;
            adder.end(name(path));
        }
        Ok(adder.total())
    }
}

/// Hands a file's bytes to `take`, some at a time.
///
/// # Errors
/// A file that cannot be read, or what `take` says.
pub(super) fn read(path: &Path, take: &mut dyn FnMut(&[u8]) -> Result<(), Problem>) -> Result<(), Problem> {
    let mut file = File::open(path).map_err(|error| problem::read_failed(path, &error))?;
    let mut buffer = vec![0; CHUNK];
    // An empty chunk first, so that a stop is seen before anything is read.
    take(&[])?;
    loop {
        let n = file.read(&mut buffer).map_err(|error| problem::read_failed(path, &error))?;
        if n == 0 {
            return Ok(());
        }
        take(&buffer[..n])?;
    }
}

/// Bytes of files, links followed.
pub(super) fn total_bytes(files: &[PathBuf]) -> u64 {
    files.iter().map(|path| fs::metadata(path).map_or(0, |found| found.len())).sum()
}

/// Its name for people and for the table of sums.
pub(super) fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// The first 16 hex digits.
fn head(hasher: &Sha256) -> String {
    let digest = hasher.clone().finalize();
    let head = digest.iter().take(8).fold(0_u64, |head, byte| head << 8 | u64::from(*byte));
    format!("{head:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_files_and_a_stop_ends_them() {
        let dir = tempfile::tempdir().unwrap();
        let files = ["a", "b"].map(|name| dir.path().join(name));
        fs::write(&files[0], b"ab").unwrap();
        fs::write(&files[1], b"c").unwrap();
        let sum = WeightSum::of(&files, &mut |_, _| Ok(())).unwrap();
        assert_eq!(sum.hash, "ba7816bf8f01cfea", "that of abc");
        assert!(sum.files["b"].starts_with("2e7d2c03a9507ae2"), "that of c: {}", sum.files["b"]);
        let stopped = WeightSum::of(&files, &mut |_, _| Err(problem::stopped()));
        assert_eq!(stopped, Err(problem::stopped()));
    }

    #[test]
    fn a_stamp_tells_sizes_times_and_absence_apart() {
        let dir = tempfile::tempdir().unwrap();
        let files = [dir.path().join("a")];
        let absent = Stamp::of(&files);
        fs::write(&files[0], b"abc").unwrap();
        let first = Stamp::of(&files);
        assert_ne!(absent, first);
        assert_eq!(first, Stamp::of(&files));
        let file = File::options().write(true).open(&files[0]).unwrap();
        file.set_modified(UNIX_EPOCH).unwrap();
        assert_ne!(first, Stamp::of(&files), "the same size at another time");
    }
}
