//! From a residual to the number that is climbed (methods.md §2.2, §2.9).
//!
//! Every measure is signed by the heading and, except the published plain dot product, counted from what the same
//! context shows without any prompt.

use candle_core::{D, DType, Tensor};
use tiller_engine::sae::Pinned;
use tiller_protocol::discovery::{Heading, Objective};

use crate::direction;
use crate::error::{DiscoverError, Result};

/// Added to squared lengths so that a cosine is defined everywhere.
const TINY: f64 = 1e-12;

/// A number read from the residual at the end of the prompt.
#[derive(Clone, Debug)]
pub struct Measure {
    reading: Reading,
    /// Sign of the heading over the unit of the scale.
    factor: f64,
    /// Whether the value without a prompt is subtracted.
    is_shift: bool,
}

#[derive(Clone, Debug)]
enum Reading {
    /// `⟨r, v⟩`; `[d_model, 1]`.
    Dot(Tensor),
    /// `cos(r, v)`; the unit vector `[d_model, 1]`.
    Cosine(Tensor),
    /// `Σ w_i (z_i(r) + leak · pre_i(r))`; the weights `[n, 1]`.
    Latents { pinned: Pinned, weights: Tensor, leak: f64 },
}

impl Measure {
    /// A direction of the residual stream. `sigma` is the standard deviation of the projection on the unit direction
    /// over neutral prompts, in residual units; only [`Objective::ProjectionSigma`] uses it.
    ///
    /// # Errors
    /// A direction or σ without length.
    pub fn direction(objective: Objective, vector: &[f32], sigma: f64, heading: Heading) -> Result<Self> {
        let unit = direction::unit(vector)?;
        let column = |v: &[f32]| Tensor::from_slice(v, (v.len(), 1), &tiller_engine::Device::Cpu);
        let sign = sign(heading);
        Ok(match objective {
            Objective::ProjectionSigma => {
                Self { reading: Reading::Dot(column(&unit)?), factor: sign / positive(sigma)?, is_shift: true }
            }
            Objective::CosineDifference => {
                Self { reading: Reading::Cosine(column(&unit)?), factor: sign, is_shift: true }
            }
            Objective::RawDot => Self { reading: Reading::Dot(column(vector)?), factor: sign, is_shift: false },
        })
    }

    /// A signed set of SAE latents, each with its weight. `sigma` is the standard deviation of their weighted sum over
    /// neutral prompts. With a `leak`, that share of each pre-activation is added to the activation, so that a prompt on
    /// which none of the latents is active is told from a better one.
    ///
    /// # Errors
    /// Another number of weights than latents, or a σ that is not above 0.
    pub fn latents(pinned: Pinned, weights: &[f64], leak: f64, sigma: f64, heading: Heading) -> Result<Self> {
        if weights.len() != pinned.latents().len() {
            let (found, n) = (weights.len(), pinned.latents().len());
            return Err(DiscoverError::BadDirection(format!("it has {found} weights for {n} latents")));
        }
        let weights: Vec<f32> = weights.iter().map(|weight| *weight as f32).collect();
        let n = weights.len();
        let weights = Tensor::from_vec(weights, (n, 1), &tiller_engine::Device::Cpu)?;
        let factor = sign(heading) / positive(sigma)?;
        Ok(Self { reading: Reading::Latents { pinned, weights, leak }, factor, is_shift: true })
    }

    /// Whether the value without a prompt is subtracted.
    pub fn is_shift(&self) -> bool {
        self.is_shift
    }

    /// Values of `rows` `[n, d_model]`; SAE latents as they really are.
    ///
    /// # Errors
    /// A failure in the tensor library.
    pub fn values(&self, rows: &Tensor) -> Result<Vec<f64>> {
        let rows = rows.detach();
        let values = match &self.reading {
            Reading::Latents { pinned, weights, leak } => {
                let mut values = pinned.activations(&rows)?;
                if *leak > 0.0 {
                    values = (values + (pinned.pre_activations(&rows)? * *leak)?)?;
                }
                column_product(&values, weights)?
            }
            _ => self.reading(&rows)?,
        };
        let values: Vec<f32> = values.to_vec1()?;
        Ok(values.into_iter().map(|value| f64::from(value) * self.factor).collect())
    }

