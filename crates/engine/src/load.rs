//! Reading a checkpoint folder in the Hugging Face layout; with [`crate::sae`], the only code that touches the disk.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use candle_core::Device;
use serde_json::Value;

use crate::config::{ModelConfig, token_ids};
use crate::error::{EngineError, Result};
use crate::keep::Keep;
use crate::model::Model;
use crate::safetensors::TensorFile;
use crate::stored::Stored;
use crate::template::ChatTemplate;
use crate::tokenizer::Tokenizer;
use crate::weights::{Source, Weights};

/// Loads `config.json`, tokenizer, chat template and safetensors from a folder.
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
    let config_path = dir.join("config.json");
    let config =
        ModelConfig::from_json(&text(&config_path, "the model's configuration")?).map_err(|error| match error {
            EngineError::BadRequest(reason) => EngineError::BadFile { path: config_path, reason },
            other => other,
        })?;
    let tokenizer_path = dir.join("tokenizer.json");
    let tokenizer = Tokenizer::from_json(text(&tokenizer_path, "the tokenizer")?.as_bytes())
        .map_err(|error| EngineError::BadFile { path: tokenizer_path, reason: error.to_string() })?;
    if tokenizer.len() > config.vocab_size {
        let (ids, rows) = (tokenizer.len(), config.vocab_size);
        return Err(EngineError::TokenizerMismatch(format!("it has {ids} ids, the model {rows} embedding rows")));
    }
    let tokenizer_config = optional_json(&dir.join("tokenizer_config.json"))?;
    let template = chat_template(dir, &tokenizer_config)?;
    let mut eos_ids: BTreeSet<u32> = config.eos_ids.iter().copied().collect();
    eos_ids.extend(token_ids(&optional_json(&dir.join("generation_config.json"))?["eos_token_id"]));
    let eos_token = token_text(&tokenizer_config["eos_token"]);
    eos_ids.extend(eos_token.and_then(|token| tokenizer.token_id(token)));
    let mut source = Checkpoint::open(dir, progress)?;
    let weights = Weights::read(&config, &mut source, device, keep.into())?;
    let eos_ids = eos_ids.into_iter().collect();
    Ok(Model { config, device: device.clone(), weights, tokenizer, template, eos_ids })
}

/// The weight files of a checkpoint folder in a fixed order (for hashing): those that the index names, or
/// `model.safetensors`.
///
/// # Errors
/// When the folder holds none, or the index is malformed or names a file that is not there.
pub fn weight_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let index_path = dir.join("model.safetensors.index.json");
    let files: BTreeSet<String> = if index_path.is_file() {
        let index = optional_json(&index_path)?;
        let map = index["weight_map"].as_object().filter(|map| !map.is_empty());
        let bad = || EngineError::BadFile { path: index_path.clone(), reason: "it has no `weight_map`".to_owned() };
        map.ok_or_else(bad)?.values().filter_map(Value::as_str).map(str::to_owned).collect()
    } else {
        BTreeSet::from(["model.safetensors".to_owned()])
    };
    files
        .into_iter()
        .map(|name| {
            let path = dir.join(name);
            if path.is_file() { Ok(path) } else { Err(EngineError::MissingFile { what: "a weight file", path }) }
        })
        .collect()
}

/// The tensors of all weight files.
struct Checkpoint<'a> {
    dir: PathBuf,
    files: Vec<TensorFile>,
    done: u64,
    total: u64,
    progress: &'a mut dyn FnMut(u64, u64) -> bool,
}

impl<'a> Checkpoint<'a> {
    fn open(dir: &Path, progress: &'a mut dyn FnMut(u64, u64) -> bool) -> Result<Self> {
        let files = weight_files(dir)?.iter().map(|path| TensorFile::open(path)).collect::<Result<Vec<_>>>()?;
        let total = files.iter().map(TensorFile::data_bytes).sum();
        Ok(Self { dir: dir.to_owned(), files, done: 0, total, progress })
    }
}

impl Source for Checkpoint<'_> {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Stored> {
        for file in &mut self.files {
            if let Some((bytes, values)) = file.read(name, shape)? {
                self.done += bytes;
                if !(self.progress)(self.done, self.total) {
                    return Err(EngineError::Stopped);
                }
                return Ok(values);
            }
        }
        let reason = format!("no weight file holds the tensor {name}");
        Err(EngineError::BadFile { path: self.dir.clone(), reason })
    }
}

pub(crate) fn text(path: &Path, what: &'static str) -> Result<String> {
    std::fs::read_to_string(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => EngineError::MissingFile { what, path: path.to_owned() },
        std::io::ErrorKind::InvalidData => {
            EngineError::BadFile { path: path.to_owned(), reason: "it is not text".to_owned() }
        }
        _ => EngineError::Io { path: path.to_owned(), source },
    })
}

/// The JSON in a file that may be missing (`null` then).
fn optional_json(path: &Path) -> Result<Value> {
    match text(path, "settings") {
        Err(EngineError::MissingFile { .. }) => Ok(Value::Null),
        Err(error) => Err(error),
        Ok(text) => serde_json::from_str(&text).map_err(|error| {
            let reason = format!("it is not JSON: {error}");
            EngineError::BadFile { path: path.to_owned(), reason }
        }),
    }
}

/// `"<s>"` or `{"content": "<s>", …}`.
fn token_text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value["content"].as_str())
}

/// The template in `chat_template.jinja` or in `tokenizer_config.json` (where several may be named; `default` counts).
fn chat_template(dir: &Path, tokenizer_config: &Value) -> Result<Option<ChatTemplate>> {
    let path = dir.join("chat_template.jinja");
    let inline = &tokenizer_config["chat_template"];
    let named = inline.as_array().and_then(|list| {
        list.iter().find(|entry| entry["name"] == "default").or_else(|| list.first())?["template"].as_str()
    });
    let (path, source) = match text(&path, "the chat template") {
        Ok(source) => (path, source),
        Err(EngineError::MissingFile { .. }) => match inline.as_str().or(named) {
            Some(source) => (dir.join("tokenizer_config.json"), source.to_owned()),
            None => return Ok(None),
        },
        Err(error) => return Err(error),
    };
    let special = |key: &str| token_text(&tokenizer_config[key]).unwrap_or_default().to_owned();
    ChatTemplate::new(source, special("bos_token"), special("eos_token"))
        .map(Some)
        .map_err(|error| EngineError::BadFile { path, reason: error.to_string() })
}
