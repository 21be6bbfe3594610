//! A file that is read at given places only, with every place checked against its length.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{EngineError, Result};
use crate::memory::room_for_bytes;

/// An open file. Reading it takes no lock and moves no cursor, so that several threads may.
#[derive(Debug)]
pub(in crate::sae) struct Raw {
    path: PathBuf,
    file: File,
    len: u64,
}

impl Raw {
    /// Opens a file.
    ///
    /// # Errors
    /// [`EngineError::Io`].
    pub(in crate::sae) fn open(path: &Path) -> Result<Self> {
        let io = |source| EngineError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        Ok(Self { path: path.to_owned(), file, len })
    }

    /// Where it lies.
    pub(in crate::sae) fn path(&self) -> &Path {
        &self.path
    }

    /// Length in bytes when it was opened.
    pub(in crate::sae) fn len(&self) -> u64 {
        self.len
    }

    /// The error of a file whose content is wrong.
    pub(in crate::sae) fn bad(&self, reason: impl Into<String>) -> EngineError {
        EngineError::BadFile { path: self.path.clone(), reason: reason.into() }
    }

    /// The error of a file that cannot be read.
    pub(in crate::sae) fn io(&self, source: io::Error) -> EngineError {
        EngineError::Io { path: self.path.clone(), source }
    }

    /// Fills `out` from byte `at` on.
    ///
    /// # Errors
    /// [`EngineError::BadFile`] when the file ends before, [`EngineError::Io`] when reading fails.
    pub(in crate::sae) fn fill(&self, at: u64, out: &mut [u8]) -> Result<()> {
        let end = at.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > self.len) {
            let (n, len) = (out.len(), self.len);
            return Err(self.bad(format!("it is cut short: {n} bytes are wanted at {at}, and it has {len}")));
        }
        read_exact_at(&self.file, out, at).map_err(|error| self.io(error))
    }

    /// `n` bytes from byte `at` on. The room is asked for only when the file is long enough to fill it.
    ///
    /// # Errors
    /// As [`Self::fill`], and no room for them.
    pub(in crate::sae) fn bytes(&self, at: u64, n: u64) -> Result<Vec<u8>> {
        if at.checked_add(n).is_none_or(|end| end > self.len) {
            self.fill(self.len, &mut [0])?;
        }
        room_for_bytes(n)?;
        let mut out = vec![0; n as usize];
        self.fill(at, &mut out)?;
        Ok(out)
    }

    /// A reader of `n` bytes from byte `at` on.
    pub(in crate::sae) fn part(&self, at: u64, n: u64) -> Part<'_> {
        Part { raw: self, at, left: n }
    }
}

/// Some consecutive bytes of a file.
#[derive(Debug)]
pub(in crate::sae) struct Part<'a> {
    raw: &'a Raw,
    at: u64,
    left: u64,
}

impl io::Read for Part<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.left.min(out.len() as u64).min(self.raw.len.saturating_sub(self.at)) as usize;
        read_exact_at(&self.raw.file, &mut out[..n], self.at)?;
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, out: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, at)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut out: &mut [u8], mut at: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt as _;
    while !out.is_empty() {
        let n = file.seek_read(out, at)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (out, at) = (&mut out[n..], at + n as u64);
    }
    Ok(())
}
