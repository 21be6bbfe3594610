//! Loops over f32 values, compiled once for each vector instruction set and chosen at run time (by `pulp`).
//!
//! Value by value, plain loops become vector code by themselves; sums and matrix products do not, because the compiler
//! may not reorder additions, so they name their vectors. The exponential is our own polynomial (relative error below
//! 3e-7), because the library's is scalar.

#![expect(clippy::inline_always, reason = "bodies must be inlined into each instruction set's version")]

/// Rows of the small products are padded to whole vectors of the widest kind: one AVX-512 register.
pub(crate) const LANES: usize = 16;

/// Defines a function whose body is compiled for every instruction set; `simd` names the one in use.
macro_rules! kernel {
    ($(#[$meta:meta])* $vis:vis fn $name:ident[$simd:ident]($($arg:ident: $ty:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name<'k>($($arg: $ty),*) $(-> $out)? {
            struct Call<'k> { $($arg: $ty,)* marker: std::marker::PhantomData<&'k ()> }
            impl<'k> pulp::WithSimd for Call<'k> {
                type Output = kernel!(@out $($out)?);
                #[inline(always)]
                fn with_simd<S: pulp::Simd>(self, $simd: S) -> Self::Output {
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
use pulp::Simd;

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

/// Σ x·y.
#[inline(always)]
pub(crate) fn dot<S: Simd>(simd: S, x: &[f32], y: &[f32]) -> f32 {
    let n = x.len().min(y.len());
    let ((xs, x_rest), (ys, y_rest)) = (S::as_simd_f32s(&x[..n]), S::as_simd_f32s(&y[..n]));
    // Four sums at once: one addition waits for the last.
    let mut sums = [simd.splat_f32s(0.0); 4];
    let ((x4, x1), (y4, y1)) = (xs.as_chunks::<4>(), ys.as_chunks::<4>());
    for (x, y) in x4.iter().zip(y4) {
        for i in 0..4 {
            sums[i] = simd.mul_add_f32s(x[i], y[i], sums[i]);
        }
    }
    for (x, y) in x1.iter().zip(y1) {
        sums[0] = simd.mul_add_f32s(*x, *y, sums[0]);
    }
    let sum = simd.add_f32s(simd.add_f32s(sums[0], sums[1]), simd.add_f32s(sums[2], sums[3]));
    let rest: f32 = x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum();
    simd.reduce_sum_f32s(sum) + rest
}

/// Σ x.
#[inline(always)]
fn sum<S: Simd>(simd: S, x: &[f32]) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(x);
    let total = vectors.iter().fold(simd.splat_f32s(0.0), |total, v| simd.add_f32s(total, *v));
    simd.reduce_sum_f32s(total) + rest.iter().sum::<f32>()
}

/// Largest value.
#[inline(always)]
pub(crate) fn max<S: Simd>(simd: S, x: &[f32]) -> f32 {
    let (vectors, rest) = S::as_simd_f32s(x);
    let start = simd.splat_f32s(f32::NEG_INFINITY);
    let top = vectors.iter().fold(start, |top, v| simd.max_f32s(top, *v));
    rest.iter().fold(simd.reduce_max_f32s(top), |top, &v| top.max(v))
}

/// Sum of exp(x − shift).
#[inline(always)]
pub(crate) fn sum_exp<S: Simd>(simd: S, x: &[f32], shift: f32) -> f32 {
    // By way of a buffer: the exponential becomes vector code in a plain loop, the sum does not.
    let mut buffer = [0.0; 256];
    let mut total = 0.0;
    for x in x.chunks(256) {
        for (to, value) in buffer.iter_mut().zip(x) {
            *to = exp(value - shift);
        }
        total += sum(simd, &buffer[..x.len()]);
    }
    total
}

kernel! {
    /// ln Σ e^x of a row.
    pub(crate) fn log_sum_exp[simd](x: &'k [f32]) -> f32 {
        let top = max(simd, x);
        top + sum_exp(simd, x, top).ln()
    }
}

kernel! {
    /// Turns scores into weights in place: softmax of `row[..n_valid] · scale`, zero behind.
    pub(crate) fn softmax[simd](row: &'k mut [f32], n_valid: usize, scale: f32) {
        let (valid, rest) = row.split_at_mut(n_valid);
        let top = max(simd, valid) * scale;
        for value in valid.iter_mut() {
            *value = exp(value.mul_add(scale, -top));
        }
        let inverse = 1.0 / sum(simd, valid);
        for value in valid {
            *value *= inverse;
        }
        rest.fill(0.0);
    }
}

/// Left operand `[m, k]` of [`small_matmul`].
#[derive(Clone, Copy)]
pub(crate) enum Lhs<'a> {
    /// Row after row, a row every `stride` values.
    Rows { data: &'a [f32], stride: usize },
    /// Column after column, a column every `stride` values.
    Columns { data: &'a [f32], stride: usize },
}

kernel! {
    /// `c += a·b` for matrices of attention size. `c` is `[m, n]` and `b` `[k, n]`, row after row, `n` a multiple of
    /// [`LANES`].
    pub(crate) fn small_matmul[simd](c: &'k mut [f32], a: Lhs<'k>, b: &'k [f32], shape: (usize, usize, usize)) {
        let (m, k, n) = shape;
        let mut first = 0;
        while first < m {
            let rows = (m - first).min(6);
            match rows {
                1 => rows_of_product::<S, 1>(simd, c, a, b, (first, k, n)),
                2 => rows_of_product::<S, 2>(simd, c, a, b, (first, k, n)),
                3 => rows_of_product::<S, 3>(simd, c, a, b, (first, k, n)),
                4 => rows_of_product::<S, 4>(simd, c, a, b, (first, k, n)),
                5 => rows_of_product::<S, 5>(simd, c, a, b, (first, k, n)),
                _ => rows_of_product::<S, 6>(simd, c, a, b, (first, k, n)),
            }
            first += rows;
        }
    }
}

/// `R` rows of the result, two vectors of columns at a time.
#[inline(always)]
fn rows_of_product<S: Simd, const R: usize>(
    simd: S,
    c: &mut [f32],
    a: Lhs<'_>,
    b: &[f32],
    (first, k, n): (usize, usize, usize),
) {
    let (b, _) = S::as_simd_f32s(&b[..k * n]);
    let (c, _) = S::as_mut_simd_f32s(&mut c[first * n..(first + R) * n]);
    let width = n / S::F32_LANES;
    let mut j = 0;
    while j + 2 <= width {
        tile::<S, R, 2>(simd, c, a, b, (first, k, width, j));
        j += 2;
    }
    if j < width {
        tile::<S, R, 1>(simd, c, a, b, (first, k, width, j));
    }
}

/// `R` rows and `W` vectors of columns from vector `j` on.
#[inline(always)]
fn tile<S: Simd, const R: usize, const W: usize>(
    simd: S,
    c: &mut [S::f32s],
    a: Lhs<'_>,
    b: &[S::f32s],
    (first, k, width, j): (usize, usize, usize, usize),
) {
    let mut sums = [[simd.splat_f32s(0.0); W]; R];
    match a {
        Lhs::Rows { data, stride } => {
            let rows: [&[f32]; R] = std::array::from_fn(|r| &data[(first + r) * stride..][..k]);
            for (l, right) in b.chunks_exact(width).enumerate().take(k) {
                let right: [S::f32s; W] = std::array::from_fn(|w| right[j + w]);
                for r in 0..R {
                    let left = simd.splat_f32s(rows[r][l]);
                    for w in 0..W {
                        sums[r][w] = simd.mul_add_f32s(left, right[w], sums[r][w]);
                    }
                }
            }
        }
        Lhs::Columns { data, stride } => {
            for (column, right) in data.chunks(stride).zip(b.chunks_exact(width)) {
                let right: [S::f32s; W] = std::array::from_fn(|w| right[j + w]);
                let column = &column[first..][..R];
                for r in 0..R {
                    let left = simd.splat_f32s(column[r]);
                    for w in 0..W {
                        sums[r][w] = simd.mul_add_f32s(left, right[w], sums[r][w]);
                    }
                }
            }
        }
    }
    for r in 0..R {
        for w in 0..W {
            let to = &mut c[r * width + j + w];
            *to = simd.add_f32s(*to, sums[r][w]);
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
        small_matmul(&mut c, Lhs::Columns { data: &a, stride: m }, &b, (m, k, n));
        let turned: Vec<f32> = (0..m * k).map(|at| a[(at % k) * m + at / k]).collect();
        let mut same = vec![1.0; m * n];
        small_matmul(&mut same, Lhs::Rows { data: &turned, stride: k }, &b, (m, k, n));
        assert_eq!(c, same);
        for i in 0..m {
            for j in 0..n {
                let exact: f32 = 1.0 + (0..k).map(|l| a[l * m + i] * b[l * n + j]).sum::<f32>();
                assert!((c[i * n + j] - exact).abs() < 1e-5);
            }
        }
    }
}
