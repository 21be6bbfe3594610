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
    #[error("{}architecture {name} is not supported", path.as_ref().map_or_else(String::new, |path| format!("{}: ", path.display())))]
    UnknownArchitecture {
        /// The architecture as the file names it.
        name: String,
        /// The file, once it is known.
        path: Option<PathBuf>,
    },
    /// A tensor has the wrong shape or type.
    #[error("{path}: tensor {name}: expected {expected}, found {found}")]
    BadTensor {
        /// The file that holds it.
        path: PathBuf,
        /// Its name in the checkpoint.
        name: String,
        /// What the config asks for.
        expected: String,
        /// What the file holds.
        found: String,
    },
    /// A weight is NaN or infinite.
    #[error("{path}: tensor {name} holds {value} as value {index} of {len}")]
    NotFinite {
        /// The file that holds it.
        path: PathBuf,
        /// Its name in the checkpoint.
        name: String,
        /// What it holds, e.g. `NaN`.
        value: f32,
        /// Place of the first such value.
        index: usize,
        /// Number of values.
        len: usize,
    },
    /// The files do not hold the tensors that the configuration asks for.
    #[error("{path}: {n_missing} of {n_expected} tensors are missing: {}", names(missing))]
    MissingTensors {
        /// The checkpoint.
        path: PathBuf,
        /// The first few missing names, each with the unexpected name that looks most like it.
        missing: Vec<(String, Option<String>)>,
        /// How many are missing in all.
        n_missing: usize,
        /// How many the configuration asks for.
        n_expected: usize,
    },
    /// Two files hold a tensor of the same name.
    #[error("tensor {name} is in {first} and again in {second}")]
    DuplicateTensor {
        /// Its name.
        name: String,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// The folder holds a tokenizer, but not as a `tokenizer.json`.
    #[error("{dir} holds no tokenizer.json, only {found}")]
    OtherTokenizer {
        /// The checkpoint.
        dir: PathBuf,
        /// The files that are there instead.
        found: &'static str,
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
    /// A gradient was asked of weights that have none.
    #[error("weights in quantised blocks ({format}) have no gradient")]
    NoGradient {
        /// How most of them are kept, e.g. `q4_k`.
        format: &'static str,
    },
    /// The requested device is not available.
    #[error("device {name} is not available: {reason}")]
    NoDevice {
        /// Which one.
        name: String,
        /// Why.
        reason: String,
    },
    /// The memory of the device is not enough.
    #[error("{device} has no memory left for this{}", amounts(*needed, *free))]
    OutOfMemory {
        /// Name for people.
        device: String,
        /// Bytes that were asked for, where that is known.
        needed: Option<u64>,
        /// Bytes that were free, where that is known.
        free: Option<u64>,
    },
    /// The loss of a training grew beyond all bounds.
    #[error("the training has diverged after {step} steps")]
    Diverged {
        /// Steps that were taken before.
        step: u64,
    },
    /// The caller asked to stop before the end.
    #[error("stopped")]
    Stopped,
    /// A failure in the tensor library.
    #[error(transparent)]
    Candle(candle_core::Error),
}

impl From<candle_core::Error> for EngineError {
    /// A driver tells that its memory is used up in words only; that becomes [`EngineError::OutOfMemory`].
    fn from(error: candle_core::Error) -> Self {
        match out_of_memory(&error) {
            Some(device) => Self::OutOfMemory { device: device.to_owned(), needed: None, free: None },
            None => Self::Candle(without_backtrace(error)),
        }
    }
}

/// The error itself: with `RUST_BACKTRACE` set, the tensor library prints its frames in the middle of the message.
pub(crate) fn without_backtrace(error: candle_core::Error) -> candle_core::Error {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => without_backtrace(*inner),
        error => error,
    }
}

/// The device whose memory is used up, when that is what `error` says.
fn out_of_memory(error: &candle_core::Error) -> Option<&'static str> {
    use candle_core::Error as E;
    let device = match error {
        E::WithBacktrace { inner, .. } | E::WithPath { inner, .. } | E::Context { inner, .. } => {
            return out_of_memory(inner);
        }
        E::Cuda(_) => "The NVIDIA GPU",
        E::Metal(_) => "The Apple GPU",
        _ => return None,
    };
    let text = error.to_string().to_lowercase();
    // The driver's own name of the fault, cuBLAS's, and Metal's when it makes no buffer.
    let words = ["out_of_memory", "out of memory", "alloc_failed", "insufficient memory", "metal resource: buffer"];
    words.iter().any(|word| text.contains(word)).then_some(device)
}

fn names(missing: &[(String, Option<String>)]) -> String {
    let name = |(name, alike): &(String, Option<String>)| match alike {
        Some(alike) => format!("{name} (there is {alike})"),
        None => name.clone(),
    };
    missing.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn amounts(needed: Option<u64>, free: Option<u64>) -> String {
    let needed = needed.map(|bytes| format!(", {bytes} bytes needed"));
    let free = free.map(|bytes| format!(", {bytes} bytes free"));
    [needed, free].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_a_driver_lacks_is_recognised() {
        let cuda = |text: &str| candle_core::Error::Cuda(text.into());
        for error in
            [cuda("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")"), cuda("CUBLAS_STATUS_ALLOC_FAILED")]
        {
            let error = EngineError::from(error.bt().context("matmul"));
            assert!(
                matches!(&error, EngineError::OutOfMemory { device, .. } if device.contains("NVIDIA")),
                "{error:?}"
            );
        }
        assert!(matches!(EngineError::from(cuda("CUDA_ERROR_ILLEGAL_ADDRESS")), EngineError::Candle(_)));
        let backtrace = Box::new(std::backtrace::Backtrace::force_capture());
        let inner = Box::new(cuda("CUDA_ERROR_ILLEGAL_ADDRESS"));
        let told = EngineError::from(candle_core::Error::WithBacktrace { inner, backtrace }).to_string();
        assert!(told.contains("ILLEGAL") && told.lines().count() == 1, "{told}");
        let shape = candle_core::Error::Msg("out of memory of shapes".to_owned());
        assert!(matches!(EngineError::from(shape), EngineError::Candle(_)), "only a device runs out of memory");
    }
}
