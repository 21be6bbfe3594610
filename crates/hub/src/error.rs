//! What can go wrong between here and the hub.

use std::path::PathBuf;

/// A failure; the studio puts it into words for people.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The network must not be used: `--offline`, the settings, or `HF_HUB_OFFLINE`.
    #[error("the network is switched off")]
    Offline,
    /// An id, an endpoint or a proxy that makes no sense; nothing was sent.
    #[error("{text} cannot be used: {reason}")]
    BadAddress {
        /// As it was given, or the name of the setting it came from when it may hold a password.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No connection, or it broke and stayed broken.
    #[error("{host} cannot be reached: {reason}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// What the connection failed with.
        reason: String,
    },
    /// The connection could be made and not be secured: a certificate that this computer does not trust.
    #[error("{host} cannot be trusted: {reason}")]
    Untrusted {
        /// Host and port.
        host: String,
        /// What is wrong with its certificate.
        reason: String,
    },
    /// The hub knows no such repository, or hides it from who is not signed in.
    #[error("{id} does not exist, or is private")]
    NoRepo {
        /// Repository.
        id: String,
        /// A token was sent and the hub accepted it: then it really does not exist, or that account may not see it.
        signed_in: bool,
    },
    /// The repository exists, the revision does not.
    #[error("{id} has no revision {revision}")]
    NoRevision {
        /// Repository.
        id: String,
        /// Branch, tag or commit.
        revision: String,
    },
    /// The repository has no such file.
    #[error("{id} has no file {path}")]
    NoFile {
        /// Repository.
        id: String,
        /// Path inside it.
        path: String,
    },
    /// The repository is gated and access was not granted yet.
    #[error("{id} is gated")]
    Gated {
        /// Repository.
        id: String,
        /// Where its licence is accepted.
        page: String,
        /// A token was sent: then it is the acceptance that is missing, not the signing in.
        signed_in: bool,
    },
    /// The token is good and may not read this: it was made without that right.
    #[error("the access token has no right to read {id}: {message}")]
    NoRight {
        /// Repository.
        id: String,
        /// What the hub said, shortened.
        message: String,
    },
    /// The hub does not accept the token.
    #[error("the access token was refused")]
    BadToken,
    /// The hub asks to slow down and went on doing so.
    #[error("the hub is asking to wait {secs} s")]
    Busy {
        /// Seconds it asks for.
        secs: u64,
    },
    /// Another answer that is an error.
    #[error("{url} answered {status}: {message}")]
    Status {
        /// Address without its query, which may hold a signature.
        url: String,
        /// HTTP status.
        status: u16,
        /// What the server said, shortened.
        message: String,
    },
    /// An answer that makes no sense.
    #[error("{url} answered something unexpected: {reason}")]
    BadAnswer {
        /// Address without its query.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// A file arrived whole, twice, and differs from its checksum.
    #[error("{path} differs from its checksum")]
    BadSum {
        /// Path inside the repository.
        path: String,
        /// What it should be, hex.
        expected: String,
        /// What it is, hex.
        found: String,
    },
    /// The disk has too little room.
    #[error("{needed} bytes are needed in {folder} and {free} are free")]
    DiskFull {
        /// Folder.
        folder: PathBuf,
        /// Bytes still to be written.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// The disk failed.
    #[error("{path}: {reason}")]
    Disk {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Another program is downloading the same file.
    #[error("another program is downloading {path}")]
    Locked {
        /// Path inside the repository.
        path: String,
    },
    /// The user stopped it.
    #[error("stopped")]
    Stopped,
}

impl HubError {
    /// Whether trying again may help although nobody changes anything.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 500..=599),
            _ => false,
        }
    }
}
