//! Loops over 16-bit values: widening, and the one-row products that are bound by reading them.

#![expect(clippy::inline_always, reason = "bodies must be inlined into each instruction set's version")]

use pulp::Simd;

use super::super::simd::kernel;

/// A 16-bit number format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    /// bfloat16: the upper half of an f32.
    Bf16,
    /// IEEE half precision.
    F16,
}

impl Half {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }
}

/// What the exponent of an f32 is more than that of an f16 of the same value, as a factor.
const OFFSET: f32 = f32::from_bits((127 + 127 - 15) << 23);

#[inline(always)]
fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Exact for every finite value, subnormal ones included: exponent and fraction move to their places in f32, and the
/// product sets the exponent's offset right.
#[inline(always)]
fn from_f16(bits: u16) -> f32 {
    let bits = u32::from(bits);
    let size = f32::from_bits((bits & 0x7fff) << 13) * OFFSET;
    f32::from_bits(size.to_bits() | (bits & 0x8000) << 16)
}

kernel! {
    /// The values in f32. Infinite ones are not expected: weights are checked when they are read.
    pub(crate) fn widen[_simd](out: &'k mut [f32], bits: &'k [u16], format: Half) {
        match format {
            Half::Bf16 => out.iter_mut().zip(bits).for_each(|(out, bits)| *out = from_bf16(*bits)),
            Half::F16 => out.iter_mut().zip(bits).for_each(|(out, bits)| *out = from_f16(*bits)),
        }
    }
}

kernel! {
    /// `out = x·W[:, first..]` for one row, `W` `[x.len(), stride]` and a `place` `(first, stride)`.
    pub(crate) fn columns_product[_simd](
        out: &'k mut [f32],
        x: &'k [f32],
        bits: &'k [u16],
        place: (usize, usize),
        format: Half,
    ) {
        out.fill(0.0);
        match format {
            Half::Bf16 => add_rows(out, x, bits, place, from_bf16),
            Half::F16 => add_rows(out, x, bits, place, from_f16),
        }
    }
}

/// `out += Σ x[i]·row i` from column `first` on, eight rows at a time so that `out` is seldom read and written.
#[inline(always)]
fn add_rows(
    out: &mut [f32],
    x: &[f32],
    bits: &[u16],
    (first, stride): (usize, usize),
    wide: impl Fn(u16) -> f32 + Copy,
) {
    let n = out.len();
    let (eights, rest) = x.as_chunks::<8>();
    let (whole, last) = bits.split_at(eights.len() * 8 * stride);
    for (x, rows) in eights.iter().zip(whole.chunks_exact(8 * stride)) {
        let row = |i: usize| &rows[i * stride + first..][..n];
        let (a, b, c, d) = (row(0), row(1), row(2), row(3));
        let (e, f, g, h) = (row(4), row(5), row(6), row(7));
        for i in 0..n {
            let left = x[0].mul_add(wide(a[i]), x[1] * wide(b[i])) + x[2].mul_add(wide(c[i]), x[3] * wide(d[i]));
            let right = x[4].mul_add(wide(e[i]), x[5] * wide(f[i])) + x[6].mul_add(wide(g[i]), x[7] * wide(h[i]));
            out[i] += left + right;
        }
    }
    for (x, row) in rest.iter().zip(last.chunks_exact(stride)) {
        for (out, bits) in out.iter_mut().zip(&row[first..]) {
            *out = x.mul_add(wide(*bits), *out);
        }
    }
}

/// Values of one row, the even ones and then the odd ones: what [`word_dots`] meets the halves of words with.
pub(crate) fn even_then_odd(x: &[f32]) -> Vec<f32> {
    x.iter().step_by(2).chain(x.iter().skip(1).step_by(2)).copied().collect()
}

kernel! {
    /// `out[c] = Σ x·W[c]` for rows of an even number of values, two to a word; `x` is [`even_then_odd`].
    pub(crate) fn word_dots[simd](out: &'k mut [f32], x: &'k [f32], words: &'k [u32], format: Half) {
        match format {
            Half::Bf16 => dots_of_words::<S, false>(simd, out, x, words),
            Half::F16 => dots_of_words::<S, true>(simd, out, x, words),
        }
    }
}

