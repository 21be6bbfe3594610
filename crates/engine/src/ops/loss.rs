//! Cross-entropy of next tokens without ever holding all logits: rows go through the head a chunk at a time.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::linear::Linear;
use super::simd::{exp, kernel, log_sum_exp, max, sum_exp};
use super::softcap::{self, soft_cap_all};
use super::{Values, is_fused, values};

/// What turns normed residuals into logits.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) linear: Linear,
    /// Logits `l` become `cap·tanh(l/cap)`.
    pub(crate) softcap: Option<f32>,
}

impl Head {
    /// Logits `[n, vocab]` of `hidden` `[n, d_model]`; the gradient passes.
    pub(crate) fn forward(&self, hidden: &Tensor) -> Result<Tensor> {
        self.capped(self.linear.forward(hidden)?)
    }

    fn composite(&self, hidden: &Tensor) -> Result<Tensor> {
        self.capped(self.linear.composite(hidden)?)
    }

    fn capped(&self, logits: Tensor) -> Result<Tensor> {
        match self.softcap {
            Some(cap) => softcap::composite(&logits, cap),
            None => Ok(logits),
        }
    }
}

/// −log P(target) of every row in nats, `[n]`, f32. `hidden` `[n, d_model]` comes after the final norm; the gradient
/// passes to it.
pub(crate) fn cross_entropy(hidden: &Tensor, head: &Head, targets: &[u32]) -> Result<Tensor> {
    if is_fused(hidden) {
        return hidden.contiguous()?.apply_op1(CrossEntropy { head: head.clone(), targets: targets.into() });
    }
    composite(hidden, head, targets)
}

/// The same by stock operations; holds all logits.
pub(crate) fn composite(hidden: &Tensor, head: &Head, targets: &[u32]) -> Result<Tensor> {
    let log_probs = log_softmax(&head.composite(hidden)?)?;
    let index = Tensor::new(targets, hidden.device())?.unsqueeze(1)?;
    log_probs.gather(&index, 1)?.squeeze(1)?.neg()
}

/// Log-probabilities of logits `[n, vocab]` by stock operations, in f32.
pub(crate) fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    let logits = logits.to_dtype(DType::F32)?;
    let shifted = logits.broadcast_sub(&logits.max_keepdim(1)?.detach())?;
    shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(1)?.log()?)
}

/// −log P of every token, `[n, vocab]` f32, without a gradient: the label term of methods.md eq. 7.
pub(crate) fn negative_log_probs(hidden: &Tensor, head: &Head) -> Result<Tensor> {
    if !is_fused(hidden) {
        return log_softmax(&head.composite(&hidden.detach())?)?.neg();
    }
    let hidden = hidden.contiguous()?;
    let (n, vocab) = (hidden.dim(0)?, head.linear.n_out());
    let mut out = vec![0.0; n * vocab];
    head.linear.forward_into(&mut out, Values::of(&hidden).slice()?, false)?;
    if let Some(cap) = head.softcap {
        soft_cap_all(&mut out, cap);
    }
    out.par_chunks_mut(vocab).for_each(|row| {
        let norm = log_sum_exp(row);
        for value in row {
            *value = norm - *value;
        }
    });
    Tensor::from_vec(out, (n, vocab), hidden.device())
}

/// [`cross_entropy`] where the [`negative_log_probs`] of the rows are known already: nothing is computed twice.
pub(crate) fn cross_entropy_known(hidden: &Tensor, head: &Head, targets: &[u32], nll: &Tensor) -> Result<Tensor> {
    if is_fused(hidden) {
        let op = KnownCrossEntropy { head: head.clone(), targets: targets.into(), nll: nll.clone() };
        return hidden.contiguous()?.apply_op1(op);
    }
    composite(hidden, head, targets)
}

struct KnownCrossEntropy {
    head: Head,
    targets: Arc<[u32]>,
    /// `[n, vocab]`.
    nll: Tensor,
}

