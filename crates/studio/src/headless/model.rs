//! `tiller model`: what models take, without loading them.

use tiller_protocol::model::{ModelCheck, ModelSource};
use tiller_protocol::problem::Problem;

use super::options::Global;
use crate::assets::Assets;
use crate::models::{self, Held};

/// What a model is, what it takes where it would be loaded, and what is free there.
///
/// # Errors
/// A model that is not there, broken or of an unknown kind, or a device that is not there.
pub fn model_info(global: &Global, model: &ModelSource) -> Result<ModelCheck, Problem> {
    let plan = models::plan(model, &Assets::find(), (global.device, global.dtype), &Held::default())?;
    Ok(plan.check)
}
