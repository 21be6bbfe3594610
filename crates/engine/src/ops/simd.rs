//! Loops over f32 values, compiled once for each vector instruction set and chosen at run time (by `pulp`).
//!
//! Plain safe loops over arrays of fixed width, which the compiler turns into vector code; the exponential is our own
//! polynomial (relative error below 3e-7), because the library's is scalar.

#![expect(clippy::inline_always, reason = "bodies must be inlined into each instruction set's version")]

/// Width of the accumulators: one AVX-512 register.
pub(crate) const LANES: usize = 16;

/// Defines a function whose body is compiled for every instruction set.
macro_rules! kernel {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name<'k>($($arg: $ty),*) $(-> $out)? {
            struct Call<'k> { $($arg: $ty,)* marker: std::marker::PhantomData<&'k ()> }
            impl<'k> $crate::ops::simd::OnceKernel for Call<'k> {
                type Output = kernel!(@out $($out)?);
                #[inline(always)]
                fn call(self) -> Self::Output {
                    let Self { $($arg,)* marker: _ } = self;
                    $body
                }
            }
            pulp::Arch::new().dispatch(Call { $($arg,)* marker: std::marker::PhantomData })
        }
    };
    (@out) => { () };
    (@out $out:ty) => { $out };
}
pub(crate) use kernel;
pub(crate) use pulp::NullaryFnOnce as OnceKernel;

/// e^x. Clamped to where f32 has normal results.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let f = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    let mut p = f.mul_add(1.987_569_1e-4, 1.398_2e-3);
    p = p.mul_add(f, 8.333_452e-3);
    p = p.mul_add(f, 4.166_579_6e-2);
    p = p.mul_add(f, 1.666_666_5e-1);
    p = p.mul_add(f, 0.5);
    p = p.mul_add(f * f, f) + 1.0;
    let power = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    p * f32::from_bits(power)
}

/// Sum of all lanes by halves, the same order on every machine.
#[inline(always)]
fn reduce(mut lanes: [f32; LANES], merge: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = merge(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// Folds a slice with `LANES` independent accumulators.
#[inline(always)]
fn fold(x: &[f32], start: f32, step: impl Fn(f32, f32) -> f32, merge: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = step(lanes[i], chunk[i]);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane = step(*lane, value);
    }
    reduce(lanes, merge)
}

/// Σ x·y.
#[inline(always)]
pub(crate) fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (xs, x_rest) = x.as_chunks::<LANES>();
    let (ys, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in xs.iter().zip(ys) {
        for i in 0..LANES {
            lanes[i] = x[i].mul_add(y[i], lanes[i]);
        }
    }
    for (lane, (x, y)) in lanes.iter_mut().zip(x_rest.iter().zip(y_rest)) {
        *lane = x.mul_add(*y, *lane);
    }
    reduce(lanes, |a, b| a + b)
}

/// Largest value.
#[inline(always)]
pub(crate) fn max(x: &[f32]) -> f32 {
    fold(x, f32::NEG_INFINITY, f32::max, f32::max)
}

/// Sum of exp(x − shift).
#[inline(always)]
pub(crate) fn sum_exp(x: &[f32], shift: f32) -> f32 {
    fold(x, 0.0, |sum, value| sum + exp(value - shift), |a, b| a + b)
}

kernel! {
    /// ln Σ e^x of a row.
    pub(crate) fn log_sum_exp(x: &'k [f32]) -> f32 {
        let top = max(x);
        top + sum_exp(x, top).ln()
    }
}

kernel! {
    /// Turns scores into weights in place: softmax of `row[..n_valid] · scale`, zero behind.
    pub(crate) fn softmax(row: &'k mut [f32], n_valid: usize, scale: f32) {
        let (valid, rest) = row.split_at_mut(n_valid);
        let top = max(valid) * scale;
        for value in valid.iter_mut() {
            *value = exp(value.mul_add(scale, -top));
        }
        let inverse = 1.0 / fold(valid, 0.0, |sum, value| sum + value, |a, b| a + b);
        for value in valid {
            *value *= inverse;
        }
        rest.fill(0.0);
    }
}

/// Left operand of [`small_matmul`]: value (i, l) is `data[i * row_stride + l * col_stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Lhs<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
}

kernel! {
    /// `c += a·b` for matrices of attention size. `c` is `[m, n]` and `b` `[k, n]`, row after row, `n` a multiple of
    /// [`LANES`].
    pub(crate) fn small_matmul(c: &'k mut [f32], a: Lhs<'k>, b: &'k [f32], shape: (usize, usize, usize)) {
        let (m, k, n) = shape;
        let mut i = 0;
        while i + 8 <= m {
            tile_row::<8>(c, a, b, i, (k, n));
            i += 8;
        }
        if i + 4 <= m {
            tile_row::<4>(c, a, b, i, (k, n));
            i += 4;
        }
        while i < m {
            tile_row::<1>(c, a, b, i, (k, n));
            i += 1;
        }
    }
}

#[inline(always)]
fn tile_row<const R: usize>(c: &mut [f32], a: Lhs<'_>, b: &[f32], i: usize, (k, n): (usize, usize)) {
    for j in (0..n).step_by(LANES) {
        let mut sums = [[0.0_f32; LANES]; R];
        for l in 0..k {
            let Some((row, _)) = b[l * n + j..].split_first_chunk::<LANES>() else { return };
            for (r, sum) in sums.iter_mut().enumerate() {
                let left = a.data[(i + r) * a.row_stride + l * a.col_stride];
                for t in 0..LANES {
                    sum[t] = left.mul_add(row[t], sum[t]);
                }
            }
        }
        for (r, sum) in sums.iter().enumerate() {
            for (to, value) in c[(i + r) * n + j..].iter_mut().zip(sum) {
                *to += value;
            }
        }
    }
}

/// `len` rounded up to whole vectors.
pub(crate) fn padded(len: usize) -> usize {
    len.next_multiple_of(LANES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_accurate() {
        for i in -8600..8700 {
            let x = i as f32 * 0.01;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 3e-7, "{x}");
        }
        assert!(exp(-1e30) < 1e-37 && exp(f32::NEG_INFINITY) < 1e-37);
    }

    #[test]
    fn sums_do_not_depend_on_the_tail() {
        for n in [1, 15, 16, 17, 100] {
            let x: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin()).collect();
            let exact = x.iter().map(|&v| f64::from(v).exp()).sum::<f64>().ln();
            assert!((f64::from(log_sum_exp(&x)) - exact).abs() < 1e-6, "{n}");
            let mut weights = x.clone();
            softmax(&mut weights, n, 2.0);
            assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn small_products_agree_with_the_definition() {
        let (m, k, n) = (13, 5, 32);
        let a: Vec<f32> = (0..m * k).map(|i| (i as f32).sin()).collect();
        let b: Vec<f32> = (0..k * n).map(|i| (i as f32).cos()).collect();
        let mut c = vec![1.0; m * n];
        small_matmul(&mut c, Lhs { data: &a, row_stride: 1, col_stride: m }, &b, (m, k, n));
        for i in 0..m {
            for j in 0..n {
                let exact: f32 = 1.0 + (0..k).map(|l| a[l * m + i] * b[l * n + j]).sum::<f32>();
                assert!((c[i * n + j] - exact).abs() < 1e-5);
            }
        }
    }
}
