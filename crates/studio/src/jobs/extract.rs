//! Extracting a persona's direction, with its diagnostics, for the library.

use tiller_discover::pairs::{self, PairData};
use tiller_protocol::model::ModelSource;
use tiller_protocol::persona::{Persona, PromptText};
use tiller_protocol::problem::Problem;
use tiller_protocol::steering::{ExtractMethod, VectorId, VectorInfo};

use super::Sink;
use crate::models::Loaded;
use crate::workspace::StoredVector;
use crate::{memory, problem};

/// Neutral prompts that norms and spreads are taken from.
const N_NEUTRAL: usize = 96;

/// Neutral user texts as prompts, for norms, spreads and the unit of the objective.
pub(crate) fn neutral_prompts(users: &[String]) -> Vec<PromptText> {
    users.iter().take(N_NEUTRAL).map(|user| PromptText { system: None, user: user.clone() }).collect()
}

/// Extracts a persona's vector for every block.
///
/// # Errors
/// A model without a chat template, too few pairs, a failure of the model, or a stop.
pub(crate) fn extract(
    loaded: &Loaded,
    persona: &Persona,
    method: ExtractMethod,
    neutral: &[PromptText],
    sink: &mut dyn Sink,
) -> Result<StoredVector, Problem> {
    let ExtractMethod::MeanDifference = method;
    if loaded.model.template().is_none() {
        return Err(problem::no_template(&loaded.info.name));
    }
    memory::check_reading(loaded)?;
    let data = PairData { pairs: &persona.pairs, neutral, letter_items: &persona.select };
    let found = pairs::extract(&loaded.model, &data, &mut |done, total| {
        sink.step(done, total, "prompts");
        super::flow(sink)
    });
    let found = found.map_err(|error| problem::discover(&error))?.ok_or_else(problem::stopped)?;
    let (card, model) = (&persona.card, &loaded.info);
    // What the persona's author found holds for the model it was made for; elsewhere the measurement decides.
    let own = card.recommended_block.filter(|block| model.source == ModelSource::Demo && *block < model.n_layers);
    let info = VectorInfo {
        id: vector_id(&card.id, &model.hash),
        name: card.name.clone(),
        persona: Some(card.id.clone()),
        positive: card.positive.clone(),
        negative: card.negative.clone(),
        method,
        model_hash: model.hash.clone(),
        model_name: model.name.clone(),
        d_model: model.d_model,
        n_pairs: found.n_pairs,
        recommended_block: own.unwrap_or(found.recommended_block),
        recommended_positions: card.recommended_positions,
        blocks: found.blocks,
        path: Default::default(),
    };
    Ok(StoredVector { info, directions: found.vectors })
}

/// Name of a persona's vector for a model: extracting again replaces it.
pub(crate) fn vector_id(persona: &str, model_hash: &str) -> VectorId {
    VectorId(format!("{persona}-{}", &model_hash[..model_hash.len().min(6)]))
}

impl StoredVector {
    /// Strength in slider units (share of the median residual norm at `block`) that adds the raw vector once.
    pub(crate) fn unit_strength(&self, block: usize) -> f64 {
        self.info.blocks.get(block).map_or(0.0, |facts| facts.norm / facts.resid_norm.max(f64::MIN_POSITIVE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets::Assets;
    use crate::jobs::tests::{Quiet, demo, persona};

    #[test]
    fn a_shipped_persona_gives_a_direction_that_separates() {
        let neutral = neutral_prompts(&Assets::find().unwrap().neutral().unwrap());
        let mut quiet = Quiet::default();
        let sycophancy = persona("sycophancy");
        let vector = extract(demo(), &sycophancy, ExtractMethod::MeanDifference, &neutral, &mut quiet).unwrap();
        assert_eq!(vector.directions.len(), demo().info.n_layers);
        let best = &vector.info.blocks[vector.info.recommended_block];
        assert!(best.auroc > 0.75 && best.split_half_cos > 0.5 && best.agreement > 0.8, "{best:?}");
        assert!(best.resid_norm > 0.0 && best.neutral_sigma > 0.0 && best.letter_cos.abs() < 0.5, "{best:?}");
        assert!(vector.unit_strength(vector.info.recommended_block) > 0.0);
        quiet.stop_after = Some(0);
        let stopped = extract(demo(), &sycophancy, ExtractMethod::MeanDifference, &neutral, &mut quiet);
        assert_eq!(stopped, Err(problem::stopped()));
    }
}
