//! Soft caps: `cap·tanh(x/cap)` (Gemma 2), on attention scores and on logits.

#![expect(clippy::inline_always, reason = "the body must be inlined into each instruction set's version")]

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::simd::{exp, kernel};

/// Below this the hyperbolic tangent is a polynomial: 1 − 2/(e^2x + 1) would lose its digits.
const SMALL: f32 = 0.625;

/// tanh x, with a relative error below 3e-7.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let square = x * x;
    let mut p = square.mul_add(-5.704_988_7e-3, 2.063_909e-2);
    p = p.mul_add(square, -5.373_971_6e-2);
    p = p.mul_add(square, 0.133_314_42);
    p = p.mul_add(square, -0.333_332_8);
    let near = (p * square).mul_add(x, x);
    let far = 1.0 - 2.0 / (exp(2.0 * x) + 1.0);
    if x.abs() < SMALL { near } else { far }
}

kernel! {
    /// `cap·tanh(x·scale/cap)` in place.
    pub(crate) fn soft_cap[_simd](row: &'k mut [f32], scale: f32, cap: f32) {
        let factor = scale / cap;
        for value in row.iter_mut() {
            *value = cap * tanh(*value * factor);
        }
    }
}

kernel! {
    /// Gradient with respect to what was capped, in place of that with respect to the result `capped`; times `scale`.
    pub(crate) fn soft_cap_gradient[_simd](grad: &'k mut [f32], capped: &'k [f32], scale: f32, cap: f32) {
        let inverse = 1.0 / cap;
        for (grad, capped) in grad.iter_mut().zip(capped) {
            let t = capped * inverse;
            *grad *= (1.0 - t * t) * scale;
        }
    }
}

/// Values handled by one task.
const VALUES_PER_TASK: usize = 1 << 14;

/// Caps many values in place, on all threads.
pub(crate) fn soft_cap_all(values: &mut [f32], cap: f32) {
    if values.len() <= VALUES_PER_TASK {
        return soft_cap(values, 1.0, cap);
    }
    values.par_chunks_mut(VALUES_PER_TASK).for_each(|values| soft_cap(values, 1.0, cap));
}

/// The same by stock operations; the gradient passes.
pub(crate) fn composite(x: &Tensor, cap: f32) -> Result<Tensor> {
    let cap = f64::from(cap);
    (x / cap)?.tanh()? * cap
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tangent_is_accurate_near_zero_and_far_away() {
        for i in -3000..3000 {
            let x = (i as f32 * 0.01).powi(3) * 0.01 + i as f32 * 1e-5;
            let exact = f64::from(x).tanh();
            let error = (f64::from(tanh(x)) - exact).abs();
            assert!(error <= 3e-7 * exact.abs(), "{x}: {error:e}");
        }
        assert_eq!((tanh(1e30), tanh(-1e30), tanh(0.0)), (1.0, -1.0, 0.0));
    }
}
