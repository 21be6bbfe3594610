//! `RMSNorm`: `y = x / √(mean(x²) + ε) · w` (Zhang & Sennrich 2019, as in Hugging Face `LlamaRMSNorm` and
//! `GemmaRMSNorm`; between them only the place of a rounding differs, here nothing is rounded before the end).

use candle_core::{CpuStorage, CustomOp1, D, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::simd::{dot, kernel};
use super::{ROWS_PER_TASK, Values, is_fused, values};

/// A norm over rows of some width.
#[derive(Clone, Debug)]
pub(crate) struct Norm {
    /// `[width]`, f32 whatever the model's number format.
    pub(crate) weight: Tensor,
    pub(crate) eps: f64,
}

impl Norm {
    /// Norm of `x` `[n, d_model]`; the gradient passes to `x`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if is_fused(x) { x.contiguous()?.apply_op1(self.clone()) } else { self.composite(x) }
    }

    /// The same by stock operations, over the last axis of any number of axes; computed in f32.
    pub(crate) fn composite(&self, x: &Tensor) -> Result<Tensor> {
        let wide = x.to_dtype(DType::F32)?;
        let inverse = (wide.sqr()?.mean_keepdim(D::Minus1)? + self.eps)?.sqrt()?.recip()?;
        wide.broadcast_mul(&inverse)?.broadcast_mul(&self.weight)?.to_dtype(x.dtype())
    }

    /// Norms rows `x` into `out`.
    pub(crate) fn forward_into(&self, out: &mut [f32], x: &[f32]) -> Result<()> {
        let weight = Values::of(&self.weight);
        let (weight, eps) = (weight.slice()?, self.eps as f32);
        let size = weight.len() * ROWS_PER_TASK;
        if x.len() <= size {
            norm_rows(out, x, weight, eps);
        } else {
            out.par_chunks_mut(size).zip(x.par_chunks(size)).for_each(|(out, x)| norm_rows(out, x, weight, eps));
        }
        Ok(())
    }

    /// Adds the norm of rows `x` to `to`.
    pub(crate) fn add_into(&self, to: &mut [f32], x: &[f32]) -> Result<()> {
        let weight = Values::of(&self.weight);
        let (weight, eps) = (weight.slice()?, self.eps as f32);
        let size = weight.len() * ROWS_PER_TASK;
        if x.len() <= size {
            add_norm_rows(to, x, weight, eps);
        } else {
            to.par_chunks_mut(size).zip(x.par_chunks(size)).for_each(|(to, x)| add_norm_rows(to, x, weight, eps));
        }
        Ok(())
    }

    /// Adds the gradient with respect to `x` to `dx`, given that of the output.
    pub(crate) fn backward_add(&self, dx: &mut [f32], x: &[f32], grad: &[f32]) -> Result<()> {
        let weight = Values::of(&self.weight);
        let (weight, eps) = (weight.slice()?, self.eps as f32);
        let size = weight.len() * ROWS_PER_TASK;
        dx.par_chunks_mut(size)
            .zip(x.par_chunks(size))
            .zip(grad.par_chunks(size))
            .for_each(|((dx, x), grad)| add_grad_rows(dx, x, grad, weight, eps));
        Ok(())
    }
}

kernel! {
    fn norm_rows[simd](out: &'k mut [f32], x: &'k [f32], weight: &'k [f32], eps: f32) {
        let d = weight.len();
        for (out, x) in out.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
            let inverse = 1.0 / (dot(simd, x, x) / d as f32 + eps).sqrt();
            for ((out, x), w) in out.iter_mut().zip(x).zip(weight) {
                *out = x * inverse * w;
            }
        }
    }
}

kernel! {
    fn add_norm_rows[simd](to: &'k mut [f32], x: &'k [f32], weight: &'k [f32], eps: f32) {
        let d = weight.len();
        for (to, x) in to.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
            let inverse = 1.0 / (dot(simd, x, x) / d as f32 + eps).sqrt();
            for ((to, x), w) in to.iter_mut().zip(x).zip(weight) {
                *to += x * inverse * w;
            }
        }
    }
}

kernel! {
    /// dx += i·(w·g) − x·i³/d·Σ(w·g·x), with i the inverse root mean square.
    fn add_grad_rows[simd](dx: &'k mut [f32], x: &'k [f32], grad: &'k [f32], weight: &'k [f32], eps: f32) {
        let d = weight.len();
        let mut weighted = vec![0.0; d];
        for ((dx, x), grad) in dx.chunks_exact_mut(d).zip(x.chunks_exact(d)).zip(grad.chunks_exact(d)) {
            let inverse = 1.0 / (dot(simd, x, x) / d as f32 + eps).sqrt();
            for ((to, g), w) in weighted.iter_mut().zip(grad).zip(weight) {
                *to = g * w;
            }
            let along = dot(simd, &weighted, x) * inverse * inverse * inverse / d as f32;
            for ((dx, x), g) in dx.iter_mut().zip(x).zip(&weighted) {
                *dx += g.mul_add(inverse, -along * x);
            }
        }
    }
}

impl CustomOp1 for Norm {
    fn name(&self) -> &'static str {
        "tiller-rms-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let mut out = vec![0.0; x.len()];
        self.forward_into(&mut out, x)?;
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let mut dx = vec![0.0; arg.elem_count()];
        self.backward_add(&mut dx, Values::of(arg).slice()?, Values::of(&grad).slice()?)?;
        Tensor::from_vec(dx, arg.shape(), arg.device()).map(Some)
    }
}
