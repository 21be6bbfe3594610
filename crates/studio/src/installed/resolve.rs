//! From what a person or a run names to the files, and what is remembered when they have been used.

use std::path::{Path, PathBuf};

use tiller_hub::store::Store;
use tiller_protocol::asset::{Asset, AssetKind, AssetOrigin, RepoRef};
use tiller_protocol::problem::Problem;

use super::records::{Record, key};
use super::scan::{self, Found};
use super::sums::{Stamp, WeightSum};
use super::{Installed, describe, is_same, recognise};
use crate::problem;

impl Installed {
    /// The files of a model of the hub: a checkpoint folder or a GGUF file. `id` may end in `@REVISION`; what is no id
    /// of the hub may be the name of an installed model.
    ///
    /// # Errors
    /// A model that is in none of the storage folders, that is not whole, or of which there are several forms.
    pub(crate) fn hub_model(&self, id: &str) -> Result<PathBuf, Problem> {
        let (id, revision) = match id.split_once('@') {
            Some((id, revision)) => (id, Some(revision.to_owned())),
            None => (id, None),
        };
        let repo = RepoRef { id: id.to_owned(), revision };
        let mut partial = None;
        for root in self.download_folders() {
            match in_store(&Store::new(&root), &repo) {
                Some(Ok(path)) => return Ok(path),
                Some(Err(problem)) => partial = partial.or(Some(problem)),
                None => {}
            }
        }
        if let Some(problem) = partial {
            return Err(problem);
        }
        let named = |asset: &Asset| asset.kind == AssetKind::Model && asset.name.eq_ignore_ascii_case(id);
        match self.list().library.assets.into_iter().filter(named).collect::<Vec<_>>().as_slice() {
            [] => Err(problem::not_in_cache(id, &self.download_folders())),
            [asset] => Ok(asset.path.clone()),
            several => Err(problem::ambiguous(id, several)),
        }
    }

    /// The installed asset that a text names: its path, the hub's id of it, or its name.
    ///
    /// # Errors
    /// None or several.
    pub(crate) fn find(&self, text: &str) -> Result<Asset, Problem> {
        let assets = self.list().library.assets;
        let path = Path::new(text);
        if let Some(asset) = assets.iter().find(|asset| asset.path == key(path) || is_same(&asset.path, path)) {
            return Ok(asset.clone());
        }
        let (id, revision) = text.split_once('@').map_or((text, None), |(id, revision)| (id, Some(revision)));
        let by_id = |asset: &&Asset| match &asset.origin {
            AssetOrigin::Hub { repo, commit } => {
                let is_wanted = |wanted| repo.revision.as_deref() == Some(wanted) || commit.starts_with(wanted);
                repo.id.eq_ignore_ascii_case(id) && revision.is_none_or(is_wanted)
            }
            _ => false,
        };
        let by_name = |asset: &&Asset| asset.name.eq_ignore_ascii_case(text);
        let is_demo =
            |asset: &&Asset| text == "demo" && asset.origin == AssetOrigin::Shipped && asset.kind == AssetKind::Model;
        let tries: [&dyn Fn(&&Asset) -> bool; 3] = [&is_demo, &by_name, &by_id];
        for test in tries {
            match assets.iter().filter(test).cloned().collect::<Vec<_>>().as_slice() {
                [] => {}
                [asset] => return Ok(asset.clone()),
                several => return Err(problem::ambiguous(text, several)),
            }
        }
        Err(problem::not_installed(text))
    }

    /// The SAE in a folder, when that is what the folder holds.
    ///
    /// # Errors
    /// An SAE that cannot be opened.
    pub(crate) fn sae_at(&self, path: &Path) -> Result<Option<Asset>, Problem> {
        let path = key(path);
        let mut things = recognise::at(&path);
        if things.iter().any(|thing| thing.kind == AssetKind::Model) || things.is_empty() {
            return Ok(None);
        }
        let thing = things.remove(0);
        describe::check(&thing)?;
        let listed = self.list().library.assets.into_iter().find(|asset| is_same(&asset.path, &path));
        Ok(listed.or_else(|| stray(&path).map(|record| Asset { name: super::sums::name(&path), ..record.asset })))
    }

