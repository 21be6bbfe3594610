//! Products with [`Rows`]: widened where they are used, a few at a time.
//!
//! A matrix is used along its rows (`x·Wᵀ`) or across them (`x·W`); forward is the one and backward the other. Along
//! the rows, each thread widens a handful of them into its fastest cache and takes dot products there. Across, each
//! thread widens some columns, which a matrix product reads as they lie. A single input row is bound by reading the
//! weights and has kernels of its own. Sums are f32, of exact products of the stored values; only quantised blocks
//! with few input rows use the integer products of their format, which round the input.

use std::cell::RefCell;
use std::ops::Range;

use candle_core::{Result, bail};
use rayon::prelude::*;

use super::super::gemm::{ColumnsMut, View, columns_mut};
use super::dots::{TOGETHER, dot_products, laid_out};
use super::rows::Rows;
use super::widen::even_then_odd;
use super::{PARALLEL_FROM, task_width};

/// Up to this many input rows dot products are taken along the rows of a weight; more pay for a matrix product, which
/// has to turn what it reads.
const DOT_ROWS: usize = 64;

/// Values widened into the fastest cache before their dot products are taken: 16 KiB.
const WIDENED_AT_ONCE: usize = 1 << 12;

/// Values of a panel, 512 KiB: about half of the cache that a thread has for itself.
const PANEL: usize = 1 << 17;

/// Rows of a panel across the rows.
const PANEL_ROWS: usize = 1 << 12;

