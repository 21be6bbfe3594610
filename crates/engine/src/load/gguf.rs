//! A model from a GGUF file, with what lies beside the file preferred to what is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use serde_json::Value;

use super::Preview;
use super::chat;
use super::file::optional_json;
use crate::error::{EngineError, Result};
use crate::gguf::{self, Gguf, TokenizerFiles};
use crate::keep::Keep;
use crate::model::Model;
use crate::template::ChatTemplate;
use crate::tokenizer::Tokenizer;
use crate::weights::Weights;

/// The GGUF file that a path stands for, if any: itself, or the only model in a folder that is no checkpoint.
pub(super) fn file_of(path: &Path) -> Option<PathBuf> {
    if !path.is_dir() {
        return gguf::is_gguf(path).then(|| path.to_owned());
    }
    if path.join("config.json").exists() {
        return None;
    }
    let entries = std::fs::read_dir(path).ok()?.filter_map(std::result::Result::ok).map(|entry| entry.path());
    // Beside a model that sees pictures lies the part that sees.
    let sees = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mmproj"));
    let models = entries.filter(|path| gguf::is_gguf(path) && !sees(path));
    let models: BTreeSet<PathBuf> = models.filter_map(|path| gguf::parts(&path).ok()?.into_iter().next()).collect();
    let mut models = models.into_iter();
    models.next().filter(|_| models.next().is_none())
}

/// Loads a model.
pub(super) fn model(
    path: &Path,
    device: &Device,
    keep: Keep,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Model> {
    let mut file = Gguf::open(path)?;
    let (tokenizer, template) = texts(path, &file)?;
    let config = file.config.clone();
    let factors = file.rope_factors()?;
    let mut weights = Weights::read(&config, &mut file.source(progress), device, keep)?;
    if let (Some(factors), Some(rope)) = (factors, weights.ropes.first_mut()) {
        rope.divide(&factors);
    }
    let eos_ids = config.eos_ids.clone();
    Ok(Model { config, device: device.clone(), weights, tokenizer, template, eos_ids })
}

/// What is known before any weight is read; tokenizer, template and rotary factors are read for their faults.
pub(super) fn preview(path: &Path) -> Result<Preview> {
    let mut file = Gguf::open(path)?;
    texts(path, &file)?;
    file.rope_factors()?;
    let mut bytes: BTreeMap<Option<&str>, (u64, Option<DType>)> = BTreeMap::new();
    for (stored, n) in file.formats() {
        let entry = bytes.entry(stored.map(|dtype| dtype.as_str())).or_insert((0, stored));
        entry.0 += n;
    }
    let stored = bytes.into_values().max_by_key(|(n, _)| *n).and_then(|(_, stored)| stored);
    Ok(Preview { file_bytes: file.data_bytes(), stored, is_buffered: true, config: file.config })
}

/// Tokenizer and chat template: those beside the file where they are the same model's, else the file's own.
///
/// # Errors
/// Those of both, and a tokenizer with more ids than the model has rows.
fn texts(path: &Path, file: &Gguf) -> Result<(Tokenizer, Option<ChatTemplate>)> {
    let dir = path.parent().unwrap_or(Path::new(""));
    let own = file.tokenizer();
    let beside = dir.join("tokenizer.json").is_file().then(|| chat::tokenizer(dir)).transpose()?;
    // Files of several models may share a folder.
    let is_other = beside.as_ref().is_some_and(|beside| !file.agrees(|token| beside.token_id(token)));
    let settings = if is_other { Value::Null } else { optional_json(&dir.join("tokenizer_config.json"))? };
    let template = if is_other { None } else { chat::template_text(dir, &settings)? };
    let (tokenizer, own) = match (beside.filter(|_| !is_other), own) {
        (Some(beside), own) => (beside, own.map(|own| own.config).unwrap_or_default()),
        (None, own) => {
            let TokenizerFiles { tokenizer, config } = own?;
            let bad = |error: EngineError| EngineError::BadFile { path: path.to_owned(), reason: error.to_string() };
            (Tokenizer::from_json(&tokenizer).map_err(bad)?, config)
        }
    };
    if tokenizer.model_len() > file.config.vocab_size {
        let (ids, rows) = (tokenizer.model_len(), file.config.vocab_size);
        return Err(EngineError::TokenizerMismatch(format!(
            "{} has {ids} ids, the model {rows} embedding rows",
            path.display()
        )));
    }
    let own_template = own["chat_template"].as_str().map(|text| (path.to_owned(), text.to_owned()));
    let Some((place, text)) = template.map(|(name, text)| (dir.join(name), text)).or(own_template) else {
        return Ok((tokenizer, None));
    };
    // What the file beside says counts more.
    let settings = match (own, settings) {
        (Value::Object(mut own), Value::Object(more)) => {
            own.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
            Value::Object(own)
        }
        (Value::Null, more) => more,
        (own, _) => own,
    };
    let special_tokens = chat::special_tokens(&settings, &Value::Null);
    let template = chat::compiled(&place, text, &settings, special_tokens, &tokenizer)?;
    Ok((tokenizer, Some(template)))
}
