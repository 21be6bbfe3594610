//! What a repository holds at one commit.

use tiller_protocol::asset::{AssetKind, Gate, RepoRef};

/// A checksum that the hub publishes for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sum {
    /// Of a large file: SHA-256 of its content.
    Sha256([u8; 32]),
    /// Of a small file: git's blob id, SHA-1 of `blob LENGTH\0` and the content.
    GitBlob([u8; 20]),
}

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Path inside the repository, with `/`; never absolute, never with `..`.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its checksum, which is also the name of its blob in the cache.
    pub sum: Sum,
}

/// A repository at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// As it was asked for.
    pub repo: RepoRef,
    /// Commit that its revision stands for, 40 hex digits.
    pub commit: String,
    /// Who may download it.
    pub gate: Gate,
    /// Only its owners see it.
    pub is_private: bool,
    /// Its licence's usual name.
    pub licence: Option<String>,
    /// Its page.
    pub page: String,
    /// All files.
    pub files: Vec<RemoteFile>,
}

/// Something in a repository that can be downloaded and opened by itself; see
/// [`HubChoice`](tiller_protocol::asset::HubChoice).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its name within the repository.
    pub id: String,
    /// What it is.
    pub kind: AssetKind,
    /// The same for people.
    pub label: String,
    /// The files it needs, and no others.
    pub files: Vec<RemoteFile>,
}
