//! A file on its way: written at any place, read along, put in its place at the end.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::journal;
use super::ranges::Ranges;
use crate::error::HubError;
use crate::store::{Blobs, Lock, disk, if_there, make_folder};

/// Smaller files reach the disk soon enough by themselves.
const SYNC_BYTES: u64 = 1 << 20;

/// How long a file is left to the system before it is asked to bring it to the disk.
const SYNC_DELAY: Duration = Duration::from_secs(2);

/// Room for a note, in blocks of any usual size.
const ROOM_BYTES: u64 = 128 << 10;

/// An open file on its way, locked against other programs.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) blobs: Blobs,
    bytes: u64,
    file: File,
    _lock: Lock,
    /// Held while the note is written or taken away; `true` once there is to be none any more.
    is_settled: Mutex<bool>,
}

impl Part {
    /// Opens or makes it, and says which bytes are there already: ours, or what another tool has left unfinished if that
    /// is more. The latter is safe since the lock says that the tool is not at it any more.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(crate) fn open(blobs: Blobs, bytes: u64, lock: Lock) -> Result<(Self, Ranges), HubError> {
        make_folder(&blobs.folder)?;
        let path = blobs.part();
        let failed = |error: &io::Error| disk(&path, error);
        let mut done = journal::present(&blobs, bytes);
        if let Some((left, n_left)) = blobs.left_by_others(done.total(), bytes) {
            log::info!("going on from what another tool has left: {}", left.display());
            if_there(fs::remove_file(blobs.journal())).map_err(|error| failed(&error))?;
            fs::rename(&left, &path).map_err(|error| failed(&error))?;
            done = Ranges::first(n_left);
            journal::save(&blobs, bytes, &done).map_err(|error| failed(&error))?;
        }
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(|error| failed(&error))?;
        // What lies beyond the file's end is not its own.
        if file.metadata().map_err(|error| failed(&error))?.len() > bytes {
            file.set_len(bytes).map_err(|error| failed(&error))?;
        }
        Ok((Self { blobs, bytes, file, _lock: lock, is_settled: Mutex::new(false) }, done))
    }

    /// Writes all of `bytes` at `at`; several threads may do so at once.
    ///
    /// # Errors
    /// [`HubError::DiskFull`] or [`HubError::Disk`].
    pub(crate) fn write_at(&self, bytes: &[u8], at: u64) -> Result<(), HubError> {
        write_all_at(&self.file, bytes, at).map_err(|error| self.refused(&error))
    }

    /// Reads from `at` on; fewer bytes than the buffer holds may come.
    ///
    /// # Errors
    /// [`HubError::Disk`], also when the file ends there.
    pub(crate) fn read_at(&self, buffer: &mut [u8], at: u64) -> Result<usize, HubError> {
        match read_at(&self.file, buffer, at) {
            Ok(0) => Err(disk(&self.blobs.part(), &io::ErrorKind::UnexpectedEof.into())),
            result => result.map_err(|error| disk(&self.blobs.part(), &error)),
        }
    }

    /// Notes which bytes are there, which `done` is asked for.
    ///
    /// # Errors
    /// If the disk refuses; nothing is lost but the note.
    pub(crate) fn note(&self, done: impl FnOnce() -> Ranges) -> Result<(), HubError> {
        let is_settled = self.settle();
        if *is_settled {
            return Ok(());
        }
        journal::save(&self.blobs, self.bytes, &done()).map_err(|error| self.refused(&error))
    }

    fn settle(&self) -> MutexGuard<'_, bool> {
        self.is_settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a few bytes off its end, which makes room on a full disk, and says how many are left.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(crate) fn shorten(&self) -> Result<u64, HubError> {
        let shorten = || {
            let len = self.file.metadata()?.len().saturating_sub(ROOM_BYTES);
            self.file.set_len(len)?;
            Ok(len)
        };
        shorten().map_err(|error| disk(&self.blobs.part(), &error))
    }

    /// Empties it; `forget` is called when that is done, before any note can be written.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(crate) fn start_over(&self, forget: impl FnOnce()) -> Result<(), HubError> {
        let _held = self.settle();
        let path = self.blobs.part();
        if_there(fs::remove_file(self.blobs.journal())).map_err(|error| disk(&path, &error))?;
        self.file.set_len(0).map_err(|error| disk(&path, &error))?;
        forget();
        Ok(())
    }

    /// Gives it its name; to be called once its checksum was compared.
    ///
    /// The system is asked to bring it to the disk itself soon, which is not waited for: until then a power cut could
    /// still cost bytes. A note says so, and has the file checked again should the system have been started anew.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(crate) fn put_in_place(&self) -> Result<(), HubError> {
        *self.settle() = true;
        let (from, to) = (self.blobs.part(), self.blobs.whole());
        if self.bytes >= SYNC_BYTES && self.note_unsynced().is_err() {
            self.file.sync_data().map_err(|error| disk(&from, &error))?;
        }
        fs::rename(&from, &to).map_err(|error| disk(&to, &error))?;
        for note in [self.blobs.journal(), self.blobs.spoilt()] {
            if_there(fs::remove_file(&note)).map_err(|error| disk(&note, &error))?;
        }
        if self.bytes >= SYNC_BYTES
            && let Ok(file) = self.file.try_clone()
        {
            // Not at once: a program that ends now would be held up until the disk has it all.
            let unsynced = self.blobs.unsynced();
            let sync = move || {
                std::thread::sleep(SYNC_DELAY);
                if file.sync_data().is_ok() {
                    drop(fs::remove_file(unsynced));
                }
            };
            drop(std::thread::Builder::new().name("hub-sync".to_owned()).spawn(sync));
        }
        Ok(())
    }

    /// Notes that it is not on the disk yet. Only its being there counts, which the system does not put off longer than
    /// a renaming that follows.
    fn note_unsynced(&self) -> io::Result<()> {
        fs::create_dir_all(self.blobs.scratch())?;
        fs::write(self.blobs.unsynced(), crate::disk::start_of_system())
    }

    /// Deletes it.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(crate) fn delete(&self) -> Result<(), HubError> {
        *self.settle() = true;
        for path in [self.blobs.journal(), self.blobs.part()] {
            if_there(fs::remove_file(&path)).map_err(|error| disk(&path, &error))?;
        }
        Ok(())
    }

    fn refused(&self, error: &io::Error) -> HubError {
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            let free = crate::disk::free_bytes(&self.blobs.folder).unwrap_or(0);
            return HubError::DiskFull { folder: self.blobs.folder.clone(), needed: self.bytes, free };
        }
        disk(&self.blobs.part(), error)
    }
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, at)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_write(file, bytes, at)?;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[n..];
        at += n as u64;
    }
    Ok(())
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::Sum;
    use crate::store::Store;

    #[test]
    fn a_file_that_may_not_be_on_the_disk_yet_is_doubtful_after_the_next_start_alone() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path());
        let blobs = Blobs::new(&store.repo_folder("a/b").unwrap(), &Sum::Sha256([7; 32]));
        let lock = store.try_lock(&blobs).unwrap().unwrap();
        let (part, _) = Part::open(blobs.clone(), SYNC_BYTES, lock).unwrap();
        part.write_at(&[1; 16], SYNC_BYTES - 16).unwrap();
        part.note_unsynced().unwrap();
        assert!(blobs.unsynced().is_file());
        assert_eq!(blobs.is_doubtful(), crate::disk::start_of_system().is_empty());
        for other in ["", "another start"] {
            fs::write(blobs.unsynced(), other).unwrap();
            assert!(blobs.is_doubtful(), "{other}");
        }
        part.put_in_place().unwrap();
        assert!(blobs.whole().is_file());
        // The thread that brings it to the disk takes the note away; a test that is too slow to see it loses nothing.
        let note = fs::read_to_string(blobs.unsynced());
        assert!(note.as_ref().is_ok_and(|note| *note == crate::disk::start_of_system()) || note.is_err(), "{note:?}");
        while blobs.unsynced().exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
