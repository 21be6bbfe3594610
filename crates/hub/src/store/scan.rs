//! What the cache holds.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::order::known_to_others;
use super::{Blobs, MODELS, Order, Store, disk, if_there};
use crate::error::HubError;
use crate::fetch::journal;

/// A repository of which something is on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedRepo {
    /// `owner/name`.
    pub id: String,
    /// Its folder.
    pub path: PathBuf,
    /// By commit.
    pub revisions: Vec<CachedRevision>,
}

/// One commit of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedRevision {
    /// Commit, 40 hex digits.
    pub commit: String,
    /// Folder of its files; not there yet while its first download is unfinished.
    pub path: PathBuf,
    /// Branches and tags that stood for it when they were last looked up.
    pub refs: Vec<String>,
    /// Whole files, by path.
    pub files: Vec<CachedFile>,
    /// Files that were ordered and are not whole, or whose link leads nowhere.
    pub missing: Vec<MissingFile>,
}

/// A whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedFile {
    /// Path inside the repository, with `/`.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Where its bytes are; several commits may share them.
    pub blob: PathBuf,
}

/// A file that is not, or not wholly, there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingFile {
    /// Path inside the repository, with `/`.
    pub path: String,
    /// Its size, where that is known.
    pub bytes: Option<u64>,
    /// Bytes of it that are here.
    pub present_bytes: u64,
}

/// A file's place in a snapshot, whole or not.
pub(crate) struct Pointer {
    pub(crate) commit: String,
    /// Path inside the repository, with `/`.
    pub(crate) path: String,
    pub(crate) place: PathBuf,
}

impl Store {
    /// Everything in the cache, by id. A repository that cannot be read is left out, with a line in the log.
    ///
    /// # Errors
    /// If the root is there and cannot be read.
    pub fn scan(&self) -> Result<Vec<CachedRepo>, HubError> {
        let names = names(&self.root).map_err(|error| disk(&self.root, &error))?;
        let ids = names.iter().filter_map(|name| Some(name.strip_prefix(MODELS)?.replace("--", "/")));
        Ok(ids.filter_map(|id| self.scan_repo(&id)).collect())
    }

    /// One repository of the cache; absent when nothing of it is here.
    pub fn scan_repo(&self, id: &str) -> Option<CachedRepo> {
        let path = self.repo_folder(id)?;
        let revisions = revisions(&path).inspect_err(|error| log::warn!("{}: {error}", path.display())).ok()?;
        let is_empty = revisions.is_empty();
        (!is_empty).then(|| CachedRepo { id: id.to_owned(), path, revisions })
    }
}

fn revisions(repo: &Path) -> io::Result<Vec<CachedRevision>> {
    let refs = refs(repo)?;
    let mut commits = names(&repo.join("snapshots"))?;
    commits.retain(|commit| repo.join("snapshots").join(commit).is_dir());
    let ordered = names(&Order::folder(repo))?;
    commits.extend(ordered.iter().filter_map(|name| name.strip_suffix(".json")).map(str::to_owned));
    commits.sort();
    commits.dedup();
    let revisions = commits.into_iter().map(|commit| {
        let refs = refs.iter().filter(|(_, leads_to)| **leads_to == commit).map(|(name, _)| name.clone()).collect();
        revision(repo, commit, refs)
    });
    revisions.collect()
}

fn revision(repo: &Path, commit: String, refs: Vec<String>) -> io::Result<CachedRevision> {
    let path = repo.join("snapshots").join(&commit);
    let mut ordered = Order::load(repo, &commit).files;
    let known = known_to_others(repo, &commit);
    let (mut files, mut missing) = (Vec::new(), Vec::new());
    for pointer in pointers_of(repo, &commit)? {
        let order = ordered.remove(&pointer.path);
        let size = order.as_ref().or_else(|| known.get(&pointer.path)).map(|file| file.bytes);
        let whole =
            fs::metadata(&pointer.place).ok().filter(|facts| order.as_ref().is_none_or(|o| o.bytes == facts.len()));
        match whole {
            Some(facts) => {
                let blob = first_hop(&pointer.place).unwrap_or(pointer.place);
                files.push(CachedFile { path: pointer.path, bytes: facts.len(), blob });
            }
            None => missing.push(MissingFile {
                present_bytes: order.map_or(0, |order| present(repo, &order)),
                path: pointer.path,
                bytes: size,
            }),
        }
    }
    missing.extend(ordered.into_iter().map(|(path, file)| MissingFile {
        path,
        bytes: Some(file.bytes),
        present_bytes: present(repo, &file),
    }));
    missing.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(CachedRevision { commit, path, refs, files, missing })
}

fn present(repo: &Path, file: &super::order::Ordered) -> u64 {
    let Some(file) = file.remote("") else { return 0 };
    let blobs = Blobs::new(repo, &file.sum);
    if blobs.is_whole(file.bytes) { file.bytes } else { journal::present(&blobs, file.bytes).total() }
}

/// Branch and tag names with the commits they stand for.
pub(crate) fn refs(repo: &Path) -> io::Result<BTreeMap<String, String>> {
    let folder = repo.join("refs");
    let mut found = BTreeMap::new();
    for (name, path) in files_below(&folder)? {
        if let Ok(commit) = fs::read_to_string(&path) {
            found.insert(name, commit.trim().to_owned());
        }
    }
    Ok(found)
}

/// All places of files in all snapshots.
pub(crate) fn pointers(repo: &Path) -> io::Result<Vec<Pointer>> {
    let mut all = Vec::new();
    for commit in names(&repo.join("snapshots"))? {
        all.extend(pointers_of(repo, &commit)?);
    }
    Ok(all)
}

fn pointers_of(repo: &Path, commit: &str) -> io::Result<Vec<Pointer>> {
    let found = files_below(&repo.join("snapshots").join(commit))?;
    let pointer = |(path, place)| Pointer { commit: commit.to_owned(), path, place };
    Ok(found.into_iter().map(pointer).collect())
}

/// Where a link leads, without following a second one. Absent for what is no link.
pub(crate) fn first_hop(link: &Path) -> Option<PathBuf> {
    let target = fs::read_link(link).ok()?;
    let mut path = link.parent()?.to_owned();
    for part in target.components() {
        match part {
            std::path::Component::ParentDir => {
                path.pop();
            }
            std::path::Component::CurDir => {}
            other => path.push(other),
        }
    }
    Some(path)
}

/// Files and links below a folder, by their path in it with `/`. Folders that are links are not entered; an absent
/// folder has none; names that are no text are passed over.
fn files_below(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), folder.to_owned())];
    while let Some((prefix, folder)) = open.pop() {
        for name in names(&folder)? {
            let (path, inside) = (folder.join(&name), format!("{prefix}{name}"));
            let kind = fs::symlink_metadata(&path)?.file_type();
            if kind.is_dir() {
                open.push((format!("{inside}/"), path));
            } else if kind.is_file() || !path.is_dir() {
                found.push((inside, path));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The names in a folder, sorted; none if it is absent, a file, or a link to elsewhere.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let Some(entries) = if_there(fs::read_dir(folder))? else { return Ok(Vec::new()) };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose())
        .collect::<io::Result<_>>()?;
    names.retain(|name| name != ".DS_Store");
    names.sort();
    Ok(names)
}
