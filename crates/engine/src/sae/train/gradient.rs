//! The loss of a batch and its gradient, in closed form on the latents that pass.
//!
//! With `pre = (x − b_dec)·encᵀ + b_enc`, `f = pre` where a latent passes and 0 elsewhere, `x̂ = f·dec + b_dec` and V
//! the mean squared distance of a row from the mean row:
//!
//! `loss = Σ‖x − x̂‖² / (n·V) + w·Σ‖(x − x̂) − f'·dec‖² / (n·V) + c·(L0/k − 1)²`
//!
//! The second part is `AuxK` (Gao et al. 2024): the largest dead latents f' explain the error, which is held
//! fixed. The third is that of `JumpReLU` alone; its thresholds learn through a window of width ε (Rajamanoharan et al.
//! 2024): `∂f/∂θ = −θ/ε` and `∂L0/∂θ = −1/ε` where `|pre − θ| < ε/2`, else 0.

use rayon::prelude::*;
use tiller_protocol::feature::TrainKind;

use super::choose::{Latents, RowChoice};
use super::options::TrainOptions;
use super::parameters::Parameters;
use crate::ops::gemm::{View, matmul};
use crate::ops::simd::{dot, kernel};

/// A batch, scaled.
#[derive(Debug)]
pub(super) struct Batch {
    /// `[n, d_model]`.
    pub(super) x: Vec<f32>,
    /// The same without the output bias.
    pub(super) centred: Vec<f32>,
    /// V.
    pub(super) variance: f32,
}

/// The parts of a loss.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Loss {
    /// The whole.
    pub(super) total: f64,
    /// `Σ‖x − x̂‖²`.
    pub(super) error: f64,
    /// Mean number of latents that pass.
    pub(super) l0: f64,
}

/// The slopes that belong to one row.
struct RowSlopes {
    /// `∂loss/∂f` of [`RowChoice::main`].
    main: Vec<f32>,
    /// The same of [`RowChoice::spare`].
    spare: Vec<f32>,
    /// `∂(first part)/∂f` of [`RowChoice::near`].
    near: Vec<f32>,
    error: f64,
    spare_error: f64,
}

/// Loss and gradient of a batch, given what passes.
pub(super) fn gradient(
    options: &TrainOptions,
    p: &Parameters,
    batch: &Batch,
    choice: &[RowChoice],
) -> (Loss, Parameters) {
    let d = p.b_dec.len();
    let n = choice.len();
    let unit = 1.0 / (n as f32 * batch.variance);
    // Slopes of the reconstruction and of what the spare latents rebuild, `[n, d_model]`.
    let (mut out, mut spare) = (vec![0.0; n * d], vec![0.0; n * d]);
    let rows = (out.par_chunks_mut(d).zip(spare.par_chunks_mut(d))).zip(batch.x.par_chunks(d).zip(choice));
    let slopes: Vec<RowSlopes> = rows
        .map(|((out, spare), (x, choice))| row_slopes(p, x, choice, (out, spare), (unit, options.spare_weight)))
        .collect();
    let l0 = choice.iter().map(|row| row.main.len()).sum::<usize>() as f64 / n as f64;
    let error: f64 = slopes.iter().map(|row| row.error).sum();
    let spare_error: f64 = slopes.iter().map(|row| row.spare_error).sum();
    let mut loss = Loss { total: (error + f64::from(options.spare_weight) * spare_error) * f64::from(unit), error, l0 };
    let mut gradient = p.like();
    if options.kind == TrainKind::JumpRelu {
        let excess = (l0 / options.k as f64 - 1.0) as f32;
        loss.total += f64::from(options.count_weight * excess * excess);
        // What one latent more that passes costs.
        let count = 2.0 * options.count_weight * excess / (options.k as f32 * n as f32);
        for (row, slopes) in choice.iter().zip(&slopes) {
            for (&latent, slope) in row.near.iter().zip(&slopes.near) {
                let latent = latent as usize;
                let theta = p.log_theta[latent].exp();
                // Of the logarithm, hence another θ.
                gradient.log_theta[latent] -= theta * (theta * slope + count) / options.bandwidth;
            }
        }
    }
    let main = ByLatent::new(p.b_enc.len(), choice.iter().map(|row| &row.main), slopes.iter().map(|row| &row.main));
    let spares = ByLatent::new(p.b_enc.len(), choice.iter().map(|row| &row.spare), slopes.iter().map(|row| &row.spare));
    let matrices = gradient.enc.par_chunks_mut(d).zip(gradient.dec.par_chunks_mut(d));
    matrices.zip(&mut gradient.b_enc).enumerate().for_each(|(latent, ((enc, dec), bias))| {
        for (list, slopes) in [(&main, &out), (&spares, &spare)] {
            let (values, latent_slopes) = list.of(latent);
            add_rows(dec, slopes, values);
            add_rows(enc, &batch.centred, latent_slopes);
            *bias += latent_slopes.iter().map(|(_, slope)| slope).sum::<f32>();
        }
    });
    // The output bias acts at the output and, taken away, at the input.
    let bias = View::new(&gradient.b_enc, 1, p.b_enc.len());
    matmul(&mut gradient.b_dec, bias, View::new(&p.enc, p.b_enc.len(), d), false);
    gradient.b_dec.iter_mut().for_each(|slope| *slope = -*slope);
    for out in out.chunks(d) {
        gradient.b_dec.iter_mut().zip(out).for_each(|(sum, slope)| *sum += slope);
    }
    (loss, gradient)
}

