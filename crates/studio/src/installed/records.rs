//! What is remembered about each asset, so that a list costs no reading, and a model whose files have not changed is
//! not hashed again. Made anew when it is lost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tiller_protocol::asset::{Asset, AssetLibrary, AssetState, FolderKind};

use super::places::{Folder, Places};
use super::sums::Stamp;
use crate::workspace::document;

/// The document's name in the workspace.
pub(super) const DOCUMENT: &str = "installed.json";

/// Most assets outside the library that are remembered: models that were opened by their path.
const MAX_STRAYS: usize = 100;

/// One asset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// State of its files when the facts were read.
    pub(super) stamp: Stamp,
    /// The facts; never told as missing.
    pub(super) asset: Asset,
    /// State of the weight files when their hash was worked out.
    #[serde(default)]
    pub(super) hashed: Option<Stamp>,
    /// SHA-256 of its files by name, hex, when they were last read in full.
    #[serde(default)]
    pub(super) sums: BTreeMap<String, String>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Records {
    assets: Vec<Record>,
}

/// The absolute form of a path, as records know assets by.
pub(super) fn key(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

impl Records {
    /// What the document holds; nothing when it is lost or of another form.
    pub(super) fn read(path: &Path) -> Self {
        if !path.exists() {
            return Self::default();
        }
        match document::read_json::<document::Envelope<Self>>(path) {
            Ok(records) => records.body,
            Err(problem) => {
                log::warn!("what was known about installed models is read again: {problem}");
                Self::default()
            }
        }
    }

    /// One asset's record.
    pub(super) fn get(&self, path: &Path) -> Option<&Record> {
        self.place(path).ok().map(|at| &self.assets[at])
    }

    /// One asset's record, to be changed.
    pub(super) fn get_mut(&mut self, path: &Path) -> Option<&mut Record> {
        self.place(path).ok().map(|at| &mut self.assets[at])
    }

    /// Adds or replaces a record. A path that is not text cannot be written down.
    pub(super) fn put(&mut self, record: Record) {
        if record.asset.path.to_str().is_none() {
            return;
        }
        match self.place(&record.asset.path) {
            Ok(at) => self.assets[at] = record,
            Err(at) => self.assets.insert(at, record),
        }
    }

    /// Forgets an asset.
    pub(super) fn drop(&mut self, path: &Path) {
        self.assets.retain(|record| record.asset.path != path);
    }

    fn place(&self, path: &Path) -> Result<usize, usize> {
        self.assets.binary_search_by(|record| record.asset.path.as_path().cmp(path))
    }

    /// Whether something is known to lie in a folder.
    pub(super) fn is_any_in(&self, folder: &Path) -> bool {
        self.assets.iter().any(|record| record.asset.folder.as_deref() == Some(folder))
    }

    /// Assets that are not in `library` because their disk is not there, or because a link leads nowhere.
    pub(super) fn absent<'a>(
        &'a self,
        places: &'a Places,
        library: &'a AssetLibrary,
    ) -> impl Iterator<Item = &'a Record> {
        let is_gone = |folder: &Path| library.folders.iter().any(|known| known.path == folder && !known.is_present);
        let is_linked = |path: &Path| places.links.iter().any(|link| link.path == path);
        self.assets.iter().filter(move |record| {
            let asset = &record.asset;
            let is_kept = asset.folder.as_deref().map_or_else(|| is_linked(&asset.path), is_gone);
            is_kept && library.assets.iter().all(|listed| listed.path != asset.path)
        })
    }

    /// Replaces all by what a scan has found, except what was learned meanwhile, and except models outside the library.
    pub(super) fn take_over(&mut self, mut scanned: Self) {
        for record in &mut scanned.assets {
            let Some(now) = self.get(&record.asset.path) else { continue };
            record.asset.last_used = record.asset.last_used.max(now.asset.last_used);
            if now.stamp == record.stamp && matches!(now.asset.state, AssetState::Broken(_)) {
                // Found by reading it in full, which a scan does not.
                record.asset.state.clone_from(&now.asset.state);
            }
            if now.hashed.is_some() && record.hashed.is_none() {
                record.hashed.clone_from(&now.hashed);
                record.asset.hash.clone_from(&now.asset.hash);
                record.sums.clone_from(&now.sums);
            }
        }
        let is_stray = |record: &&Record| record.asset.folder.is_none() && record.asset.path.exists();
        let mut strays: Vec<&Record> = self.assets.iter().filter(is_stray).collect();
        strays.retain(|record| scanned.get(&record.asset.path).is_none());
        strays.sort_by_key(|record| std::cmp::Reverse(record.asset.last_used));
        let strays: Vec<Record> = strays.into_iter().take(MAX_STRAYS).cloned().collect();
        for record in strays {
            scanned.put(record);
        }
        *self = scanned;
    }
}

impl Folder {
    /// Whether it can be looked into. The place where a disk is plugged in stays as an empty folder.
    pub(super) fn is_present(&self, known: &Records) -> bool {
        match std::fs::read_dir(&self.path) {
            Ok(mut entries) => entries.next().is_some() || !known.is_any_in(&self.path),
            Err(_) => self.kind != FolderKind::Added && !known.is_any_in(&self.path),
        }
    }
}
