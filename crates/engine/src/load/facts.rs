//! What a list says about a model: from `config.json` and the tables of its weight files, or from the head of a GGUF
//! file. A tokenizer takes long to read, so it is only looked for; [`super::preview`] reads it.

use std::path::Path;

use super::checkpoint::Checkpoint;
use super::file::optional_json;
use super::{chat, gguf, model_config};
use crate::config::ModelConfig;
use crate::error::Result;
use crate::gguf::Gguf;

/// Facts that are cheap enough for a list of a hundred models.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Its configuration, checked.
    pub config: ModelConfig,
    /// Number format of the weights as they are stored: `bf16`, `Q4_K_M`.
    pub format: String,
    /// Whether it brings a chat template; whether the template works is not tried.
    pub has_chat_template: bool,
}

/// Reads them, and checks that all tensors are there in their shapes.
///
/// # Errors
/// A missing or broken file, an unknown architecture, or tensors that do not fit.
pub fn facts(path: &Path) -> Result<Facts> {
    if let Some(file) = gguf::file_of(path) {
        let gguf = Gguf::open(&file)?;
        let beside = file.parent().is_some_and(|dir| dir.join("chat_template.jinja").is_file());
        let (format, own) = (gguf.format(), gguf.has_chat_template());
        return Ok(Facts { config: gguf.config, format, has_chat_template: own || beside });
    }
    let config = model_config(path)?;
    chat::find_tokenizer(path)?;
    let template = chat::template_text(path, &optional_json(&path.join("tokenizer_config.json"))?)?;
    let mut silent = |_, _| true;
    let checkpoint = Checkpoint::open(path, &mut silent)?;
    checkpoint.require(&config)?;
    Ok(Facts { config, format: checkpoint.dtype().as_str().to_owned(), has_chat_template: template.is_some() })
}
