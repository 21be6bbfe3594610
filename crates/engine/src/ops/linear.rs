//! Linear maps with constant weights: the gradient passes to the input, none is computed for the weight.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::gemm::{View, matmul};
use super::simd::{dot, kernel};
use super::{Values, is_fused, values};

/// How a weight lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Orientation {
    /// `[n_in, n_out]`: the faster one for few rows; used inside the blocks.
    InOut,
    /// `[n_out, n_in]`, as in checkpoints; used where the matrix is shared with the embedding.
    OutIn,
}

/// A frozen linear map.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    orientation: Orientation,
}

impl Linear {
    pub(crate) fn new(weight: Tensor, bias: Option<Tensor>, orientation: Orientation) -> Self {
        Self { weight, bias, orientation }
    }

    pub(crate) fn n_in(&self) -> usize {
        self.weight.dims()[usize::from(self.orientation == Orientation::OutIn)]
    }

    pub(crate) fn n_out(&self) -> usize {
        self.weight.dims()[usize::from(self.orientation == Orientation::InOut)]
    }

    pub(crate) fn n_values(&self) -> usize {
        self.weight.elem_count() + self.bias.as_ref().map_or(0, Tensor::elem_count)
    }

    /// `x` `[n, n_in]` to `[n, n_out]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if is_fused(x) { x.contiguous()?.apply_op1(self.clone()) } else { self.composite(x) }
    }

    /// [`Self::forward`] by stock operations.
    pub(crate) fn composite(&self, x: &Tensor) -> Result<Tensor> {
        let y = match self.orientation {
            Orientation::InOut => x.matmul(&self.weight)?,
            Orientation::OutIn => x.matmul(&self.weight.t()?)?,
        };
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }

    /// `out = x·W + bias`, or `out += …` with `add`; `x` `[n, n_in]`, `out` `[n, n_out]`.
    pub(crate) fn forward_into(&self, out: &mut [f32], x: &[f32], add: bool) -> Result<()> {
        let weight = Values::of(&self.weight);
        let weight = weight.slice()?;
        let (n_in, n_out) = (self.n_in(), self.n_out());
        let n = x.len() / n_in;
        match self.orientation {
            Orientation::InOut if n == 1 => in_out_product(out, x, weight, add),
            Orientation::OutIn if n == 1 => out_in_product(out, x, weight, add),
            _ if n <= FEW_ROWS && weight.len() < PARALLEL_FROM => self.few_rows(out, x, weight, add),
            Orientation::InOut => matmul(out, View::new(x, n, n_in), View::new(weight, n_in, n_out), add),
            Orientation::OutIn => matmul(out, View::new(x, n, n_in), View::new(weight, n_out, n_in).t(), add),
        }
        if let Some(bias) = &self.bias {
            let bias = Values::of(bias);
            let bias = bias.slice()?;
            out.chunks_exact_mut(n_out).for_each(|row| row.iter_mut().zip(bias).for_each(|(y, b)| *y += b));
        }
        Ok(())
    }

    /// `dx = grad·Wᵀ`, or `dx += …` with `add`; `grad` `[n, n_out]`, `dx` `[n, n_in]`.
    pub(crate) fn backward_into(&self, dx: &mut [f32], grad: &[f32], add: bool) -> Result<()> {
        let weight = Values::of(&self.weight);
        let weight = weight.slice()?;
        let (n_in, n_out) = (self.n_in(), self.n_out());
        let n = grad.len() / n_out;
        match self.orientation {
            Orientation::InOut => matmul(dx, View::new(grad, n, n_out), View::new(weight, n_in, n_out).t(), add),
            Orientation::OutIn => matmul(dx, View::new(grad, n, n_out), View::new(weight, n_out, n_in), add),
        }
        Ok(())
    }

    /// Some outputs of an [`Orientation::OutIn`] map without bias: `x` `[n, n_in]` to `[n, outputs.len()]`.
    pub(crate) fn forward_some(&self, out: &mut [f32], x: &[f32], outputs: Range<usize>) -> Result<()> {
        let n_in = self.n_in();
        let weight = Values::of(&self.weight);
        let weight = View::new(&weight.slice()?[outputs.start * n_in..outputs.end * n_in], outputs.len(), n_in);
        matmul(out, View::new(x, x.len() / n_in, n_in), weight.t(), false);
        Ok(())
    }

    /// Adds the input's gradient from that of some outputs: the other way of [`Self::forward_some`].
    pub(crate) fn backward_some(&self, dx: &mut [f32], grad: &[f32], outputs: Range<usize>) -> Result<()> {
        let n_in = self.n_in();
        let weight = Values::of(&self.weight);
        let weight = View::new(&weight.slice()?[outputs.start * n_in..outputs.end * n_in], outputs.len(), n_in);
        matmul(dx, View::new(grad, dx.len() / n_in, outputs.len()), weight, true);
        Ok(())
    }
}

impl CustomOp1 for Linear {
    fn name(&self) -> &'static str {
        "tiller-linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let n = x.len() / self.n_in();
        let mut out = vec![0.0; n * self.n_out()];
        self.forward_into(&mut out, x, false)?;
        Ok((CpuStorage::F32(out), Shape::from((n, self.n_out()))))
    }

    fn bwd(&self, _arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let n = grad.dim(0)?;
        let mut dx = vec![0.0; n * self.n_in()];
        self.backward_into(&mut dx, Values::of(&grad).slice()?, false)?;
        Tensor::from_vec(dx, (n, self.n_in()), grad.device()).map(Some)
    }
}

/// Products below this many weights run on the calling thread: waking another costs more.
const PARALLEL_FROM: usize = 1 << 19;

/// Up to this many rows a small weight is read once, row by row, for all of them; more rows pay for packing it.
const FEW_ROWS: usize = 8;

/// Outputs of a row that are summed at a time, so that they and the weights they need stay in the fastest cache.
const COLUMNS_AT_ONCE: usize = 256;

impl Linear {
    fn few_rows(&self, out: &mut [f32], x: &[f32], weight: &[f32], add: bool) {
        if !add {
            out.fill(0.0);
        }
        let (n_in, n_out) = (self.n_in(), self.n_out());
        match self.orientation {
            Orientation::InOut => {
                for first in (0..n_out).step_by(COLUMNS_AT_ONCE) {
                    let columns = first..n_out.min(first + COLUMNS_AT_ONCE);
                    add_column_block(out, x, weight, columns, (n_in, n_out));
                }
            }
            Orientation::OutIn => add_dot_block(out, x, weight, (n_in, n_out)),
        }
    }
}

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

/// Outputs per task of a one-row product.
fn task_width(n_out: usize, n_weights: usize) -> usize {
    if n_weights < PARALLEL_FROM { n_out } else { n_out.div_ceil(rayon::current_num_threads()).next_multiple_of(16) }
}
