//! Dot products of a few rows with many: what a reply being written spends its time on.
//!
//! Every pair of rows has its own sums, as many at once as there are registers for. Both sides are laid out so that
//! one stretch of memory holds what comes next: [`LANES`] values of each row in turn.

#![expect(clippy::inline_always, reason = "bodies must be inlined into each instruction set's version")]

use pulp::Simd;

use super::super::simd::{LANES, kernel, padded};

/// Rows of the right factor that are taken together; callers give multiples of it where they can.
pub(crate) const TOGETHER: usize = 4;

/// Rows of the left factor that are taken together.
#[inline(always)]
fn group<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 6 } else { 3 }
}

kernel! {
    /// The left factor of [`dot_products`], from rows of `k` values.
    pub(crate) fn laid_out[_simd](x: &'k [f32], k: usize) -> Vec<f32> {
        let mut out = vec![0.0; x.len() / k * padded(k)];
        let at_once = group::<S>();
        for (out, x) in out.chunks_mut(at_once * padded(k)).zip(x.chunks(at_once * k)) {
            interleave(out, x, k);
        }
        out
    }
}

/// Rows of `k` values, [`LANES`] of each in turn, zeros behind the last.
#[inline(always)]
fn interleave(out: &mut [f32], rows: &[f32], k: usize) {
    let n = rows.len() / k;
    for (r, row) in rows.chunks_exact(k).enumerate() {
        let (whole, rest) = row.as_chunks::<LANES>();
        let mut to = out.as_chunks_mut::<LANES>().0[r..].iter_mut().step_by(n);
        for (values, to) in whole.iter().zip(&mut to) {
            *to = *values;
        }
        if let Some(to) = to.next() {
            to[..rest.len()].copy_from_slice(rest);
            to[rest.len()..].fill(0.0);
        }
    }
}

kernel! {
    /// `out[r, first + c] = Σ x[r]·y[c]` for a `place` `(stride, first)`: `x` is [`laid_out`], `y` `[m, k]`, `out`
    /// `[n, stride]`.
    pub(crate) fn dot_products[simd](
        out: &'k mut [f32],
        place: (usize, usize),
        x: &'k [f32],
        y: &'k [f32],
        k: usize,
    ) {
        let (stride, first) = place;
        let mut turns = vec![0.0; TOGETHER * padded(k)];
        for (i, y) in y.chunks(TOGETHER * k).enumerate() {
            let column = (stride, first + i * TOGETHER);
            if y.len() == TOGETHER * k {
                interleave(&mut turns, y, k);
                all_rows::<S, TOGETHER>(simd, out, column, x, &turns);
                continue;
            }
            for (c, y) in y.chunks_exact(k).enumerate() {
                let turns = &mut turns[..padded(k)];
                interleave(turns, y, k);
                all_rows::<S, 1>(simd, out, (stride, column.1 + c), x, turns);
            }
        }
    }
}

/// `C` rows of the right factor with all rows of the left.
#[inline(always)]
fn all_rows<S: Simd, const C: usize>(simd: S, out: &mut [f32], (stride, column): (usize, usize), x: &[f32], y: &[f32]) {
    let at_once = group::<S>();
    for (out, x) in out.chunks_mut(at_once * stride).zip(x.chunks(at_once * y.len() / C)) {
        match x.len() * C / y.len() {
            1 => dots::<S, 1, C>(simd, out, (stride, column), x, y),
            2 => dots::<S, 2, C>(simd, out, (stride, column), x, y),
            3 => dots::<S, 3, C>(simd, out, (stride, column), x, y),
            4 => dots::<S, 4, C>(simd, out, (stride, column), x, y),
            5 => dots::<S, 5, C>(simd, out, (stride, column), x, y),
            _ => dots::<S, 6, C>(simd, out, (stride, column), x, y),
        }
    }
}

/// All products of `R` rows with `C`.
#[inline(always)]
fn dots<S: Simd, const R: usize, const C: usize>(
    simd: S,
    out: &mut [f32],
    (stride, column): (usize, usize),
    x: &[f32],
    y: &[f32],
) {
    let mut sums = [[simd.splat_f32s(0.0); C]; R];
    let vectors = LANES / S::F32_LANES;
    for (x, y) in x.chunks_exact(R * LANES).zip(y.chunks_exact(C * LANES)) {
        let (x, y) = (S::as_simd_f32s(x).0, S::as_simd_f32s(y).0);
        for v in 0..vectors {
            let right: [S::f32s; C] = std::array::from_fn(|c| y[c * vectors + v]);
            for r in 0..R {
                let left = x[r * vectors + v];
                for c in 0..C {
                    sums[r][c] = simd.mul_add_f32s(left, right[c], sums[r][c]);
                }
            }
        }
    }
    for (out, sums) in out.chunks_exact_mut(stride).zip(sums) {
        for (out, sum) in out[column..].iter_mut().zip(sums) {
            *out = simd.reduce_sum_f32s(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_products_agree_with_the_definition() {
        let value = |i: usize| ((i * 37 + 11) % 101) as f32 / 50.0 - 1.0;
        for (n, m, k) in [(1, 1, 1), (1, 9, 40), (2, 4, 16), (7, 6, 33), (13, 11, 100)] {
            let x: Vec<f32> = (0..n * k).map(value).collect();
            let y: Vec<f32> = (0..m * k).map(|i| value(i + 5)).collect();
            let (stride, first) = (m + 3, 2);
            let mut out = vec![7.0; n * stride];
            dot_products(&mut out, (stride, first), &laid_out(&x, k), &y, k);
            for (r, row) in out.chunks_exact(stride).enumerate() {
                for (c, found) in row.iter().enumerate() {
                    let pairs = |c: usize| x[r * k..][..k].iter().zip(&y[c * k..][..k]);
                    let inside = c >= first && c < first + m;
                    let exact = if inside { pairs(c - first).map(|(x, y)| x * y).sum() } else { 7.0 };
                    assert!((found - exact).abs() < 1e-4, "{n} by {m} of {k}: [{r}, {c}] is {found}, not {exact}");
                }
            }
        }
    }
}
