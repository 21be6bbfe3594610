//! Models as GGUF files: each file is one, or all parts of a split one.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use tiller_protocol::asset::AssetKind;

use super::{has_extension, split};
use crate::listing::{Choice, RemoteFile};

/// Models by their file, from large to small.
pub(super) fn choices(files: &[RemoteFile]) -> Vec<Choice> {
    let mut models: BTreeMap<(&str, u64), Vec<(u64, &RemoteFile)>> = BTreeMap::new();
    for file in files.iter().filter(|file| has_extension(&file.path, "gguf") && is_model(&file.path)) {
        let (stem, number, count) = part(&file.path).unwrap_or((file.path.as_str(), 1, 1));
        models.entry((stem, count)).or_default().push((number, file));
    }
    let mut choices = Vec::new();
    for ((_, count), mut parts) in models {
        parts.sort_by_key(|(number, _)| *number);
        let is_whole = parts.iter().map(|(number, _)| *number).eq(1..=count);
        if let Some((_, first)) = parts.first().filter(|_| is_whole) {
            choices.push(Choice {
                id: first.path.clone(),
                kind: AssetKind::Model,
                label: label(&first.path),
                files: parts.into_iter().map(|(_, file)| file.clone()).collect(),
            });
        }
    }
    name_apart(&mut choices);
    choices.sort_by_key(|choice| Reverse(choice.files.iter().map(|file| file.bytes).sum::<u64>()));
    choices
}

/// Not the eye of a model that sees, nor an adapter or a table made while quantising.
fn is_model(path: &str) -> bool {
    let name = split(path).1.to_ascii_lowercase();
    !["mmproj", "imatrix", "lora", "ggml-vocab"].iter().any(|other| name.contains(other))
}

/// Stem, number and count in `NAME-00001-of-00003.gguf`.
fn part(path: &str) -> Option<(&str, u64, u64)> {
    let stem = path.get(..path.len().checked_sub(".gguf".len())?)?;
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let digits = |text: &str| (text.len() == 5).then(|| text.parse().ok()).flatten();
    Some((stem, digits(number)?, digits(count)?))
}

/// The number format that the name tells, such as `Q4_K_M`; the name itself where it tells none.
fn label(path: &str) -> String {
    let stem = part(path).map_or_else(|| path.strip_suffix(".gguf").unwrap_or(path), |(stem, ..)| stem);
    let name = split(stem).1;
    let format = name.split(['-', '.']).rev().find(|word| is_format(word));
    // Some publishers give each format a folder.
    let folder = || split(stem).0.split('/').find(|word| is_format(word));
    format.or_else(folder).map_or_else(|| name.to_owned(), str::to_ascii_uppercase)
}

/// `F16`, `BF16`, `Q8_0`, `Q4_K_M`, `IQ2_XXS`, `TQ1_0`, `MXFP4` and their like (llama.cpp, `llama-quant.cpp`).
fn is_format(word: &str) -> bool {
    let upper = word.to_ascii_uppercase();
    if matches!(upper.as_str(), "F16" | "F32" | "BF16" | "FP16" | "FP32" | "MXFP4" | "MXFP4_MOE") {
        return true;
    }
    let rest = ["IQ", "TQ", "Q"].iter().find_map(|start| upper.strip_prefix(start)).unwrap_or_default();
    let mut words = rest.split('_');
    let has_bits = words.next().is_some_and(|bits| matches!(bits, "1" | "2" | "3" | "4" | "5" | "6" | "8"));
    let mut words = words.peekable();
    has_bits && words.peek().is_some() && words.all(|word| word.len() <= 3 && !word.is_empty())
}

/// Gives choices with the same label their whole names.
fn name_apart(choices: &mut [Choice]) {
    let labels = choices.iter().map(|choice| choice.label.clone()).collect::<Vec<_>>();
    for choice in choices {
        if labels.iter().filter(|label| **label == choice.label).count() > 1 {
            choice.label = format!("{} ({})", choice.label, choice.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_number_format() {
        for (path, expected) in [
            ("gemma-3-1b-it-Q4_K_M.gguf", "Q4_K_M"),
            ("model.q4_k_m.gguf", "Q4_K_M"),
            ("Llama-3.1-8B-Instruct-IQ2_XXS.gguf", "IQ2_XXS"),
            ("qwen2.5-7b-instruct-q8_0-00001-of-00003.gguf", "Q8_0"),
            ("BF16/model-00001-of-00002.gguf", "BF16"),
            ("Q6_K/model.gguf", "Q6_K"),
            ("gemma-3-1b-it-f16.gguf", "F16"),
            ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
            ("model-Q4_K_XL.gguf", "Q4_K_XL"),
            ("gemma-3-4b-it-qat.gguf", "gemma-3-4b-it-qat"),
            ("model.gguf", "model"),
        ] {
            assert_eq!(label(path), expected, "{path}");
        }
    }
}
