//! The folds that make the internal form of a file's own numbers, some latents at a time.
//!
//! With n the length of a decoder row: `dec = w/n`, `enc = e·n`, `b_enc = (b − e·b_pre)·n`, and a threshold of the
//! pre-activation becomes `θ·n`; one of the written length stays. A latent with n = 0 writes nothing and is dead.

use rayon::prelude::*;

use super::description::Architecture;
use super::recipe::{Recipe, Threshold};
use super::source::{Container, Matrix};
use crate::error::Result;

/// The vectors of the internal form, filled as the latents are folded.
#[derive(Clone, Debug, Default)]
pub(super) struct Vectors {
    /// `[d_sae]`.
    pub(super) b_enc: Vec<f32>,
    /// `[d_model]`.
    pub(super) b_dec: Vec<f32>,
    /// Length of each decoder row as stored, `[d_sae]`.
    pub(super) dec_norms: Vec<f32>,
    /// `[d_sae]` for `JumpReLU`, else empty.
    pub(super) theta: Vec<f32>,
    /// `[d_sae]` for the choice of the largest: what a pre-activation is multiplied by before it is compared.
    pub(super) rank_scale: Vec<f32>,
}

/// A file on its way to the internal form.
#[derive(Debug)]
pub(super) struct Folder<'a> {
    recipe: &'a Recipe,
    enc: Matrix<'a>,
    dec: Matrix<'a>,
    /// Factor of each encoder row, or empty.
    enc_scale: Vec<f32>,
    /// Factor of each decoder row, or empty.
    dec_scale: Vec<f32>,
    pub(super) vectors: Vectors,
}

/// The vectors of one latent.
struct Row<'a> {
    enc: &'a mut [f32],
    dec: &'a mut [f32],
    b_enc: &'a mut f32,
    norm: &'a mut f32,
}

impl<'a> Folder<'a> {
    /// Reads the vectors.
    ///
    /// # Errors
    /// Tensors that are missing or do not fit, values that are no numbers, a failure to read.
    pub(super) fn new(recipe: &'a Recipe, container: &'a Container) -> Result<Self> {
        let (d, n) = (recipe.description.d_model, recipe.description.d_sae);
        let read = |name: &Option<String>, n: usize| match name {
            Some(name) => container.vector(name, n),
            None => Ok(vec![0.0; n]),
        };
        let scaled = |mut values: Vec<f32>, scale: f32| {
            multiply(&mut values, scale);
            values
        };
        let b_enc = scaled(read(&recipe.b_enc, n)?, recipe.scale.b_enc);
        let b_dec = scaled(read(&recipe.b_dec, d)?, recipe.scale.b_dec);
        let mut enc_scale = Vec::new();
        let theta = match &recipe.threshold {
            None => Vec::new(),
            Some(Threshold::All(theta)) => vec![*theta; n],
            Some(Threshold::Each(name)) => container.vector(name, n)?,
            Some(Threshold::EachLog(name)) => container.vector(name, n)?.into_iter().map(f32::exp).collect(),
            Some(Threshold::Gate { bias, scale }) => {
                let bias = container.vector(bias, n)?;
                enc_scale = container.vector(scale, n)?.into_iter().map(f32::exp).collect();
                let open = bias.iter().zip(&enc_scale).zip(&b_enc);
                open.map(|((bias, scale), value)| value - bias * scale).collect()
            }
        };
        let dec_scale = if recipe.output_scale.is_some() { read(&recipe.output_scale, n)? } else { Vec::new() };
        let rank_scale = match recipe.description.architecture {
            Architecture::TopK | Architecture::AbsTopK => vec![1.0; n],
            _ => Vec::new(),
        };
        Ok(Self {
            recipe,
            enc: container.matrix(&recipe.enc.name, (n, d), recipe.enc.is_turned)?,
            dec: container.matrix(&recipe.dec.name, (n, d), recipe.dec.is_turned)?,
            enc_scale,
            dec_scale,
            vectors: Vectors { b_enc, b_dec, dec_norms: vec![0.0; n], theta, rank_scale },
        })
    }

    /// Folds as many latents as fit into `enc` and `dec` (`[n, d_model]`), from `first` on.
    ///
    /// # Errors
    /// Values that are no numbers, a failure to read.
    pub(super) fn rows(&mut self, first: usize, enc: &mut [f32], dec: &mut [f32]) -> Result<()> {
        self.enc.rows(first, enc)?;
        self.dec.rows(first, dec)?;
        let recipe = self.recipe;
        let d = recipe.description.d_model;
        let n = enc.len() / d;
        let Vectors { b_enc, b_dec, dec_norms, theta, rank_scale } = &mut self.vectors;
        let rows = enc.par_chunks_mut(d).zip(dec.par_chunks_mut(d));
        let rows = rows.zip(&mut b_enc[first..first + n]).zip(&mut dec_norms[first..first + n]);
        let (enc_scale, dec_scale) = (&self.enc_scale, &self.dec_scale);
        let before = if recipe.subtracts_b_dec { b_dec.as_slice() } else { &[] };
        rows.enumerate().for_each(|(i, (((enc, dec), b_enc), norm))| {
            let scale = |scales: &[f32], all: f32| scales.get(first + i).map_or(all, |scale| scale * all);
            let row = Row { enc, dec, b_enc, norm };
            row.fold(before, scale(enc_scale, recipe.scale.enc), scale(dec_scale, recipe.scale.dec));
        });
        for (latent, &norm) in dec_norms.iter().enumerate().skip(first).take(n) {
            if let Some(theta) = theta.get_mut(latent) {
                *theta *= if recipe.judges_written_length { recipe.scale.dec } else { norm };
            }
            if let Some(rank) = rank_scale.get_mut(latent) {
                *rank = if recipe.judges_written_length || norm == 0.0 { 1.0 } else { 1.0 / norm };
            }
        }
        Ok(())
    }
}

/// All `values` times `scale`; most scales are 1.
fn multiply(values: &mut [f32], scale: f32) {
    if scale.to_bits() != 1.0_f32.to_bits() {
        for value in values {
            *value *= scale;
        }
    }
}

impl Row<'_> {
    fn fold(self, before: &[f32], enc_scale: f32, dec_scale: f32) {
        for (values, scale) in [(&mut *self.enc, enc_scale), (&mut *self.dec, dec_scale)] {
            multiply(values, scale);
        }
        if !before.is_empty() {
            let product = |(w, b): (&f32, &f32)| f64::from(*w) * f64::from(*b);
            *self.b_enc -= self.enc.iter().zip(before).map(product).sum::<f64>() as f32;
        }
        let norm = self.dec.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt() as f32;
        *self.norm = norm;
        if norm > 0.0 {
            self.dec.iter_mut().for_each(|w| *w /= norm);
        }
        self.enc.iter_mut().for_each(|w| *w *= norm);
        *self.b_enc *= norm;
    }
}
