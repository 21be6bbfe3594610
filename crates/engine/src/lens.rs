//! The logit lens: what a vector in the residual stream does to the logits of the next token, as if the blocks after it
//! were not there (nostalgebraist 2020; for rows of a decoder as in Bloom and Lin 2024).
//!
//! For a vector w, `z = W_U·(g ⊙ w)` with the gain g of the final norm (1 + weight for Gemma), and the mean of z over the
//! vocabulary taken away, since adding one number to all logits changes nothing. The norm's division and a soft cap of
//! the logits are left out: they depend on what else is in the stream, and keep the order. Of a vector from an early
//! block it says little, because the blocks after it turn it.

use std::sync::{Arc, OnceLock};

use candle_core::{DType, Device};
use rayon::prelude::*;

use crate::error::{EngineError, Result};
use crate::model::Model;
use crate::ops::linear::Linear;

/// A token and what happens to its logit.
pub type TokenEffects = Vec<(u32, f32)>;

/// Rows of the head that are widened at once when their mean is taken.
const ROWS_AT_ONCE: usize = 512;

/// The end of a model: final norm and head. Shares their tensors with it, and may be used on another thread while the
/// model runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lens {
    head: Linear,
    device: Device,
    /// Of the final norm, `[d_model]`.
    gain: Arc<[f32]>,
    /// Tokens that the tokenizer has; the head may have more rows.
    n_tokens: usize,
    /// Mean row of the head, `[d_model]`.
    mean: Arc<OnceLock<Vec<f32>>>,
}

impl Model {
    /// Its logit lens.
    ///
    /// # Errors
    /// A failure of the device.
    pub fn lens(&self) -> Result<Lens> {
        let head = self.weights.head.linear.clone();
        let gain = self.weights.norm.weight.to_dtype(DType::F32)?.to_vec1::<f32>()?;
        Ok(Lens {
            device: self.device.clone(),
            gain: gain.into(),
            n_tokens: self.tokenizer.len().min(head.n_out()),
            mean: Arc::default(),
            head,
        })
    }
}

impl Lens {
    /// Width of the residual stream.
    pub fn d_model(&self) -> usize {
        self.gain.len()
    }

    /// Number of tokens that effects are worked out for.
    pub fn n_tokens(&self) -> usize {
        self.n_tokens
    }

    /// Effect of a vector `[d_model]` on the logit of each token, `[n_tokens]`, their mean taken away. Reads the whole
    /// head.
    ///
    /// # Errors
    /// A vector of another width, a failure of the device.
    pub fn effects(&self, vector: &[f32]) -> Result<Vec<f32>> {
        let d = self.d_model();
        if vector.len() != d {
            return Err(EngineError::BadRequest(format!("a vector of {} values, not {d}", vector.len())));
        }
        let gained: Vec<f32> = vector.iter().zip(&*self.gain).map(|(w, g)| w * g).collect();
        let mut effects = self.head.exact_row(&gained, self.n_tokens)?;
        let mean = effects.iter().map(|&effect| f64::from(effect)).sum::<f64>() / self.n_tokens.max(1) as f64;
        for effect in &mut effects {
            *effect -= mean as f32;
        }
        Ok(effects)
    }

    /// The `n` tokens that a vector `[d_model]` promotes most, the strongest first, and the `n` that it suppresses most.
    ///
    /// # Errors
    /// As [`Self::effects`].
    pub fn top(&self, vector: &[f32], n: usize) -> Result<(TokenEffects, TokenEffects)> {
        let effects = self.effects(vector)?;
        Ok((largest(&effects, n, 1.0), largest(&effects, n, -1.0)))
    }

    /// The vector `[d_model]` whose product with any other is that one's effect on the logit of `token`:
    /// `g ⊙ (W_U[token] − mean W_U)`. The first call reads the whole head.
    ///
    /// # Errors
    /// A token that the tokenizer does not have, a failure of the device.
    pub fn direction(&self, token: u32) -> Result<Vec<f32>> {
        if token as usize >= self.n_tokens {
            return Err(EngineError::BadRequest(format!("token {token} is not among {}", self.n_tokens)));
        }
        let row = self.rows(token, 1)?;
        let mean = if let Some(mean) = self.mean.get() {
            mean
        } else {
            let mean = self.mean_row()?;
            self.mean.get_or_init(|| mean)
        };
        Ok(row.iter().zip(mean).zip(&*self.gain).map(|((w, mean), g)| g * (w - mean)).collect())
    }

    fn mean_row(&self) -> Result<Vec<f32>> {
        let starts: Vec<usize> = (0..self.n_tokens).step_by(ROWS_AT_ONCE).collect();
        let sum = |&first: &usize| -> Result<Vec<f32>> {
            let rows = self.rows(first as u32, ROWS_AT_ONCE.min(self.n_tokens - first))?;
            let mut sum = vec![0.0; self.d_model()];
            for row in rows.chunks_exact(sum.len()) {
                sum.iter_mut().zip(row).for_each(|(sum, w)| *sum += w);
            }
            Ok(sum)
        };
        let sums: Vec<Vec<f32>> = starts.par_iter().map(sum).collect::<Result<_>>()?;
        let mean = |i: usize| sums.iter().map(|sum| f64::from(sum[i])).sum::<f64>() / self.n_tokens.max(1) as f64;
        Ok((0..self.d_model()).map(|i| mean(i) as f32).collect())
    }

    /// Some rows of the head.
    fn rows(&self, first: u32, n: usize) -> Result<Vec<f32>> {
        let ids: Vec<u32> = (first..first + n as u32).collect();
        Ok(self.head.look_up(&ids, &self.device)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?)
    }
}

/// The `n` largest of `sign · values`, with their places; the first of equal ones.
fn largest(values: &[f32], n: usize, sign: f32) -> TokenEffects {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    let rank = |a: &u32, b: &u32| (sign * values[*b as usize]).total_cmp(&(sign * values[*a as usize])).then(a.cmp(b));
    let n = n.min(order.len());
    if n > 0 && n < order.len() {
        order.select_nth_unstable_by(n - 1, rank);
    }
    order.truncate(n);
    order.sort_unstable_by(rank);
    order.into_iter().map(|token| (token, values[token as usize])).collect()
}

#[cfg(test)]
mod tests;
