//! Products with a weight of f32 on the processor.

use std::ops::Range;

use rayon::prelude::*;

use super::super::gemm::{View, matmul};
use super::super::simd::{dot, kernel};
use super::{Orientation, PARALLEL_FROM, task_width};

/// A weight seen by the products: its values, how they lie, `(n_in, n_out)`.
#[derive(Clone, Copy)]
pub(super) struct Dense<'a> {
    pub(super) values: &'a [f32],
    pub(super) orientation: Orientation,
    pub(super) shape: (usize, usize),
}

impl<'a> Dense<'a> {
    /// `[n_in, n_out]`.
    fn view(self) -> View<'a> {
        let (n_in, n_out) = self.shape;
        match self.orientation {
            Orientation::InOut => View::new(self.values, n_in, n_out),
            Orientation::OutIn => View::new(self.values, n_out, n_in).t(),
        }
    }

    /// `out = x·W`, or `out += …` with `add`; `x` `[n, n_in]`, `out` `[n, n_out]`.
    pub(super) fn forward(self, out: &mut [f32], x: &[f32], add: bool) {
        let n = x.len() / self.shape.0;
        match self.orientation {
            Orientation::InOut if n == 1 => in_out_product(out, x, self.values, add),
            Orientation::OutIn if n == 1 => out_in_product(out, x, self.values, add),
            _ if n <= FEW_ROWS && self.values.len() < PARALLEL_FROM => self.few_rows(out, x, add),
            _ => matmul(out, View::new(x, n, self.shape.0), self.view(), add),
        }
    }

    /// [`Self::forward`] as one matrix product, whatever the number of rows.
    pub(super) fn product(self, out: &mut [f32], x: &[f32]) {
        let n_in = self.shape.0;
        matmul(out, View::new(x, x.len() / n_in, n_in), self.view(), false);
    }

    /// `dx = grad·Wᵀ`, or `dx += …` with `add`; `grad` `[n, n_out]`, `dx` `[n, n_in]`.
    pub(super) fn backward(self, dx: &mut [f32], grad: &[f32], add: bool) {
        let n_out = self.shape.1;
        matmul(dx, View::new(grad, grad.len() / n_out, n_out), self.view().t(), add);
    }

    /// Some outputs of an [`Orientation::OutIn`] weight.
    pub(super) fn some(self, outputs: Range<usize>) -> Self {
        let n_in = self.shape.0;
        let values = &self.values[outputs.start * n_in..outputs.end * n_in];
        Self { values, shape: (n_in, outputs.len()), ..self }
    }

    fn few_rows(self, out: &mut [f32], x: &[f32], add: bool) {
        if !add {
            out.fill(0.0);
        }
        let n_out = self.shape.1;
        match self.orientation {
            Orientation::InOut => {
                for first in (0..n_out).step_by(COLUMNS_AT_ONCE) {
                    let columns = first..n_out.min(first + COLUMNS_AT_ONCE);
                    add_column_block(out, x, self.values, columns, self.shape);
                }
            }
            Orientation::OutIn => add_dot_block(out, x, self.values, self.shape),
        }
    }
}

/// Up to this many rows a small weight is read once, row by row, for all of them; more rows pay for packing it.
const FEW_ROWS: usize = 8;

/// Outputs of a row that are summed at a time, so that they and the weights they need stay in the fastest cache.
const COLUMNS_AT_ONCE: usize = 256;

kernel! {
    /// `out[:, columns] += x·W[:, columns]` for rows `out` `[n, n_out]`, `x` `[n, n_in]`.
    fn add_column_block[_simd](
        out: &'k mut [f32],
        x: &'k [f32],
        weight: &'k [f32],
        columns: Range<usize>,
        shape: (usize, usize),
    ) {
        let (n_in, n_out) = shape;
        for i in (0..n_in).step_by(4) {
            let rows = &weight[i * n_out..(i + 4).min(n_in) * n_out];
            for (out, x) in out.chunks_exact_mut(n_out).zip(x.chunks_exact(n_in)) {
                add_weighted(&mut out[columns.clone()], &x[i..(i + 4).min(n_in)], rows, columns.start, n_out);
            }
        }
    }
}

/// `out += Σ x[i]·row i`, rows of `stride` values from column `first` on; at most four rows.
#[inline(always)]
#[expect(clippy::inline_always, reason = "inlined into each instruction set's version")]
fn add_weighted(out: &mut [f32], x: &[f32], rows: &[f32], first: usize, stride: usize) {
    let n = out.len();
    let row = |i: usize| &rows[i * stride + first..][..n];
    if let &[p, q, r, s] = x {
        let (a, b, c, d) = (row(0), row(1), row(2), row(3));
        for i in 0..n {
            out[i] += p.mul_add(a[i], q * b[i]) + r.mul_add(c[i], s * d[i]);
        }
        return;
    }
    for (i, &value) in x.iter().enumerate() {
        for (out, w) in out.iter_mut().zip(row(i)) {
            *out = value.mul_add(*w, *out);
        }
    }
}

kernel! {
    /// `out[first..] += x·W[:, first..]` for one row, `W` `[x.len(), stride]`.
    fn add_columns[_simd](out: &'k mut [f32], x: &'k [f32], weight: &'k [f32], first: usize, stride: usize) {
        for (x, rows) in x.chunks(4).zip(weight.chunks(4 * stride)) {
            add_weighted(out, x, rows, first, stride);
        }
    }
}

kernel! {
    fn add_dot_block[simd](out: &'k mut [f32], x: &'k [f32], weight: &'k [f32], shape: (usize, usize)) {
        let (n_in, n_out) = shape;
        for (column, row) in weight.chunks_exact(n_in).enumerate() {
            for (out, x) in out.chunks_exact_mut(n_out).zip(x.chunks_exact(n_in)) {
                out[column] += dot(simd, x, row);
            }
        }
    }
}

fn in_out_product(out: &mut [f32], x: &[f32], weight: &[f32], add: bool) {
    if !add {
        out.fill(0.0);
    }
    let stride = out.len();
    let width = task_width(out.len(), weight.len());
    let columns = |(i, out): (usize, &mut [f32])| add_columns(out, x, weight, i * width, stride);
    if width >= out.len() {
        return columns((0, out));
    }
    out.par_chunks_mut(width).enumerate().for_each(columns);
}

fn out_in_product(out: &mut [f32], x: &[f32], weight: &[f32], add: bool) {
    if !add {
        out.fill(0.0);
    }
    let dots = |out: &mut [f32], rows: &[f32]| {
        let n_out = out.len();
        add_dot_block(out, x, rows, (x.len(), n_out));
    };
    let width = task_width(out.len(), weight.len());
    if width >= out.len() {
        return dots(out, weight);
    }
    out.par_chunks_mut(width).zip(weight.par_chunks(width * x.len())).for_each(|(out, rows)| dots(out, rows));
}
