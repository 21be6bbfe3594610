//! What of a repository can be opened by itself, and which files that takes.
//!
//! A repository often holds the same weights several times over (`pytorch_model.bin` beside safetensors, the originals,
//! exports for other programs); of all of these only what Tiller reads is offered, and told apart by name alone, before
//! anything is downloaded. The layouts of sparse autoencoders are told apart by the names of their files, whether or
//! not this version opens them.

mod gguf;
mod sae;

use std::collections::HashSet;

use tiller_protocol::asset::AssetKind;

use crate::listing::{Choice, RemoteFile};

/// Name of the choice of a whole model in safetensors form.
pub const SAFETENSORS: &str = "safetensors";

/// What a repository offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// What can be downloaded: the safetensors model, GGUF files from large to small, then autoencoders by name.
    pub choices: Vec<Choice>,
    /// Files that belong to none of them.
    pub left_out_files: usize,
    /// Their bytes.
    pub left_out_bytes: u64,
    /// There is a model, but only as pickled Python objects, which are programs rather than data.
    pub is_pickle_only: bool,
}

/// Sorts the files of a repository.
pub fn choices(files: &[RemoteFile]) -> Selection {
    let mut choices = Vec::new();
    choices.extend(safetensors(files));
    choices.extend(gguf::choices(files));
    let has_model = !choices.is_empty();
    choices.extend(sae::choices(files));
    let taken = choices.iter().flat_map(|choice| &choice.files).map(|file| &file.path).collect::<HashSet<_>>();
    let left_out = || files.iter().filter(|file| !taken.contains(&file.path));
    let has_pickles = files.iter().any(|file| !file.path.contains('/') && is_pickled_model(&file.path));
    Selection {
        left_out_files: left_out().count(),
        left_out_bytes: left_out().map(|file| file.bytes).sum(),
        is_pickle_only: has_pickles && !has_model,
        choices,
    }
}

/// The checkpoint in the repository's top folder: configuration, tokenizer, and the weights.
fn safetensors(files: &[RemoteFile]) -> Option<Choice> {
    let top = files.iter().filter(|file| !file.path.contains('/')).collect::<Vec<_>>();
    let named = |name: &str| top.iter().find(|file| file.path == name);
    named("config.json")?;
    let mut chosen = weights(&top)?;
    chosen.extend(top.iter().filter(|file| is_beside_weights(&file.path)));
    // Templates beyond the one that everybody uses lie in a folder of their own.
    chosen.extend(files.iter().filter(|file| {
        let name = file.path.strip_prefix("additional_chat_templates/");
        name.is_some_and(|name| !name.contains('/') && has_extension(name, "jinja"))
    }));
    let mut chosen = chosen.into_iter().cloned().collect::<Vec<_>>();
    chosen.sort_by(|a, b| a.path.cmp(&b.path));
    chosen.dedup();
    Some(Choice { id: SAFETENSORS.to_owned(), kind: AssetKind::Model, label: SAFETENSORS.to_owned(), files: chosen })
}

/// The weight files: one file, or shards with their index. Those of another layout (`consolidated.*`) and of another
/// number format (`model.fp16.safetensors`) hold the same once more.
fn weights<'f>(top: &[&'f RemoteFile]) -> Option<Vec<&'f RemoteFile>> {
    let shards = top.iter().filter(|file| shard(&file.path).is_some()).copied().collect::<Vec<_>>();
    let index = top.iter().find(|file| file.path == "model.safetensors.index.json");
    if let Some(whole) = top.iter().find(|file| file.path == "model.safetensors") {
        return Some(vec![whole]);
    }
    let n_shards = shard(&shards.first()?.path)?.1;
    let is_whole = shards.iter().all(|file| shard(&file.path).is_some_and(|(_, of)| of == n_shards))
        && shards.len() as u64 == n_shards;
    let index = index.filter(|_| is_whole)?;
    Some(shards.into_iter().chain([*index]).collect())
}

/// Number and count in `model-00002-of-00005.safetensors`.
fn shard(path: &str) -> Option<(u64, u64)> {
    let (number, count) = path.strip_prefix("model-")?.strip_suffix(".safetensors")?.split_once("-of-")?;
    Some((number.parse().ok()?, count.parse().ok()?))
}

/// What belongs to a checkpoint besides its weights.
fn is_beside_weights(name: &str) -> bool {
    let exact = [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "vocab.txt",
        "merges.txt",
        "chat_template.json",
        "chat_template.jinja",
    ];
    exact.contains(&name)
}

/// A model's weights as pickled objects, whole or in shards.
fn is_pickled_model(name: &str) -> bool {
    let is_named = ["pytorch_model", "consolidated", "model"].iter().any(|stem| name.starts_with(stem));
    is_named && ["bin", "pth", "pt"].iter().any(|extension| has_extension(name, extension))
}

fn has_extension(name: &str, extension: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, found)| found.eq_ignore_ascii_case(extension))
}

/// Folder and name; the folder of the repository itself is `.`.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or((".", path))
}

#[cfg(test)]
mod tests;
