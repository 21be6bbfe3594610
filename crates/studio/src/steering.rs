//! From rows of the steering panel to edits of the residual stream.
//!
//! Strength u is the length of the added vector as a share of the median residual norm at the block (methods.md §5.2).
//! A row that is off or changes nothing makes no edit at all, so the run is bit for bit the plain one (§5.11).
//!
//! [`maker`] makes edits of whole panels; here are the units and the checks of single vectors.

pub(crate) mod maker;

use tiller_engine::{Device, Edit, Tensor};
use tiller_protocol::feature::FeatureOp;
use tiller_protocol::model::ModelInfo;
use tiller_protocol::problem::Problem;
use tiller_protocol::steering::{Positions, SteeringRow};

use crate::problem;
use crate::workspace::StoredVector;

pub(crate) use maker::{Maker, open};

/// Whether a row changes anything.
pub(crate) fn acts(row: &SteeringRow) -> bool {
    let changes = match row.feature() {
        None | Some((_, FeatureOp::Add)) => row.strength != 0.0,
        Some((_, FeatureOp::Multiply)) => row.strength != 1.0,
        Some((_, FeatureOp::Set | FeatureOp::AtLeast | FeatureOp::Ablate)) => true,
    };
    row.enabled && changes
}

/// A row in a few words, e.g. `Warmth +0.30`.
pub(crate) fn words(row: &SteeringRow) -> String {
    let (label, strength) = (&row.label, row.strength);
    match row.feature() {
        None | Some((_, FeatureOp::Add)) => format!("{label} {strength:+.2}"),
        Some((_, FeatureOp::Set)) => format!("{label} set to {strength:.2}"),
        Some((_, FeatureOp::AtLeast)) => format!("{label} at least {strength:.2}"),
        Some((_, FeatureOp::Multiply)) => format!("{label} × {strength:.2}"),
        Some((_, FeatureOp::Ablate)) => format!("{label} off"),
    }
}

/// The edit of a vector's row, after the checks of methods.md §5.11.
///
/// # Errors
/// A vector of another model, a block out of range, a strength that is not finite, a direction without length.
pub(crate) fn edit(
    row: &SteeringRow,
    vector: &StoredVector,
    model: &ModelInfo,
    device: &Device,
) -> Result<Edit, Problem> {
    let info = &vector.info;
    if info.model_hash != model.hash {
        return Err(problem::foreign_vector(&info.name, &info.model_name, &model.name));
    }
    let facts = vector.directions.get(row.block).zip(info.blocks.get(row.block));
    let Some((direction, diagnostics)) = facts.filter(|_| row.block < model.n_layers) else {
        let reason = format!("block {} is not one of 0 to {}", row.block, model.n_layers.saturating_sub(1));
        return Err(problem::unfit_vector(&info.name, &reason));
    };
    let place = Place { block: row.block, positions: row.positions, resid_norm: diagnostics.resid_norm };
    scaled(&info.name, direction, row.strength, place, (model.d_model, device))
}

/// Where an edit acts and what its strength is measured by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Block, 0-based.
    pub(crate) block: usize,
    /// Positions.
    pub(crate) positions: Positions,
    /// Median residual norm at the block.
    pub(crate) resid_norm: f64,
}

/// An edit that adds `strength · resid_norm` along `direction` `[d_model]`.
///
/// # Errors
/// As [`edit`].
pub(crate) fn scaled(
    name: &str,
    direction: &[f32],
    strength: f64,
    place: Place,
    (d_model, device): (usize, &Device),
) -> Result<Edit, Problem> {
    if direction.len() != d_model {
        let reason = format!("its width is {}, the model's is {d_model}", direction.len());
        return Err(problem::unfit_vector(name, &reason));
    }
    let length = direction.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let factor = strength * place.resid_norm / length;
    if !(factor.is_finite() && length > 0.0) {
        let reason = format!("strength {strength}, length {length}, residual norm {}", place.resid_norm);
        return Err(problem::unfit_vector(name, &reason));
    }
    let delta: Vec<f32> = direction.iter().map(|x| (f64::from(*x) * factor) as f32).collect();
    let delta = Tensor::from_vec(delta, d_model, device).map_err(|error| problem::engine(&error.into()))?;
    Ok(Edit::add(place.block, delta, place.positions))
}

#[cfg(test)]
pub(crate) mod tests {
    use tiller_engine::Change;
    use tiller_protocol::model::ModelSource;
    use tiller_protocol::steering::{RowSource, VectorId};

    use super::*;
    use crate::vector_file::tests::example;

    /// The model that [`example`] belongs to.
    pub(crate) fn info() -> ModelInfo {
        ModelInfo {
            name: "Tiny".to_owned(),
            source: ModelSource::Demo,
            architecture: "LlamaForCausalLM".to_owned(),
            n_layers: 2,
            d_model: 2,
            n_heads: 1,
            vocab_size: 8,
            context_len: 16,
            n_params: 10,
            dtype: "f32".to_owned(),
            device: "CPU".to_owned(),
            weights_bytes: 40,
            has_gradients: true,
            hash: "0123456789abcdef".to_owned(),
            has_chat_template: true,
            folds_system: false,
            n_sae_latents: 0,
            sae_block: None,
        }
    }

    /// A row of the panel.
    pub(crate) fn row(vector: &str, block: usize, strength: f64) -> SteeringRow {
        SteeringRow {
            source: RowSource::Vector(VectorId(vector.to_owned())),
            label: vector.to_owned(),
            block,
            strength,
            positions: Positions::LastPrompt,
            enabled: true,
        }
    }

    /// What an edit adds.
    pub(crate) fn added(edit: &Edit) -> Vec<f32> {
        match &edit.change {
            Change::Add(delta) => delta.to_vec1().unwrap(),
            Change::Latents(_) => panic!("{edit:?} adds no vector"),
        }
    }

    #[test]
    fn checks_before_an_edit() {
        let good = StoredVector { info: example("warm"), directions: vec![vec![3.0, 4.0], vec![0.0, 0.0]] };
        let attempt =
            |row: &SteeringRow, model: &ModelInfo| edit(row, &good, model, &Device::Cpu).map(|edit| added(&edit));
        assert_eq!(attempt(&row("warm", 0, -1.0), &info()).unwrap(), [-6.0, -8.0]);
        let other = ModelInfo { hash: "other".to_owned(), ..info() };
        let wide = ModelInfo { d_model: 3, ..info() };
        for (row, model, word) in [
            (row("warm", 0, 1.0), &other, "another model"),
            (row("warm", 2, 1.0), &info(), "block 2"),
            (row("warm", 1, 1.0), &info(), "length 0"),
            (row("warm", 0, f64::NAN), &info(), "strength NaN"),
            (row("warm", 0, 1.0), &wide, "width is 2"),
        ] {
            let problem = attempt(&row, model).unwrap_err();
            assert!(problem.to_string().contains(word), "{problem}");
        }
        assert!(!acts(&SteeringRow { enabled: false, ..row("warm", 0, 1.0) }));
    }
}
