//! Reading small text files with care: what is not a plain file, or is absurdly large, is never read.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde_json::Value;

use crate::error::{EngineError, Result};

/// No text file of a checkpoint is larger than this; the largest tokenizers have about 50 MB.
const MAX_TEXT: u64 = 256 << 20;

/// Checks that a plain file is there (a link to one counts) and returns its size.
///
/// # Errors
/// [`EngineError::MissingFile`] when nothing is there, [`EngineError::BadFile`] for a folder, a device or a link to
/// nothing, [`EngineError::Io`] when the system refuses, a loop of links among them.
pub(crate) fn size(path: &Path, what: &'static str) -> Result<u64> {
    let bad = |reason: &str| EngineError::BadFile { path: path.to_owned(), reason: reason.to_owned() };
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(found.len()),
        Ok(found) if found.is_dir() => Err(bad("it is a folder, not a file")),
        Ok(_) => Err(bad("it is not a plain file")),
        Err(error) if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(path).is_ok() => {
            Err(bad("it is a link to a file that is not there"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(EngineError::MissingFile { what, path: path.to_owned() })
        }
        Err(source) => Err(EngineError::Io { path: path.to_owned(), source }),
    }
}

/// The text of a file; `what` says what it is for.
///
/// # Errors
/// As [`size`], and [`EngineError::BadFile`] for one that is too large or not text.
pub(crate) fn text(path: &Path, what: &'static str) -> Result<String> {
    let bad = |reason: String| EngineError::BadFile { path: path.to_owned(), reason };
    let bytes = size(path, what)?;
    if bytes > MAX_TEXT {
        return Err(bad(format!("it has {} MB, far more than any such file", bytes >> 20)));
    }
    fs::read_to_string(path).map_err(|source| match source.kind() {
        ErrorKind::InvalidData => bad("it is not text".to_owned()),
        _ => EngineError::Io { path: path.to_owned(), source },
    })
}

/// The JSON in a file that may be missing (`null` then).
///
/// # Errors
/// As [`text`], except for a missing file, and [`EngineError::BadFile`] for what is not JSON.
pub(crate) fn optional_json(path: &Path) -> Result<Value> {
    match text(path, "settings") {
        Err(EngineError::MissingFile { .. }) => Ok(Value::Null),
        Err(error) => Err(error),
        Ok(text) => serde_json::from_str(&text).map_err(|error| {
            let reason = format!("it is not JSON: {error}");
            EngineError::BadFile { path: path.to_owned(), reason }
        }),
    }
}
