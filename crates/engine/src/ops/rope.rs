//! Rotary positions on the fused query, key and value rows (Su et al. 2021; half-split form of Hugging Face Llama).

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::ROWS_PER_TASK;
use super::simd::kernel;
use crate::config::{RopeParams, RopeScaling};

/// Sines and cosines for the positions seen so far; grows by doubling.
#[derive(Debug)]
pub(crate) struct Rope {
    inv_freq: Vec<f32>,
    table: Mutex<Arc<Table>>,
}

/// Cosines and sines, `[n_positions, head_dim / 2]` each.
#[derive(Debug, Default)]
pub(crate) struct Table {
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rope {
    pub(crate) fn new(head_dim: usize, params: RopeParams) -> Self {
        Self { inv_freq: (0..head_dim / 2).map(|i| frequency(i, head_dim, params)).collect(), table: Mutex::default() }
    }

    /// Divides each frequency by its factor, `[head_dim / 2]`: how some files say that they are stretched.
    pub(crate) fn divide(&mut self, factors: &[f32]) {
        for (frequency, factor) in self.inv_freq.iter_mut().zip(factors) {
            *frequency /= factor;
        }
        self.table = Mutex::default();
    }

    /// A table of at least `n_positions`.
    pub(crate) fn table(&self, n_positions: usize) -> Arc<Table> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let have = table.cos.len() / self.inv_freq.len();
        if have < n_positions {
            let n = n_positions.max(2 * have).max(256);
            // The angle is rounded to f32 as the reference does; the functions of it are exact.
            let angles = (0..n).flat_map(|p| self.inv_freq.iter().map(move |f| f64::from(p as f32 * f)));
            let (sin, cos) = angles.map(|angle| (angle.sin() as f32, angle.cos() as f32)).unzip();
            *table = Arc::new(Table { cos, sin });
        }
        Arc::clone(&table)
    }
}

/// The `i`th frequency, by the reference's steps and roundings: far into a long context the last bit of a frequency
/// counts.
fn frequency(i: usize, head_dim: usize, params: RopeParams) -> f32 {
    let exponent = (2 * i) as f32 / head_dim as f32;
    let wave = params.theta.powf(f64::from(exponent)) as f32;
    let inverse = 1.0 / wave;
    match params.scaling {
        RopeScaling::None => inverse,
        RopeScaling::Linear { factor } => inverse / factor as f32,
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
            let wavelength = 1.0 / inverse * (2.0 * std::f64::consts::PI) as f32;
            if wavelength > (original_context / low_freq_factor) as f32 {
                inverse / factor as f32
            } else if wavelength < (original_context / high_freq_factor) as f32 {
                inverse
            } else {
                let share = 1.0 / wavelength * original_context as f32;
                let smooth = (share - low_freq_factor as f32) / (high_freq_factor - low_freq_factor) as f32;
                (1.0 - smooth) * inverse / factor as f32 + smooth * inverse
            }
        }
    }
}

/// Which values of a row are rotated and by which angle.
#[derive(Clone, Debug)]
pub(crate) struct Rotation {
    pub(crate) table: Arc<Table>,
    /// Position of each row.
    pub(crate) positions: Arc<Vec<usize>>,
    pub(crate) head_dim: usize,
    /// Heads at the start of the row that are rotated (queries and keys).
    pub(crate) n_rotated: usize,
}

/// Queries, keys and values `[n, qkv_dim]` with queries and keys rotated, by stock operations.
pub(crate) fn composite(qkv: &Tensor, rotation: &Rotation) -> Result<Tensor> {
    let (n, width) = qkv.dims2()?;
    let (heads, dim) = (rotation.n_rotated, rotation.head_dim);
    let gather = |from: &[f32]| -> Result<Tensor> {
        let rows: Vec<f32> = rotation.positions.iter().flat_map(|p| &from[p * dim / 2..][..dim / 2]).copied().collect();
        Tensor::from_vec(rows, (n, 1, dim / 2), qkv.device())?.to_dtype(qkv.dtype())
    };
    let (cos, sin) = (gather(&rotation.table.cos)?, gather(&rotation.table.sin)?);
    let turned = qkv.narrow(1, 0, heads * dim)?.reshape((n, heads, dim))?;
    let (first, second) = (turned.narrow(2, 0, dim / 2)?, turned.narrow(2, dim / 2, dim / 2)?);
    let new_first = (first.broadcast_mul(&cos)? - second.broadcast_mul(&sin)?)?;
    let new_second = (second.broadcast_mul(&cos)? + first.broadcast_mul(&sin)?)?;
    let turned = Tensor::cat(&[new_first, new_second], 2)?.reshape((n, heads * dim))?;
    Tensor::cat(&[turned, qkv.narrow(1, heads * dim, width - heads * dim)?], 1)
}

kernel! {
    /// Rotates the first `n_heads` heads of one row by the angle, or back with `sign` −1.
    fn rotate_row[_simd](row: &'k mut [f32], cos: &'k [f32], sin: &'k [f32], n_heads: usize, sign: f32) {
        let half = cos.len();
        for head in row.chunks_exact_mut(2 * half).take(n_heads) {
            let (first, second) = head.split_at_mut(half);
            for (((a, b), c), s) in first.iter_mut().zip(second).zip(cos).zip(sin) {
                let (x, y, s) = (*a, *b, s * sign);
                *a = x * c - y * s;
                *b = y * c + x * s;
            }
        }
    }
}

impl Rotation {
    /// Turns rows of this width in place by their angles, or back with `sign` −1.
    pub(crate) fn apply(&self, rows: &mut [f32], width: usize, sign: f32) {
        let half = self.head_dim / 2;
        let task = |(positions, rows): (&[usize], &mut [f32])| {
            for (&p, row) in positions.iter().zip(rows.chunks_exact_mut(width)) {
                let at = p * half..(p + 1) * half;
                rotate_row(row, &self.table.cos[at.clone()], &self.table.sin[at], self.n_rotated, sign);
            }
        };
        if self.positions.len() <= ROWS_PER_TASK {
            return task((&self.positions, rows));
        }
        self.positions.par_chunks(ROWS_PER_TASK).zip(rows.par_chunks_mut(ROWS_PER_TASK * width)).for_each(task);
    }
}
