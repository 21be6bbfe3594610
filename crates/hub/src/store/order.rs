//! What Tiller was asked to download of a commit: so that an unfinished download is seen as such without the network,
//! and files can be verified where no link tells their checksum.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{disk, inside, write_whole};
use crate::error::HubError;
use crate::listing::{RemoteFile, Sum};

/// Version of the document.
const FORMAT: u32 = 1;

/// The files of one commit that were ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    format: u32,
    /// Sizes and checksums by path.
    pub(crate) files: BTreeMap<String, Ordered>,
}

/// A file that was ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ordered {
    /// Its size.
    pub(crate) bytes: u64,
    /// Its checksum, hex.
    pub(crate) sum: String,
}

impl Ordered {
    /// The file that it names; absent when its checksum makes no sense.
    pub(crate) fn remote(&self, path: &str) -> Option<RemoteFile> {
        Some(RemoteFile { path: path.to_owned(), bytes: self.bytes, sum: Sum::from_hex(&self.sum)? })
    }
}

impl Order {
    /// Where the orders of a repository are kept, one document a commit.
    pub(crate) fn folder(repo_folder: &Path) -> PathBuf {
        repo_folder.join(".tiller")
    }

    /// What was ordered of a commit. Nothing, if the document is missing or makes no sense: it is worth no failure.
    pub(crate) fn load(repo_folder: &Path, commit: &str) -> Self {
        Self::path(repo_folder, commit)
            .and_then(|path| fs::read(path).ok())
            .and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok())
            .filter(|order| order.format == FORMAT)
            .unwrap_or(Self { format: FORMAT, files: BTreeMap::new() })
    }

    /// All orders of a repository, by commit.
    pub(crate) fn all(repo_folder: &Path) -> Vec<(String, Self)> {
        let entries = fs::read_dir(Self::folder(repo_folder)).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let commits = names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned));
        commits.map(|commit| (commit.clone(), Self::load(repo_folder, &commit))).collect()
    }

    /// Adds files to what was ordered of a commit.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn add(repo_folder: &Path, commit: &str, files: &[RemoteFile]) -> Result<(), HubError> {
        let old = Self::load(repo_folder, commit);
        let mut new = old.clone();
        for file in files {
            new.files.insert(file.path.clone(), Ordered { bytes: file.bytes, sum: file.sum.hex() });
        }
        if new == old { Ok(()) } else { new.save(repo_folder, commit) }
    }

    /// Takes files out of what was ordered of a commit.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn take_out(repo_folder: &Path, commit: &str, is_out: impl Fn(&str) -> bool) -> Result<(), HubError> {
        let mut order = Self::load(repo_folder, commit);
        let n_before = order.files.len();
        order.files.retain(|path, _| !is_out(path));
        if order.files.len() == n_before { Ok(()) } else { order.save(repo_folder, commit) }
    }

    fn save(&self, repo_folder: &Path, commit: &str) -> Result<(), HubError> {
        let Some(path) = Self::path(repo_folder, commit) else { return Ok(()) };
        if self.files.is_empty() {
            return super::if_there(fs::remove_file(&path)).map(|_| ()).map_err(|error| disk(&path, &error));
        }
        let text = serde_json::to_vec_pretty(self).map_err(|error| disk(&path, &error.into()))?;
        write_whole(&path, &text, &Self::folder(repo_folder)).map_err(|error| disk(&path, &error))
    }

    fn path(repo_folder: &Path, commit: &str) -> Option<PathBuf> {
        inside(&Self::folder(repo_folder), &format!("{commit}.json"))
    }
}

/// What the hub's own tools know of a commit's files: `trees/COMMIT.json`, which newer versions of Python's
/// `huggingface_hub` write.
pub(crate) fn known_to_others(repo_folder: &Path, commit: &str) -> BTreeMap<String, Ordered> {
    let read = || {
        let bytes = fs::read(inside(&repo_folder.join("trees"), &format!("{commit}.json"))?).ok()?;
        let document: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        let files = document.get("files").filter(|_| document["format_version"] == 1)?.as_object()?;
        let entry = |(path, file): (&String, &serde_json::Value)| {
            let sum = file["lfs_sha256"].as_str().or_else(|| file["blob_id"].as_str())?;
            let bytes = file["lfs_size"].as_u64().or_else(|| file["size"].as_u64())?;
            Some((path.clone(), Ordered { bytes, sum: sum.to_owned() }))
        };
        Some(files.iter().filter_map(entry).collect())
    };
    read().unwrap_or_default()
}
