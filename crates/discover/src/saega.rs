//! SAEGA: prompts that move a persona's SAE latents (arXiv 2601.02896; methods.md §1.6, §2).
//!
//! The latents are those whose mean activation differs most between the two sides of the pairs, weighted by that
//! signed difference (eq. 2, 4). Fitness counts their true activations; the gradient passes through what stands
//! before the activation function, because a latent that is off has none.

use tiller_engine::direction::mean_and_sd;
use tiller_engine::sae::Sae;
use tiller_engine::{Device, Model, Tensor};
use tiller_protocol::discovery::{DiscoverySettings, TargetDirection};
use tiller_protocol::persona::{Pair, PromptText};

use crate::direction;
use crate::error::{DiscoverError, Result};
use crate::measure::Measure;
use crate::pairs::states;
use crate::prompt_landscape::PromptLandscape;
use crate::setup::{self, RunData};

/// Keeps the random weights' seed apart from the search's.
const RANDOM_WEIGHTS_SALT: u64 = 0x0073_6165_6761;

/// The `n` latents with the largest absolute difference of mean activation, positive side less negative, largest
/// first, as `(latent, difference)`. Latents without a difference are left out, so there may be fewer.
///
/// # Errors
/// No pairs, or a failure of the model.
pub fn latents(model: &Model, sae: &Sae, pairs: &[Pair], n: usize) -> Result<Vec<(usize, f64)>> {
    if pairs.is_empty() {
        return Err(DiscoverError::TooFew { what: "contrastive pairs", found: 0, needed: 1 });
    }
    let mean = |side: &dyn Fn(&Pair) -> PromptText| -> Result<Vec<f32>> {
        let prompts: Vec<PromptText> = pairs.iter().map(side).collect();
        Ok(activations(model, sae, &prompts)?.mean(0)?.to_vec1()?)
    };
    let (positive, negative) = (mean(&|pair| pair.positive.clone())?, mean(&|pair| pair.negative.clone())?);
    let deltas = positive.iter().zip(&negative).map(|(p, m)| f64::from(*p) - f64::from(*m));
    Ok(largest(deltas.enumerate().collect(), n))
}

/// The landscape for a signed set of latents that points to the persona, read where the SAE reads.
///
/// # Errors
/// An empty set, latents that are constant over neutral prompts, or anything the set-up refuses.
pub fn landscape<'a>(
    model: &'a Model,
    data: &RunData<'_>,
    settings: &DiscoverySettings,
    sae: &Sae,
    latents: &[(usize, f64)],
) -> Result<PromptLandscape<'a>> {
    let latents = match settings.target {
        TargetDirection::Persona => latents.to_vec(),
        TargetDirection::Random => random_latents(sae.d_sae(), latents, settings.seed),
    };
    let neutral = activations(model, sae, data.neutral)?.to_vec2::<f32>()?;
    let sums: Vec<f64> =
        neutral.iter().map(|row| latents.iter().map(|(i, weight)| weight * f64::from(row[*i])).sum()).collect();
    let measure = Measure::latents(sae.clone(), &latents, mean_and_sd(&sums).1, settings.heading)?;
    setup::landscape(model, data, settings, sae.site().block(), measure)
}

/// True activations at the last token of each prompt, `[n_prompts, d_sae]`.
fn activations(model: &Model, sae: &Sae, prompts: &[PromptText]) -> Result<Tensor> {
    let rows = states(model, prompts, sae.site().block())?;
    Ok(sae.encode(&Tensor::new(rows, &Device::Cpu)?.to_device(model.device())?)?)
}

fn largest(mut deltas: Vec<(usize, f64)>, n: usize) -> Vec<(usize, f64)> {
    deltas.retain(|(_, delta)| *delta != 0.0);
    deltas.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
    deltas.truncate(n);
    deltas
}

/// The control: random weights of the same total length on every latent of the dictionary.
fn random_latents(d_sae: usize, latents: &[(usize, f64)], seed: u64) -> Vec<(usize, f64)> {
    let length = latents.iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt();
    let weights = direction::random(d_sae, length, seed ^ RANDOM_WEIGHTS_SALT);
    largest(weights.into_iter().map(f64::from).enumerate().collect(), latents.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latents_rank_by_size_and_keep_their_sign() {
        let deltas = vec![(0, 0.1), (1, -0.5), (2, 0.0), (3, 0.5), (4, 0.2)];
        assert_eq!(largest(deltas.clone(), 3), [(1, -0.5), (3, 0.5), (4, 0.2)]);
        assert_eq!(largest(deltas, 10).len(), 4);
    }

    #[test]
    fn random_latents_repeat() {
        let real = [(3, 1.0), (5, -2.0)];
        assert_eq!(random_latents(64, &real, 9), random_latents(64, &real, 9));
        assert_ne!(random_latents(64, &real, 9), random_latents(64, &real, 10));
        assert_eq!(random_latents(64, &real, 9).len(), 2);
    }
}
