//! The tokenizer and the chat template of a checkpoint folder.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::file::{optional_json, size, text};
use crate::error::{EngineError, Result};
use crate::template::{ChatTemplate, TemplateSource};
use crate::tokenizer::Tokenizer;

/// Tokenizers of other forms, by the files that give them away.
const OTHER_TOKENIZERS: [(&str, &str); 4] = [
    ("tokenizer.model", "tokenizer.model"),
    ("vocab.json", "vocab.json and merges.txt"),
    ("vocab.txt", "vocab.txt"),
    ("tekken.json", "tekken.json"),
];

/// Looks for `tokenizer.json`.
///
/// # Errors
/// [`EngineError::OtherTokenizer`] when the folder only holds another form of tokenizer, else as [`size`].
pub(super) fn find_tokenizer(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("tokenizer.json");
    match size(&path, "the tokenizer") {
        Ok(_) => Ok(path),
        Err(error) => {
            let other = OTHER_TOKENIZERS.iter().find(|(file, _)| dir.join(file).is_file());
            Err(match (error, other) {
                (EngineError::MissingFile { .. }, Some((_, found))) => {
                    EngineError::OtherTokenizer { dir: dir.to_owned(), found }
                }
                (error, _) => error,
            })
        }
    }
}

/// Reads `tokenizer.json`.
///
/// # Errors
/// As [`find_tokenizer`] and [`text`], or [`EngineError::BadFile`].
pub(crate) fn tokenizer(dir: &Path) -> Result<Tokenizer> {
    let path = find_tokenizer(dir)?;
    let json = text(&path, "the tokenizer")?;
    Tokenizer::from_json(json.as_bytes()).map_err(|error| EngineError::BadFile { path, reason: error.to_string() })
}

/// `"<s>"` or `{"content": "<s>", …}`.
pub(crate) fn token_text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value["content"].as_str())
}

/// The chat template of a folder: `chat_template.jinja`, else the one in `tokenizer_config.json` (where several may be
/// named; `default` counts, else the first), else the one in `chat_template.json`.
///
/// # Errors
/// [`EngineError::BadFile`] for one that does not parse, or a file that is not text or JSON.
pub(crate) fn chat_template(
    dir: &Path,
    tokenizer_config: &Value,
    tokenizer: &Tokenizer,
) -> Result<Option<ChatTemplate>> {
    let Some((file, text)) = template_text(dir, tokenizer_config)? else { return Ok(None) };
    let special_tokens = special_tokens(tokenizer_config, &optional_json(&dir.join("special_tokens_map.json"))?);
    compiled(&dir.join(file), text, tokenizer_config, special_tokens, tokenizer).map(Some)
}

/// The template `text` that the file at `path` holds.
///
/// # Errors
/// [`EngineError::BadFile`] when it does not parse.
pub(crate) fn compiled(
    path: &Path,
    text: String,
    tokenizer_config: &Value,
    special_tokens: Vec<(String, String)>,
    tokenizer: &Tokenizer,
) -> Result<ChatTemplate> {
    let bos = special_tokens.iter().find(|(name, _)| name == "bos_token");
    let bos_id = bos.and_then(|(_, text)| tokenizer.token_id(text));
    let adds_bos = match tokenizer_config["add_bos_token"].as_bool() {
        Some(adds_bos) => adds_bos,
        None => bos_id.is_some() && tokenizer.leading_token()? == bos_id,
    };
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let source = TemplateSource { file: file.clone(), text, special_tokens, adds_bos };
    ChatTemplate::new(source).map_err(|error| {
        let reason = match error {
            EngineError::Template(reason) => reason,
            other => other.to_string(),
        };
        // The file is named by its path.
        let reason = reason.strip_prefix(file.as_str()).unwrap_or(&reason).trim_start_matches([',', ' ', ':']);
        EngineError::BadFile { path: path.to_owned(), reason: format!("chat template, {reason}") }
    })
}

/// File name and text of the template.
pub(super) fn template_text(dir: &Path, tokenizer_config: &Value) -> Result<Option<(&'static str, String)>> {
    let own_file = "chat_template.jinja";
    match text(&dir.join(own_file), "the chat template") {
        Ok(text) => return Ok(Some((own_file, text))),
        Err(EngineError::MissingFile { .. }) => {}
        Err(error) => return Err(error),
    }
    if let Some(text) = inline(&tokenizer_config["chat_template"]) {
        return Ok(Some(("tokenizer_config.json", text.to_owned())));
    }
    let json_file = "chat_template.json";
    let json = optional_json(&dir.join(json_file))?;
    Ok(inline(&json["chat_template"]).map(|text| (json_file, text.to_owned())))
}

/// A template given as a string, as `[{"name": …, "template": …}, …]` or as `{name: template, …}`.
fn inline(value: &Value) -> Option<&str> {
    let named = |name: &str| match value {
        Value::Array(list) => list.iter().find(|entry| entry["name"] == name)?["template"].as_str(),
        other => other[name].as_str(),
    };
    let first = || match value {
        Value::Array(list) => list.iter().find_map(|entry| entry["template"].as_str()),
        Value::Object(map) => map.values().find_map(Value::as_str),
        _ => None,
    };
    value.as_str().or_else(|| named("default")).or_else(first)
}

/// Name and text of the special tokens: the entries called `…_token`, and those of `extra_special_tokens`.
pub(super) fn special_tokens(tokenizer_config: &Value, tokens_map: &Value) -> Vec<(String, String)> {
    let mut tokens: Vec<(String, String)> = Vec::new();
    for values in [tokenizer_config, &tokenizer_config["extra_special_tokens"], tokens_map] {
        for (name, value) in values.as_object().into_iter().flatten() {
            let is_new = tokens.iter().all(|(known, _)| known != name);
            if let Some(text) = token_text(value).filter(|_| is_new && name.ends_with("_token")) {
                tokens.push((name.clone(), text.to_owned()));
            }
        }
    }
    tokens
}

#[cfg(test)]
mod tests;
