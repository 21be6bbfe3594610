//! Reading a checkpoint folder in the Hugging Face layout, or a GGUF file; with `gguf` and [`crate::sae`], the
//! only code that touches the disk.

mod chat;
mod checkpoint;
mod facts;
mod file;
mod gguf;
mod preview;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use candle_core::Device;

use crate::config::{ModelConfig, token_ids};
use crate::error::{EngineError, Result};
use crate::keep::Keep;
use crate::model::Model;
use crate::template::ChatTemplate;
use crate::tokenizer::Tokenizer;
use crate::weights::Weights;

use checkpoint::Checkpoint;
pub use facts::{Facts, facts};
use file::optional_json;
pub(crate) use file::{size as file_size, text};
pub use preview::{Preview, preview};

/// Loads `config.json`, tokenizer, chat template and safetensors from a folder, or all of it from a GGUF file (any part
/// of a split one, or the folder that holds it and no other).
/// `progress(done_bytes, total_bytes)` returns `false` to stop.
///
/// # Errors
/// A missing or broken file, an unknown architecture, tensors or a tokenizer that do not fit, or
/// [`EngineError::Stopped`].
pub fn model(
    dir: &Path,
    device: &Device,
    keep: impl Into<Keep>,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Model> {
    if let Some(file) = gguf::file_of(dir) {
        return gguf::model(&file, device, keep.into(), progress);
    }
    let mut config = model_config(dir)?;
    let (tokenizer, template, eos_ids) = texts(dir, &config)?;
    let mut source = Checkpoint::open(dir, progress)?;
    source.require(&config)?;
    config.tied = config.tied && !source.has_own_head(&config)?;
    let weights = Weights::read(&config, &mut source, device, keep.into())?;
    Ok(Model { config, device: device.clone(), weights, tokenizer, template, eos_ids })
}

/// The weight files of a checkpoint folder in a fixed order (for hashing): those that the index names, or
/// `model.safetensors`; or the parts of a GGUF file.
///
/// # Errors
/// When the folder holds none, or the index is malformed or names a file that is not there or not in the folder.
pub fn weight_files(path: &Path) -> Result<Vec<PathBuf>> {
    match gguf::file_of(path) {
        Some(file) => crate::gguf::parts(&file),
        None => checkpoint::weight_files(path),
    }
}

/// Tokenizer, chat template and the tokens that end a reply, of a folder.
fn texts(dir: &Path, config: &ModelConfig) -> Result<(Tokenizer, Option<ChatTemplate>, Vec<u32>)> {
    let tokenizer = chat::tokenizer(dir)?;
    // Added tokens may lie beyond the rows: Gemma 3's text models share a tokenizer with those that see pictures.
    if tokenizer.model_len() > config.vocab_size {
        let (ids, rows) = (tokenizer.model_len(), config.vocab_size);
        return Err(EngineError::TokenizerMismatch(format!(
            "{} has {ids} ids, the model {rows} embedding rows",
            dir.join("tokenizer.json").display()
        )));
    }
    let tokenizer_config = optional_json(&dir.join("tokenizer_config.json"))?;
    let template = chat::chat_template(dir, &tokenizer_config, &tokenizer)?;
    let mut eos_ids: BTreeSet<u32> = config.eos_ids.iter().copied().collect();
    eos_ids.extend(token_ids(&optional_json(&dir.join("generation_config.json"))?["eos_token_id"]));
    let eos_token = chat::token_text(&tokenizer_config["eos_token"]);
    eos_ids.extend(eos_token.and_then(|token| tokenizer.token_id(token)));
    Ok((tokenizer, template, eos_ids.into_iter().collect()))
}

/// The checked `config.json` of a folder.
fn model_config(dir: &Path) -> Result<ModelConfig> {
    let path = dir.join("config.json");
    ModelConfig::from_json(&text(&path, "the model's configuration")?).map_err(|error| match error {
        EngineError::BadRequest(reason) => EngineError::BadFile { path, reason },
        EngineError::UnknownArchitecture { name, .. } => EngineError::UnknownArchitecture { name, path: Some(path) },
        other => other,
    })
}
