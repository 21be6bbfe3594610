//! Deleting from the cache: exactly the files that are named, the blobs that only they used, and folders left empty.
//!
//! Nothing outside the root is ever touched. A path is taken only if, with all links resolved, its folder is where the
//! layout has it; a link's target is deleted only if it is a blob of the same repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::link::sweep;
use super::scan::{first_hop, pointers, refs};
use super::{Blobs, MODELS, Order, Store, disk, if_there};
use crate::error::HubError;
use crate::fetch::journal;
use crate::listing::{RemoteFile, Sum};

/// What is to go from one repository.
struct Plan {
    /// Its folder, links resolved.
    repo: PathBuf,
    /// Places in snapshots: commit, path inside, place.
    places: Vec<(String, String, PathBuf)>,
    /// Checksums of blobs that nothing else uses, with the bytes that go with them.
    blobs: BTreeMap<String, u64>,
    /// Bytes of files that stand in a snapshot themselves.
    own_bytes: u64,
}

impl Store {
    /// Bytes that [`Self::remove`] would free.
    ///
    /// # Errors
    /// The same.
    pub fn would_free(&self, files: &[PathBuf]) -> Result<u64, HubError> {
        let plans = self.plans(files)?;
        Ok(plans.iter().map(|plan| plan.own_bytes + plan.blobs.values().sum::<u64>()).sum())
    }

    /// Deletes files of snapshots (`…/snapshots/COMMIT/PATH`, there or not) with what has come in of them, keeping blobs
    /// that another snapshot uses or that another program is writing. Returns the bytes freed.
    ///
    /// # Errors
    /// If a path is none of a snapshot in this cache, before anything is deleted; or if the disk refuses.
    pub fn remove(&self, files: &[PathBuf]) -> Result<u64, HubError> {
        self.plans(files)?.iter().map(|plan| self.carry_out(plan)).sum()
    }

    /// Forgets an unfinished download: what has come in of those files that do not stand in their snapshot yet.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn discard(&self, id: &str, commit: &str, files: &[RemoteFile]) -> Result<u64, HubError> {
        let Some(folder) = self.repo_folder(id) else { return Ok(0) };
        let places = files.iter().filter_map(|file| super::pointer(&folder, commit, &file.path));
        let absent: Vec<PathBuf> = places.filter(|place| fs::symlink_metadata(place).is_err()).collect();
        self.remove(&absent)
    }

    fn plans(&self, files: &[PathBuf]) -> Result<Vec<Plan>, HubError> {
        let Some(root) = if_there(fs::canonicalize(&self.root)).map_err(|error| disk(&self.root, &error))? else {
            return Ok(Vec::new());
        };
        let mut places: BTreeMap<PathBuf, Vec<(String, String, PathBuf)>> = BTreeMap::new();
        for file in files {
            let (repo, commit, path) = self.parts(&root, file).ok_or_else(|| HubError::Disk {
                path: file.clone(),
                reason: "it is no file of a snapshot in this cache".to_owned(),
            })?;
            let place = repo.join("snapshots").join(&commit).join(&path);
            places.entry(repo).or_default().push((commit, path, place));
        }
        places.into_iter().map(|(repo, places)| plan(repo, places)).collect()
    }

    /// Repository folder, commit and path inside, if the path is one of a snapshot and no folder on the way leads out.
    fn parts(&self, root: &Path, file: &Path) -> Option<(PathBuf, String, String)> {
        let inside = file.strip_prefix(&self.root).or_else(|_| file.strip_prefix(root)).ok()?;
        let names: Vec<&str> = inside
            .components()
            .map(|part| if let Component::Normal(name) = part { name.to_str() } else { None })
            .collect::<Option<_>>()?;
        let [repo, snapshots, commit, path @ ..] = names.as_slice() else { return None };
        if !repo.starts_with(MODELS) || *snapshots != "snapshots" || path.is_empty() {
            return None;
        }
        let mut folder = root.to_owned();
        for name in &names[..names.len() - 1] {
            folder.push(name);
            match fs::symlink_metadata(&folder) {
                Ok(facts) if !facts.is_dir() => return None,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(_) => return None,
            }
        }
        let place = root.join(inside);
        let is_folder = fs::symlink_metadata(&place).is_ok_and(|facts| facts.is_dir());
        (!is_folder).then(|| (root.join(repo), (*commit).to_owned(), path.join("/")))
    }

    fn carry_out(&self, plan: &Plan) -> Result<u64, HubError> {
        let delete = |path: &Path| if_there(fs::remove_file(path)).map_err(|error| disk(path, &error));
        for (_, _, place) in &plan.places {
            delete(place)?;
        }
        let mut freed = plan.own_bytes;
        for (name, bytes) in &plan.blobs {
            let blobs = Blobs { folder: plan.repo.join("blobs"), name: name.clone() };
            let Some(_lock) = self.try_lock(&blobs)? else { continue };
            delete(&blobs.whole())?;
            delete(&blobs.part())?;
            delete(&blobs.journal())?;
            delete(&blobs.spoilt())?;
            delete(&blobs.unsynced())?;
            freed += bytes;
        }
        let gone: BTreeSet<(&str, &str)> = plan.places.iter().map(|(commit, path, _)| (&**commit, &**path)).collect();
        let orders = self.lock_orders(&plan.repo)?;
        for commit in plan.places.iter().map(|(commit, _, _)| commit.as_str()).collect::<BTreeSet<_>>() {
            Order::take_out(&plan.repo, commit, |path| gone.contains(&(commit, path)))?;
        }
        tidy(plan).map_err(|error| disk(&plan.repo, &error))?;
        drop(orders);
        Ok(freed)
    }
}

