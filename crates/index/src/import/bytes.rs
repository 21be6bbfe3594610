//! Bytes of a file, unpacked if they come gzipped, counted, and bounded.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

/// Longest row in bytes: far above the largest that exports have, far below what a machine has in memory.
pub(super) const MAX_ROW: u64 = 32 * 1024 * 1024;

/// Once so many bytes came out, gzip may not have swollen what it was given by more than this factor: tables of labels
/// come to 40, a bomb to 1,000.
const SWELL_CHECKED_FROM: u64 = 256 * 1024 * 1024;
const MAX_SWELL: u64 = 400;

/// How reading ended before the end of the file.
#[derive(Debug)]
pub(super) enum Broken {
    /// The bytes stop or make no sense from here on; what came before is good.
    Cut(String),
    /// It would take unbounded memory or time.
    TooLarge(String),
    /// The disk failed.
    Io(io::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        if let Some(TooLarge(reason)) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
            return Self::TooLarge(reason.clone());
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Cut("the file ends in the middle".to_owned()),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Self::Cut(format!("the file is damaged from some place on ({error})"))
            }
            _ => Self::Io(error),
        }
    }
}

/// The reason of an error that a bound was passed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct TooLarge(pub(super) String);

pub(super) fn too_large(reason: impl Into<String>) -> io::Error {
    io::Error::other(TooLarge(reason.into()))
}

/// A file that is read from its beginning.
pub(super) struct Bytes {
    reader: BufReader<Box<dyn Read>>,
    read: Arc<AtomicU64>,
}

impl Bytes {
    /// Opens it; gzip is told by its first bytes, whatever its name.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut head = [0; 2];
        let n = File::open(path)?.take(2).read(&mut head)?;
        let read = Arc::new(AtomicU64::new(0));
        let raw = Counted { inner: File::open(path)?, count: Arc::clone(&read) };
        let inner: Box<dyn Read> = if head[..n] == [0x1f, 0x8b] {
            Box::new(Bounded {
                inner: MultiGzDecoder::new(BufReader::new(raw)),
                unpacked: 0,
                packed: Arc::clone(&read),
            })
        } else {
            Box::new(raw)
        };
        Ok(Self { reader: BufReader::with_capacity(256 * 1024, inner), read })
    }

    /// Bytes of the file that were read so far, packed as they are.
    pub(super) fn position(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The first bytes, without taking them: at most `len`, fewer where the file ends or breaks off before.
    pub(super) fn peek(&mut self, len: usize) -> io::Result<Vec<u8>> {
        let mut taken = Vec::new();
        let end = (&mut self.reader).take(len as u64).read_to_end(&mut taken);
        if taken.is_empty() {
            end?;
        }
        let rest = std::mem::replace(&mut self.reader, BufReader::new(Box::new(io::empty())));
        self.reader = BufReader::with_capacity(256 * 1024, Box::new(io::Cursor::new(taken.clone()).chain(rest)));
        Ok(taken)
    }
}

impl Read for Bytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl BufRead for Bytes {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.reader.consume(amount);
    }
}

struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.count.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

struct Bounded<R> {
    inner: R,
    unpacked: u64,
    packed: Arc<AtomicU64>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.unpacked += n as u64;
        let packed = self.packed.load(Ordering::Relaxed);
        if self.unpacked > SWELL_CHECKED_FROM && self.unpacked / MAX_SWELL > packed {
            return Err(too_large("it unpacks to far more than labels do"));
        }
        Ok(n)
    }
}
