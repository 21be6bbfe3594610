//! SAEs of made-up rows, for measurements and tests: large ones without a download.
//!
//! Latents come in families of 16 and kinds of 256 whose decoder rows are alike to varying degrees, and all rows lean
//! a little the same way, as those of trained SAEs do.

use std::path::Path;

use rayon::prelude::*;
use tiller_protocol::site::Site;

use super::convert::{Precision, Writer, latents_at_once};
use super::description::{Architecture, Description, Format, Norm};
use super::fold::Vectors;
use super::scan::product;
use crate::error::{EngineError, Result};
use crate::random::Noise;

/// Latents of a family and of a kind.
const FAMILY: usize = 16;
const KIND: usize = 256;

/// Writes a converted SAE of `d_sae` made-up latents of `d_model` values to `target`; the same seed gives the same.
/// `progress(done_bytes, total_bytes)` returns `false` to stop. Its gate is a threshold, which a row passes at a cosine
/// of about 0.2 with what is 10 long.
///
/// # Errors
/// No room, [`EngineError::Stopped`].
pub fn synthetic(
    target: &Path,
    (d_sae, d_model): (usize, usize),
    seed: u64,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Description> {
    if d_sae == 0 || d_model == 0 {
        return Err(EngineError::BadRequest(format!("an SAE of {d_sae} latents of {d_model} values")));
    }
    let about = Description {
        format: Format::SaeLens,
        architecture: Architecture::JumpRelu,
        k: None,
        site: Site::ResidPost(0),
        d_model,
        d_sae,
        norm: Norm::None,
        reads: None,
        stored_as: "f16".to_owned(),
    };
    let total = Writer::sizes(&about, Precision::F16)?;
    let mut done = 0;
    let mut step = |bytes: u64| {
        done += bytes;
        progress(done, total)
    };
    let mut writer = Writer::new(target, &about, Precision::F16)?;
    let block = latents_at_once(d_model).next_multiple_of(FAMILY).min(d_sae);
    let mut rows = vec![0.0; block * d_model];
    for first in (0..d_sae).step_by(block) {
        let rows = &mut rows[..block.min(d_sae - first) * d_model];
        rows.par_chunks_mut(FAMILY * d_model).enumerate().for_each(|(idx, rows)| {
            family(rows, first + idx * FAMILY, d_model, seed);
        });
        writer.rows(first, rows, rows, &mut step)?;
    }
    let vectors = Vectors {
        b_enc: vec![0.0; d_sae],
        b_dec: vec![0.0; d_model],
        dec_norms: vec![1.0; d_sae],
        theta: vec![2.0; d_sae],
        rank_scale: Vec::new(),
    };
    writer.finish(&vectors, &mut step)?;
    Ok(about)
}

/// Unit rows of a family, from its latent `first` on.
fn family(rows: &mut [f32], first: usize, d_model: usize, seed: u64) {
    // Streams of their own for all rows, what a kind shares, what a family shares, and each row.
    let stream = |level: u64, idx: usize| Noise(seed ^ level.rotate_right(8) ^ (idx as u64).wrapping_mul(0x9e37_79b9));
    let mut shared = vec![0.0; d_model];
    for (weight, mut noise) in [(0.2, stream(1, 0)), (0.4, stream(2, first / KIND)), (0.8, stream(3, first / FAMILY))] {
        for value in &mut shared {
            *value += weight * noise.uniform();
        }
    }
    for (latent, row) in (first..).zip(rows.chunks_exact_mut(d_model)) {
        let mut noise = stream(4, latent);
        let own = 1.0 + 0.4 * noise.uniform();
        row.iter_mut().zip(&shared).for_each(|(value, shared)| *value = shared + own * noise.uniform());
        let length = product(row, row).sqrt();
        for value in row {
            *value /= length;
        }
    }
}