/// Rebuilds one row; `out` and `spare` take the slopes by the reconstruction and by what the spare latents rebuild.
fn row_slopes(
    p: &Parameters,
    x: &[f32],
    choice: &RowChoice,
    (out, spare): (&mut [f32], &mut [f32]),
    (unit, spare_weight): (f32, f32),
) -> RowSlopes {
    out.copy_from_slice(&p.b_dec);
    add_rows(out, &p.dec, &choice.main);
    out.iter_mut().zip(x).for_each(|(out, x)| *out -= x);
    let size = |row: &[f32]| row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
    let error = size(out);
    let mut spare_error = 0.0;
    if !choice.spare.is_empty() {
        // `out` is x̂ − x, so what the spare latents leave is their sum plus this.
        spare.copy_from_slice(out);
        add_rows(spare, &p.dec, &choice.spare);
        spare_error = size(spare);
        scale(spare, 2.0 * spare_weight * unit);
    }
    scale(out, 2.0 * unit);
    let (mut main, mut near) = (vec![0.0; choice.main.len()], vec![0.0; choice.near.len()]);
    let mut spares = vec![0.0; choice.spare.len()];
    let latents = |latents: &Latents| latents.iter().map(|(latent, _)| *latent).collect::<Vec<u32>>();
    products(&mut main, out, &p.dec, &latents(&choice.main));
    products(&mut near, out, &p.dec, &choice.near);
    products(&mut spares, spare, &p.dec, &latents(&choice.spare));
    RowSlopes { main, spare: spares, near, error, spare_error }
}

fn scale(row: &mut [f32], by: f32) {
    for value in row {
        *value *= by;
    }
}

/// A row with its weight.
type Weighted = (u32, f32);

/// What rows have to say about each latent, by latent and row.
struct ByLatent {
    starts: Vec<usize>,
    /// Row and activation.
    values: Vec<Weighted>,
    /// Row and slope of the activation.
    slopes: Vec<Weighted>,
}

impl ByLatent {
    fn new<'a>(
        n_latents: usize,
        rows: impl Iterator<Item = &'a Latents> + Clone,
        slopes: impl Iterator<Item = &'a Vec<f32>>,
    ) -> Self {
        let mut starts = vec![0; n_latents + 1];
        for (latent, _) in rows.clone().flatten() {
            starts[*latent as usize + 1] += 1;
        }
        for latent in 0..n_latents {
            starts[latent + 1] += starts[latent];
        }
        let mut next = starts.clone();
        let mut values = vec![(0, 0.0); starts[n_latents]];
        let mut sorted = values.clone();
        for (row, (latents, slopes)) in (0..).zip(rows.zip(slopes)) {
            for ((latent, value), slope) in latents.iter().zip(slopes) {
                let at = &mut next[*latent as usize];
                values[*at] = (row, *value);
                sorted[*at] = (row, *slope);
                *at += 1;
            }
        }
        Self { starts, values, slopes: sorted }
    }

    /// Activations and slopes of a latent.
    fn of(&self, latent: usize) -> (&[Weighted], &[Weighted]) {
        let range = self.starts[latent]..self.starts[latent + 1];
        (&self.values[range.clone()], &self.slopes[range])
    }
}

kernel! {
    /// `out += Σ weight · matrix[row]`, rows of the length of `out`.
    fn add_rows[_simd](out: &'k mut [f32], matrix: &'k [f32], weights: &'k [(u32, f32)]) {
        let d = out.len();
        for &(row, weight) in weights {
            let row = &matrix[row as usize * d..][..d];
            out.iter_mut().zip(row).for_each(|(out, value)| *out = weight.mul_add(*value, *out));
        }
    }
}

kernel! {
    /// The product of `row` with each of some rows of a matrix.
    fn products[simd](out: &'k mut [f32], row: &'k [f32], matrix: &'k [f32], rows: &'k [u32]) {
        let d = row.len();
        for (out, &other) in out.iter_mut().zip(rows) {
            *out = dot(simd, row, &matrix[other as usize * d..][..d]);
        }
    }
}
