//! `SAELens`' `sparsity.safetensors`: the decadic logarithm of how often each feature fires.

use std::path::Path;

use super::sink::{Sink, name};
use super::tensors::Tensors;
use crate::error::Result;

/// What `SAELens` adds before it takes the logarithm of a frequency of 0.
const NEVER: f64 = 1.5e-10;

/// Values that are read at a time.
const CHUNK: usize = 65_536;

/// Reads it into `sink`.
pub(super) fn read(tensors: &mut Tensors, path: &Path, d_sae: usize, sink: &mut Sink<'_>) -> Result<()> {
    let rows = tensors.rows("sparsity", Some(d_sae))?;
    sink.count("SAELens sparsity", rows.len as u64);
    let mut values = Vec::new();
    for first in (0..rows.len).step_by(CHUNK) {
        tensors.read(rows, first, CHUNK.min(rows.len - first), &mut values)?;
        for (at, &logarithm) in values.iter().enumerate() {
            let latent = (first + at) as u32;
            // A little above 0 is rounding.
            if logarithm.is_nan() || logarithm > 0.01 {
                sink.skip(|| format!("{}, feature {latent}: {logarithm} is no logarithm of a frequency", name(path)));
                continue;
            }
            let density = 10_f64.powf(logarithm).min(1.0);
            let density = if density < NEVER { 0.0 } else { density as f32 };
            let is_new = sink.set_numbers(latent, Some(density), None);
            sink.count_stats(u64::from(is_new));
        }
    }
    Ok(())
}
