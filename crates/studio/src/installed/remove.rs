//! Deleting and forgetting.
//!
//! What is deleted lies, with every link resolved, inside a storage folder; of what a link leads to only the link goes.

use std::fs;
use std::path::{Path, PathBuf};

use tiller_hub::store::Store;
use tiller_protocol::asset::{Asset, AssetOrigin, AssetState};
use tiller_protocol::problem::Problem;

use super::{Installed, recognise};
use crate::problem;

impl Installed {
    /// Deletes an asset's files, or forgets it where it is linked. Returns the bytes that this freed.
    ///
    /// # Errors
    /// What is not known, ships with Tiller, or lies outside the storage folders; or a disk that refuses.
    pub(crate) fn remove(&self, path: &Path) -> Result<u64, Problem> {
        let asset = self.removable(path)?;
        let freed = match (&asset.origin, &asset.folder) {
            (AssetOrigin::Linked, _) | (_, None) => self.forget_link(&asset)?,
            (AssetOrigin::Hub { .. }, Some(root)) => {
                let files = hub_files(&asset, root)?;
                Store::new(root).remove(&files).map_err(|error| problem::hub(&error))?
            }
            (_, Some(root)) => {
                let freed = plain_files(&asset, root)?.into_iter().map(|file| delete(&file)).sum::<Result<u64, _>>()?;
                sweep_folders(&asset.path, root);
                freed
            }
        };
        self.update_places(|places| {
            places.copies.retain(|copied| copied.path != asset.path);
            Ok(())
        })?;
        self.update_records(|records| records.drop(&asset.path))?;
        Ok(freed)
    }

    /// Bytes that [`Self::remove`] would free.
    ///
    /// # Errors
    /// As [`Self::remove`].
    pub(crate) fn would_free(&self, path: &Path) -> Result<u64, Problem> {
        let asset = self.removable(path)?;
        match (&asset.origin, &asset.folder) {
            (AssetOrigin::Linked, _) | (_, None) => Ok(0),
            (AssetOrigin::Hub { .. }, Some(root)) => {
                let files = hub_files(&asset, root)?;
                Store::new(root).would_free(&files).map_err(|error| problem::hub(&error))
            }
            (_, Some(root)) => Ok(plain_files(&asset, root)?.iter().map(|file| own_bytes(file)).sum()),
        }
    }

    /// The asset, when it may go.
    fn removable(&self, path: &Path) -> Result<Asset, Problem> {
        let asset = self.list().library.assets.into_iter().find(|asset| asset.path == path);
        let asset = asset.ok_or_else(|| problem::not_installed(&path.display().to_string()))?;
        match asset.origin {
            AssetOrigin::Shipped => Err(problem::ships_with_tiller(&asset.name)),
            _ if asset.state == AssetState::Missing && asset.folder.is_some() => Err(problem::nothing_at(path)),
            _ => Ok(asset),
        }
    }

    fn forget_link(&self, asset: &Asset) -> Result<u64, Problem> {
        self.update_places(|places| {
            let n = places.links.len();
            places.links.retain(|link| link.path != asset.path);
            if places.links.len() < n { Ok(0) } else { Err(problem::behind_a_link(&asset.path)) }
        })
    }
}

/// Files of an asset in the hub's cache, with those still to come.
fn hub_files(asset: &Asset, root: &Path) -> Result<Vec<PathBuf>, Problem> {
    let AssetOrigin::Hub { repo, commit } = &asset.origin else { return Ok(Vec::new()) };
    let repo = Store::new(root).scan_repo(&repo.id);
    let revision = repo.and_then(|repo| repo.revisions.into_iter().find(|revision| revision.commit == *commit));
    let revision = revision.ok_or_else(|| problem::nothing_at(&asset.path))?;
    let things = super::scan::in_revision(&revision);
    let others: Vec<&PathBuf> =
        things.iter().filter(|(thing, _)| thing.path != asset.path).flat_map(|(thing, _)| &thing.files).collect();
    let own = things.iter().find(|(thing, _)| thing.path == asset.path);
    let (thing, missing) = own.ok_or_else(|| problem::nothing_at(&asset.path))?;
    let mut files = thing.files.clone();
    if missing.is_some() && things.len() == 1 {
        files.extend(revision.missing.iter().map(|file| revision.path.join(&file.path)));
    }
    // Several forms of one model may share a configuration or a tokenizer.
    files.retain(|file| !others.contains(&file));
    files.sort();
    files.dedup();
    Ok(files)
}

/// Files of an asset in a folder of no particular layout, each checked to lie inside it.
fn plain_files(asset: &Asset, root: &Path) -> Result<Vec<PathBuf>, Problem> {
    let outside = |path: &Path| problem::outside_folders(path, root);
    let canonical_root = fs::canonicalize(root).map_err(|error| problem::read_failed(root, &error))?;
    let things = recognise::at(&asset.path);
    let thing = things.into_iter().find(|thing| thing.path == asset.path);
    let thing = thing.ok_or_else(|| problem::nothing_at(&asset.path))?;
    let dir = thing.files.first().and_then(|file| file.parent()).ok_or_else(|| outside(&asset.path))?;
    let beside = recognise::at(dir).into_iter().filter(|other| other.path != thing.path);
    let shared: Vec<PathBuf> = beside.flat_map(|other| other.files).collect();
    let mut files = Vec::new();
    for file in thing.files.into_iter().filter(|file| !shared.contains(file)) {
        let Some((parent, name)) = file.parent().zip(file.file_name()) else { return Err(outside(&file)) };
        // The folder with its links resolved, the file itself as it is: of a link only the link is deleted.
        let Ok(parent) = fs::canonicalize(parent) else { continue };
        if !parent.starts_with(&canonical_root) {
            return Err(outside(&file));
        }
        let place = parent.join(name);
        if fs::symlink_metadata(&place).is_ok_and(|found| found.is_file() || found.is_symlink()) {
            files.push(place);
        }
    }
    Ok(files)
}

/// Bytes that go with a file's name: those of a link's target stay, as do those of a file with a second name.
fn own_bytes(file: &Path) -> u64 {
    let Ok(found) = fs::symlink_metadata(file) else { return 0 };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        if found.nlink() > 1 {
            return 0;
        }
    }
    if found.is_file() { found.len() } else { 0 }
}

fn delete(file: &Path) -> Result<u64, Problem> {
    let bytes = own_bytes(file);
    fs::remove_file(file).map_err(|error| problem::write_failed(file, &error))?;
    Ok(bytes)
}

/// Deletes folders that are empty now, from the asset's own up to the storage folder.
fn sweep_folders(path: &Path, root: &Path) {
    let Ok(root) = fs::canonicalize(root) else { return };
    let dir = if path.is_dir() { Some(path) } else { path.parent() };
    let Some(mut dir) = dir.and_then(|dir| fs::canonicalize(dir).ok()) else { return };
    // Only an empty folder can be deleted in this way.
    while dir != root && dir.starts_with(&root) && fs::remove_dir(&dir).is_ok() {
        let Some(parent) = dir.parent() else { return };
        dir = parent.to_owned();
    }
}
