//! Whether single latents pass where all compete for a place (`TopK`), without sorting all.

use candle_core::{Device, Tensor};

use super::{Gate, Sae};
use crate::error::Result;
use crate::ops::Values;
use crate::ops::linear::{Linear, Orientation};
use crate::ops::simd::{dot, kernel};

/// Up to this many rows are encoded one by one, some latents at a time, until it is clear what passes.
const FEW_ROWS: usize = 4;
/// Latents that are looked at together.
const LATENTS_AT_ONCE: usize = if cfg!(test) { 16 } else { 128 };

/// Where a latent stands among all.
struct Candidate {
    latent: usize,
    rank: f32,
    /// Latents that are ranked before it, of those that were looked at.
    ahead: usize,
}

impl Candidate {
    /// Looks at the ranks of the latents from `first` on. Of equal ones the first goes before.
    fn meet(&mut self, first: usize, ranks: &[f32]) {
        let at = self.latent.clamp(first, first + ranks.len()) - first;
        let is_own = self.latent >= first && at < ranks.len();
        let (before, after) = (&ranks[..at], &ranks[at + usize::from(is_own)..]);
        self.ahead += before.iter().filter(|&&rank| rank >= self.rank).count();
        self.ahead += after.iter().filter(|&&rank| rank > self.rank).count();
    }
}

kernel! {
    /// Products of a row with each of `rows`.
    fn row_products[simd](out: &'k mut [f32], x: &'k [f32], rows: &'k [f32]) {
        for (out, row) in out.iter_mut().zip(rows.chunks_exact(x.len())) {
            *out = dot(simd, x, row);
        }
    }
}

impl Sae {
    /// Whether `latents` pass, for each row of `resid`; `pre` are their pre-activations. A latent passes when fewer than k
    /// are ranked before it, so nothing is sorted, and one that does not is soon found out.
    pub(super) fn passes(&self, resid: &Tensor, latents: &[usize], pre: &[f32]) -> Result<Vec<bool>> {
        let (Gate::TopK { k, rank_scale } | Gate::AbsTopK { k, rank_scale }) = &self.gate else {
            return Ok(pre.iter().map(|pre| *pre > 0.0).collect());
        };
        let is_signed = matches!(self.gate, Gate::AbsTopK { .. });
        let resid = self.norm.apply(&self.checked(resid)?)?;
        let [scale, biases] = [rank_scale, &self.b_enc].map(|tensor| tensor.to_device(&Device::Cpu));
        let (scale, biases) = (scale?.flatten_all()?, biases?);
        let (scale, biases) = (Values::of(&scale), Values::of(&biases));
        let (scale, biases) = (scale.slice()?, biases.slice()?);
        let rank = |pre: f32, scale: f32| if is_signed { (pre * scale).abs() } else { pre * scale };
        let few = self.enc.device().is_cpu() && resid.dim(0)? <= FEW_ROWS;
        // Many rows at once are one product.
        let all = if few {
            None
        } else {
            let enc = Linear::new(self.enc.clone(), None, Orientation::OutIn);
            Some(enc.forward(&resid)?.to_device(&Device::Cpu)?)
        };
        let (all, rows) = (all.as_ref().map(Values::of), Values::of(&resid));
        let enc = Values::of(&self.enc);
        let (n, d, mut products) = (self.d_sae(), self.d_model(), [0.0; LATENTS_AT_ONCE]);
        let mut passes = Vec::with_capacity(pre.len());
        for (i, pre) in pre.chunks_exact(latents.len()).enumerate() {
            let candidate =
                |(&latent, &pre): (&usize, &f32)| Candidate { latent, rank: rank(pre, scale[latent]), ahead: 0 };
            let mut candidates: Vec<Candidate> = latents.iter().zip(pre).map(candidate).collect();
            for first in (0..n).step_by(LATENTS_AT_ONCE) {
                let latents = first..n.min(first + LATENTS_AT_ONCE);
                let products = &mut products[..latents.len()];
                if let Some(all) = &all {
                    products.copy_from_slice(&all.slice()?[i * n..][latents.clone()]);
                } else {
                    let row = &rows.slice()?[i * d..][..d];
                    row_products(products, row, &enc.slice()?[latents.start * d..latents.end * d]);
                }
                for ((product, bias), scale) in products.iter_mut().zip(&biases[latents.clone()]).zip(&scale[latents]) {
                    *product = rank(*product + bias, *scale);
                }
                let mut is_open = false;
                for (candidate, pre) in candidates.iter_mut().zip(pre) {
                    if candidate.ahead < *k && (*pre > 0.0 || is_signed) {
                        candidate.meet(first, products);
                        is_open |= candidate.ahead < *k;
                    }
                }
                if !is_open {
                    break;
                }
            }
            let passed = |(candidate, pre): (&Candidate, &f32)| candidate.ahead < *k && (*pre > 0.0 || is_signed);
            passes.extend(candidates.iter().zip(pre).map(passed));
        }
        Ok(passes)
    }
}
