//! What a folder or file is, told by its content.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tiller_protocol::asset::AssetKind;
use tiller_protocol::problem::Problem;

use crate::problem;

/// Something that can be opened by itself, or would be if it were whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Thing {
    /// The checkpoint folder, the GGUF file (its first part) or the SAE folder.
    pub(crate) path: PathBuf,
    /// What it is.
    pub(crate) kind: AssetKind,
    /// In which form.
    pub(crate) form: Form,
    /// All files that belong to it, weights first and in their order; some may be missing.
    pub(crate) files: Vec<PathBuf>,
    /// How many of `files` are weights.
    pub(crate) n_weights: usize,
}

/// The form that an asset's files have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A checkpoint folder with safetensors.
    Checkpoint,
    /// A checkpoint folder whose weights come as pickled Python objects only.
    Pickle,
    /// A GGUF file with all its parts.
    Gguf,
    /// An SAE in the `SAELens` form.
    Sae,
    /// An SAE in a form that cannot be opened: its weight file, and who writes it.
    OtherSae(&'static str, &'static str),
}

/// Texts that belong to a checkpoint.
const TEXTS: [&str; 13] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
];

/// Texts that belong to an SAE of any form.
const SAE_TEXTS: [&str; 4] = ["cfg.json", "config.json", "hyperparams.json", "sparsity.safetensors"];

/// SAEs in forms that cannot be opened: weight file, what lies beside it, and who writes them (see the hub's
/// `select::sae`).
const OTHER_SAES: [(&str, Option<&str>, &str); 6] = [
    ("params.npz", None, "Gemma Scope"),
    ("params.safetensors", Some("config.json"), "Gemma Scope 2"),
    ("checkpoints/final.safetensors", Some("hyperparams.json"), "Llama Scope"),
    ("ae.pt", Some("config.json"), "dictionary_learning"),
    ("sae.safetensors", Some("cfg.json"), "sparsify"),
    (WEIGHTS, Some("config.json"), "Llamascopium"),
];

/// Weight file of an SAE in the form of `SAELens`.
const WEIGHTS: &str = "sae_weights.safetensors";

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
        things.retain(|thing| is_cache || !matches!(thing.form, Form::OtherSae(..)));
        self.things.extend(things.into_iter().map(|thing| (thing, is_led_out)));
        for name in &listing.folders {
            let is_hidden = name.starts_with('.');
            let is_other_layout = depth == 0 && name.starts_with("models--");
            if !is_hidden && !is_other_layout {
                let path = dir.join(name);
                let leads_out = path.is_symlink();
                self.enter(&path, is_cache, (depth + 1, is_led_out || leads_out));
            }
        }
    }
}

/// What a path itself is: a GGUF file, or what lies in a folder but not below it.
pub(crate) fn at(path: &Path) -> Vec<Thing> {
    if path.is_dir() {
        return in_folder(path, &Listing::of(path), false);
    }
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let listing = Listing { files: BTreeSet::from([name.to_owned()]), folders: BTreeSet::new() };
    if !path.is_file() {
        return Vec::new();
    }
    ggufs(dir, &listing).into_iter().chain(single_saes(dir, &listing)).collect()
}

impl Thing {
    /// Its weight files.
    pub(crate) fn weights(&self) -> &[PathBuf] {
        &self.files[..self.n_weights]
    }

    /// Whether any weights are there.
    pub(crate) fn has_weights(&self) -> bool {
        self.weights().iter().any(|file| file.is_file())
    }

    /// Whether all weights are there.
    pub(crate) fn is_whole(&self) -> bool {
        self.weights().iter().all(|file| file.is_file())
    }
}

/// Names in a folder, sorted.
#[derive(Debug, Default)]
struct Listing {
    files: BTreeSet<String>,
    folders: BTreeSet<String>,
}

impl Listing {
    fn of(dir: &Path) -> Self {
        let mut listing = Self::default();
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            // Links are followed; one that leads nowhere counts as a file that is not there.
            let is_folder = entry.path().is_dir();
            if is_folder {
                listing.folders.insert(name)
            } else {
                listing.files.insert(name)
            };
        }
        listing
    }

    fn has(&self, name: &str) -> bool {
        self.files.contains(name)
    }
}

/// What lies in a folder itself, not below it.
fn in_folder(dir: &Path, listing: &Listing, is_cache: bool) -> Vec<Thing> {
    let mut things: Vec<Thing> = Vec::new();
    let sae = sae(dir, listing);
    let ggufs = ggufs(dir, listing);
    let needs_weights = !is_cache || !ggufs.is_empty() || sae.is_some();
    things.extend(if sae.is_some() { None } else { checkpoint(dir, listing, needs_weights) });
    things.extend(sae);
    things.extend(ggufs);
    things.extend(single_saes(dir, listing));
    things
}

fn checkpoint(dir: &Path, listing: &Listing, needs_weights: bool) -> Option<Thing> {
    if !listing.has("config.json") {
        return None;
    }
    let pickled = |name: &&String| name.starts_with("pytorch_model") && has_ending(name, "bin");
    let (form, weights) = match weights(dir, listing) {
        Some(weights) => (Form::Checkpoint, weights),
        None => match listing.files.iter().filter(pickled).cloned().collect::<Vec<_>>() {
            pickles if !pickles.is_empty() => (Form::Pickle, pickles),
            _ if needs_weights || !names_an_architecture(dir) => return None,
            _ => (Form::Checkpoint, vec!["model.safetensors".to_owned()]),
        },
    };
    let texts = TEXTS.iter().filter(|name| listing.has(name)).map(|name| (*name).to_owned());
    Some(thing(dir, AssetKind::Model, form, weights, texts))
}

