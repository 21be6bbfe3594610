//! What the user has decided: storage folders, links, copies.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tiller_protocol::asset::{AssetKind, FolderKind};
use tiller_protocol::problem::Problem;

use super::records::key;
use super::sums::{Stamp, WeightSum};
use super::{Installed, describe, is_same, recognise};
use crate::problem;

/// The document's name in the workspace.
pub(super) const DOCUMENT: &str = "library.toml";

/// The document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Places {
    /// Where downloads go; the hub's cache when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) chosen: Option<PathBuf>,
    /// Storage folders that the user has added.
    pub(super) folders: Vec<PathBuf>,
    /// What stays where the user keeps it.
    pub(super) links: Vec<Link>,
    /// What was copied into the imports folder.
    pub(super) copies: Vec<Copied>,
}

/// An asset that stays where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    /// What it is.
    pub(super) kind: AssetKind,
    /// Where.
    pub(super) path: PathBuf,
}

/// An asset of which the imports folder holds a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Copied {
    /// The copy.
    pub(super) path: PathBuf,
    /// What was copied.
    pub(super) from: PathBuf,
}

/// A storage folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) kind: FolderKind,
}

impl Installed {
    /// Adds a storage folder. Returns its path as it is kept: someone may name the folder above a hub cache.
    ///
    /// # Errors
    /// A folder that is not there, or that lies in another one.
    pub(crate) fn add_folder(&self, path: &Path) -> Result<PathBuf, Problem> {
        let path = key(path);
        if !path.is_dir() {
            return Err(problem::no_storage_folder(&path));
        }
        let holds_repos = |dir: &Path| !super::scan::repos(dir).is_empty();
        let path = match path.join("hub") {
            hub if holds_repos(&hub) && !holds_repos(&path) => hub,
            _ => path,
        };
        let canonical = std::fs::canonicalize(&path).map_err(|error| problem::read_failed(&path, &error))?;
        self.update_places(|places| {
            for folder in self.folders(places) {
                let Ok(known) = std::fs::canonicalize(&folder.path) else { continue };
                if canonical == known && folder.kind == FolderKind::Added {
                    return Ok(());
                }
                if canonical.starts_with(&known) || canonical == known {
                    return Err(problem::folder_known(&path, &folder.path));
                }
            }
            places.folders.push(path.clone());
            Ok(())
        })?;
        Ok(path)
    }

    /// Forgets a storage folder; nothing in it is touched.
    ///
    /// # Errors
    /// A folder that the user has not added.
    pub(crate) fn forget_folder(&self, path: &Path) -> Result<(), Problem> {
        self.update_places(|places| {
            let n = places.folders.len();
            places.folders.retain(|known| known != path);
            if places.folders.len() == n {
                return Err(problem::folder_stays(path));
            }
            places.chosen = places.chosen.take().filter(|chosen| chosen != path);
            Ok(())
        })
    }

    /// Lets downloads go to a folder.
    ///
    /// # Errors
    /// A folder that is none of the storage folders, or not there.
    pub(crate) fn choose_folder(&self, path: &Path) -> Result<(), Problem> {
        self.update_places(|places| {
            if path == self.cache {
                places.chosen = None;
                return Ok(());
            }
            if !places.folders.iter().any(|known| known == path) {
                return Err(problem::folder_stays(path));
            }
            if !path.is_dir() {
                return Err(problem::no_storage_folder(path));
            }
            places.chosen = Some(path.to_owned());
            Ok(())
        })
    }

    /// Points a link elsewhere. Returns a warning when what is there now is something else than before.
    ///
    /// # Errors
    /// What is no link, or a place that does not hold exactly one asset of that kind that can be opened.
    pub(crate) fn move_link(
        &self,
        from: &Path,
        to: &Path,
        progress: &mut dyn FnMut(u64, u64) -> Result<(), Problem>,
    ) -> Result<Option<String>, Problem> {
        let (places, _) = self.places();
        let Some(link) = places.links.iter().find(|link| link.path == from) else {
            return Err(problem::not_linked(from));
        };
        let thing = recognise::only(&key(to))?;
        if thing.kind != link.kind {
            return Err(problem::other_kind(from, &thing.path, thing.kind));
        }
        describe::check(&thing)?;
        let before = self.records().get(from).cloned();
        let known = before.as_ref().and_then(|record| record.asset.hash.clone());
        let stamp = Stamp::of(thing.weights());
        let sum = known.as_ref().map(|_| WeightSum::of(thing.weights(), progress)).transpose()?;
        self.update_places(|places| {
            places.links.retain(|link| !is_same(&link.path, &thing.path) || link.path == from);
            for link in places.links.iter_mut().filter(|link| link.path == from) {
                link.path.clone_from(&thing.path);
            }
            Ok(())
        })?;
        self.update_records(|records| records.drop(from))?;
        if let Some(sum) = &sum {
            self.remember_sum(&thing.path, &stamp, sum, None)?;
        }
        let differs = sum.zip(known).is_some_and(|(sum, known)| sum.hash != known);
        Ok(differs.then(|| {
            let name = super::sums::name(&thing.path);
            format!("{name} is found again, but its weights are not those that were there before")
        }))
    }
}
