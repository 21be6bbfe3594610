//! What can go wrong with an index; the studio puts it into words for people.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Result of this crate.
pub type Result<T, E = IndexError> = std::result::Result<T, E>;

/// A failure.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The file is a database of something else.
    #[error("it is no feature index: {0}")]
    Foreign(PathBuf),
    /// The file was written by a newer Tiller.
    #[error("the index has format {found}, and only formats up to {known} can be read: {path}")]
    Newer {
        /// Format of the file.
        found: i64,
        /// Newest format that this version reads.
        known: i64,
        /// The file.
        path: PathBuf,
    },
    /// The file belongs to an SAE of another size.
    #[error("the index is of an SAE with {found} features, this one has {expected}: {path}")]
    OtherSize {
        /// Features of the SAE that the file belongs to.
        found: u64,
        /// Features of the SAE that it was opened for.
        expected: u64,
        /// The file.
        path: PathBuf,
    },
    /// The file was changed from outside or cut off.
    #[error("the index is damaged: {0}")]
    Damaged(String),
    /// Another process kept the file locked for longer than a writer may take.
    #[error("the index is in use by another process")]
    Busy,
    /// No room is left on the disk.
    #[error("the disk is full")]
    Full,
    /// Any other failure of the database.
    #[error("the index cannot be used: {0}")]
    Database(rusqlite::Error),
    /// A feature that the SAE does not have.
    #[error("there is no feature {latent}: the SAE has {d_sae}")]
    NoLatent {
        /// Number that was asked for.
        latent: u64,
        /// Number of features.
        d_sae: usize,
    },
    /// A label, note or list with nothing in it.
    #[error("there is no text in it")]
    Empty,
    /// A file that is imported cannot be read.
    #[error("{source}: {path}")]
    Read {
        /// Why.
        source: std::io::Error,
        /// The file or folder.
        path: PathBuf,
    },
    /// A file that is imported is none that is known.
    #[error("{reason}: {path}")]
    Unrecognised {
        /// What it looks like.
        reason: String,
        /// The file or folder.
        path: PathBuf,
    },
    /// A file that is imported was made for another model, layer or source; it can be imported anyway.
    #[error("its {what} is {found}, that of the SAE is {expected}: {path}")]
    Mismatch {
        /// `model`, `block` or `source`.
        what: &'static str,
        /// What the file says.
        found: String,
        /// What the SAE says.
        expected: String,
        /// The file.
        path: PathBuf,
    },
    /// A file that is imported names features that the SAE does not have; it can be imported anyway, without those.
    #[error("it names feature {largest}, and the SAE has {d_sae}: {path}")]
    OutOfRange {
        /// Largest number in the file, as far as it was read.
        largest: u64,
        /// Number of features.
        d_sae: usize,
        /// The number of features looks like a width: the two may have been taken for one another.
        may_be_width: bool,
        /// The file.
        path: PathBuf,
    },
    /// A file that is imported holds values for another number of features.
    #[error("its {tensor} is for {found} features, and the SAE has {d_sae}: {path}")]
    WrongShape {
        /// Tensor.
        tensor: String,
        /// Features it is for.
        found: usize,
        /// Number of features.
        d_sae: usize,
        /// The file.
        path: PathBuf,
    },
    /// A file that is imported would take unbounded memory or time: one endless line, or a compression bomb.
    #[error("{reason}: {path}")]
    TooLarge {
        /// What is too large.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// The work was stopped.
    #[error("stopped")]
    Stopped,
}

impl IndexError {
    /// For `map_err` where a file that is imported is read.
    pub(crate) fn read(path: &Path) -> impl Fn(std::io::Error) -> Self {
        |source| Self::Read { source, path: path.to_owned() }
    }
}

impl From<rusqlite::Error> for IndexError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DiskFull) => Self::Full,
            _ => Self::Database(error),
        }
    }
}
