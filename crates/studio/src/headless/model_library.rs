//! `tiller model installed|import|verify|remove`: what is on this machine.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tiller_protocol::asset::{Asset, AssetKind, AssetLibrary, Verdict};
use tiller_protocol::model::{ModelCheck, ModelSource};
use tiller_protocol::problem::Problem;

use super::model::model_info;
use super::options::{Global, model_source};
use super::session::WatchSink;
use crate::assets::Assets;
use crate::installed::{Imported, Installed};
use crate::workspace::Workspace;

/// Result of [`model_import`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportResult {
    /// Where it is now.
    pub path: PathBuf,
    /// What it is.
    pub kind: AssetKind,
    /// It was in the library already, and nothing was done.
    pub was_known: bool,
}

/// Result of [`model_remove`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemoveResult {
    /// Its name.
    pub name: String,
    /// Where it is or was.
    pub path: PathBuf,
    /// Bytes of disk that were freed, or would be; 0 where it is only forgotten.
    pub freed_bytes: u64,
    /// Whether it is gone now.
    pub removed: bool,
}

/// Result of [`model_describe`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Described {
    /// A model, with what it takes.
    Model(Box<ModelCheck>),
    /// A sparse autoencoder.
    Sae(Box<Asset>),
}

/// Everything that is installed, and where.
///
/// # Errors
/// A document of the workspace that cannot be read.
pub fn model_installed(global: &Global) -> Result<AssetLibrary, Problem> {
    let listed = installed(global)?.list();
    match listed.troubles.into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok(listed.library),
    }
}

/// What a model or an SAE is; a model also with what it takes where it would be loaded.
///
/// # Errors
/// What is not there, broken or of an unknown kind, or a device that is not there.
pub fn model_describe(global: &Global, text: &str) -> Result<Described, Problem> {
    let (installed, source) = (installed(global)?, model_source(text));
    let sae = match &source {
        ModelSource::Demo => None,
        ModelSource::Folder(path) => installed.sae_at(path)?,
        ModelSource::Hub(_) => installed.find(text).ok().filter(|asset| asset.kind == AssetKind::Sae),
    };
    match sae {
        Some(sae) => Ok(Described::Sae(Box::new(sae))),
        None => Ok(Described::Model(Box::new(model_info(global, &source)?))),
    }
}

/// Makes a checkpoint folder, a GGUF file or an SAE folder known, linked where it is or copied.
///
/// # Errors
/// What is none of these, what cannot be opened, a disk without room, or a stop.
pub fn model_import(global: &Global, path: &Path, copy: bool) -> Result<ImportResult, Problem> {
    let mut sink = WatchSink::new(global, "Importing");
    let Imported { path, kind, was_known } = installed(global)?.import(path, copy, &mut sink)?;
    Ok(ImportResult { path, kind, was_known })
}

/// Reads an installed asset's files and compares them with their checksums. `text` is its name, path or hub id.
///
/// # Errors
/// An asset that is not known or not there, or a stop.
pub fn model_verify(global: &Global, text: &str) -> Result<Verdict, Problem> {
    let installed = installed(global)?;
    let asset = installed.find(text)?;
    installed.verify(&asset.path, &mut WatchSink::new(global, format!("Verifying {}", asset.name)))
}

/// Deletes an installed asset's files, or forgets it where it is linked; without `sure` only tells what that would free.
///
/// # Errors
/// An asset that is not known, that ships with Tiller, or that lies outside the storage folders.
pub fn model_remove(global: &Global, text: &str, sure: bool) -> Result<RemoveResult, Problem> {
    let installed = installed(global)?;
    let Asset { path, name, .. } = installed.find(text)?;
    let freed_bytes = if sure { installed.remove(&path)? } else { installed.would_free(&path)? };
    Ok(RemoveResult { name, path, freed_bytes, removed: sure })
}

fn installed(global: &Global) -> Result<Installed, Problem> {
    let workspace = Workspace::read_only(global.workspace.as_deref())?;
    Ok(Installed::new(&workspace, global.hub.cache.clone(), Assets::find().as_ref().ok()))
}
