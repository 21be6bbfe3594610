//! `tiller model list`: what the catalogue recommends.

use tiller_protocol::asset::AssetKind;
use tiller_protocol::problem::Problem;

use super::options::Global;
use super::results::ModelList;
use crate::workspace::Workspace;
use crate::{catalogue, memory};

/// The published models of the supported families with what they take on the processor, and SAEs that read them.
///
/// # Errors
/// When the platform names no place for the workspace, where the user's own list may lie.
pub fn model_list(global: &Global) -> Result<ModelList, Problem> {
    let workspace = Workspace::read_only(global.workspace.as_deref())?;
    let (mut models, problems) = catalogue::entries(workspace.root());
    let saes = models.split_off(models.partition_point(|entry| entry.kind == AssetKind::Model));
    Ok(ModelList { free_bytes: memory::free_bytes(), models, saes, problems })
}
