//! RESGA: prompts that move the residual stream along a persona's direction (arXiv 2601.02896; methods.md §2).
//!
//! The search is EPO; this file says what it climbs: the projection of `resid_post[block]` at the last token of the
//! rendered prompt, by default in standard deviations over neutral prompts and counted from the same contexts
//! without a prompt (§2.9), or the published dot product with the raw vector.

use tiller_engine::Model;
use tiller_protocol::discovery::{DiscoverySettings, TargetDirection};

use crate::direction;
use crate::error::Result;
use crate::measure::Measure;
use crate::pairs::neutral_sigma;
use crate::prompt_landscape::PromptLandscape;
use crate::setup::{self, RunData};

/// Keeps the random direction's seed apart from the search's.
const RANDOM_DIRECTION_SALT: u64 = 0x7469_6c6c_6572;

/// The landscape for a direction `[d_model]` of `block`, pointing to the persona. `confounds` are projected out of it
/// first; with the random control it only lends its length.
///
/// # Errors
/// A direction of which nothing is left, or anything the set-up refuses.
pub fn landscape<'a>(
    model: &'a Model,
    data: &RunData<'_>,
    settings: &DiscoverySettings,
    block: usize,
    (vector, confounds): (&[f32], &[Vec<f32>]),
) -> Result<PromptLandscape<'a>> {
    let vector = match settings.target {
        TargetDirection::Persona => direction::project_out(vector, confounds)?,
        TargetDirection::Random => {
            let seed = settings.seed ^ RANDOM_DIRECTION_SALT;
            direction::random(vector.len(), direction::norm(vector), seed)
        }
    };
    let sigma = neutral_sigma(model, data.neutral, block, &vector)?;
    let measure = Measure::direction(settings.objective, &vector, sigma, settings.heading)?;
    setup::landscape(model, data, settings, block, measure)
}
