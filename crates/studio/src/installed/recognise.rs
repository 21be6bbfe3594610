//! What a folder or file is, told by its content.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tiller_engine::sae;
use tiller_protocol::asset::AssetKind;
use tiller_protocol::problem::Problem;

use super::forms::{Form, Listing, Thing, in_file, in_folder};
use crate::problem;

/// Deepest folder that is looked into, from the one that was named.
const MAX_DEPTH: usize = 6;

/// Most folders that are looked into: someone may name the root of a disk.
const MAX_FOLDERS: usize = 20_000;

/// The same while a path is still being typed.
const FEW_FOLDERS: usize = 200;

/// What a walk has found.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// What can be opened, with whether a link led out of the folder on the way there.
    pub(crate) things: Vec<(Thing, bool)>,
    visited: BTreeSet<PathBuf>,
    max_folders: usize,
}

impl Walk {
    /// Everything in a folder and below it; `is_cache` says that a configuration without weights counts, too.
    pub(crate) fn over(root: &Path, is_cache: bool) -> Self {
        let mut walk = Self { max_folders: MAX_FOLDERS, ..Self::default() };
        walk.enter(root, is_cache, (0, false));
        walk
    }

    fn enter(&mut self, dir: &Path, is_cache: bool, (depth, is_led_out): (usize, bool)) {
        let Ok(canonical) = fs::canonicalize(dir) else { return };
        if depth > MAX_DEPTH || self.visited.len() >= self.max_folders || !self.visited.insert(canonical) {
            return;
        }
        let listing = Listing::of(dir);
        // A pipeline of several networks that make pictures.
        if listing.has("model_index.json") {
            return;
        }
        let mut things = in_folder(dir, &listing, is_cache);
        // Elsewhere such names may mean anything.
        things.retain(|thing| is_cache || thing.form != Form::LikelySae || sae::facts(&thing.path).is_ok());
        self.things.extend(things.into_iter().map(|thing| (thing, is_led_out)));
        for name in &listing.folders {
            let is_hidden = name.starts_with('.');
            let is_other_layout = name.starts_with("models--");
            let is_listed_otherwise = is_other_layout && depth == 0;
            if !is_hidden && !is_listed_otherwise {
                let path = dir.join(name);
                // Of a cache further down not everything is a link, but what its links lead to may be shared.
                let leads_out = path.is_symlink() || is_other_layout;
                self.enter(&path, is_cache, (depth + 1, is_led_out || leads_out));
            }
        }
    }
}

/// What a path itself is: a GGUF file, or what lies in a folder but not below it.
pub(crate) fn at(path: &Path) -> Vec<Thing> {
    if path.is_dir() {
        in_folder(path, &Listing::of(path), false)
    } else if path.is_file() {
        in_file(path)
    } else {
        Vec::new()
    }
}

/// Whether two paths lead to the same place.
pub(crate) fn is_same(a: &Path, b: &Path) -> bool {
    a == b || fs::canonicalize(a).is_ok_and(|a| fs::canonicalize(b).is_ok_and(|b| a == b))
}

/// The one thing that a path stands for: itself, a file of it, or the only one below it.
///
/// # Errors
/// Nothing there, or several.
pub(crate) fn only(path: &Path) -> Result<Thing, Problem> {
    if !path.exists() {
        return Err(problem::nothing_at(path));
    }
    let mut things = at(path);
    if things.is_empty() && path.is_file() {
        // Someone may have chosen config.json, or one of the weight files.
        let beside = path.parent().map(at).unwrap_or_default();
        things = beside.into_iter().filter(|thing| thing.files.iter().any(|file| file == path)).collect();
    } else if let Some(itself) = things.iter().position(|thing| thing.path == path) {
        // A checkpoint folder may hold earlier checkpoints, an SAE, or the same weights in another form.
        return Ok(things.swap_remove(itself));
    } else if path.is_dir() {
        things = Walk::over(path, false).things.into_iter().map(|(thing, _)| thing).collect();
    }
    match things.len() {
        0 => Err(problem::nothing_in(path)),
        1 => Ok(things.remove(0)),
        _ => {
            let paths: Vec<&Path> = things.iter().map(|thing| thing.path.as_path()).collect();
            Err(problem::several_in(path, &paths))
        }
    }
}

/// The model in a folder, or the only one below it. A folder that holds no model at all is returned as it is: the
/// engine tells best what it lacks.
///
/// # Errors
/// An SAE, or several GGUF files without a checkpoint.
pub(crate) fn model_in(dir: &Path) -> Result<PathBuf, Problem> {
    let own = at(dir);
    if own.iter().any(|thing| thing.path == dir && thing.kind == AssetKind::Model) {
        return Ok(dir.to_owned());
    }
    let things = if own.is_empty() {
        let mut walk = Walk { max_folders: FEW_FOLDERS, ..Walk::default() };
        walk.enter(dir, false, (0, false));
        walk.things.into_iter().map(|(thing, _)| thing).collect()
    } else {
        own
    };
    match things.as_slice() {
        [] => Ok(dir.to_owned()),
        [only] if only.kind == AssetKind::Sae => Err(problem::an_sae(&only.path)),
        [only] => Ok(only.path.clone()),
        several => {
            let paths: Vec<&Path> = several.iter().map(|thing| thing.path.as_path()).collect();
            Err(problem::several_in(dir, &paths))
        }
    }
}
