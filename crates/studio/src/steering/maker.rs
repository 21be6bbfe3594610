//! Edits of whole panels: vectors of the library and features of opened SAEs, kept open between two looks.

use std::collections::HashMap;
use std::sync::Arc;

use tiller_engine::sae::{Architecture, Dictionary, LatentEdit, Operator};
use tiller_engine::{Device, Edit};
use tiller_protocol::feature::{FeatureOp, FeatureRef, SaeId, SaeInfo};
use tiller_protocol::model::ModelInfo;
use tiller_protocol::problem::Problem;
use tiller_protocol::steering::{Positions, RowSource, SteeringRow, VectorId};

use super::{acts, edit};
use crate::problem;
use crate::workspace::{StoredVector, Workspace};

/// SAEs whose latents compete are encoded as a whole at every token: up to so many values of a matrix, they are taken
/// into memory for that.
const VALUES_IN_MEMORY: usize = 1 << 24;

/// Measures the median residual norm at a block of the loaded model, over neutral text.
pub(crate) type MeasureNorm<'a> = &'a dyn Fn(usize) -> Result<f64, Problem>;

/// Makes edits of rows for one model.
pub(crate) struct Maker<'a> {
    workspace: &'a Workspace,
    model: &'a ModelInfo,
    device: &'a Device,
    measure_norm: MeasureNorm<'a>,
    vectors: HashMap<VectorId, StoredVector>,
    saes: HashMap<SaeId, (SaeInfo, Dictionary)>,
}

/// What rows come to.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// The edits, in order.
    pub(crate) edits: Vec<Edit>,
    /// Why rows were left out.
    pub(crate) problems: Vec<Problem>,
}

/// An edit to be, in the order of the rows.
enum Step {
    Ready(Edit),
    /// Features of one SAE at the same positions: they act on one reading of the row.
    Features {
        sae: SaeId,
        positions: Positions,
        operators: Vec<(usize, Operator)>,
    },
}

impl<'a> Maker<'a> {
    /// For the model described by `model` on `device`.
    pub(crate) fn new(
        workspace: &'a Workspace,
        model: &'a ModelInfo,
        device: &'a Device,
        measure_norm: MeasureNorm<'a>,
    ) -> Self {
        Self { workspace, model, device, measure_norm, vectors: HashMap::new(), saes: HashMap::new() }
    }

    /// The edits of the rows that act. Features of one SAE at the same positions become one edit, where the first of
    /// them stands.
    pub(crate) fn make(&mut self, rows: &[SteeringRow]) -> Made {
        let mut made = Made::default();
        let mut steps: Vec<Step> = Vec::new();
        for row in rows.iter().filter(|row| acts(row)) {
            match self.step(row) {
                Ok(Step::Features { sae, positions, operators }) => {
                    let same = steps.iter_mut().find_map(|step| match step {
                        Step::Features { sae: known, positions: at, operators }
                            if (&*known, &*at) == (&sae, &positions) =>
                        {
                            Some(operators)
                        }
                        _ => None,
                    });
                    match same {
                        Some(known) => known.extend(operators),
                        None => steps.push(Step::Features { sae, positions, operators }),
                    }
                }
                Ok(ready) => steps.push(ready),
                Err(problem) => made.problems.push(problem),
            }
        }
        for step in steps {
            match self.finish(step) {
                Ok(edit) => made.edits.push(edit),
                Err(problem) => made.problems.push(problem),
            }
        }
        made
    }

    fn step(&mut self, row: &SteeringRow) -> Result<Step, Problem> {
        match &row.source {
            RowSource::Vector(id) => {
                if !self.vectors.contains_key(id) {
                    self.vectors.insert(id.clone(), self.workspace.vector(id)?);
                }
                edit(row, &self.vectors[id], self.model, self.device).map(Step::Ready)
            }
            RowSource::Feature { feature, op } => {
                let operator = (feature.latent as usize, self.operator(row, feature, *op)?);
                Ok(Step::Features { sae: feature.sae.clone(), positions: row.positions, operators: vec![operator] })
            }
        }
    }

