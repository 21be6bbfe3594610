//! `tiller model`: what models take, without loading them.

use tiller_protocol::model::{ModelCheck, ModelSource};
use tiller_protocol::problem::Problem;

use super::options::Global;
use crate::assets::Assets;
use crate::installed::Installed;
use crate::models::{self, Held, Sources};
use crate::workspace::Workspace;

/// What a model is, what it takes where it would be loaded, and what is free there.
///
/// # Errors
/// A model that is not there, broken or of an unknown kind, or a device that is not there.
pub fn model_info(global: &Global, model: &ModelSource) -> Result<ModelCheck, Problem> {
    let (assets, workspace) = (Assets::find(), Workspace::read_only(global.workspace.as_deref())?);
    let installed = Installed::new(&workspace, global.hub.cache.clone(), assets.as_ref().ok());
    let sources = Sources { assets: &assets, installed: &installed };
    let plan = models::plan(model, sources, (global.device, global.dtype), &Held::default())?;
    Ok(plan.check)
}
