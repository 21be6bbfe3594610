//! Published models of the supported families and SAEs that read them: what they are and what they take.
//!
//! The list that ships, and the user's own: `catalogue.toml` in the workspace, in the same form with `format = 1`.

use std::path::Path;

use serde::Deserialize;
use tiller_engine::config::ModelConfig;
use tiller_engine::device;
use tiller_engine::memory::{Format, Runs, n_params, weights_bytes};
use tiller_hub::reference;
use tiller_protocol::asset::{AssetKind, CatalogueEntry, Gate, ShapeNeed, WeightsIn};
use tiller_protocol::message::Event;
use tiller_protocol::model::DeviceChoice;
use tiller_protocol::problem::Problem;

use crate::studio::Shared;
use crate::workspace::document;
use crate::{memory, problem};

/// Models as they ship.
const MODELS: &str = include_str!("catalogue/models.toml");
/// SAEs as they ship.
const SAES: &str = include_str!("catalogue/saes.toml");
/// The user's own list in the workspace.
const OWN: &str = "catalogue.toml";
/// Bytes of a parameter in the published files.
const STORED_BYTES: u64 = 2;

/// A list as written; each part may be missing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    /// Checked by the reader of documents; the shipped lists have none.
    #[serde(rename = "format")]
    _format: Option<u32>,
    #[serde(default)]
    model: Vec<ListedModel>,
    #[serde(default)]
    sae: Vec<ListedSae>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListedModel {
    name: String,
    hub: String,
    choice: Option<String>,
    #[serde(default = "unknown_licence")]
    licence: String,
    #[serde(default)]
    gate: Gate,
    download_bytes: Option<u64>,
    /// Parameters that a wrapper stores beside its language part.
    #[serde(default)]
    picture_params: u64,
    /// The files hold the head although it is the embedding.
    #[serde(default)]
    stores_head: bool,
    #[serde(default)]
    note: String,
    config: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListedSae {
    name: String,
    hub: String,
    choice: Option<String>,
    #[serde(default = "unknown_licence")]
    licence: String,
    #[serde(default)]
    gate: Gate,
    download_bytes: Option<u64>,
    reads: Vec<String>,
    #[serde(default)]
    note: String,
}

fn unknown_licence() -> String {
    "on its page".to_owned()
}

/// The shipped list and the user's own behind it, models first; with what is wrong with either.
pub(crate) fn entries(workspace: &Path) -> (Vec<CatalogueEntry>, Vec<Problem>) {
    let mut entries = Vec::new();
    let mut troubles = Vec::new();
    for (name, text) in [("models.toml", MODELS), ("saes.toml", SAES)] {
        match toml::from_str(text) {
            Ok(list) => add(list, false, Path::new(name), &mut entries, &mut troubles),
            Err(error) => troubles.push(problem::unreadable(name.as_ref(), error.message())),
        }
    }
    let path = workspace.join(OWN);
    if path.exists() {
        match document::read_toml(&path) {
            Ok(list) => add(list, true, &path, &mut entries, &mut troubles),
            Err(problem) => troubles.push(problem),
        }
    }
    // Stable: within a kind the order is that of the lists.
    entries.sort_by_key(|entry| entry.kind);
    (entries, troubles)
}

/// Sends the catalogue.
pub(crate) fn post(shared: &Shared) {
    let (entries, troubles) = entries(shared.workspace.root());
    shared.outbox.post(Event::Catalogue { entries, free_memory_bytes: free_bytes() });
    for problem in troubles {
        shared.outbox.post(Event::Failed { job: None, problem });
    }
}

/// Memory that is free on the device with the most of it.
fn free_bytes() -> Option<u64> {
    let devices = device::candidates(DeviceChoice::Auto).unwrap_or_default();
    devices.iter().filter_map(memory::free_on).max().or_else(memory::free_bytes)
}

/// What a model of this shape takes on the processor.
pub(crate) fn shape(config: &ModelConfig) -> ShapeNeed {
    ShapeNeed {
        architecture: config.architecture.clone(),
        n_params: n_params(config),
        n_layers: config.n_layers,
        d_model: config.d_model,
        context_len: config.context_len,
        weights: Format::ALL
            .map(|format| WeightsIn { format: format.name().to_owned(), bytes: weights_bytes(config, format) })
            .into(),
        work: memory::work(config, Runs::PROCESSOR),
    }
}

fn add(list: List, is_own: bool, path: &Path, entries: &mut Vec<CatalogueEntry>, troubles: &mut Vec<Problem>) {
    let models = list.model.into_iter().map(|listed| (listed.name.clone(), model(listed)));
    let saes = list.sae.into_iter().map(|listed| (listed.name.clone(), sae(listed)));
    for (name, entry) in models.chain(saes) {
        match entry {
            Ok(entry) => entries.push(CatalogueEntry { is_own, ..entry }),
            Err(reason) => troubles.push(problem::unreadable(path, &format!("{name}: {reason}"))),
        }
    }
}

fn model(listed: ListedModel) -> Result<CatalogueEntry, String> {
    let config = listed.config.map(|config| ModelConfig::from_json(&config.to_string())).transpose();
    let config = config.map_err(|error| error.to_string())?;
    let derived = config.as_ref().map(|config| {
        let head = if listed.stores_head { config.vocab_size as u64 * config.d_model as u64 } else { 0 };
        STORED_BYTES * (n_params(config) + head + listed.picture_params)
    });
    Ok(CatalogueEntry {
        name: listed.name,
        kind: AssetKind::Model,
        repo: reference::parse(&listed.hub).map_err(|error| error.to_string())?,
        choice: listed.choice,
        licence: listed.licence,
        gate: listed.gate,
        download_bytes: listed.download_bytes.or(derived),
        shape: config.as_ref().map(shape),
        reads: Vec::new(),
        note: listed.note,
        is_own: false,
    })
}

fn sae(listed: ListedSae) -> Result<CatalogueEntry, String> {
    Ok(CatalogueEntry {
        name: listed.name,
        kind: AssetKind::Sae,
        repo: reference::parse(&listed.hub).map_err(|error| error.to_string())?,
        choice: listed.choice,
        licence: listed.licence,
        gate: listed.gate,
        download_bytes: listed.download_bytes,
        shape: None,
        reads: listed.reads,
        note: listed.note,
        is_own: false,
    })
}

#[cfg(test)]
mod tests;