    /// What a row does to its feature, after the checks of methods.md §5.11.
    fn operator(&mut self, row: &SteeringRow, feature: &FeatureRef, op: FeatureOp) -> Result<Operator, Problem> {
        let (model, measure_norm) = (self.model, self.measure_norm);
        let (info, dictionary) = self.sae(&feature.sae)?;
        if feature.latent as usize >= info.d_sae {
            return Err(problem::no_feature(info, feature.latent));
        }
        if dictionary.decoder_norm(feature.latent as usize).is_none_or(|norm| norm <= 0.0) {
            return Err(problem::dead_feature(feature.latent));
        }
        let (strength, block) = (row.strength, info.site.block());
        // The unit of strengths belongs to the model that it was measured on.
        let is_own = info.self_test.as_ref().is_some_and(|test| test.model_hash == model.hash);
        let known = info.resid_norm.filter(|_| is_own);
        if !(strength.is_finite() || op == FeatureOp::Ablate) {
            let cause = format!("the strength of \u{201c}{}\u{201d} is {strength}", row.label);
            return Err(problem::bad_input(&cause, "Set a strength."));
        }
        match op {
            FeatureOp::Multiply => return Ok(Operator::Multiply(strength)),
            FeatureOp::Ablate => return Ok(Operator::Ablate),
            FeatureOp::Set if strength == 0.0 => return Ok(Operator::Ablate),
            FeatureOp::Add | FeatureOp::Set | FeatureOp::AtLeast => {}
        }
        let length = strength * known.map_or_else(|| measure_norm(block), Ok)?;
        Ok(match op {
            FeatureOp::Set => Operator::Set(length),
            FeatureOp::AtLeast => Operator::AtLeast(length),
            FeatureOp::Add | FeatureOp::Multiply | FeatureOp::Ablate => Operator::Add(length),
        })
    }

    fn finish(&mut self, step: Step) -> Result<Edit, Problem> {
        match step {
            Step::Ready(edit) => Ok(edit),
            Step::Features { sae, positions, operators } => {
                let device = self.device;
                let (info, dictionary) = self.sae(&sae)?;
                let edit = LatentEdit::new(dictionary, &operators, device);
                let edit = edit.map_err(|error| problem::converted_sae(&info.name, &error))?;
                Ok(Edit::latents(dictionary.site().block(), Arc::new(edit), positions))
            }
        }
    }

    /// An opened SAE that fits the model.
    fn sae(&mut self, id: &SaeId) -> Result<&(SaeInfo, Dictionary), Problem> {
        if !self.saes.contains_key(id) {
            let sae = open(self.workspace, id, self.model, self.device)?;
            self.saes.insert(id.clone(), sae);
        }
        Ok(&self.saes[id])
    }
}

/// An opened SAE, for the latents of a model on `device`.
///
/// # Errors
/// An SAE that was not opened or does not fit the model, a damaged file.
pub(crate) fn open(
    workspace: &Workspace,
    id: &SaeId,
    model: &ModelInfo,
    device: &Device,
) -> Result<(SaeInfo, Dictionary), Problem> {
    let (info, file) = (workspace.sae(id)?, workspace.open_sae(id)?);
    let about = file.description();
    if let Some(reason) = about.misfit(model.d_model, model.n_layers) {
        return Err(problem::sae_misfit(&info.name, &model.name, &reason));
    }
    let competes = matches!(about.architecture, Architecture::TopK | Architecture::AbsTopK);
    let dictionary = if competes && about.d_sae.saturating_mul(about.d_model) <= VALUES_IN_MEMORY {
        let sae = file.load(device).map_err(|error| problem::converted_sae(&info.name, &error))?;
        Dictionary::Memory(Arc::new(sae))
    } else {
        Dictionary::File(Arc::new(file))
    };
    Ok((info, dictionary))
}

#[cfg(test)]
pub(crate) mod tests;
