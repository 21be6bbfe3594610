//! Documents with a format number.
//!
//! Every document on disk says which form it has. A form that this version does not know is refused with a reason,
//! never guessed at.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tiller_protocol::problem::Problem;

use super::atomic;
use crate::problem;

/// The form that this version reads and writes.
pub(crate) const FORMAT: u32 = 1;

/// A document whose body has no format number of its own.
#[derive(Serialize, Deserialize)]
pub(crate) struct Envelope<T> {
    /// [`FORMAT`].
    pub(crate) format: u32,
    /// The content.
    #[serde(flatten)]
    pub(crate) body: T,
}

impl<T> Envelope<T> {
    /// `body` in the present form.
    pub(crate) fn new(body: T) -> Self {
        Self { format: FORMAT, body }
    }
}

#[derive(Deserialize)]
struct FormatOnly {
    format: Option<u32>,
}

/// Reads a TOML document.
///
/// # Errors
/// A file that is missing, unreadable, or of an unknown form.
pub(crate) fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, Problem> {
    let text = read_text(path)?;
    let unreadable = |error: &toml::de::Error| problem::unreadable(path, error.message());
    let head: FormatOnly = toml::from_str(&text).map_err(|error| unreadable(&error))?;
    check_format(path, head.format)?;
    toml::from_str(&text).map_err(|error| unreadable(&error))
}

/// Writes a TOML document atomically. `T` carries its format number.
///
/// # Errors
/// A folder that cannot be written.
pub(crate) fn write_toml<T: Serialize>(path: &Path, document: &T) -> Result<(), Problem> {
    let text = toml::to_string_pretty(document).map_err(|error| problem::unwritable(path, &error.to_string()))?;
    atomic::write(path, text.as_bytes())
}

/// Reads a JSON document.
///
/// # Errors
/// As [`read_toml`].
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Problem> {
    let text = read_text(path)?;
    let unreadable = |error: &serde_json::Error| problem::unreadable(path, &error.to_string());
    let head: FormatOnly = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
    check_format(path, head.format)?;
    serde_json::from_str(&text).map_err(|error| unreadable(&error))
}

/// Writes a JSON document atomically. `T` carries its format number.
///
/// # Errors
/// A folder that cannot be written.
pub(crate) fn write_json<T: Serialize>(path: &Path, document: &T) -> Result<(), Problem> {
    let mut text =
        serde_json::to_string_pretty(document).map_err(|error| problem::unwritable(path, &error.to_string()))?;
    text.push('\n');
    atomic::write(path, text.as_bytes())
}

/// Reads JSON lines; empty lines are passed over.
///
/// # Errors
/// A file that is missing, or a line that is not what it should be (with its number).
pub(crate) fn read_jsonl<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Problem> {
    read_text(path)?
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(i, line)| {
            serde_json::from_str(line).map_err(|error| problem::unreadable(path, &format!("line {}: {error}", i + 1)))
        })
        .collect()
}

fn read_text(path: &Path) -> Result<String, Problem> {
    fs::read_to_string(path).map_err(|error| problem::read_failed(path, &error))
}

fn check_format(path: &Path, format: Option<u32>) -> Result<(), Problem> {
    match format {
        Some(FORMAT) => Ok(()),
        Some(other) => Err(problem::unknown_format(path, other)),
        None => Err(problem::unreadable(path, "it has no format number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Note {
        text: String,
        inner: Vec<Inner>,
        last: u32,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Inner {
        value: Option<f64>,
    }

    #[test]
    fn documents_round_trip_and_unknown_forms_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (json, toml) = (dir.path().join("note.json"), dir.path().join("note.toml"));
        let note = || Note { text: "a".to_owned(), inner: vec![Inner { value: Some(0.5) }], last: 3 };
        write_json(&json, &Envelope::new(note())).unwrap();
        write_toml(&toml, &Envelope::new(note())).unwrap();
        assert_eq!(read_json::<Envelope<Note>>(&json).unwrap().body, note());
        assert_eq!(read_toml::<Envelope<Note>>(&toml).unwrap().body, note());

        for (path, text) in [(&json, "{\"format\": 7}"), (&toml, "format = 7")] {
            fs::write(path, text).unwrap();
        }
        let refused = [read_json::<Envelope<Note>>(&json).err(), read_toml::<Envelope<Note>>(&toml).err()];
        for problem in refused.into_iter().flatten() {
            assert!(problem.cause.contains('7') && problem.next_step.contains("newer"), "{problem}");
        }
        fs::write(&json, "{}").unwrap();
        assert!(read_json::<Envelope<Note>>(&json).err().unwrap().cause.contains("format"));
    }

    #[test]
    fn a_bad_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("items.jsonl");
        fs::write(&path, "{\"value\": 1}\n\n{\"value\": }\n").unwrap();
        assert!(read_jsonl::<Inner>(&path).unwrap_err().cause.contains("line 3"));
    }
}
