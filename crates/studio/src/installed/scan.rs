//! What all places hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use tiller_hub::listing::{RemoteFile, Sum};
use tiller_hub::select;
use tiller_hub::store::{CachedRepo, CachedRevision, MissingFile, Store};
use tiller_protocol::asset::{AssetKind, AssetOrigin, FolderKind, RepoRef};

use super::Installed;
use super::forms::{Form, Thing};
use super::places::{Folder, Places};
use super::recognise::{self, Walk};

/// Something that was found, with how it came there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    /// What it is.
    pub(super) thing: Thing,
    /// Name for people.
    pub(super) name: String,
    /// How it came to be known.
    pub(super) origin: AssetOrigin,
    /// Storage folder that it lies in.
    pub(super) folder: Option<PathBuf>,
    /// What is still to be downloaded of it.
    pub(super) missing: Option<Missing>,
}

/// Files of a download that are not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    /// Bytes of them that are there.
    pub(super) present_bytes: u64,
    /// Bytes that they will have, where that is known.
    pub(super) bytes: Option<u64>,
}

/// Everything in all places, each once.
pub(super) fn everything(installed: &Installed, places: &Places) -> Vec<Found> {
    let mut all = shipped(installed);
    for folder in installed.folders(places) {
        all.extend(in_folder(&folder));
    }
    for link in &places.links {
        let things = recognise::at(&link.path).into_iter().filter(|thing| thing.path == link.path);
        all.extend(things.map(|thing| plain(thing, AssetOrigin::Linked, None)));
    }
    let mut seen = BTreeSet::new();
    all.retain(|found| seen.insert(fs::canonicalize(&found.thing.path).unwrap_or_else(|_| found.thing.path.clone())));
    all
}

fn shipped(installed: &Installed) -> Vec<Found> {
    let Some(assets) = &installed.shipped else { return Vec::new() };
    let named = |path: PathBuf, name: &str| {
        let thing = recognise::at(&path).into_iter().next()?;
        Some(Found { thing, name: name.to_owned(), origin: AssetOrigin::Shipped, folder: None, missing: None })
    };
    let both = [named(assets.demo_model(), "Tiller demo"), named(assets.demo_sae(), "Tiller demo SAE")];
    both.into_iter().flatten().collect()
}

fn in_folder(folder: &Folder) -> Vec<Found> {
    let mut all: Vec<Found> = repos(&folder.path).iter().flat_map(|repo| in_repo(folder, repo)).collect();
    if folder.kind != FolderKind::HubCache {
        for (thing, is_led_out) in Walk::over(&folder.path, false).things {
            // What a link leads to is not the folder's to delete.
            let (origin, inside) =
                if is_led_out { (AssetOrigin::Linked, None) } else { (AssetOrigin::Copied, Some(&folder.path)) };
            all.push(plain(thing, origin, inside));
        }
    }
    all
}

fn plain(thing: Thing, origin: AssetOrigin, folder: Option<&PathBuf>) -> Found {
    let file = thing.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = match thing.form {
        Form::Gguf => crate::models::gguf_stem(&file).to_owned(),
        _ => file,
    };
    Found { thing, name, origin, folder: folder.cloned(), missing: None }
}

/// Repositories in the layout of the hub's cache; those that cannot be read are left out.
pub(super) fn repos(root: &Path) -> Vec<CachedRepo> {
    Store::new(root).scan().unwrap_or_else(|error| {
        log::warn!("{error}");
        Vec::new()
    })
}

/// The commits of a repository, that of the main branch first, then the newest.
pub(super) fn by_preference(repo: &CachedRepo) -> Vec<&CachedRevision> {
    let changed = |revision: &CachedRevision| fs::metadata(&revision.path).and_then(|found| found.modified()).ok();
    let mut revisions: Vec<&CachedRevision> = repo.revisions.iter().collect();
    revisions.sort_by_cached_key(|revision| (!is_main(revision), std::cmp::Reverse(changed(revision))));
    revisions
}

fn is_main(revision: &CachedRevision) -> bool {
    revision.refs.iter().any(|name| name == "main")
}

