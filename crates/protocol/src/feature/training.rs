//! Training a sparse autoencoder on the loaded model.

use serde::{Deserialize, Serialize};

use super::Corpus;

/// Kind of SAE that is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainKind {
    /// The k largest of each token pass (Gao et al. 2024).
    #[default]
    TopK,
    /// k a token on average over a batch; read with one threshold (Bussmann et al. 2024).
    BatchTopK,
    /// A learned threshold for each latent (Rajamanoharan et al. 2024).
    JumpRelu,
}

impl TrainKind {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 3] = [Self::TopK, Self::BatchTopK, Self::JumpRelu];

    /// Name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::TopK => "TopK",
            Self::BatchTopK => "BatchTopK",
            Self::JumpRelu => "JumpReLU",
        }
    }
}

/// Settings of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainSettings {
    /// Name for people; also names its folder.
    pub name: String,
    /// Texts.
    pub corpus: Corpus,
    /// Block, 0-based; the middle one when absent.
    pub block: Option<usize>,
    /// Kind.
    pub kind: TrainKind,
    /// Number of latents.
    pub d_sae: usize,
    /// Latents that pass for a token (on average, for `BatchTopK` and the aim of `JumpReLU`).
    pub k: usize,
    /// Tokens to train on; texts are gone over again when there are fewer.
    pub tokens: u64,
    /// Tokens of a step.
    pub batch: usize,
    /// Adam's learning rate; worked out from the width when absent.
    pub learning_rate: Option<f64>,
    /// Tokens of a sequence.
    pub context_len: usize,
    /// Seed of initialisation and order.
    pub seed: u64,
    /// Go on from the checkpoint of the same name.
    pub resume: bool,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            name: String::new(),
            corpus: Corpus::Shipped,
            block: None,
            kind: TrainKind::TopK,
            d_sae: 1024,
            k: 16,
            tokens: 1_000_000,
            batch: 2048,
            learning_rate: None,
            context_len: 128,
            seed: 0,
            resume: false,
        }
    }
}

/// How a training is going: points of its plots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainPoint {
    /// Tokens seen.
    pub tokens: u64,
    /// Loss of the step.
    pub loss: f64,
    /// Share of the variance that is not explained.
    pub fvu: f64,
    /// Mean number of latents that pass.
    pub l0: f64,
    /// Share of latents that have not passed for long.
    pub dead: f64,
}
