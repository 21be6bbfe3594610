//! Cross-entropy of next tokens without ever holding all logits: rows go through the head a chunk at a time.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::linear::Linear;
use super::simd::{exp, kernel, log_sum_exp};
use super::{Values, is_fused, values};

/// −log P(target) of every row in nats, `[n]`, f32. `hidden` `[n, d_model]` comes after the final norm; the gradient
/// passes to it.
pub(crate) fn cross_entropy(hidden: &Tensor, head: &Linear, targets: &[u32]) -> Result<Tensor> {
    if is_fused(hidden) {
        return hidden.contiguous()?.apply_op1(CrossEntropy { head: head.clone(), targets: targets.into() });
    }
    composite(hidden, head, targets)
}

/// The same by stock operations; holds all logits.
pub(crate) fn composite(hidden: &Tensor, head: &Linear, targets: &[u32]) -> Result<Tensor> {
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
pub(crate) fn negative_log_probs(hidden: &Tensor, head: &Linear) -> Result<Tensor> {
    if !is_fused(hidden) {
        return log_softmax(&head.composite(&hidden.detach())?)?.neg();
    }
    let hidden = hidden.contiguous()?;
    let (n, vocab) = (hidden.dim(0)?, head.n_out());
    let mut out = vec![0.0; n * vocab];
    head.forward_into(&mut out, Values::of(&hidden).slice()?, false)?;
    out.par_chunks_mut(vocab).for_each(|row| {
        let norm = log_sum_exp(row);
        row.iter_mut().for_each(|value| *value = norm - *value);
    });
    Tensor::from_vec(out, (n, vocab), hidden.device())
}

/// [`cross_entropy`] where the [`negative_log_probs`] of the rows are known already: nothing is computed twice.
pub(crate) fn cross_entropy_known(hidden: &Tensor, head: &Linear, targets: &[u32], nll: &Tensor) -> Result<Tensor> {
    if is_fused(hidden) {
        let op = KnownCrossEntropy { head: head.clone(), targets: targets.into(), nll: nll.clone() };
        return hidden.contiguous()?.apply_op1(op);
    }
    composite(hidden, head, targets)
}

struct KnownCrossEntropy {
    head: Linear,
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
        let rows = nll.slice()?.chunks_exact(self.head.n_out());
        let out = rows.zip(&*self.targets).map(|(row, &target)| row[target as usize]).collect();
        Ok((CpuStorage::F32(out), Shape::from(self.targets.len())))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let vocab = self.head.n_out();
        let grad = grad.contiguous()?;
        let (nll, grad) = (Values::of(&self.nll), Values::of(&grad));
        let mut d_logits = nll.slice()?.to_vec();
        (d_logits.par_chunks_mut(vocab), &*self.targets, grad.slice()?)
            .into_par_iter()
            .for_each(|(row, &target, &grad)| probability_gradient(row, target as usize, grad));
        let mut dx = vec![0.0; arg.elem_count()];
        self.head.backward_into(&mut dx, &d_logits, false)?;
        Tensor::from_vec(dx, arg.shape(), arg.device()).map(Some)
    }
}

kernel! {
    /// From −log P: `row = (P − onehot(target)) · grad`.
    fn probability_gradient(row: &'k mut [f32], target: usize, grad: f32) {
        for value in row.iter_mut() {
            *value = exp(-*value) * grad;
        }
        row[target] -= grad;
    }
}

struct CrossEntropy {
    head: Linear,
    targets: Arc<[u32]>,
}

/// Logits held at once, values: 16 MiB.
const CHUNK_VALUES: usize = 1 << 22;

kernel! {
    /// `row = (softmax(row) − onehot(target)) · grad`.
    fn loss_gradient(row: &'k mut [f32], norm: f32, target: usize, grad: f32) {
        for value in row.iter_mut() {
            *value = exp(*value - norm) * grad;
        }
        row[target] -= grad;
    }
}

impl CrossEntropy {
    /// Runs `visit` on chunks of rows: first row, their hidden states, their logits.
    fn chunks(&self, hidden: &[f32], mut visit: impl FnMut(usize, &mut [f32]) -> Result<()>) -> Result<()> {
        let (d, vocab) = (self.head.n_in(), self.head.n_out());
        let rows = (CHUNK_VALUES / vocab).max(16);
        let mut logits = vec![0.0; rows.min(self.targets.len()) * vocab];
        for (i, hidden) in hidden.chunks(rows * d).enumerate() {
            let logits = &mut logits[..hidden.len() / d * vocab];
            self.head.forward_into(logits, hidden, false)?;
            visit(i * rows, logits)?;
        }
        Ok(())
    }
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "tiller-cross-entropy"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let vocab = self.head.n_out();
        let mut out = vec![0.0; self.targets.len()];
        self.chunks(values(storage, layout)?, |first, logits| {
            let rows = logits.len() / vocab;
            (out[first..first + rows].par_iter_mut(), logits.par_chunks(vocab), &self.targets[first..first + rows])
                .into_par_iter()
                .for_each(|(loss, row, &target)| *loss = log_sum_exp(row) - row[target as usize]);
            Ok(())
        })?;
        Ok((CpuStorage::F32(out), Shape::from(self.targets.len())))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (d, vocab) = (self.head.n_in(), self.head.n_out());
        let grad = grad.contiguous()?;
        let (hidden, grad) = (Values::of(arg), Values::of(&grad));
        let grad = grad.slice()?;
        let mut dx = vec![0.0; self.targets.len() * d];
        self.chunks(hidden.slice()?, |first, logits| {
            let rows = logits.len() / vocab;
            (logits.par_chunks_mut(vocab), &self.targets[first..first + rows], &grad[first..first + rows])
                .into_par_iter()
                .for_each(|(row, &target, &grad)| loss_gradient(row, log_sum_exp(row), target as usize, grad));
            self.head.backward_into(&mut dx[first * d..(first + rows) * d], logits, false)
        })?;
        Tensor::from_vec(dx, arg.shape(), arg.device()).map(Some)
    }
}
