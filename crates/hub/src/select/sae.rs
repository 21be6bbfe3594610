//! Sparse autoencoders, each a folder (or one file) in the layout of whoever trained it.

use std::collections::BTreeMap;

use tiller_protocol::asset::AssetKind;

use super::{has_extension, split};
use crate::listing::{Choice, RemoteFile};

/// A layout: which names in one folder make an autoencoder, and which others belong to it.
struct Layout {
    /// All of these must be there.
    needs: &'static [&'static str],
    /// These come along where they are there; small tables and facts, no second copy of the weights.
    takes: &'static [&'static str],
}

/// By the programs and suites that publish so.
const LAYOUTS: [Layout; 7] = [
    // SAELens.
    Layout { needs: &["cfg.json", "sae_weights.safetensors"], takes: &["sparsity.safetensors"] },
    // Gemma Scope, whose facts are all in the path.
    Layout { needs: &["params.npz"], takes: &[] },
    // Gemma Scope 2; its examples are a browser's, and larger than the autoencoder.
    Layout { needs: &["config.json", "params.safetensors"], takes: &[] },
    // Llama Scope.
    Layout { needs: &["hyperparams.json", "checkpoints/final.safetensors"], takes: &[] },
    // Llama Scope for R1, and what OpenMOSS has published since.
    Layout { needs: &["config.json", "sae_weights.safetensors"], takes: &[] },
    // dictionary_learning.
    Layout { needs: &["config.json", "ae.pt"], takes: &["eval_results.json"] },
    // sparsify.
    Layout { needs: &["cfg.json", "sae.safetensors"], takes: &[] },
];

/// Autoencoders by the name of their folder or file, numbers in it by their value.
pub(super) fn choices(files: &[RemoteFile]) -> Vec<Choice> {
    let mut folders: BTreeMap<&str, Vec<&RemoteFile>> = BTreeMap::new();
    for file in files {
        folders.entry(split(&file.path).0).or_default().push(file);
    }
    let mut choices = folders.keys().filter_map(|folder| in_folder(folder, &folders)).collect::<Vec<_>>();
    choices.extend(files.iter().filter_map(single));
    choices.sort_by_cached_key(|choice| by_number(&choice.id));
    choices
}

/// The autoencoder that a folder is, if it is one.
fn in_folder(folder: &str, folders: &BTreeMap<&str, Vec<&RemoteFile>>) -> Option<Choice> {
    let find = |name: &str| {
        let path = if folder == "." { name.to_owned() } else { format!("{folder}/{name}") };
        folders.get(split(&path).0)?.iter().find(|file| file.path == path).copied()
    };
    LAYOUTS.iter().find_map(|layout| {
        let mut files = layout.needs.iter().map(|name| find(name)).collect::<Option<Vec<_>>>()?;
        files.extend(layout.takes.iter().filter_map(|name| find(name)));
        Some(choice(folder, files))
    })
}

/// Suites that put one autoencoder into one file: Qwen-Scope (`layer3.sae.pt`) and Goodfire (`NAME-SAE-l19.pth`).
fn single(file: &RemoteFile) -> Option<Choice> {
    let name = split(&file.path).1.to_ascii_lowercase();
    let is_pickle = has_extension(&name, "pt") || has_extension(&name, "pth");
    let is_one = name.ends_with(".sae.pt") || name.contains("-sae-l");
    (is_pickle && is_one).then(|| choice(&file.path, vec![file]))
}

fn choice(id: &str, files: Vec<&RemoteFile>) -> Choice {
    Choice {
        id: id.to_owned(),
        kind: AssetKind::Sae,
        label: if id == "." { "the whole repository".to_owned() } else { id.to_owned() },
        files: files.into_iter().cloned().collect(),
    }
}

/// Text with its runs of digits taken as numbers, so that layer 2 comes before layer 10.
fn by_number(text: &str) -> Vec<(u64, String)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let words = rest.find(|char: char| char.is_ascii_digit()).unwrap_or(rest.len());
        let digits = rest[words..].find(|char: char| !char.is_ascii_digit()).map_or(rest.len(), |len| words + len);
        parts.push((0, rest[..words].to_owned()));
        parts.push((rest[words..digits].parse().unwrap_or(u64::MAX), String::new()));
        rest = &rest[digits..];
    }
    parts
}
