//! Whole matrices of a converted file, read in pieces by all threads and used as they are stored.
//!
//! A piece fits into a thread's own cache, so that its values go from the system's memory to the arithmetic once. 16-bit
//! values are widened in the registers for one vector, and in the cache for several.

use std::ops::Range;

use rayon::prelude::*;

use super::convert::Precision;
use super::file::{Rows, SaeFile};
use crate::error::Result;
use crate::ops::linear::dots::{dot_products, laid_out};
use crate::ops::linear::widen::{Half, even_then_odd, widen, word_dots};
use crate::ops::simd::{dot, kernel};

/// Values read at once: with what they are met with they stay in the cache that a thread has for itself.
const PIECE: usize = if cfg!(test) { 32 } else { 1 << 16 };
/// Values of the vectors that are met with a piece together, where there are many.
const GROUP: usize = if cfg!(test) { 64 } else { 3 << 15 };
/// Vectors that the dot products like to have together.
const TOGETHER: usize = 6;

/// Consecutive rows of a matrix as they are stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    /// Their number.
    pub(super) n: usize,
    /// Two values a word, or one.
    words: &'a [u32],
    precision: Precision,
    d: usize,
}

/// Vectors that are met with every row.
#[derive(Debug)]
pub(super) struct Vectors<'a> {
    /// `[n, d]`.
    values: &'a [f32],
    pub(super) n: usize,
    /// In the order that the kernels want: a single vector, or groups of [`Self::group`].
    ordered: Vec<Vec<f32>>,
    group: usize,
}

impl<'a> Vectors<'a> {
    /// Of rows `[n, d]`.
    pub(super) fn new(values: &'a [f32], d: usize) -> Self {
        let d = d.max(1);
        let (n, group) = (values.len() / d, (GROUP / d / TOGETHER).max(1) * TOGETHER);
        let ordered = match n {
            1 => vec![even_then_odd(values)],
            _ => values.chunks(group * d).map(|values| laid_out(values, d)).collect(),
        };
        Self { values, n, ordered, group }
    }
}

kernel! {
    fn wide_dots[simd](out: &'k mut [f32], x: &'k [f32], rows: &'k [f32]) {
        for (out, row) in out.iter_mut().zip(rows.chunks_exact(x.len())) {
            *out = dot(simd, x, row);
        }
    }
}

kernel! {
    /// Σ x·y.
    pub(super) fn product[simd](x: &'k [f32], y: &'k [f32]) -> f32 {
        dot(simd, x, y)
    }
}

impl Piece<'_> {
    /// Some of the rows, counted from the first of the piece, in f32.
    pub(super) fn widen(&self, rows: Range<usize>, out: &mut [f32]) {
        let values = rows.start * self.d..rows.end * self.d;
        match self.precision {
            Precision::F32 => out.copy_from_slice(&bytemuck::cast_slice(self.words)[values]),
            Precision::F16 => widen(out, &bytemuck::cast_slice(self.words)[values], Half::F16),
        }
    }

    /// Products of all vectors with all rows, `[vectors.n, self.n]`.
    pub(super) fn products(&self, vectors: &Vectors<'_>, wide: &mut Vec<f32>, out: &mut [f32]) {
        let (d, n) = (self.d, self.n);
        match (&vectors.ordered[..], self.precision) {
            ([_], Precision::F32) if vectors.n == 1 => {
                wide_dots(out, vectors.values, bytemuck::cast_slice(&self.words[..n * d]));
            }
            ([vector], Precision::F16) if vectors.n == 1 && d.is_multiple_of(2) => {
                word_dots(out, vector, &self.words[..n * d / 2], Half::F16);
            }
            _ => {
                wide.resize(n * d, 0.0);
                self.widen(0..n, wide);
                if vectors.n == 1 {
                    return wide_dots(out, vectors.values, wide);
                }
                for (out, group) in out.chunks_mut(vectors.group * n).zip(&vectors.ordered) {
                    dot_products(out, (n, 0), group, wide, d);
                }
            }
        }
    }
}

impl SaeFile {
    /// Rows of a piece.
    pub(super) fn rows_of_piece(&self) -> usize {
        (PIECE / self.description().d_model.max(1)).max(1)
    }

    /// Reads rows from `first` on, a piece at a time and on all threads, and calls `work(piece, scratch, out)` for each
    /// piece; `out` has `per_row` values for each row, in the same order.
    ///
    /// # Errors
    /// A failure to read.
    pub(super) fn scan<T: Send>(
        &self,
        rows: Rows,
        first: usize,
        (out, per_row): (&mut [T], usize),
        work: impl Fn(Piece<'_>, &mut Vec<f32>, &mut [T]) + Send + Sync,
    ) -> Result<()> {
        let (d, precision, per_row) = (self.description().d_model, self.precision(), per_row.max(1));
        let n_rows = self.rows_of_piece();
        out.par_chunks_mut(n_rows * per_row).enumerate().try_for_each_init(
            || (Vec::new(), Vec::new()),
            |(words, wide), (idx, out)| {
                let (first, n) = (first + idx * n_rows, out.len() / per_row);
                let len = n * d * precision.width();
                words.resize(len.div_ceil(4), 0);
                self.stored(rows, first, &mut bytemuck::cast_slice_mut(words)[..len])?;
                work(Piece { n, words, precision, d }, wide, out);
                Ok(())
            },
        )
    }

    /// Products of vectors with rows from `first` on, in pieces `[vectors.n, n]` of [`Self::rows_of_piece`] rows, the
    /// last one shorter.
    ///
    /// # Errors
    /// A failure to read.
    pub(super) fn products(&self, rows: Rows, first: usize, vectors: &Vectors<'_>, out: &mut [f32]) -> Result<()> {
        self.scan(rows, first, (out, vectors.n), |piece, wide, out| piece.products(vectors, wide, out))
    }
}
