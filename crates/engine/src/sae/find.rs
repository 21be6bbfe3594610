//! Which file of a folder holds the SAE, and which text beside it describes it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::source::Container;
use crate::error::{EngineError, Result};
use crate::load::text;

/// A file of weights with what lies beside it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) container: Container,
    pub(super) config: Option<Config>,
}

/// A configuration.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) path: PathBuf,
    pub(super) value: Value,
}

impl Config {
    /// The error of a configuration that is wrong.
    pub(super) fn bad(&self, reason: impl Into<String>) -> EngineError {
        EngineError::BadFile { path: self.path.clone(), reason: reason.into() }
    }
}

/// The names that a configuration has with one maker or another; the first that is there counts.
const CONFIGS: [&str; 3] = ["cfg.json", "hyperparams.json", "config.json"];
/// What an encoder is called; files without one lie beside some SAEs.
const ENCODERS: [&str; 6] = ["W_enc", "w_enc", "encoder.weight", "encoder_linear.weight", "W_E", "E"];
/// A folder with more files than this is not looked through.
const MAX_FILES: usize = 500;
/// The folder in which Llama Scope keeps the weights.
const CHECKPOINTS: &str = "checkpoints";

/// Opens the SAE at `path`: its file of weights, or the folder that holds it and no other.
///
/// # Errors
/// No such file, a broken or unreadable one, or several.
pub(super) fn find(path: &Path) -> Result<Found> {
    if path.is_file() {
        let container = Container::open(path)?;
        let dir = path.parent().unwrap_or(Path::new("."));
        return Ok(Found { config: config(dir)?, container });
    }
    let config = config(path)?;
    refuse_sets(path)?;
    let files = [files(path)?, files(&path.join(CHECKPOINTS)).unwrap_or_default()].concat();
    let mut fault = None;
    let mut found: Vec<Container> = Vec::new();
    for file in files.iter().filter(|file| Container::is_one(file)) {
        match Container::open(file) {
            Ok(container) if ENCODERS.iter().any(|name| container.entry(name).is_some()) => found.push(container),
            Ok(_) => {}
            Err(error) => fault = Some(error),
        }
    }
    if found.len() > 1 {
        let name = |found: &Container| found.path().file_name().map(|name| name.to_string_lossy().into_owned());
        let names: Vec<String> = found.iter().take(4).filter_map(name).collect();
        let reason = format!("it holds {} SAEs ({}, …): choose one of the files", found.len(), names.join(", "));
        return Err(EngineError::BadFile { path: path.to_owned(), reason });
    }
    match (found.pop(), fault, &config) {
        (Some(container), ..) => Ok(Found { container, config }),
        (None, Some(fault), _) => Err(fault),
        (None, None, Some(_)) => {
            Err(EngineError::MissingFile { what: "the SAE's weights", path: path.join("sae_weights.safetensors") })
        }
        (None, None, None) => {
            Err(EngineError::BadFile { path: path.to_owned(), reason: "it holds no SAE that is known".to_owned() })
        }
    }
}

/// Files of a folder by name.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let io = |source| EngineError::Io { path: dir.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)?.take(MAX_FILES) {
        let path = entry.map_err(io)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The configuration that lies in `dir`, or above its folder of checkpoints.
fn config(dir: &Path) -> Result<Option<Config>> {
    let above = dir.parent().filter(|_| dir.file_name().is_some_and(|name| name == CHECKPOINTS));
    let places = [Some(dir), above].into_iter().flatten();
    let mut paths = places.flat_map(|dir| CONFIGS.map(|name| dir.join(name)));
    let Some(path) = paths.find(|path| path.is_file()) else { return Ok(None) };
    let bad = |error| EngineError::BadFile { path: path.clone(), reason: format!("it is not JSON: {error}") };
    let value = serde_json::from_str(&text(&path, "the SAE's configuration")?).map_err(bad)?;
    Ok(Some(Config { path, value }))
}

/// Sets of transcoders say what they are in a text of their own.
fn refuse_sets(dir: &Path) -> Result<()> {
    let path = dir.join("config.yaml");
    let told = if path.is_file() { text(&path, "the configuration")? } else { String::new() };
    let kind = told.lines().find_map(|line| line.strip_prefix("model_kind:"));
    match kind.map(|kind| kind.trim().trim_matches(['"', '\''])) {
        Some(kind) if kind.contains("transcoder") => {
            let reason = format!("it is a set of transcoders (`{kind}`): {}", super::formats::TRANSCODER);
            Err(EngineError::BadFile { path, reason })
        }
        _ => Ok(()),
    }
}