    /// The hash of weight files whose state is `stamp`, if it was worked out before.
    pub(crate) fn known_hash(&self, path: &Path, stamp: &Stamp) -> Option<String> {
        let records = self.records();
        let record = records.get(&key(path))?;
        record.asset.hash.clone().filter(|_| record.hashed.as_ref() == Some(stamp))
    }

    /// Remembers that a model was used, and its sums when they were worked out.
    ///
    /// # Errors
    /// A document that cannot be written.
    pub(crate) fn remember_use(
        &self,
        path: &Path,
        stamp: &Stamp,
        sum: Option<&WeightSum>,
        secs: u64,
    ) -> Result<(), Problem> {
        // A command leaves no workspace behind where there was none.
        if !self.workspace.is_dir() {
            return Ok(());
        }
        self.remember_sum(path, stamp, sum.unwrap_or(&WeightSum::default()), Some(secs))
    }

    /// Remembers the sums of an asset's weight files (none when they are empty), and when it was used.
    pub(super) fn remember_sum(
        &self,
        path: &Path,
        stamp: &Stamp,
        sum: &WeightSum,
        secs: Option<u64>,
    ) -> Result<(), Problem> {
        let path = key(path);
        self.update_records(|records| {
            let mut record = match records.get(&path) {
                Some(record) => record.clone(),
                None => match stray(&path) {
                    Some(record) => record,
                    None => return,
                },
            };
            record.asset.last_used = record.asset.last_used.max(secs);
            if !sum.hash.is_empty() {
                record.asset.hash = Some(sum.hash.clone());
                record.hashed = Some(stamp.clone());
                record.sums.extend(sum.files.clone());
            }
            records.put(record);
        })
    }
}

/// The record of something that no scan has seen yet.
fn stray(path: &Path) -> Option<Record> {
    let thing = recognise::at(path).into_iter().find(|thing| thing.path == path)?;
    let name = super::sums::name(path);
    let found = Found { thing, name, origin: AssetOrigin::Linked, folder: None, missing: None };
    Some(describe::describe(&found, None))
}

/// A model in one cache; `None` when nothing of it is there.
fn in_store(store: &Store, wanted: &RepoRef) -> Option<Result<PathBuf, Problem>> {
    let repo = store.scan_repo(&wanted.id)?;
    let is_wanted = |commit: &str, refs: &[String]| {
        wanted.revision.as_ref().is_none_or(|name| commit.starts_with(name.as_str()) || refs.contains(name))
    };
    let mut fallback = None;
    for revision in scan::by_preference(&repo) {
        if !is_wanted(&revision.commit, &revision.refs) {
            continue;
        }
        let models: Vec<_> =
            scan::in_revision(revision).into_iter().filter(|(t, _)| t.kind == AssetKind::Model).collect();
        let whole: Vec<_> = models.iter().filter(|(thing, missing)| missing.is_none() && thing.is_whole()).collect();
        // A checkpoint comes before quantised forms of it.
        let at_top = whole.iter().find(|(thing, _)| thing.path == revision.path);
        match (at_top, whole.as_slice()) {
            (Some((thing, _)), _) | (None, [(thing, _)]) => return Some(Ok(thing.path.clone())),
            (None, []) if models.is_empty() => {}
            (None, []) => fallback = fallback.or_else(|| Some(problem::incomplete(&wanted.id))),
            (None, several) => {
                let paths: Vec<&Path> = several.iter().map(|(thing, _)| thing.path.as_path()).collect();
                fallback = fallback.or_else(|| Some(problem::several_forms(&wanted.id, &paths)));
            }
        }
    }
    fallback.map(Err)
}
