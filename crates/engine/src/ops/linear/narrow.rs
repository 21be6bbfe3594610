//! Products with [`Rows`]: widened where they are used, a few rows at a time.
//!
//! Few input rows (a reply being written) are bound by reading the weights, so each thread widens a handful of weight
//! rows into its fastest cache and takes dot products there. Many input rows pay for widening panels that a matrix
//! product then reads. Sums are f32 in both, and exact products of the stored values; only quantised blocks with few
//! input rows use the integer products of their format, which round the input.

use std::ops::Range;

use candle_core::{Result, bail};
use rayon::prelude::*;

use super::super::gemm::{View, matmul, matmul_columns};
use super::super::simd::{DOT_ROWS, dot_products};
use super::rows::Rows;
use super::task_width;

/// Up to this many input rows the weights are read once, row by row, for all of them.
const FEW_ROWS: usize = 24;

/// Up to this many input rows quantised blocks are multiplied as integers.
const INTEGER_ROWS: usize = 8;

/// Values widened into the fastest cache before their dot products are taken: 16 KiB.
const WIDENED_AT_ONCE: usize = 1 << 12;

/// Values of a panel: 4 MiB.
const PANEL: usize = 1 << 20;

/// Some outputs of stacked parts: `out = x·Wᵀ`, or `out += …` with `add`; `x` `[n, n_in]`, `out`
/// `[n, outputs.len()]`.
pub(super) fn forward(out: &mut [f32], x: &[f32], parts: &[Rows], outputs: Range<usize>, add: bool) -> Result<()> {
    let stride = outputs.len();
    for Overlap { part, rows, columns } in overlaps(parts, outputs) {
        let n_in = part.n_in();
        let n = x.len() / n_in;
        let integers = n <= INTEGER_ROWS && rows.len() == part.n_out();
        if let Some(found) = if integers { part.integer_product(x)? } else { None } {
            scatter(out, stride, columns, &found, add);
        } else if n <= FEW_ROWS {
            let width = task_width(rows.len(), rows.len() * n_in);
            let tasks: Vec<_> = pieces(rows, width).collect();
            let found: Vec<Vec<f32>> =
                tasks.par_iter().map(|rows| few_rows(x, part, rows.clone())).collect::<Result<_>>()?;
            for (columns, found) in pieces(columns, width).zip(&found) {
                scatter(out, stride, columns, found, add);
            }
        } else {
            let mut panel = Panel::of(part, &rows);
            for (rows, columns) in pieces(rows, panel.rows).zip(pieces(columns, panel.rows)) {
                let right = panel.widened(part, rows)?.t();
                matmul_columns(out, stride, columns, View::new(x, n, n_in), right, add);
            }
        }
    }
    Ok(())
}

/// The input's gradient from that of some outputs: `dx = grad·W`, or `dx += …` with `add`; `grad`
/// `[n, outputs.len()]`, `dx` `[n, n_in]`.
pub(super) fn backward(dx: &mut [f32], grad: &[f32], parts: &[Rows], outputs: Range<usize>, add: bool) -> Result<()> {
    let stride = outputs.len();
    let mut add = add;
    for Overlap { part, rows, columns } in overlaps(parts, outputs) {
        if part.is_quantised() {
            bail!("quantised weights have no gradient");
        }
        let n = grad.len() / stride;
        let mut panel = Panel::of(part, &rows);
        for (rows, columns) in pieces(rows, panel.rows).zip(pieces(columns, panel.rows)) {
            matmul(dx, View::columns(grad, n, stride, columns), panel.widened(part, rows)?, add);
            add = true;
        }
    }
    Ok(())
}

/// What some outputs of stacked parts need of one part.
struct Overlap<'a> {
    part: &'a Rows,
    /// Rows of the part.
    rows: Range<usize>,
    /// Where they stand among the outputs asked for.
    columns: Range<usize>,
}

fn overlaps(parts: &[Rows], outputs: Range<usize>) -> impl Iterator<Item = Overlap<'_>> {
    let mut first = 0;
    parts.iter().filter_map(move |part| {
        let all = first..first + part.n_out();
        first = all.end;
        let (start, end) = (outputs.start.max(all.start), outputs.end.min(all.end));
        (start < end).then(|| Overlap {
            part,
            rows: start - all.start..end - all.start,
            columns: start - outputs.start..end - outputs.start,
        })
    })
}

/// A range in pieces of `width`, the last one shorter.
fn pieces(range: Range<usize>, width: usize) -> impl Iterator<Item = Range<usize>> {
    range.clone().step_by(width.max(1)).map(move |start| start..range.end.min(start + width))
}

/// Writes `found` `[n, columns.len()]` to its columns of rows of `stride` values, or adds it to them.
fn scatter(out: &mut [f32], stride: usize, columns: Range<usize>, found: &[f32], add: bool) {
    for (out, found) in out.chunks_exact_mut(stride).zip(found.chunks_exact(columns.len())) {
        let out = &mut out[columns.clone()];
        if add {
            out.iter_mut().zip(found).for_each(|(out, found)| *out += found);
        } else {
            out.copy_from_slice(found);
        }
    }
}

/// `x·Wᵀ` for some rows of `W`, on the calling thread: `[n, rows.len()]`.
fn few_rows(x: &[f32], part: &Rows, rows: Range<usize>) -> Result<Vec<f32>> {
    let (n_in, n_out) = (part.n_in(), rows.len());
    let mut out = vec![0.0; x.len() / n_in * n_out];
    let at_once = (WIDENED_AT_ONCE / n_in).next_multiple_of(DOT_ROWS);
    let mut wide = vec![0.0; at_once * n_in];
    for (rows, columns) in pieces(rows, at_once).zip(pieces(0..n_out, at_once)) {
        let wide = &mut wide[..rows.len() * n_in];
        part.widen(rows, wide)?;
        dot_products(&mut out, n_out, columns.start, x, wide, n_in);
    }
    Ok(out)
}

/// Memory for some rows of a part in f32.
struct Panel {
    wide: Vec<f32>,
    /// Rows it has room for.
    rows: usize,
    n_in: usize,
}

impl Panel {
    /// Room for as many of these rows as are widened at a time.
    fn of(part: &Rows, needed: &Range<usize>) -> Self {
        let n_in = part.n_in();
        let rows = (PANEL / n_in).next_multiple_of(64).min(needed.len());
        Self { wide: vec![0.0; rows * n_in], rows, n_in }
    }

    /// These rows, `[rows.len(), n_in]`.
    fn widened(&mut self, part: &Rows, rows: Range<usize>) -> Result<View<'_>> {
        const ROWS_PER_TASK: usize = 16;
        let (n, first) = (rows.len(), rows.start);
        let wide = &mut self.wide[..n * self.n_in];
        wide.par_chunks_mut(ROWS_PER_TASK * self.n_in).enumerate().try_for_each(|(i, wide)| {
            let start = first + i * ROWS_PER_TASK;
            part.widen(start..start + wide.len() / self.n_in, wide)
        })?;
        Ok(View::new(&self.wide[..n * self.n_in], n, self.n_in))
    }
}
