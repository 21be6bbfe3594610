//! The folder that holds what the user has made.
//!
//! ```text
//! settings.toml
//! catalogue.toml                             the user's own list of models and SAEs
//! downloads.json                             downloads that are not complete
//! library.toml                               storage folders, links and copies
//! installed.json                             what is known of installed assets; made anew when lost
//! imports/…                                  copies made by import
//! library.lock                               held for a moment while one of these is written
//! personas/ID.toml, personas/ID/*.jsonl      the user's own personas
//! vectors/ID/{vector.safetensors, vector.toml}
//! runs/ID/{run.toml, candidates.jsonl, front.json, front.png, result.json}
//! saes/ID/{sae.toml, sae.safetensors, features.db}   opened SAEs: facts, converted weights, labels and statistics
//! trained/NAME/{cfg.json, sae_weights.safetensors}   SAEs that were trained here, or their checkpoints
//! trash/…                                    what was deleted last, for undo
//! tiller.lock                                held by the window that works here
//! ```
//!
//! Plain files that a person can read; written atomically; only this module knows the paths.

pub(crate) mod atomic;
pub(crate) mod document;
mod downloads;
mod runs;
mod saes;
mod settings;
mod trainings;
mod vectors;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Weak};

use tiller_index::Index;
use tiller_protocol::feature::SaeId;
use tiller_protocol::problem::Problem;

use crate::problem;

pub(crate) use downloads::{KeptDownload, KeptPlan};
pub(crate) use runs::RunFolder;
pub(crate) use saes::UnfinishedSae;
pub(crate) use vectors::StoredVector;

/// A workspace folder.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    /// Held while this value lives; released by the system even after a crash.
    _lock: Option<File>,
    /// Indexes that are open: whoever asks for one gets the same, so that what one thread writes the others see.
    indexes: Mutex<BTreeMap<SaeId, Weak<Index>>>,
    /// Deletes a test's folder with the value.
    #[cfg(test)]
    temp: Option<tempfile::TempDir>,
}

impl Workspace {
    /// Opens (and makes, if need be) the workspace for writing, and locks it.
    ///
    /// # Errors
    /// A folder that cannot be made, or one that another window works in.
    pub fn open(dir: Option<&Path>) -> Result<Self, Problem> {
        let root = resolve(dir)?;
        fs::create_dir_all(&root).map_err(|error| problem::write_failed(&root, &error))?;
        let path = root.join("tiller.lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| problem::write_failed(&path, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                root,
                _lock: Some(lock),
                indexes: Mutex::default(),
                #[cfg(test)]
                temp: None,
            }),
            Err(TryLockError::WouldBlock) => Err(problem::workspace_in_use(&root)),
            Err(TryLockError::Error(error)) => Err(problem::write_failed(&path, &error)),
        }
    }

    /// The workspace for reading only, without the lock; the folder need not exist.
    ///
    /// # Errors
    /// When the platform names no place for it.
    pub fn read_only(dir: Option<&Path>) -> Result<Self, Problem> {
        Ok(Self {
            root: resolve(dir)?,
            _lock: None,
            indexes: Mutex::default(),
            #[cfg(test)]
            temp: None,
        })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Folder of the user's own personas.
    pub(crate) fn personas(&self) -> PathBuf {
        self.root.join("personas")
    }

    /// A workspace that vanishes with the value.
    #[cfg(test)]
    pub(crate) fn temp() -> Self {
        let dir = tempfile::tempdir().expect("tests may write to the temporary folder");
        let mut workspace = Self::open(Some(dir.path())).expect("a fresh folder is free");
        workspace.temp = Some(dir);
        workspace
    }
}

fn resolve(dir: Option<&Path>) -> Result<PathBuf, Problem> {
    match dir {
        Some(dir) => Ok(dir.to_owned()),
        None => directories::ProjectDirs::from("", "", "tiller")
            .map(|dirs| dirs.data_dir().to_owned())
            .ok_or_else(problem::no_home),
    }
}

/// `folder/stemEND`, or with `-2`, `-3`, … before the end when that is taken.
pub(crate) fn free_path(folder: &Path, stem: &str, end: &str) -> PathBuf {
    let mut path = folder.join(format!("{stem}{end}"));
    let mut n = 1;
    while path.exists() {
        n += 1;
        path = folder.join(format!("{stem}-{n}{end}"));
    }
    path
}

/// Refuses names that would leave their folder or hide a file.
///
/// # Errors
/// Any name with characters other than letters, digits, `-`, `_` and inner dots.
pub(crate) fn check_name(name: &str) -> Result<(), Problem> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && !name.starts_with('.') && name.chars().all(allowed) {
        Ok(())
    } else {
        Err(problem::bad_name(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_window_is_told_and_the_lock_goes_with_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = Workspace::open(Some(dir.path())).unwrap();
        let refused = Workspace::open(Some(dir.path())).unwrap_err();
        assert!(refused.next_step.contains("--workspace"), "{refused}");
        Workspace::read_only(Some(dir.path())).unwrap();
        drop(first);
        Workspace::open(Some(dir.path())).unwrap();
    }

    #[test]
    fn names_stay_in_their_folder() {
        for good in ["sycophancy-3f2a", "run_1.5"] {
            check_name(good).unwrap();
        }
        for bad in ["", "..", "../x", "a/b", "a\\b", ".hidden"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
