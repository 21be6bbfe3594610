//! The settings of a training.

use serde::{Deserialize, Serialize};
use tiller_protocol::feature::TrainKind;

use crate::error::{EngineError, Result};

/// All that decides how an SAE is trained; [`Self::new`] gives what is usual.
///
/// Lengths are those of inputs scaled to a mean length of `√d_model`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainOptions {
    /// Kind.
    pub kind: TrainKind,
    /// Number of latents.
    pub d_sae: usize,
    /// Latents that pass for a row; on average over a batch for all but `TopK`.
    pub k: usize,
    /// Rows of a step.
    pub batch: usize,
    /// Steps in all.
    pub steps: u64,
    /// Adam's learning rate between warm-up and decay. Usual: `2e-4 · √(16384 / d_sae)`, the rule of the library
    /// `dictionary_learning` 0.1, after the scaling with the width in Gao et al. 2024.
    pub learning_rate: f64,
    /// Steps over which the rate rises from 0. Usual: a twentieth of all, at most 1,000.
    pub warm_up: u64,
    /// Steps at the end over which it falls to 0. Usual: the last two fifths.
    pub decay: u64,
    /// Adam's decay rates of the first and second moment. Usual: 0.9 and 0.999.
    pub betas: (f64, f64),
    /// What Adam adds to the root of the second moment. Usual: 6.25e-10 (Gao et al. 2024).
    pub epsilon: f64,
    /// A latent that has not passed for so many steps is dead. Usual: a twelfth of all.
    pub dead_after: u64,
    /// Dead latents that are to explain the error of a row. Usual: half of `d_model` (ibid.).
    pub spare_k: usize,
    /// Weight of that part of the loss. Usual: 1/32 (ibid.).
    pub spare_weight: f32,
    /// How fast the one threshold of `BatchTopK` follows the smallest activation that passes. Usual: 0.01.
    pub threshold_rate: f32,
    /// Width of the window around a threshold of `JumpReLU` through which it learns. Usual: `0.001 · √d_model`, 0.001
    /// of a row's length (Rajamanoharan et al. 2024).
    pub bandwidth: f32,
    /// Weight of the loss of `JumpReLU` for passing more or fewer than `k`, `(L0 / k − 1)²`.
    pub count_weight: f32,
    /// Decides every draw.
    pub seed: u64,
}

impl TrainOptions {
    /// What is usual for an SAE of this size over so many tokens.
    pub fn new(kind: TrainKind, d_model: usize, (d_sae, k): (usize, usize), (tokens, batch): (u64, usize)) -> Self {
        let steps = (tokens / batch.max(1) as u64).max(1);
        Self {
            kind,
            d_sae,
            k,
            batch,
            steps,
            learning_rate: 2e-4 * (16384.0 / d_sae.max(1) as f64).sqrt(),
            warm_up: (steps / 20).min(1000),
            decay: steps * 2 / 5,
            betas: (0.9, 0.999),
            epsilon: 6.25e-10,
            dead_after: (steps / 12).max(10),
            spare_k: (d_model / 2).max(1),
            spare_weight: 1.0 / 32.0,
            threshold_rate: 0.01,
            bandwidth: 0.001 * (d_model as f32).sqrt(),
            count_weight: 1.0,
            seed: 0,
        }
    }

    /// Whether a training can begin with them.
    ///
    /// # Errors
    /// The first setting that makes no sense, by name.
    pub(super) fn check(&self) -> Result<()> {
        let fault = |reason: String| Err(EngineError::BadRequest(reason));
        if self.k == 0 || self.k > self.d_sae {
            return fault(format!("k is {}, with {} latents", self.k, self.d_sae));
        }
        if self.batch < 2 {
            return fault(format!("a step of {} tokens is too short", self.batch));
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return fault(format!("the learning rate is {}", self.learning_rate));
        }
        Ok(())
    }

    /// The learning rate of a step, counted from 0.
    pub(super) fn rate(&self, step: u64) -> f32 {
        let up = if step < self.warm_up { (step + 1) as f64 / self.warm_up as f64 } else { 1.0 };
        let left = self.steps.saturating_sub(step) as f64;
        let down = if left < self.decay as f64 { left / self.decay as f64 } else { 1.0 };
        (self.learning_rate * up.min(down)) as f32
    }
}