/// Models and SAEs of one commit.
pub(super) fn in_revision(revision: &CachedRevision) -> Vec<(Thing, Option<Missing>)> {
    let mut things: Vec<Thing> = Walk::over(&revision.path, true).things.into_iter().map(|(thing, _)| thing).collect();
    if things.is_empty() {
        things = ordered(revision);
    }
    let is_only = things.len() == 1;
    if let [only] = things.as_mut_slice() {
        // Nothing else there needs the rest: readme, licence, other forms of the same weights.
        let known: BTreeSet<PathBuf> = only.files.iter().cloned().collect();
        let rest = revision.files.iter().map(|file| revision.path.join(&file.path));
        only.files.extend(rest.filter(|path| !known.contains(path)));
    }
    let lacks = |thing: &Thing| {
        let ordered = revision
            .missing
            .iter()
            .filter(|file| is_only && !thing.is_whole() || thing.files.contains(&revision.path.join(&file.path)));
        let ordered: Vec<_> = ordered.collect();
        let is_partial = !ordered.is_empty() || thing.files.iter().take(thing.n_weights).any(|file| !file.is_file());
        is_partial.then(|| Missing {
            present_bytes: ordered.iter().map(|file| file.present_bytes).sum(),
            bytes: if ordered.is_empty() { None } else { ordered.iter().map(|file| file.bytes).sum() },
        })
    };
    things.into_iter().map(|thing| (lacks(&thing), thing)).map(|(missing, thing)| (thing, missing)).collect()
}

/// What a download that has only begun is going to be: its files appear all at once, at the end.
fn ordered(revision: &CachedRevision) -> Vec<Thing> {
    // By name alone; sums play no part in it.
    let sum = Sum::GitBlob([0; 20]);
    let file = |file: &MissingFile| RemoteFile {
        path: file.path.clone(),
        bytes: file.bytes.unwrap_or_default(),
        sum: sum.clone(),
    };
    let files: Vec<RemoteFile> = revision.missing.iter().map(file).collect();
    select::choices(&files).choices.iter().map(|choice| Thing::ordered(&revision.path, choice)).collect()
}

/// A thing as one commit has it.
type Version<'a> = (&'a CachedRevision, Thing, Option<Missing>);

/// What a repository holds: of each thing the versions with weights, or else the one that the main branch has.
fn in_repo(folder: &Folder, repo: &CachedRepo) -> Vec<Found> {
    let mut by_place: BTreeMap<(PathBuf, AssetKind), Vec<Version<'_>>> = BTreeMap::new();
    for revision in by_preference(repo) {
        for (thing, missing) in in_revision(revision) {
            let place = thing.path.strip_prefix(&revision.path).unwrap_or(&thing.path).to_owned();
            by_place.entry((place, thing.kind)).or_default().push((revision, thing, missing));
        }
    }
    let mut all = Vec::new();
    for ((place, _), mut versions) in by_place {
        // Asking for one small file of a newer commit leaves a folder without weights.
        let is_empty = |thing: &Thing, missing: &Option<Missing>| {
            !thing.has_weights() && missing.as_ref().is_none_or(|missing| missing.present_bytes == 0)
        };
        if versions.iter().any(|(_, thing, missing)| !is_empty(thing, missing)) {
            versions.retain(|(_, thing, missing)| !is_empty(thing, missing));
        }
        let is_many = versions.len() > 1;
        for (revision, thing, missing) in versions {
            let mut name = name_in(&repo.id, &place, thing.form);
            let named = named(repo, revision);
            if let Some(named) = named.as_ref().filter(|_| is_many) {
                let is_commit = *named == revision.commit;
                name = format!("{name} ({})", named.get(..7).filter(|_| is_commit).unwrap_or(named));
            }
            let commit = revision.commit.clone();
            let origin = AssetOrigin::Hub { repo: RepoRef { id: repo.id.clone(), revision: named }, commit };
            all.push(Found { thing, name, origin, folder: Some(folder.path.clone()), missing });
        }
    }
    all
}

/// The revision to ask for to get this commit; none when the main branch is meant.
fn named(repo: &CachedRepo, revision: &CachedRevision) -> Option<String> {
    if repo.revisions.len() == 1 && revision.refs.is_empty() || is_main(revision) {
        return None;
    }
    Some(revision.refs.first().unwrap_or(&revision.commit).clone())
}

fn name_in(id: &str, place: &Path, form: Form) -> String {
    let short = id.rsplit('/').next().unwrap_or(id);
    match form {
        Form::Gguf => crate::models::gguf_stem(&super::sums::name(place)).to_owned(),
        _ if place.as_os_str().is_empty() => short.to_owned(),
        _ => format!("{short}/{}", place.display()),
    }
}

/// What lies in a folder, by name; nothing when it cannot be read.
pub(super) fn sorted(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
