//! SAEGA: prompts that move a persona's SAE latents (arXiv 2601.02896; methods.md §1.6, §2).
//!
//! The latents are those whose mean activation differs most between the two sides of the pairs, weighted by that
//! signed difference (eq. 2, 4). Fitness counts their true activations; the gradient passes through what stands
//! before the activation function, because a latent that is off has none.

use tiller_engine::direction::mean_and_sd;
use tiller_engine::sae::{Dictionary, Pinned, Ranking, Sae};
use tiller_engine::{Device, Model, Tensor};
use tiller_protocol::discovery::{DiscoverySettings, Heading, TargetDirection};
use tiller_protocol::persona::{Pair, PromptText};

use crate::direction;
use crate::error::{DiscoverError, Result};
use crate::measure::Measure;
use crate::pairs::states;
use crate::prompt_landscape::PromptLandscape;
use crate::setup::{self, RunData};

/// Share of the pre-activation that counts where the latents were chosen by hand: none of them may be active on any
/// prompt at the beginning (methods.md §1.6).
const LEAK: f64 = 0.01;
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
    dictionary: &Dictionary,
    latents: &[(usize, f64)],
) -> Result<PromptLandscape<'a>> {
    build(model, data, settings, (dictionary, latents), None)
}

/// The landscape for latents that were chosen by hand, `(latent, weight)`: a positive weight lets it fire more, a
/// negative one less, whatever the heading. The scale is that of the activations over neutral prompts or of the
/// pre-activations, whichever varies more, since chosen latents may never be active there.
///
/// # Errors
/// As [`landscape`].
pub fn chosen<'a>(
    model: &'a Model,
    data: &RunData<'_>,
    settings: &DiscoverySettings,
    dictionary: &Dictionary,
    latents: &[(usize, f64)],
) -> Result<PromptLandscape<'a>> {
    build(model, data, settings, (dictionary, latents), Some(LEAK))
}

fn build<'a>(
    model: &'a Model,
    data: &RunData<'_>,
    settings: &DiscoverySettings,
    (dictionary, latents): (&Dictionary, &[(usize, f64)]),
    leak: Option<f64>,
) -> Result<PromptLandscape<'a>> {
    let latents = match settings.target {
        TargetDirection::Persona => latents.to_vec(),
        TargetDirection::Random => random_latents(dictionary.d_sae(), latents, settings.seed),
    };
    if latents.is_empty() {
        return Err(DiscoverError::BadDirection("no SAE latent tells the two sides apart".to_owned()));
    }
    let (indices, weights): (Vec<usize>, Vec<f64>) = latents.into_iter().unzip();
    let pinned = Pinned::new(dictionary, &indices, Ranking::Whole, model.device())?;
    let block = dictionary.site().block();
    let neutral = Tensor::new(states(model, data.neutral, block)?, &Device::Cpu)?.to_device(model.device())?;
    let spread = |values: Tensor| -> Result<f64> {
        let sum = |row: &Vec<f32>| weights.iter().zip(row).map(|(weight, value)| weight * f64::from(*value)).sum();
        let sums: Vec<f64> = values.to_vec2::<f32>()?.iter().map(sum).collect();
        Ok(mean_and_sd(&sums).1)
    };
    let mut sigma = spread(pinned.activations(&neutral)?)?;
    if leak.is_some() {
        sigma = sigma.max(spread(pinned.pre_activations(&neutral)?)?);
    }
    let heading = if leak.is_some() { Heading::Toward } else { settings.heading };
    let measure = Measure::latents(pinned, &weights, leak.unwrap_or_default(), sigma, heading)?;
    setup::landscape(model, data, settings, block, measure)
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