impl CustomOp1 for KnownCrossEntropy {
    fn name(&self) -> &'static str {
        "tiller-known-cross-entropy"
    }

    fn cpu_fwd(&self, _storage: &CpuStorage, _layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let nll = Values::of(&self.nll);
        let rows = nll.slice()?.chunks_exact(self.head.linear.n_out());
        let out = rows.zip(&*self.targets).map(|(row, &target)| row[target as usize]).collect();
        Ok((CpuStorage::F32(out), Shape::from(self.targets.len())))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let vocab = self.head.linear.n_out();
        let grad = grad.contiguous()?;
        let (nll, grad) = (Values::of(&self.nll), Values::of(&grad));
        let mut d_logits = nll.slice()?.to_vec();
        (d_logits.par_chunks_mut(vocab), &*self.targets, grad.slice()?)
            .into_par_iter()
            .for_each(|(row, &target, &grad)| probability_gradient(row, target as usize, grad));
        if let Some(cap) = self.head.softcap {
            self.undo_cap(&mut d_logits, Values::of(arg).slice()?, nll.slice()?, cap)?;
        }
        let mut dx = vec![0.0; arg.elem_count()];
        self.head.linear.backward_into(&mut dx, &d_logits, false)?;
        Tensor::from_vec(dx, arg.shape(), arg.device()).map(Some)
    }
}

impl KnownCrossEntropy {
    /// Turns gradients of the capped logits into those of the logits before, `[n, vocab]`. The capped ones are known up
    /// to a number for each row, which one logit gives.
    fn undo_cap(&self, d_logits: &mut [f32], hidden: &[f32], nll: &[f32], cap: f32) -> Result<()> {
        let vocab = self.head.linear.n_out();
        let mut first = vec![0.0; self.targets.len()];
        self.head.linear.forward_some(&mut first, hidden, 0..1)?;
        soft_cap_all(&mut first, cap);
        (d_logits.par_chunks_mut(vocab), nll.par_chunks(vocab), &first)
            .into_par_iter()
            .for_each(|(row, nll, first)| capped_gradient(row, nll, first + nll[0], 1.0 / cap));
        Ok(())
    }
}

kernel! {
    /// `row ·= 1 − (l/cap)²` for capped logits l = norm + log P.
    fn capped_gradient[_simd](row: &'k mut [f32], nll: &'k [f32], norm: f32, inverse_cap: f32) {
        for (value, nll) in row.iter_mut().zip(nll) {
            let t = (norm - nll) * inverse_cap;
            *value *= 1.0 - t * t;
        }
    }
}

kernel! {
    /// From −log P: `row = (P − onehot(target)) · grad`.
    fn probability_gradient[_simd](row: &'k mut [f32], target: usize, grad: f32) {
        for value in row.iter_mut() {
            *value = exp(-*value) * grad;
        }
        row[target] -= grad;
    }
}

struct CrossEntropy {
    head: Head,
    targets: Arc<[u32]>,
}

/// Rows and tokens of the logits held at once: 8 MiB, with the head's rows read once for many hidden states.
const ROWS_AT_ONCE: usize = 512;
const TOKENS_AT_ONCE: usize = 4096;

/// Largest logit so far and the sum of exponentials relative to it.
#[derive(Clone, Copy)]
struct Running {
    top: f32,
    sum: f32,
}

impl Running {
    const START: Self = Self { top: f32::NEG_INFINITY, sum: 0.0 };

    fn log_sum_exp(self) -> f32 {
        self.top + self.sum.ln()
    }
}

kernel! {
    fn add_logits[simd](running: Running, logits: &'k [f32]) -> Running {
        let top = running.top.max(max(simd, logits));
        Running { top, sum: running.sum * exp(running.top - top) + sum_exp(simd, logits, top) }
    }
}

kernel! {
    /// `row = softmax(row) · grad`, given the logarithm of the softmax's denominator.
    fn weighted_softmax[_simd](row: &'k mut [f32], norm: f32, grad: f32) {
        for value in row.iter_mut() {
            *value = exp(*value - norm) * grad;
        }
    }
}

