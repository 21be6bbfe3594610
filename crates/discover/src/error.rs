//! Everything that can go wrong in discovery.

use tiller_engine::EngineError;

/// The crate's result.
pub type Result<T> = std::result::Result<T, DiscoverError>;

/// A failure with its facts; studio turns it into words for people.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Settings that no run can follow.
    #[error("{0}")]
    BadSettings(String),
    /// A data set that is empty or too small.
    #[error("{what}: {found} given, at least {needed} needed")]
    TooFew {
        /// What there is too little of, e.g. `contrastive pairs`.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many are needed.
        needed: usize,
    },
    /// A direction that has no length left or a width other than the model's.
    #[error("the direction cannot be used: {0}")]
    BadDirection(String),
    /// No prompt of the asked length survives the token filter and the check that its text reads back as its tokens.
    #[error("no prompt of {prompt_len} tokens passes the token filter")]
    NoPrompt {
        /// Tokens asked for.
        prompt_len: usize,
    },
}

impl From<candle_core::Error> for DiscoverError {
    fn from(error: candle_core::Error) -> Self {
        Self::Engine(EngineError::from(error))
    }
}