/// Some outputs of stacked parts: `out = x·Wᵀ`, or `out += …` with `add`; `x` `[n, n_in]`, `out`
/// `[n, outputs.len()]`.
pub(super) fn along_rows(out: &mut [f32], x: &[f32], parts: &[Rows], outputs: Range<usize>, add: bool) -> Result<()> {
    let stride = outputs.len();
    for Overlap { part, rows, columns } in overlaps(parts, outputs) {
        let n_in = part.n_in();
        let n = x.len() / n_in;
        let integers = n <= part.integer_rows() && rows.len() == part.n_out();
        if let Some(found) = if integers { part.integer_product(x)? } else { None } {
            scatter(out, stride, columns, &found, add);
        } else if n <= DOT_ROWS {
            by_dots(out, stride, x, Overlap { part, rows, columns }, add)?;
        } else {
            let tasks = columns_mut(out, stride, columns.clone(), panel_width(n_in));
            in_parallel(tasks, rows.len() * n_in, |panel, mut task| {
                let start = rows.start + task.range().start - columns.start;
                let own = start..start + task.range().len();
                panel.resize(own.len() * n_in, 0.0);
                part.widen(own.clone(), panel)?;
                task.product(View::new(x, n, n_in), View::new(panel, own.len(), n_in).t(), add);
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Some outputs for one input row, which is not rounded whatever the format: `out` `[outputs.len()]`, `x` `[n_in]`.
pub(super) fn exact_row(out: &mut [f32], x: &[f32], parts: &[Rows], outputs: Range<usize>) -> Result<()> {
    let stride = outputs.len();
    overlaps(parts, outputs).try_for_each(|overlap| by_dots(out, stride, x, overlap, false))
}

/// [`along_rows`] of one part for at most [`DOT_ROWS`] rows.
fn by_dots(out: &mut [f32], stride: usize, x: &[f32], overlap: Overlap<'_>, add: bool) -> Result<()> {
    let Overlap { part, rows, columns } = overlap;
    let left = Left::of(x, part.n_in());
    let width = task_width(rows.len(), rows.len() * part.n_in());
    let tasks: Vec<_> = pieces(rows, width).collect();
    let found: Vec<Vec<f32>> =
        tasks.par_iter().map(|rows| few_rows(&left, part, rows.clone())).collect::<Result<_>>()?;
    for (columns, found) in pieces(columns, width).zip(&found) {
        scatter(out, stride, columns, found, add);
    }
    Ok(())
}

/// What some rows of stacked parts give together: `out = x·W`, or `out += …` with `add`; `x` `[n, rows.len()]`, `out`
/// `[n, n_in]`. Not of quantised blocks.
pub(super) fn across_rows(out: &mut [f32], x: &[f32], parts: &[Rows], rows: Range<usize>, add: bool) -> Result<()> {
    if parts.iter().any(Rows::is_quantised) {
        bail!("quantised weights have no gradient");
    }
    let (width, stride) = (parts.first().map_or(0, Rows::n_in), rows.len());
    let n = x.len() / stride;
    if let ([part], 1) = (parts, n) {
        return one_row_across(out, x, part, rows, add);
    }
    let tasks = columns_mut(out, width, 0..width, panel_width(stride.min(PANEL_ROWS)));
    in_parallel(tasks, stride * width, |panel, mut task| {
        let mut add = add;
        for Overlap { part, rows, columns } in overlaps(parts, rows.clone()) {
            for (rows, columns) in pieces(rows, PANEL_ROWS).zip(pieces(columns, PANEL_ROWS)) {
                panel.resize(rows.len() * task.range().len(), 0.0);
                part.widen_columns(rows.clone(), task.range(), panel)?;
                let right = View::new(panel, rows.len(), task.range().len());
                task.product(View::columns(x, n, stride, columns), right, add);
                add = true;
            }
        }
        Ok(())
    })
}

/// [`across_rows`] for one input row.
fn one_row_across(out: &mut [f32], x: &[f32], part: &Rows, rows: Range<usize>, add: bool) -> Result<()> {
    let width = task_width(out.len(), rows.len() * out.len());
    let product = |(i, out): (usize, &mut [f32])| {
        let columns = i * width..i * width + out.len();
        if !add {
            return part.columns_product(out, x, rows.clone(), columns);
        }
        let mut found = vec![0.0; out.len()];
        part.columns_product(&mut found, x, rows.clone(), columns)?;
        out.iter_mut().zip(found).for_each(|(out, found)| *out += found);
        Ok(())
    };
    if width >= out.len() {
        return product((0, out));
    }
    out.par_chunks_mut(width).enumerate().try_for_each(product)
}

thread_local! {
    /// A thread's panel, kept from product to product: fresh memory would cost more than filling it.
    static PANEL_MEMORY: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` on every task with memory for a panel: on all threads when there are many weights.
fn in_parallel(
    tasks: Vec<ColumnsMut<'_>>,
    n_weights: usize,
    work: impl Fn(&mut Vec<f32>, ColumnsMut<'_>) -> Result<()> + Sync + Send,
) -> Result<()> {
    let work = |task| PANEL_MEMORY.with_borrow_mut(|panel| work(panel, task));
    if n_weights < PARALLEL_FROM {
        return tasks.into_iter().try_for_each(work);
    }
    tasks.into_par_iter().try_for_each(work)
}

/// How wide a panel of so many rows is.
fn panel_width(rows: usize) -> usize {
    (PANEL / rows.max(1)).next_multiple_of(16).max(64)
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

/// Input rows in the forms that their dot products want.
struct Left {
    n: usize,
    laid_out: Vec<f32>,
    /// Of a single row.
    even_then_odd: Option<Vec<f32>>,
}

impl Left {
    fn of(x: &[f32], n_in: usize) -> Self {
        let n = x.len() / n_in;
        Self { n, laid_out: laid_out(x, n_in), even_then_odd: (n == 1).then(|| even_then_odd(x)) }
    }
}

/// `x·Wᵀ` for some rows of `W`, on the calling thread: `[n, rows.len()]`.
fn few_rows(x: &Left, part: &Rows, rows: Range<usize>) -> Result<Vec<f32>> {
    let (n_in, n_out) = (part.n_in(), rows.len());
    let mut out = vec![0.0; x.n * n_out];
    if x.even_then_odd.as_ref().is_some_and(|x| part.one_row_product(&mut out, x, rows.clone())) {
        return Ok(out);
    }
    let at_once = (WIDENED_AT_ONCE / n_in).max(1).next_multiple_of(TOGETHER);
    let mut wide = vec![0.0; at_once * n_in];
    for (rows, columns) in pieces(rows, at_once).zip(pieces(0..n_out, at_once)) {
        let wide = &mut wide[..rows.len() * n_in];
        part.widen(rows, wide)?;
        dot_products(&mut out, (n_out, columns.start), &x.laid_out, wide, n_in);
    }
    Ok(out)
}