kernel! {
    /// The same with respect to logits before the soft cap, given those after it.
    fn capped_softmax[_simd](row: &'k mut [f32], norm: f32, grad: f32, inverse_cap: f32) {
        for value in row.iter_mut() {
            let t = *value * inverse_cap;
            *value = exp(*value - norm) * grad * (1.0 - t * t);
        }
    }
}

impl CrossEntropy {
    /// Runs `visit` on the logits of `hidden` for some tokens at a time: the first token, their logits.
    fn by_tokens(&self, hidden: &[f32], mut visit: impl FnMut(usize, &mut [f32]) -> Result<()>) -> Result<()> {
        let (rows, vocab) = (hidden.len() / self.head.linear.n_in(), self.head.linear.n_out());
        let mut logits = vec![0.0; rows * vocab.min(TOKENS_AT_ONCE)];
        for first in (0..vocab).step_by(TOKENS_AT_ONCE) {
            let n = TOKENS_AT_ONCE.min(vocab - first);
            self.head.linear.forward_some(&mut logits[..rows * n], hidden, first..first + n)?;
            if let Some(cap) = self.head.softcap {
                soft_cap_all(&mut logits[..rows * n], cap);
            }
            visit(first, &mut logits[..rows * n])?;
        }
        Ok(())
    }

    /// ln Σ exp(logit) and the target's logit of each of some rows.
    fn norms(&self, hidden: &[f32], targets: &[u32]) -> Result<Vec<(f32, f32)>> {
        let mut found = vec![(Running::START, 0.0); targets.len()];
        self.by_tokens(hidden, |first, logits| {
            let n = logits.len() / targets.len();
            found.par_iter_mut().zip(logits.par_chunks(n)).zip(targets).for_each(|((found, row), &target)| {
                found.0 = add_logits(found.0, row);
                if let Some(logit) = (target as usize).checked_sub(first).and_then(|at| row.get(at)) {
                    found.1 = *logit;
                }
            });
            Ok(())
        })?;
        Ok(found.into_iter().map(|(running, logit)| (running.log_sum_exp(), logit)).collect())
    }
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "tiller-cross-entropy"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let hidden = values(storage, layout)?.chunks(ROWS_AT_ONCE * self.head.linear.n_in());
        let mut out = Vec::with_capacity(self.targets.len());
        for (hidden, targets) in hidden.zip(self.targets.chunks(ROWS_AT_ONCE)) {
            out.extend(self.norms(hidden, targets)?.into_iter().map(|(norm, logit)| norm - logit));
        }
        Ok((CpuStorage::F32(out), Shape::from(self.targets.len())))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let d = self.head.linear.n_in();
        let grad = grad.contiguous()?;
        let (hidden, grad) = (Values::of(arg), Values::of(&grad));
        let mut dx = vec![0.0; arg.elem_count()];
        let chunks = (dx.chunks_mut(ROWS_AT_ONCE * d))
            .zip(hidden.slice()?.chunks(ROWS_AT_ONCE * d))
            .zip(self.targets.chunks(ROWS_AT_ONCE))
            .zip(grad.slice()?.chunks(ROWS_AT_ONCE));
        for (((dx, hidden), targets), grads) in chunks {
            let norms = self.norms(hidden, targets)?;
            self.by_tokens(hidden, |first, logits| {
                let n = logits.len() / targets.len();
                (logits.par_chunks_mut(n), &norms, targets, grads).into_par_iter().for_each(
                    |(row, &(norm, logit), &target, &grad)| {
                        let own = (target as usize).checked_sub(first).filter(|&at| at < row.len());
                        let slope = match self.head.softcap {
                            None => {
                                weighted_softmax(row, norm, grad);
                                1.0
                            }
                            Some(cap) => {
                                capped_softmax(row, norm, grad, 1.0 / cap);
                                1.0 - (logit / cap).powi(2)
                            }
                        };
                        if let Some(own) = own {
                            row[own] -= grad * slope;
                        }
                    },
                );
                self.head.linear.backward_some(dx, logits, first..first + n)
            })?;
        }
        Tensor::from_vec(dx, arg.shape(), arg.device()).map(Some)
    }
}
