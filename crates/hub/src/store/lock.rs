//! One program at a time writes a file: the locks that the hub's own tools take, too.
//!
//! `std` and Python's `filelock` both use `flock` on Unix and `LockFileEx` on Windows. The system gives a lock back when
//! its owner ends, however it ends, so none is ever left behind. Lock files stay, as those tools leave them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::{Blobs, Store, disk, make_folder};
use crate::error::HubError;

/// The right to write one blob, until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Absent where the file system knows no locks.
    _held: Option<File>,
}

impl Store {
    /// Takes the lock of a blob; `None` while another program (or another download here) holds it.
    ///
    /// # Errors
    /// If the lock file cannot be made.
    pub(crate) fn try_lock(&self, blobs: &Blobs) -> Result<Option<Lock>, HubError> {
        let path = self.lock_path(blobs);
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        // Another try when the file was deleted between opening and locking: that lock would guard no name.
        for _ in 0..3 {
            let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
            let file = file.map_err(|error| disk(&path, &error))?;
            match file.try_lock() {
                Ok(()) if is_named(&file, &path) => return Ok(Some(Lock { _held: Some(file) })),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    log::warn!("{} cannot be locked: {error}", path.display());
                    return Ok(Some(Lock { _held: None }));
                }
                Err(TryLockError::Error(error)) => return Err(disk(&path, &error)),
            }
        }
        Ok(None)
    }

    /// Waits for the right to change what is noted as ordered of a repository. It is held for a moment only.
    ///
    /// # Errors
    /// If the lock file cannot be made.
    pub(crate) fn lock_orders(&self, repo_folder: &Path) -> Result<Lock, HubError> {
        let path = self.lock_path(&Blobs { folder: Blobs::folder(repo_folder), name: "tiller-orders".to_owned() });
        make_folder(path.parent().unwrap_or(&self.root))?;
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(|error| disk(&path, &error))?;
        match file.lock() {
            Ok(()) => Ok(Lock { _held: Some(file) }),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(Lock { _held: None }),
            Err(error) => Err(disk(&path, &error)),
        }
    }

    fn lock_path(&self, blobs: &Blobs) -> PathBuf {
        let repo = blobs.folder.parent().and_then(|folder| folder.file_name()).unwrap_or_default();
        self.root.join(".locks").join(repo).join(format!("{}.lock", blobs.name))
    }
}

#[cfg(unix)]
fn is_named(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let same =
        |held: std::fs::Metadata, named: std::fs::Metadata| (held.dev(), held.ino()) == (named.dev(), named.ino());
    file.metadata().and_then(|held| Ok(same(held, path.metadata()?))).unwrap_or(false)
}

/// Elsewhere an open file cannot be deleted.
#[cfg(not(unix))]
fn is_named(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::Sum;

    #[test]
    fn a_blob_has_one_writer_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        let folder = store.repo_folder("a/b").unwrap();
        let blobs = Blobs::new(&folder, &Sum::GitBlob([1; 20]));
        let lock = store.try_lock(&blobs).unwrap();
        assert!(lock.is_some());
        assert!(store.try_lock(&blobs).unwrap().is_none());
        assert!(store.try_lock(&Blobs::new(&folder, &Sum::GitBlob([2; 20]))).unwrap().is_some());
        drop(lock);
        assert!(store.try_lock(&blobs).unwrap().is_some());
        let name = "01".repeat(20);
        assert!(root.path().join(format!(".locks/models--a--b/{name}.lock")).is_file());
    }
}