/// Names of the safetensors of a checkpoint: those that its index names, else those that are there.
fn weights(dir: &Path, listing: &Listing) -> Option<Vec<String>> {
    if listing.has("model.safetensors.index.json") {
        let index = json(&dir.join("model.safetensors.index.json"));
        let map = index["weight_map"].as_object();
        let names: BTreeSet<&str> = map.into_iter().flat_map(|map| map.values()).filter_map(Value::as_str).collect();
        let is_plain = |name: &&str| Path::new(name).file_name().is_some_and(|plain| plain == *name);
        let names: Vec<String> = names.into_iter().filter(is_plain).map(str::to_owned).collect();
        return Some(names);
    }
    let is_weight = |name: &&String| *name == "model.safetensors" || is_shard(name);
    let names: Vec<String> = listing.files.iter().filter(is_weight).cloned().collect();
    (!names.is_empty()).then_some(names)
}

/// `model-00001-of-00003.safetensors`.
fn is_shard(name: &str) -> bool {
    name.strip_prefix("model-").and_then(|rest| rest.strip_suffix(".safetensors")).is_some_and(|rest| {
        rest.split_once("-of-").is_some_and(|(part, of)| {
            let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number(part) && is_number(of)
        })
    })
}

/// Bytes of all weights, when the index of a checkpoint tells it.
pub(crate) fn told_bytes(thing: &Thing) -> Option<u64> {
    json(&thing.path.join("model.safetensors.index.json"))["metadata"]["total_size"].as_u64()
}

fn names_an_architecture(dir: &Path) -> bool {
    !json(&dir.join("config.json"))["architectures"].is_null()
}

/// The GGUF models of a folder, each with all its parts.
fn ggufs(dir: &Path, listing: &Listing) -> Vec<Thing> {
    let is_model = |name: &&String| {
        let lower = name.to_ascii_lowercase();
        // Beside a model that sees pictures lies the part that sees; beside a quantised one what guided the rounding.
        has_ending(name, "gguf") && !lower.starts_with("mmproj") && !lower.contains("imatrix")
    };
    let firsts: BTreeSet<Vec<String>> = listing.files.iter().filter(is_model).map(|name| parts(name)).collect();
    let file = |parts: Vec<String>| {
        let path = dir.join(&parts[0]);
        Thing { path, ..thing(dir, AssetKind::Model, Form::Gguf, parts, [].into_iter()) }
    };
    firsts.into_iter().map(file).collect()
}

/// All parts of the GGUF model that a file belongs to.
fn parts(name: &str) -> Vec<String> {
    let split = || {
        let stem = name.get(..name.len() - ".gguf".len())?;
        let (front, count) = stem.rsplit_once("-of-")?;
        let (front, number) = front.rsplit_once('-')?;
        let digits = |text: &str| if text.len() == 5 { text.parse::<usize>().ok() } else { None };
        Some((front, digits(number)?, digits(count)?))
    };
    match split() {
        Some((front, number, count)) if (1..=count).contains(&number) && count < 1000 => {
            let ending = &name[name.len() - ".gguf".len()..];
            (1..=count).map(|part| format!("{front}-{part:05}-of-{count:05}{ending}")).collect()
        }
        _ => vec![name.to_owned()],
    }
}

fn sae(dir: &Path, listing: &Listing) -> Option<Thing> {
    let found = |form, weights: &str| {
        let texts = SAE_TEXTS.iter().filter(|name| listing.has(name)).map(|name| (*name).to_owned());
        thing(dir, AssetKind::Sae, form, vec![weights.to_owned()], texts)
    };
    if listing.has(WEIGHTS) && listing.has("cfg.json") {
        return Some(found(Form::Sae, WEIGHTS));
    }
    for (weights, beside, maker) in OTHER_SAES {
        let has = match weights.split_once('/') {
            Some((folder, _)) => listing.folders.contains(folder) && dir.join(weights).is_file(),
            None => listing.has(weights),
        };
        if has && beside.is_none_or(|name| listing.has(name)) {
            return Some(found(Form::OtherSae(weights, maker), weights));
        }
    }
    let is_begun = listing.has(WEIGHTS) || listing.has("cfg.json") && !json(&dir.join("cfg.json"))["d_sae"].is_null();
    is_begun.then(|| found(Form::Sae, WEIGHTS))
}

/// SAEs that are one file each.
fn single_saes(dir: &Path, listing: &Listing) -> Vec<Thing> {
    let single = |name: &String| {
        let lower = name.to_ascii_lowercase();
        let maker = if lower.ends_with(".sae.pt") { "Qwen-Scope" } else { "Goodfire" };
        let is_pickle = has_ending(name, "pt") || has_ending(name, "pth");
        let is_one = is_pickle && (lower.ends_with(".sae.pt") || lower.contains("-sae-l"));
        let form = Form::OtherSae("a file of pickled Python objects", maker);
        let found = thing(dir, AssetKind::Sae, form, vec![name.clone()], [].into_iter());
        is_one.then(|| Thing { path: dir.join(name), ..found })
    };
    listing.files.iter().filter_map(single).collect()
}

fn thing(dir: &Path, kind: AssetKind, form: Form, weights: Vec<String>, texts: impl Iterator<Item = String>) -> Thing {
    let n_weights = weights.len();
    let files = weights.into_iter().chain(texts).map(|name| dir.join(name)).collect();
    Thing { path: dir.to_owned(), kind, form, files, n_weights }
}

/// A small JSON file; `null` for what is not there or not JSON, of which the engine tells more.
fn json(path: &Path) -> Value {
    const MOST: u64 = 64 << 20;
    let is_small = fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= MOST);
    let text = if is_small { fs::read_to_string(path).ok() } else { None };
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
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