/// [`word_dots`] of f16 or bf16.
#[inline(always)]
fn dots_of_words<S: Simd, const F16: bool>(simd: S, out: &mut [f32], x: &[f32], words: &[u32]) {
    let k = x.len() / 2;
    let (even, odd) = x.split_at(k);
    let ((even, even_rest), (odd, odd_rest)) = (S::as_simd_f32s(even), S::as_simd_f32s(odd));
    let ((even2, even1), (odd2, odd1)) = (even.as_chunks::<2>(), odd.as_chunks::<2>());
    for (out, words) in out.iter_mut().zip(words.chunks_exact(k)) {
        let (words, rest) = S::as_simd_u32s(words);
        let mut sums = [simd.splat_f32s(0.0); 4];
        let (words2, words1) = words.as_chunks::<2>();
        for ((words, even), odd) in words2.iter().zip(even2).zip(odd2) {
            for i in 0..2 {
                let (low, high) = halves::<S, F16>(simd, words[i]);
                sums[2 * i] = simd.mul_add_f32s(low, even[i], sums[2 * i]);
                sums[2 * i + 1] = simd.mul_add_f32s(high, odd[i], sums[2 * i + 1]);
            }
        }
        for ((words, even), odd) in words1.iter().zip(even1).zip(odd1) {
            let (low, high) = halves::<S, F16>(simd, *words);
            sums[0] = simd.mul_add_f32s(low, *even, sums[0]);
            sums[1] = simd.mul_add_f32s(high, *odd, sums[1]);
        }
        let sum = simd.add_f32s(simd.add_f32s(sums[0], sums[1]), simd.add_f32s(sums[2], sums[3]));
        let wide = if F16 { from_f16 } else { from_bf16 };
        let rest: f32 = rest
            .iter()
            .zip(even_rest)
            .zip(odd_rest)
            .map(|((word, even), odd)| even.mul_add(wide(*word as u16), odd * wide((word >> 16) as u16)))
            .sum();
        *out = simd.reduce_sum_f32s(sum) + rest;
    }
}

/// The lower and the upper halves of words.
#[inline(always)]
fn halves<S: Simd, const F16: bool>(simd: S, words: S::u32s) -> (S::f32s, S::f32s) {
    let above = simd.wrapping_dyn_shl_u32s(words, simd.splat_u32s(16));
    if F16 {
        let low = simd.wrapping_dyn_shl_u32s(words, simd.splat_u32s(13));
        let high = simd.wrapping_dyn_shr_u32s(words, simd.splat_u32s(3));
        (signed(simd, low, above), signed(simd, high, words))
    } else {
        let high = simd.and_u32s(words, simd.splat_u32s(0xffff_0000));
        (simd.transmute_f32s_u32s(above), simd.transmute_f32s_u32s(high))
    }
}

/// Values of f16 whose exponent and fraction stand where those of an f32 do in `size`, and whose sign in `sign`.
#[inline(always)]
fn signed<S: Simd>(simd: S, size: S::u32s, sign: S::u32s) -> S::f32s {
    let size = simd.transmute_f32s_u32s(simd.and_u32s(size, simd.splat_u32s(0x0fff_e000)));
    let size = simd.transmute_u32s_f32s(simd.mul_f32s(size, simd.splat_f32s(OFFSET)));
    simd.transmute_f32s_u32s(simd.or_u32s(size, simd.and_u32s(sign, simd.splat_u32s(0x8000_0000))))
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    #[test]
    fn every_finite_value_is_widened_exactly() {
        let bits: Vec<u16> = (0..=u16::MAX).collect();
        for (format, exact) in [
            (Half::Bf16, (|bits| bf16::from_bits(bits).to_f32()) as fn(u16) -> f32),
            (Half::F16, |bits| f16::from_bits(bits).to_f32()),
        ] {
            let mut found = vec![0.0; bits.len()];
            widen(&mut found, &bits, format);
            for (found, &bits) in found.iter().zip(&bits) {
                let exact = exact(bits);
                assert!(!exact.is_finite() || found.to_bits() == exact.to_bits(), "{format:?} {bits:#06x}: {found}");
            }
        }
    }

    #[test]
    fn one_row_products_agree_with_the_definition() {
        let value = |i: usize| ((i * 37 + 11) % 101) as f32 / 50.0 - 1.0;
        for (k, m) in [(2, 3), (40, 5), (70, 33), (200, 16)] {
            let x: Vec<f32> = (0..k).map(value).collect();
            let bits: Vec<u16> = (0..k * m).map(|i| bf16::from_f32(value(i + 3)).to_bits()).collect();
            let weight = |i: usize| from_bf16(bits[i]);
            let halves: Vec<u16> = (0..k * m).map(|i| f16::from_f32(value(i + 3)).to_bits()).collect();
            for (bits, format) in [(&bits, Half::Bf16), (&halves, Half::F16)] {
                let mut found = vec![0.0; m];
                word_dots(&mut found, &even_then_odd(&x), bytemuck::cast_slice(bits), format);
                let mut wide = vec![0.0; k * m];
                widen(&mut wide, bits, format);
                for (c, found) in found.iter().enumerate() {
                    let exact: f32 = (0..k).map(|i| x[i] * wide[c * k + i]).sum();
                    assert!((found - exact).abs() < 1e-4, "{format:?} {k}, {m}: {found}, not {exact}");
                }
            }
            let mut found = vec![9.0; m - 1];
            columns_product(&mut found, &x, &bits, (1, m), Half::Bf16);
            for (c, found) in found.iter().enumerate() {
                let exact: f32 = (0..k).map(|i| x[i] * weight(i * m + c + 1)).sum();
                assert!((found - exact).abs() < 1e-4, "{k}, {m}: {found}, not {exact}");
            }
        }
    }
}