fn plan(repo: PathBuf, places: Vec<(String, String, PathBuf)>) -> Result<Plan, HubError> {
    let failed = |error: &io::Error| disk(&repo, error);
    let blobs_folder = repo.join("blobs");
    let has_blobs = fs::symlink_metadata(&blobs_folder).is_ok_and(|facts| facts.is_dir());
    let going: BTreeSet<&Path> = places.iter().map(|(_, _, place)| place.as_path()).collect();
    // The checksums that a place stands for: its link's, and the one it was ordered with.
    let sums = |commit: &str, path: &str, place: &Path| {
        let link = first_hop(place).filter(|blob| blob.parent() == Some(&blobs_folder));
        let link = link.and_then(|blob| blob.file_name()?.to_str().map(str::to_owned));
        let order = Order::load(&repo, commit).files.remove(path).map(|file| file.sum);
        link.into_iter().chain(order).filter(|name| Sum::from_hex(name).is_some()).collect::<Vec<_>>()
    };
    let mut kept = BTreeSet::new();
    for pointer in pointers(&repo).map_err(|error| failed(&error))? {
        if !going.contains(pointer.place.as_path()) {
            kept.extend(sums(&pointer.commit, &pointer.path, &pointer.place));
        }
    }
    // Another download may need what has come in already.
    for (commit, order) in Order::all(&repo) {
        let folder = repo.join("snapshots").join(commit);
        let others = order.files.into_iter().filter(|(path, _)| !going.contains(folder.join(path).as_path()));
        kept.extend(others.map(|(_, file)| file.sum));
    }
    let (mut blobs, mut own_bytes) = (BTreeMap::new(), 0);
    for (commit, path, place) in &places {
        let names = if has_blobs { sums(commit, path, place) } else { Vec::new() };
        let has_blob = names.iter().any(|name| blobs_folder.join(name).is_file());
        for name in names.into_iter().filter(|name| !kept.contains(name)) {
            let blob = Blobs { folder: blobs_folder.clone(), name: name.clone() };
            let bytes = bytes_of(&blob).map_err(|error| failed(&error))?;
            blobs.insert(name, bytes);
        }
        let is_file = fs::symlink_metadata(place).ok().filter(fs::Metadata::is_file);
        own_bytes += is_file.filter(|facts| is_alone(facts, has_blob)).map_or(0, |facts| facts.len());
    }
    Ok(Plan { repo, places, blobs, own_bytes })
}

/// Bytes that go with a blob: its own, not those of a store that several repositories share, and what has come in.
fn bytes_of(blobs: &Blobs) -> io::Result<u64> {
    let whole =
        if_there(fs::symlink_metadata(blobs.whole()))?.filter(fs::Metadata::is_file).map_or(0, |facts| facts.len());
    let part = if_there(fs::symlink_metadata(blobs.part()))?.map_or(0, |facts| facts.len());
    Ok(whole + if part > 0 { journal::present(blobs, part).total() } else { 0 })
}

/// Whether a file's bytes go when this name of it goes.
#[cfg(unix)]
fn is_alone(facts: &fs::Metadata, _: bool) -> bool {
    std::os::unix::fs::MetadataExt::nlink(facts) == 1
}

/// Elsewhere this is not known without opening the file; beside its blob it is taken for a second name of it.
#[cfg(not(unix))]
fn is_alone(_: &fs::Metadata, has_blob: bool) -> bool {
    !has_blob
}

/// Takes away what makes no sense without the files: empty folders, and notes about commits of which nothing is left.
fn tidy(plan: &Plan) -> io::Result<()> {
    for (commit, _, place) in &plan.places {
        let top = plan.repo.join("snapshots").join(commit);
        for folder in place.ancestors().skip(1).take_while(|folder| folder.starts_with(&top)) {
            remove_if_empty(folder)?;
        }
        if top.exists() {
            continue;
        }
        for (name, leads_to) in refs(&plan.repo)? {
            if leads_to == *commit {
                let path = plan.repo.join("refs").join(name);
                if_there(fs::remove_file(&path))?;
                for folder in path.ancestors().skip(1).take_while(|folder| folder.starts_with(plan.repo.join("refs"))) {
                    remove_if_empty(folder)?;
                }
            }
        }
        if_there(fs::remove_file(plan.repo.join("trees").join(format!("{commit}.json"))))?;
        // Empty files that say which names a commit does not have.
        if_there(fs::remove_dir_all(plan.repo.join(".no_exist").join(commit)))?;
    }
    if Order::all(&plan.repo).is_empty() {
        sweep(&Order::folder(&plan.repo))?;
    }
    for name in ["snapshots", "blobs", "refs", "trees", ".no_exist", ".tiller"] {
        remove_if_empty(&plan.repo.join(name))?;
    }
    // A repository with something left keeps its empty `snapshots`, without which other tools call it damaged.
    if !remove_if_empty(&plan.repo)? && plan.repo.is_dir() {
        fs::create_dir_all(plan.repo.join("snapshots"))?;
    }
    Ok(())
}

/// Whether the folder is gone.
fn remove_if_empty(folder: &Path) -> io::Result<bool> {
    match fs::remove_dir(folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
