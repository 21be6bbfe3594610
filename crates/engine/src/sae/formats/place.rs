//! Where an SAE reads, from the names that its makers use: hooks of `TransformerLens` and of transformers, and folders.

use std::path::Path;

use tiller_protocol::site::Site;

/// The residual stream after a block, by the name of a hook of `TransformerLens`.
///
/// # Errors
/// What the hook is instead.
pub(super) fn of_hook(name: &str) -> Result<Site, String> {
    let (block, part) = name
        .strip_prefix("blocks.")
        .and_then(|rest| rest.split_once('.'))
        .and_then(|(block, part)| Some((block.parse::<usize>().ok()?, part)))
        .ok_or_else(|| format!("it reads `{name}`, which is not the residual stream after a block"))?;
    match part {
        "hook_resid_post" => Ok(Site::ResidPost(block)),
        // The input of block b + 1 is the output of block b.
        "hook_resid_pre" if block > 0 => Ok(Site::ResidPost(block - 1)),
        "hook_resid_pre" => Err("it reads the embeddings, before the first block; these are not steered".to_owned()),
        other => Err(other_part(name, other)),
    }
}

/// The residual stream after a block, by the name of a module of transformers, e.g. `model.layers.17.output`.
///
/// # Errors
/// What the module is instead.
pub(super) fn of_module(name: &str) -> Result<Site, String> {
    let (block, part) = name
        .split_once("layers.")
        .map(|(_, rest)| rest.split_once('.').unwrap_or((rest, "output")))
        .and_then(|(block, part)| Some((block.parse::<usize>().ok()?, part)))
        .ok_or_else(|| format!("it reads `{name}`, which is not the output of a block"))?;
    if part == "output" { Ok(Site::ResidPost(block)) } else { Err(other_part(name, part)) }
}

fn other_part(name: &str, part: &str) -> String {
    let what = if part.contains("hook_z") || part.contains("o_proj") {
        "the heads of the attention before they are joined"
    } else if part.contains("attn") || part.contains("attention") {
        "what the attention adds"
    } else if part.contains("mlp") || part.contains("ln2") || part.contains("feedforward") {
        "a place inside the MLP"
    } else if part.contains("resid_mid") {
        "the residual stream inside a block"
    } else {
        "another place"
    };
    format!("it reads {what} (`{name}`); only SAEs of the residual stream after a block are read")
}

/// The number that follows `before` in the last folder or file name that has one; whatever comes before `before`
/// there must not be a letter.
pub(super) fn number_in(path: &Path, before: &str) -> Option<usize> {
    let names = path.iter().rev().map(|name| name.to_string_lossy());
    names.into_iter().find_map(|name| {
        name.match_indices(before).find_map(|(at, _)| {
            let rest = &name[at + before.len()..];
            let n = rest.bytes().take_while(u8::is_ascii_digit).count();
            let is_word = name[..at].chars().next_back().is_none_or(|letter| !letter.is_alphanumeric());
            if is_word { rest[..n].parse().ok() } else { None }
        })
    })
}

/// Whether a folder or file name contains a text.
pub(super) fn contains(path: &Path, text: &str) -> bool {
    path.iter().any(|name| name.to_string_lossy().contains(text))
}

/// The part of a folder's name between `before` and the first of `ends`.
pub(super) fn between(path: &Path, before: &str, ends: &[&str]) -> Option<String> {
    path.iter().rev().find_map(|name| {
        let name = name.to_string_lossy();
        let (_, rest) = name.split_once(before)?;
        let end = ends.iter().filter_map(|end| rest.find(end)).min()?;
        Some(rest[..end].to_owned())
    })
}

/// What to say when nothing tells the block.
pub(super) const UNKNOWN: &str = "nothing in it, nor in the names of its folders, says which block it reads";
