//! Directions and how they are applied.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::feature::{FeatureOp, FeatureRef};

/// Name of a vector in the workspace's vector library, e.g. `sycophancy-3f2a`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VectorId(pub String);

/// Token positions that an edit touches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// Every position but special tokens at the very start (position 0).
    All,
    /// Every position of the prompt.
    Prompt,
    /// The last position of the rendered prompt only, where the reply is decided.
    #[default]
    LastPrompt,
    /// The last prompt position and every generated token.
    Generated,
}

impl Positions {
    /// All choices, in the order in which they are offered.
    pub const ALL: [Self; 4] = [Self::LastPrompt, Self::Generated, Self::Prompt, Self::All];

    /// Name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::All => "Every token",
            Self::Prompt => "The prompt",
            Self::LastPrompt => "End of prompt",
            Self::Generated => "The reply",
        }
    }
}

/// How extraction turns pairs into a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtractMethod {
    /// Mean of the positive side minus mean of the negative side (methods.md eq. 1).
    #[default]
    MeanDifference,
}

/// What a row of the steering panel works with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowSource {
    /// A vector of the library, which is added.
    Vector(VectorId),
    /// A feature of an opened SAE, at the block that the SAE reads.
    Feature {
        /// Which one.
        feature: FeatureRef,
        /// What is done with it.
        op: FeatureOp,
    },
}

/// One row of the steering panel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SteeringRow {
    /// What it works with.
    pub source: RowSource,
    /// Name for people.
    pub label: String,
    /// Block (0-based) whose output is edited.
    pub block: usize,
    /// Of a vector: its length as a share of the median residual norm at that block; the sign is the direction. Of a
    /// feature: as its operator says ([`FeatureOp`]).
    pub strength: f64,
    /// Where it is added.
    pub positions: Positions,
    /// Rows can be switched off without losing their settings.
    pub enabled: bool,
}

impl SteeringRow {
    /// The vector that it adds, if it is one.
    pub fn vector(&self) -> Option<&VectorId> {
        match &self.source {
            RowSource::Vector(id) => Some(id),
            RowSource::Feature { .. } => None,
        }
    }

    /// The feature that it works with, if it is one.
    pub fn feature(&self) -> Option<(&FeatureRef, FeatureOp)> {
        match &self.source {
            RowSource::Vector(_) => None,
            RowSource::Feature { feature, op } => Some((feature, *op)),
        }
    }
}

/// Everything that is done to the residual stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Steering {
    /// Rows, applied in order.
    pub rows: Vec<SteeringRow>,
}

/// Per-block facts about an extracted direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockDiagnostics {
    /// Block, 0-based.
    pub block: usize,
    /// Length of the raw vector, in residual units.
    pub norm: f64,
    /// Median residual norm over neutral text (position 0 left out).
    pub resid_norm: f64,
    /// Cosine between the vectors of two halves of the pairs, corrected for nothing.
    pub split_half_cos: f64,
    /// Share of pairs whose difference projects positively on the vector.
    pub agreement: f64,
    /// AUROC of projections, positive against negative sides, on pairs left out (two-fold).
    pub auroc: f64,
    /// Standard deviation of the projection on the unit vector over neutral prompts, in residual units.
    pub neutral_sigma: f64,
    /// Cosine with the direction between answers (A) and (B); near 0 is good.
    pub letter_cos: f64,
}

/// A vector of the library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VectorInfo {
    /// Name in the library.
    pub id: VectorId,
    /// Name for people.
    pub name: String,
    /// Persona it was extracted from.
    pub persona: Option<String>,
    /// Name of the pole it points to, e.g. `sycophantic`.
    pub positive: String,
    /// Name of the pole it points away from.
    pub negative: String,
    /// How it was made.
    pub method: ExtractMethod,
    /// Hash of the model it belongs to ([`crate::model::ModelInfo::hash`]).
    pub model_hash: String,
    /// Name of that model.
    pub model_name: String,
    /// Residual width.
    pub d_model: usize,
    /// Number of pairs it was made from.
    pub n_pairs: usize,
    /// Block (0-based) offered first.
    pub recommended_block: usize,
    /// Positions offered first.
    pub recommended_positions: Positions,
    /// Facts for every block, in block order.
    pub blocks: Vec<BlockDiagnostics>,
    /// The file.
    pub path: PathBuf,
}