    /// Values of `rows` `[n, d_model]` as a tensor `[n]`, f32, through which the gradient flows to the rows. SAE
    /// latents are read before their activation function: one that is off would give no gradient.
    ///
    /// # Errors
    /// A failure in the tensor library.
    pub fn surrogate(&self, rows: &Tensor) -> tiller_engine::Result<Tensor> {
        Ok((self.reading(rows)? * self.factor)?)
    }

    fn reading(&self, rows: &Tensor) -> tiller_engine::Result<Tensor> {
        let rows = rows.to_dtype(DType::F32)?;
        match &self.reading {
            Reading::Dot(column) => column_product(&rows, column),
            Reading::Cosine(column) => {
                let lengths = (rows.sqr()?.sum(D::Minus1)? + TINY)?.sqrt()?;
                Ok((column_product(&rows, column)? / lengths)?)
            }
            Reading::Latents { pinned, weights, .. } => column_product(&pinned.pre_activations(&rows)?, weights),
        }
    }
}

/// `[n, k]` times `[k, 1]` as `[n]`.
fn column_product(rows: &Tensor, column: &Tensor) -> tiller_engine::Result<Tensor> {
    Ok(rows.matmul(&column.to_device(rows.device())?)?.squeeze(1)?)
}

fn sign(heading: Heading) -> f64 {
    match heading {
        Heading::Away => -1.0,
        Heading::Toward => 1.0,
    }
}

fn positive(sigma: f64) -> Result<f64> {
    if sigma.is_finite() && sigma > 0.0 {
        Ok(sigma)
    } else {
        Err(DiscoverError::BadDirection(format!("it does not vary over neutral prompts (σ = {sigma})")))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn each_objective_reads_its_own_number() {
        let rows = Tensor::new(&[[3.0_f32, 4.0], [0.0, -2.0]], &Device::Cpu).unwrap();
        for (objective, heading, expected) in [
            (Objective::ProjectionSigma, Heading::Toward, [2.0, -1.0]),
            (Objective::ProjectionSigma, Heading::Away, [-2.0, 1.0]),
            (Objective::CosineDifference, Heading::Toward, [0.8, -1.0]),
            (Objective::RawDot, Heading::Toward, [40.0, -20.0]),
        ] {
            let measure = Measure::direction(objective, &[0.0, 10.0], 2.0, heading).unwrap();
            for (found, expected) in measure.values(&rows).unwrap().iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5, "{objective:?}: {found} is not {expected}");
            }
            assert_eq!(measure.is_shift(), objective != Objective::RawDot);
        }
    }

    #[test]
    fn gradients_flow_through_the_cosine() {
        let rows = Var::new(&[[3.0_f32, 4.0]], &Device::Cpu).unwrap();
        let measure = Measure::direction(Objective::CosineDifference, &[0.0, 1.0], 1.0, Heading::Toward).unwrap();
        let grads = measure.surrogate(rows.as_tensor()).unwrap().sum_all().unwrap().backward().unwrap();
        let grad: Vec<Vec<f32>> = grads.get(rows.as_tensor()).unwrap().to_vec2().unwrap();
        // d(y/|r|) = (−xy, x²)/|r|³
        assert!((grad[0][0] + 12.0 / 125.0).abs() < 1e-5 && (grad[0][1] - 9.0 / 125.0).abs() < 1e-5, "{grad:?}");
    }

    #[test]
    fn a_scale_of_zero_is_refused() {
        assert!(Measure::direction(Objective::ProjectionSigma, &[1.0], 0.0, Heading::Away).is_err());
        assert!(Measure::direction(Objective::ProjectionSigma, &[0.0], 1.0, Heading::Away).is_err());
    }
}
