//! What the files that lie in one folder are: checkpoints, GGUF models, SAEs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tiller_hub::listing::Choice;
use tiller_protocol::asset::AssetKind;

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
    /// An SAE in another published form, by the names of its files; whether it is one, the engine says.
    LikelySae,
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

/// SAEs in other published forms: weight file, and what lies beside it (see the hub's `select::sae`).
const OTHER_SAES: [(&str, Option<&str>); 6] = [
    // Gemma Scope.
    ("params.npz", None),
    // Gemma Scope 2.
    ("params.safetensors", Some("config.json")),
    // Llama Scope.
    ("checkpoints/final.safetensors", Some("hyperparams.json")),
    // dictionary_learning.
    ("ae.pt", Some("config.json")),
    // sparsify.
    ("sae.safetensors", Some("cfg.json")),
    // Llamascopium, Llama Scope R1.
    (WEIGHTS, Some("config.json")),
];

/// Weight file of an SAE in the form of `SAELens`.
const WEIGHTS: &str = "sae_weights.safetensors";

impl Thing {
    /// Its weight files.
    pub(crate) fn weights(&self) -> &[PathBuf] {
        &self.files[..self.n_weights]
    }

    /// What is being downloaded into a folder.
    pub(super) fn ordered(dir: &Path, choice: &Choice) -> Self {
        let is_gguf = choice.files.iter().all(|file| has_ending(&file.path, "gguf"));
        let form = match choice.kind {
            AssetKind::Sae => Form::Sae,
            AssetKind::Model if is_gguf => Form::Gguf,
            AssetKind::Model => Form::Checkpoint,
        };
        // What is no text are weights.
        let is_text = |name: &str| TEXTS.contains(&name) || SAE_TEXTS.contains(&name);
        let (texts, weights): (Vec<&str>, Vec<&str>) =
            choice.files.iter().map(|file| file.path.as_str()).partition(|path| is_text(plain(path)));
        let n_weights = weights.len();
        let files: Vec<PathBuf> = weights.into_iter().chain(texts).map(|path| dir.join(path)).collect();
        let path = match (choice.kind, choice.id.as_str()) {
            (AssetKind::Sae, id) if id != "." => dir.join(id),
            _ if is_gguf => files.first().cloned().unwrap_or_else(|| dir.to_owned()),
            _ => dir.to_owned(),
        };
        Self { path, kind: choice.kind, form, files, n_weights }
    }

    /// Whether any weights are there.
    pub(crate) fn has_weights(&self) -> bool {
        self.weights().iter().any(|file| file.is_file())
    }

    /// Whether all weights are there.
    pub(crate) fn is_whole(&self) -> bool {
        self.weights().iter().all(|file| file.is_file())
    }

    /// Bytes of all weights, when the index of a checkpoint tells it.
    pub(crate) fn told_bytes(&self) -> Option<u64> {
        json(&self.path.join("model.safetensors.index.json"))["metadata"]["total_size"].as_u64()
    }
}

/// Names in a folder, sorted.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) files: BTreeSet<String>,
    pub(super) folders: BTreeSet<String>,
}

impl Listing {
    /// Links are followed; one that leads nowhere counts as a file that is not there.
    pub(super) fn of(dir: &Path) -> Self {
        let mut listing = Self::default();
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let is_folder = entry.path().is_dir();
            if is_folder {
                listing.folders.insert(name)
            } else {
                listing.files.insert(name)
            };
        }
        listing
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.files.contains(name)
    }
}

/// What lies in a folder itself, not below it.
pub(super) fn in_folder(dir: &Path, listing: &Listing, is_cache: bool) -> Vec<Thing> {
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

/// What a file is by itself: a GGUF model with its other parts, or an SAE.
pub(super) fn in_file(path: &Path) -> Vec<Thing> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let listing = Listing { files: BTreeSet::from([name.to_owned()]), folders: BTreeSet::new() };
    ggufs(dir, &listing).into_iter().chain(single_saes(dir, &listing)).collect()
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
    for (weights, beside) in OTHER_SAES {
        let has = match weights.split_once('/') {
            Some((folder, _)) => listing.folders.contains(folder) && dir.join(weights).is_file(),
            None => listing.has(weights),
        };
        if has && beside.is_none_or(|name| listing.has(name)) {
            return Some(found(Form::LikelySae, weights));
        }
    }
    let is_begun = listing.has(WEIGHTS) || listing.has("cfg.json") && !json(&dir.join("cfg.json"))["d_sae"].is_null();
    is_begun.then(|| found(Form::Sae, WEIGHTS))
}

/// SAEs that are one file each.
fn single_saes(dir: &Path, listing: &Listing) -> Vec<Thing> {
    let single = |name: &String| {
        let lower = name.to_ascii_lowercase();
        // Qwen-Scope and Goodfire.
        let is_pickle = has_ending(name, "pt") || has_ending(name, "pth");
        let is_one = is_pickle && (lower.ends_with(".sae.pt") || lower.contains("-sae-l"));
        let found = thing(dir, AssetKind::Sae, Form::LikelySae, vec![name.clone()], [].into_iter());
        is_one.then(|| Thing { path: dir.join(name), ..found })
    };
    listing.files.iter().filter_map(single).collect()
}

fn thing(dir: &Path, kind: AssetKind, form: Form, weights: Vec<String>, texts: impl Iterator<Item = String>) -> Thing {
    let n_weights = weights.len();
    let files = weights.into_iter().chain(texts).map(|name| dir.join(name)).collect();
    Thing { path: dir.to_owned(), kind, form, files, n_weights }
}

/// The last part of a path inside a repository.
fn plain(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
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
