//! The gate of the MLP: `act(gate) · up` (`SwiGLU` and `GEGLU`, Shazeer 2020) on rows that hold gate and up side by
//! side.

use candle_core::{DType, Result, Tensor};
use rayon::prelude::*;

use super::ROWS_PER_TASK;
use super::simd::{exp, kernel};
use crate::config::Activation;

/// Rows `[n, 2 * d_mlp]` to `[n, d_mlp]` by stock operations.
pub(crate) fn composite(both: &Tensor, activation: Activation) -> Result<Tensor> {
    let half = both.dim(1)? / 2;
    let gate = both.narrow(1, 0, half)?;
    let gate = match activation {
        Activation::Silu => gate.silu()?,
        // By its own formula, because the constants of the stock gradient have six digits; its many steps would each
        // be rounded to 16 bits.
        Activation::GeluTanh => {
            let narrow = matches!(gate.dtype(), DType::BF16 | DType::F16);
            let x = if narrow { gate.to_dtype(DType::F32)? } else { gate };
            let cubed = (&x * x.sqr()?)?;
            let inner = ((&x + (cubed * CUBIC)?)? * SLOPE)?;
            ((inner.tanh()? + 1.0)? * (x * 0.5)?)?.to_dtype(both.dtype())?
        }
    };
    gate * both.narrow(1, half, half)?
}

/// √(2/π).
const SLOPE: f64 = 0.797_884_560_802_865_4;
const CUBIC: f64 = 0.044_715;

kernel! {
    fn gate_row[_simd](out: &'k mut [f32], gate: &'k [f32], up: &'k [f32]) {
        for ((out, &g), &u) in out.iter_mut().zip(gate).zip(up) {
            *out = g * u / (1.0 + exp(-g));
        }
    }
}

kernel! {
    fn gate_gradient[_simd](d_both: &'k mut [f32], both: &'k [f32], grad: &'k [f32]) {
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

// With 1 + tanh(u) = 2·σ(2u), the other activation is x·σ(2u) for u = √(2/π)·(x + 0.044715·x³).
kernel! {
    fn gelu_row[_simd](out: &'k mut [f32], gate: &'k [f32], up: &'k [f32]) {
        for ((out, &g), &u) in out.iter_mut().zip(gate).zip(up) {
            let twice = TWICE_SLOPE * g * (CUBIC as f32 * g).mul_add(g, 1.0);
            *out = g * u / (1.0 + exp(-twice));
        }
    }
}

kernel! {
    fn gelu_gradient[_simd](d_both: &'k mut [f32], both: &'k [f32], grad: &'k [f32]) {
        let half = grad.len();
        let (d_gate, d_up) = d_both.split_at_mut(half);
        let (gate, up) = both.split_at(half);
        for ((((dg, du), &g), &u), &grad) in d_gate.iter_mut().zip(d_up).zip(gate).zip(up).zip(grad) {
            let cubic = CUBIC as f32 * g * g;
            let sigmoid = 1.0 / (1.0 + exp(-(TWICE_SLOPE * g * (cubic + 1.0))));
            let slope = TWICE_SLOPE * cubic.mul_add(3.0, 1.0);
            *dg = grad * u * sigmoid * (1.0 + g * (1.0 - sigmoid) * slope);
            *du = grad * g * sigmoid;
        }
    }
}

const TWICE_SLOPE: f32 = (2.0 * SLOPE) as f32;

/// Rows `both` `[n, wide]` to `out` `[n, wide / 2]`.
pub(crate) fn gate_into(out: &mut [f32], both: &[f32], wide: usize, activation: Activation) {
    let half = wide / 2;
    let row = match activation {
        Activation::Silu => gate_row,
        Activation::GeluTanh => gelu_row,
    };
    let task = |(out, both): (&mut [f32], &[f32])| {
        for (out, both) in out.chunks_exact_mut(half).zip(both.chunks_exact(wide)) {
            row(out, &both[..half], &both[half..]);
        }
    };
    if out.len() <= half * ROWS_PER_TASK {
        return task((out, both));
    }
    out.par_chunks_mut(half * ROWS_PER_TASK).zip(both.par_chunks(wide * ROWS_PER_TASK)).for_each(task);
}

/// Gradient with respect to `both` `[n, wide]`, from that of the result `[n, wide / 2]`.
pub(crate) fn gate_backward(both: &[f32], grad: &[f32], wide: usize, activation: Activation) -> Vec<f32> {
    let row = match activation {
        Activation::Silu => gate_gradient,
        Activation::GeluTanh => gelu_gradient,
    };
    let mut d_both = vec![0.0; both.len()];
    d_both
        .par_chunks_mut(wide)
        .zip(both.par_chunks(wide))
        .zip(grad.par_chunks(wide / 2))
        .with_min_len(ROWS_PER_TASK)
        .for_each(|((d_both, both), grad)| row(d_both, both, grad));
    d_both
}
