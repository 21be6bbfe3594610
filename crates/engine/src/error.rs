//! Everything that can go wrong in the engine.

use std::path::PathBuf;

/// The crate's result.
pub type Result<T> = std::result::Result<T, EngineError>;

/// A failure with its facts; studio turns it into words for people.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A needed file is not there.
    #[error("{what} is missing: {path}")]
    MissingFile {
        /// What the file is for.
        what: &'static str,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is there but its content is wrong.
    #[error("{path} is not usable: {reason}")]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// `config.json` names an architecture without an implementation.
    #[error("architecture {0} is not supported")]
    UnknownArchitecture(String),
    /// A tensor has the wrong shape or type.
    #[error("tensor {name}: expected {expected}, found {found}")]
    BadTensor {
        /// Its name in the checkpoint.
        name: String,
        /// What the config asks for.
        expected: String,
        /// What the file holds.
        found: String,
    },
    /// Tokenizer and model do not belong together.
    #[error("the tokenizer does not fit the model: {0}")]
    TokenizerMismatch(String),
    /// A tokenizer failure.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// A chat template failure.
    #[error("chat template: {0}")]
    Template(String),
    /// The sequence does not fit the context window.
    #[error("{len} tokens do not fit a context of {max}")]
    ContextOverflow {
        /// Tokens asked for.
        len: usize,
        /// Tokens that fit.
        max: usize,
    },
    /// The request makes no sense for this model (block out of range, empty input, …).
    #[error("{0}")]
    BadRequest(String),
    /// The requested device is not available.
    #[error("device {name} is not available: {reason}")]
    NoDevice {
        /// Which one.
        name: String,
        /// Why.
        reason: String,
    },
    /// The caller asked to stop before the end.
    #[error("stopped")]
    Stopped,
    /// A failure in the tensor library.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
