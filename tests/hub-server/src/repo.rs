//! What the server holds: repositories, their commits, and the files in them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// Where a file's bytes come from.
#[derive(Clone, Debug)]
pub enum Content {
    /// Memory.
    Bytes(Arc<[u8]>),
    /// A file on disk, which may be sparse and larger than memory.
    Disk(PathBuf),
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().into())
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<PathBuf> for Content {
    fn from(path: PathBuf) -> Self {
        Self::Disk(path)
    }
}

impl Content {
    /// Number of bytes.
    ///
    /// # Errors
    /// If the file cannot be looked at.
    pub(crate) fn n_bytes(&self) -> io::Result<u64> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::Disk(path) => Ok(path.metadata()?.len()),
        }
    }

    /// Opens it at an offset.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub(crate) fn open(&self, start: u64) -> io::Result<Source> {
        Ok(match self {
            Self::Bytes(bytes) => Source::Bytes(Arc::clone(bytes), start as usize),
            Self::Disk(path) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(start))?;
                Source::Disk(file)
            }
        })
    }
}

/// An opened [`Content`].
pub(crate) enum Source {
    /// Memory, and how far it was read.
    Bytes(Arc<[u8]>, usize),
    /// A file; kept apart so that whole ranges go to the socket inside the kernel.
    Disk(File),
}

impl io::Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Bytes(bytes, at) => {
                let n = bytes[*at..].as_ref().read(buf)?;
                *at += n;
                Ok(n)
            }
            Self::Disk(file) => file.read(buf),
        }
    }
}

/// A file of a commit.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) content: Content,
    pub(crate) bytes: u64,
    /// Git's name for it: of a large file that of its pointer.
    pub(crate) oid: String,
    /// SHA-256 of its content, if it is kept outside git.
    pub(crate) sha256: Option<String>,
}

impl Stored {
    fn new(content: Content, is_large: bool) -> io::Result<Self> {
        let bytes = content.n_bytes()?;
        let mut git = Sha1::new();
        if !is_large {
            git.update(format!("blob {bytes}\0"));
            feed(&content, &mut git)?;
            return Ok(Self { content, bytes, oid: hex(&git.finalize()), sha256: None });
        }
        let mut sum = Sha256::new();
        feed(&content, &mut sum)?;
        let sum = hex(&sum.finalize());
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sum}\nsize {bytes}\n");
        git.update(format!("blob {}\0{pointer}", pointer.len()));
        Ok(Self { content, bytes, oid: hex(&git.finalize()), sha256: Some(sum) })
    }

    /// What the hub sends as its `ETag`, without quotes.
    pub(crate) fn etag(&self) -> &str {
        self.sha256.as_deref().unwrap_or(&self.oid)
    }
}

fn feed(content: &Content, sum: &mut impl sha2::digest::Update) -> io::Result<()> {
    let mut source = content.open(0)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(()),
            n => sum.update(&buffer[..n]),
        }
    }
}

/// Hex digits of a checksum.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string never fails");
        text
    })
}

/// A repository at one commit, to be given to [`HubServer::add_repo`](crate::HubServer::add_repo).
#[derive(Clone, Debug, Default)]
pub struct Repo {
    pub(crate) files: BTreeMap<String, Stored>,
    pub(crate) revisions: Vec<String>,
    pub(crate) licence: Option<String>,
    /// `auto` or `manual`.
    pub(crate) gate: Option<String>,
    pub(crate) is_private: bool,
    /// Tokens that may see it if it is private, or download from it if it is gated.
    pub(crate) granted: Vec<String>,
    /// Former ids, which are redirected.
    pub(crate) former: Vec<String>,
}

impl Repo {
    /// An empty repository whose only revision is `main`.
    pub fn new() -> Self {
        Self { revisions: vec!["main".to_owned()], ..Self::default() }
    }

    /// Adds a small file, kept in git and known by its blob id.
    ///
    /// # Panics
    /// If a file on disk cannot be read.
    #[must_use]
    pub fn file(self, path: &str, content: impl Into<Content>) -> Self {
        self.with(path, content.into(), false)
    }

    /// Adds a large file, kept outside git and known by its SHA-256.
    ///
    /// # Panics
    /// If a file on disk cannot be read.
    #[must_use]
    pub fn large(self, path: &str, content: impl Into<Content>) -> Self {
        self.with(path, content.into(), true)
    }

    fn with(mut self, path: &str, content: Content, is_large: bool) -> Self {
        let stored = Stored::new(content, is_large).expect("a test's file can be read");
        self.files.insert(path.to_owned(), stored);
        self
    }

    /// Names the revisions that stand for this commit, in place of `main`.
    #[must_use]
    pub fn revisions(mut self, names: &[&str]) -> Self {
        self.revisions = names.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// States a licence.
    #[must_use]
    pub fn licence(mut self, name: &str) -> Self {
        self.licence = Some(name.to_owned());
        self
    }

    /// Asks for a token that was granted access before anything is downloaded; `kind` is `auto` or `manual`.
    #[must_use]
    pub fn gated(mut self, kind: &str) -> Self {
        self.gate = Some(kind.to_owned());
        self
    }

    /// Hides it from everybody but those granted access.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.is_private = true;
        self
    }

    /// Grants a token access.
    #[must_use]
    pub fn granted(mut self, token: &str) -> Self {
        self.granted.push(token.to_owned());
        self
    }

    /// A former id, from which requests are redirected.
    #[must_use]
    pub fn formerly(mut self, id: &str) -> Self {
        self.former.push(id.to_owned());
        self
    }

    /// The commit that its files make, 40 hex digits.
    pub fn commit(&self) -> String {
        let mut sum = Sha1::new();
        for (path, file) in &self.files {
            sum.update(format!("{path} {}\n", file.oid));
        }
        hex(&sum.finalize())
    }

    /// Path, size and checksum of each file, as a listing tells them.
    pub fn listed(&self) -> impl Iterator<Item = (&str, u64, &str)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file.bytes, file.etag()))
    }

    /// Checksum of a file, hex, as it names the blob in caches.
    pub fn sum(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(Stored::etag)
    }
}
