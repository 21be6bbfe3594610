//! The gated MLP: `down(silu(gate(x)) · up(x))` (SwiGLU, Shazeer 2020), gate and up fused into one product.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::linear::Linear;
use super::norm::{self, norm_into};
use super::simd::{exp, kernel};
use super::{ROWS_PER_TASK, Values, is_fused, values};

/// Weights of one MLP with the norm before it.
#[derive(Clone, Debug)]
pub(crate) struct Mlp {
    pub(crate) norm: Tensor,
    pub(crate) eps: f64,
    pub(crate) gate_up: Linear,
    pub(crate) down: Linear,
}

impl Mlp {
    /// `x + mlp(norm(x))` for the residual stream `x` `[n, d_model]`; the gradient passes.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if is_fused(x) && !x.track_op() {
            return x.contiguous()?.apply_op1_no_bwd(self);
        }
        let h = norm::rms_norm(x, &self.norm, self.eps)?;
        let h = swiglu(&self.gate_up.forward(&h)?)?;
        self.down.forward_add(&h, x)
    }
}

/// Rows that go through the whole MLP before the next ones start, so that the wide activations stay in cache.
const ROWS_AT_ONCE: usize = 256;

impl CustomOp1 for Mlp {
    fn name(&self) -> &'static str {
        "tiller-mlp"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let (d, wide) = (self.gate_up.n_in(), self.gate_up.n_out());
        let weight = Values::of(&self.norm);
        let weight = weight.slice()?;
        let rows = ROWS_AT_ONCE.min(x.len() / d);
        let (mut normed, mut both, mut gated) =
            (vec![0.0; rows * d], vec![0.0; rows * wide], vec![0.0; rows * wide / 2]);
        let mut out = x.to_vec();
        for (out, x) in out.chunks_mut(rows * d).zip(x.chunks(rows * d)) {
            let n = x.len() / d;
            let (normed, both, gated) = (&mut normed[..n * d], &mut both[..n * wide], &mut gated[..n * wide / 2]);
            norm_into(normed, x, weight, self.eps as f32);
            self.gate_up.forward_into(both, normed, false)?;
            gate_into(gated, both, wide);
            self.down.forward_into(out, gated, true)?;
        }
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

/// `silu(gate) · up` of rows `[n, 2 * d_mlp]` to `[n, d_mlp]`; the gradient passes.
pub(crate) fn swiglu(both: &Tensor) -> Result<Tensor> {
    if is_fused(both) { both.contiguous()?.apply_op1(SwiGlu) } else { composite(both) }
}

/// The same by stock operations.
pub(crate) fn composite(both: &Tensor) -> Result<Tensor> {
    let half = both.dim(1)? / 2;
    both.narrow(1, 0, half)?.silu()? * both.narrow(1, half, half)?
}

struct SwiGlu;

kernel! {
    fn gate_row(out: &'k mut [f32], gate: &'k [f32], up: &'k [f32]) {
        for ((out, &g), &u) in out.iter_mut().zip(gate).zip(up) {
            *out = g * u / (1.0 + exp(-g));
        }
    }
}

kernel! {
    fn gate_gradient(d_both: &'k mut [f32], both: &'k [f32], grad: &'k [f32]) {
        let half = grad.len();
        let (d_gate, d_up) = d_both.split_at_mut(half);
        let (gate, up) = both.split_at(half);
        for ((((dg, du), &g), &u), &grad) in d_gate.iter_mut().zip(d_up).zip(gate).zip(up).zip(grad) {
            let sigmoid = 1.0 / (1.0 + exp(-g));
            *dg = grad * u * sigmoid * (1.0 + g * (1.0 - sigmoid));
            *du = grad * g * sigmoid;
        }
    }
}

fn gate_into(out: &mut [f32], both: &[f32], wide: usize) {
    let half = wide / 2;
    let task = |(out, both): (&mut [f32], &[f32])| {
        for (out, both) in out.chunks_exact_mut(half).zip(both.chunks_exact(wide)) {
            gate_row(out, &both[..half], &both[half..]);
        }
    };
    if out.len() <= half * ROWS_PER_TASK {
        return task((out, both));
    }
    out.par_chunks_mut(half * ROWS_PER_TASK).zip(both.par_chunks(wide * ROWS_PER_TASK)).for_each(task);
}

impl CustomOp1 for SwiGlu {
    fn name(&self) -> &'static str {
        "tiller-swiglu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let both = values(storage, layout)?;
        let (n, wide) = layout.shape().dims2()?;
        let mut out = vec![0.0; n * wide / 2];
        gate_into(&mut out, both, wide);
        Ok((CpuStorage::F32(out), Shape::from((n, wide / 2))))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (both, grad) = (Values::of(arg), Values::of(&grad));
        let wide = arg.dim(1)?;
        let mut d_both = vec![0.0; both.slice()?.len()];
        d_both
            .par_chunks_mut(wide)
            .zip(both.slice()?.par_chunks(wide))
            .zip(grad.slice()?.par_chunks(wide / 2))
            .for_each(|((d_both, both), grad)| gate_gradient(d_both, both, grad));
        Tensor::from_vec(d_both, arg.shape(), arg.device()).map(Some)
    }
}
