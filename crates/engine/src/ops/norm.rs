//! RMSNorm: `y = x / √(mean(x²) + ε) · w` (Zhang & Sennrich 2019, as in Hugging Face `LlamaRMSNorm`).

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::simd::{dot, kernel};
use super::{ROWS_PER_TASK, Values, is_fused, values};

/// Norm of `x` `[n, d]` with `weight` `[d]`; the gradient passes to `x`.
pub(crate) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    if is_fused(x) {
        return x.contiguous()?.apply_op1(RmsNorm { weight: weight.clone(), eps: eps as f32 });
    }
    composite(x, weight, eps)
}

/// The same by stock operations, computed in f32.
pub(crate) fn composite(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    let wide = x.to_dtype(candle_core::DType::F32)?;
    let inverse = (wide.sqr()?.mean_keepdim(1)? + eps)?.sqrt()?.recip()?;
    wide.broadcast_mul(&inverse)?.to_dtype(x.dtype())?.broadcast_mul(weight)
}

struct RmsNorm {
    weight: Tensor,
    eps: f32,
}

kernel! {
    fn norm_rows(out: &'k mut [f32], x: &'k [f32], weight: &'k [f32], eps: f32) {
        let d = weight.len();
        for (out, x) in out.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
            let inverse = 1.0 / (dot(x, x) / d as f32 + eps).sqrt();
            for ((out, x), w) in out.iter_mut().zip(x).zip(weight) {
                *out = x * inverse * w;
            }
        }
    }
}

kernel! {
    /// dx = i·(w·g) − x·i³/d·Σ(w·g·x), with i the inverse root mean square.
    fn grad_rows(dx: &'k mut [f32], x: &'k [f32], grad: &'k [f32], weight: &'k [f32], eps: f32) {
        let d = weight.len();
        for ((dx, x), grad) in dx.chunks_exact_mut(d).zip(x.chunks_exact(d)).zip(grad.chunks_exact(d)) {
            let inverse = 1.0 / (dot(x, x) / d as f32 + eps).sqrt();
            for ((dx, g), w) in dx.iter_mut().zip(grad).zip(weight) {
                *dx = g * w;
            }
            let along = dot(dx, x) * inverse * inverse * inverse / d as f32;
            for (dx, x) in dx.iter_mut().zip(x) {
                *dx = dx.mul_add(inverse, -along * x);
            }
        }
    }
}

/// Norms `x` `[n, d]` into `out`, `weight` `[d]`.
pub(crate) fn norm_into(out: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
    let size = weight.len() * ROWS_PER_TASK;
    if x.len() <= size {
        return norm_rows(out, x, weight, eps);
    }
    out.par_chunks_mut(size).zip(x.par_chunks(size)).for_each(|(out, x)| norm_rows(out, x, weight, eps));
}

impl CustomOp1 for RmsNorm {
    fn name(&self) -> &'static str {
        "tiller-rms-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (values(storage, layout)?, Values::of(&self.weight));
        let mut out = vec![0.0; x.len()];
        norm_into(&mut out, x, weight.slice()?, self.eps);
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (x, g, weight) = (Values::of(arg), Values::of(&grad), Values::of(&self.weight));
        let (x, g, weight) = (x.slice()?, g.slice()?, weight.slice()?);
        let mut dx = vec![0.0; x.len()];
        let size = weight.len() * ROWS_PER_TASK;
        dx.par_chunks_mut(size)
            .zip(x.par_chunks(size))
            .zip(g.par_chunks(size))
            .for_each(|((dx, x), g)| grad_rows(dx, x, g, weight, self.eps));
        Tensor::from_vec(dx, arg.shape(), arg.device()).map(Some)
    }
}
