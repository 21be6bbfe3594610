//! Which files an import reads.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{IndexError, Result};

/// How deep folders are looked into.
const DEPTH: usize = 4;

/// Most files of an import.
const MAX_FILES: usize = 100_000;

/// Files that come with exports and say nothing of features.
const OTHERS: [&str; 4] = ["release.jsonl", "model.jsonl", "source.jsonl", "sourceset.jsonl"];

/// The file itself, or the files in a folder that an import can read, in the order of their numbers.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let about = fs::metadata(path).map_err(IndexError::read(path))?;
    if about.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    if !about.is_dir() {
        return Err(IndexError::Unrecognised {
            reason: "it is neither file nor folder".to_owned(),
            path: path.to_owned(),
        });
    }
    let mut found = Vec::new();
    look(path, DEPTH, &mut found)?;
    if found.is_empty() {
        let reason = "the folder has no exports of labels, statistics or examples in it".to_owned();
        return Err(IndexError::Unrecognised { reason, path: path.to_owned() });
    }
    found.sort_by_cached_key(|path| (path.parent().map(Path::to_owned), number(path), path.clone()));
    Ok(found)
}

fn look(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(IndexError::read(folder))? {
        let path = entry.map_err(IndexError::read(folder))?.path();
        // What cannot be looked at is passed over; a link that leads round ends with the depth.
        let Ok(about) = fs::metadata(&path) else { continue };
        if about.is_dir() && depth > 0 {
            look(&path, depth - 1, found)?;
        } else if about.is_file() && is_export(&path) && found.len() < MAX_FILES {
            found.push(path);
        }
    }
    Ok(())
}

fn is_export(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_lowercase) else { return false };
    let bare = name.strip_suffix(".gz").unwrap_or(&name);
    if OTHERS.contains(&bare) || bare.starts_with('.') {
        return false;
    }
    let is_table = [".jsonl", ".csv", ".tsv"].iter().any(|end| bare.ends_with(end));
    let is_feature = bare.strip_suffix(".json").is_some_and(|stem| {
        stem.starts_with("batch-") || (!stem.is_empty() && stem.bytes().all(|byte| byte.is_ascii_digit()))
    });
    is_table || is_feature || bare == "sparsity.safetensors" || bare == "examples.safetensors"
}

/// The number in a file's name: `batch-10` comes after `batch-9`.
fn number(path: &Path) -> u64 {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let digits: String =
        name.chars().skip_while(|letter| !letter.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}
