//! The numbers that are learned, with their gradient and Adam's moments in the same shape.

use rayon::prelude::*;

use super::options::TrainOptions;
use crate::ops::simd::{dot, kernel};
use crate::random::Noise;

/// Weights, or something of their shape.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parameters {
    /// Encoder rows, `[d_sae, d_model]`.
    pub(super) enc: Vec<f32>,
    /// Decoder rows, of unit length, `[d_sae, d_model]`.
    pub(super) dec: Vec<f32>,
    /// `[d_sae]`.
    pub(super) b_enc: Vec<f32>,
    /// `[d_model]`.
    pub(super) b_dec: Vec<f32>,
    /// Logarithms of the thresholds of `JumpReLU`, `[d_sae]`; empty for others.
    pub(super) log_theta: Vec<f32>,
}

impl Parameters {
    /// Zeros of these sizes.
    pub(super) fn zeros(d_model: usize, d_sae: usize, n_thresholds: usize) -> Self {
        let zeros = |n: usize| vec![0.0; n];
        Self {
            enc: zeros(d_sae * d_model),
            dec: zeros(d_sae * d_model),
            b_enc: zeros(d_sae),
            b_dec: zeros(d_model),
            log_theta: zeros(n_thresholds),
        }
    }

    /// Zeros of the same shape.
    pub(super) fn like(&self) -> Self {
        Self::zeros(self.b_dec.len(), self.b_enc.len(), self.log_theta.len())
    }

    /// Decoder rows of unit length in directions of chance, the encoder the same (Gao et al. 2024).
    pub(super) fn init(&mut self, seed: u64) {
        let d = self.b_dec.len();
        self.dec.par_chunks_mut(d).enumerate().for_each(|(latent, row)| {
            let mut noise = Noise(seed ^ (latent as u64 + 1).wrapping_mul(0xa076_1d64_78bd_642f));
            // Sums of four are near enough to normal for directions without a preference.
            row.fill_with(|| (0..4).map(|_| noise.uniform()).sum());
            to_unit(row);
        });
        self.enc.clone_from(&self.dec);
    }

    /// Each field by name.
    pub(super) fn fields(&self) -> [(&'static str, &[f32]); 5] {
        let Self { enc, dec, b_enc, b_dec, log_theta } = self;
        [("enc", enc), ("dec", dec), ("b_enc", b_enc), ("b_dec", b_dec), ("log_theta", log_theta)]
    }

    /// Each field by name.
    pub(super) fn fields_mut(&mut self) -> [(&'static str, &mut Vec<f32>); 5] {
        let Self { enc, dec, b_enc, b_dec, log_theta } = self;
        [("enc", enc), ("dec", dec), ("b_enc", b_enc), ("b_dec", b_dec), ("log_theta", log_theta)]
    }
}

/// Adam (Kingma & Ba 2015, algorithm 1) with its two moments.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Adam {
    pub(super) first: Parameters,
    pub(super) second: Parameters,
}

/// What one update of Adam needs to know.
#[derive(Clone, Copy, Debug)]
struct Factors {
    /// Of the two moments.
    betas: (f32, f32),
    /// The learning rate over the first moment's correction.
    rate: f32,
    /// One over the second moment's correction.
    second: f32,
    epsilon: f32,
}

impl Adam {
    /// Takes step `step` (from 0) along `gradient`, which is used up. What would change the length of a decoder row is
    /// taken out first, and rows end with unit length (Bricken et al. 2023).
    pub(super) fn step(&mut self, options: &TrainOptions, step: u64, p: &mut Parameters, gradient: &mut Parameters) {
        let d = p.b_dec.len();
        gradient.dec.par_chunks_mut(d).zip(p.dec.par_chunks(d)).for_each(|(slope, row)| orthogonal(slope, row));
        let n = i32::try_from(step + 1).unwrap_or(i32::MAX);
        let (first, second) = options.betas;
        let factors = Factors {
            betas: (first as f32, second as f32),
            rate: (f64::from(options.rate(step)) / (1.0 - first.powi(n))) as f32,
            second: (1.0 / (1.0 - second.powi(n))) as f32,
            epsilon: options.epsilon as f32,
        };
        let moments = self.first.fields_mut().into_iter().zip(self.second.fields_mut());
        let values = p.fields_mut().into_iter().zip(gradient.fields());
        for (((_, p), (_, slope)), ((_, first), (_, second))) in values.zip(moments) {
            let pieces = p.par_chunks_mut(PIECE).zip(slope.par_chunks(PIECE));
            let moments = first.par_chunks_mut(PIECE).zip(second.par_chunks_mut(PIECE));
            pieces.zip(moments).for_each(|((p, slope), (first, second))| adam(p, slope, first, second, factors));
        }
        p.dec.par_chunks_mut(d).for_each(to_unit);
    }
}

/// Values that one task updates.
const PIECE: usize = 1 << 14;

kernel! {
    /// Scales a row to unit length; one of length 0 stays.
    fn to_unit[simd](row: &'k mut [f32]) {
        let length = dot(simd, row, row).sqrt();
        if length > 0.0 {
            for value in row {
                *value /= length;
            }
        }
    }
}

kernel! {
    /// Takes from `slope` what lies along the unit vector `row`.
    fn orthogonal[simd](slope: &'k mut [f32], row: &'k [f32]) {
        let along = dot(simd, slope, row);
        slope.iter_mut().zip(row).for_each(|(slope, row)| *slope -= along * row);
    }
}

kernel! {
    fn adam[_simd](p: &'k mut [f32], slope: &'k [f32], first: &'k mut [f32], second: &'k mut [f32], by: Factors) {
        for (((p, slope), first), second) in p.iter_mut().zip(slope).zip(first).zip(second) {
            *first = by.betas.0 * *first + (1.0 - by.betas.0) * slope;
            *second = by.betas.1 * *second + (1.0 - by.betas.1) * slope * slope;
            *p -= by.rate * *first / ((*second * by.second).sqrt() + by.epsilon);
        }
    }
}
