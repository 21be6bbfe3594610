//! Norms of queries and keys, head by head, before they are rotated (Qwen3, Gemma 3).

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::attention::Heads;
use super::norm::Norm;
use super::simd::{dot, kernel};
use super::{ROWS_PER_TASK, Values};

/// Norms with weights `[head_dim]`, shared by all heads.
#[derive(Clone, Debug)]
pub(crate) struct QkNorm {
    pub(crate) q: Norm,
    pub(crate) k: Norm,
}

impl QkNorm {
    /// Queries, keys and values `[n, qkv_dim]` with queries and keys normed, by stock operations.
    pub(crate) fn composite(&self, qkv: &Tensor, heads: Heads) -> Result<Tensor> {
        let n = qkv.dim(0)?;
        let (q_dim, kv_dim) = (heads.q_dim(), heads.kv_dim());
        let normed = |norm: &Norm, first: usize, width: usize| -> Result<Tensor> {
            let rows = qkv.narrow(1, first, width)?.reshape((n, width / heads.head_dim, heads.head_dim))?;
            norm.composite(&rows)?.reshape((n, width))
        };
        let values = qkv.narrow(1, q_dim + kv_dim, kv_dim)?;
        Tensor::cat(&[normed(&self.q, 0, q_dim)?, normed(&self.k, q_dim, kv_dim)?, values], 1)
    }

    /// Norms the queries and keys of rows `[n, qkv_dim]` in place; returns what they were, `[n, q_dim + kv_dim]`, when
    /// it is asked for.
    pub(crate) fn apply(&self, rows: &mut [f32], heads: Heads, keep: bool) -> Result<Vec<f32>> {
        let (width, normed) = (heads.width(), heads.q_dim() + heads.kv_dim());
        let raw =
            if keep { rows.chunks_exact(width).flat_map(|row| &row[..normed]).copied().collect() } else { vec![] };
        let (q, k) = (Values::of(&self.q.weight), Values::of(&self.k.weight));
        let (q, k, eps) = (q.slice()?, k.slice()?, self.q.eps as f32);
        let task = |rows: &mut [f32]| {
            for row in rows.chunks_exact_mut(width) {
                let (queries, rest) = row.split_at_mut(heads.q_dim());
                norm_heads(queries, q, eps);
                norm_heads(&mut rest[..heads.kv_dim()], k, eps);
            }
        };
        if rows.len() <= width * ROWS_PER_TASK {
            task(rows);
        } else {
            rows.par_chunks_mut(width * ROWS_PER_TASK).for_each(task);
        }
        Ok(raw)
    }

    /// Turns gradients with respect to the normed rows `[n, qkv_dim]` into those with respect to `raw`, what the
    /// queries and keys were, in place.
    pub(crate) fn backward(&self, grad: &mut [f32], raw: &[f32], heads: Heads) -> Result<()> {
        let (width, normed) = (heads.width(), heads.q_dim() + heads.kv_dim());
        let (q, k) = (Values::of(&self.q.weight), Values::of(&self.k.weight));
        let (q, k, eps) = (q.slice()?, k.slice()?, self.q.eps as f32);
        let rows = grad.par_chunks_mut(width).zip(raw.par_chunks(normed));
        rows.with_min_len(ROWS_PER_TASK).for_each(|(grad, raw)| {
            let (d_queries, rest) = grad.split_at_mut(heads.q_dim());
            let (queries, keys) = raw.split_at(heads.q_dim());
            heads_gradient(d_queries, queries, q, eps);
            heads_gradient(&mut rest[..heads.kv_dim()], keys, k, eps);
        });
        Ok(())
    }
}

kernel! {
    fn norm_heads[simd](row: &'k mut [f32], weight: &'k [f32], eps: f32) {
        let d = weight.len();
        for head in row.chunks_exact_mut(d) {
            let inverse = 1.0 / (dot(simd, head, head) / d as f32 + eps).sqrt();
            for (value, w) in head.iter_mut().zip(weight) {
                *value = *value * inverse * w;
            }
        }
    }
}

kernel! {
    /// g ← i·(w·g) − x·i³/d·Σ(w·g·x), with i the inverse root mean square of x.
    fn heads_gradient[simd](grad: &'k mut [f32], raw: &'k [f32], weight: &'k [f32], eps: f32) {
        let d = weight.len();
        for (grad, x) in grad.chunks_exact_mut(d).zip(raw.chunks_exact(d)) {
            let inverse = 1.0 / (dot(simd, x, x) / d as f32 + eps).sqrt();
            for (g, w) in grad.iter_mut().zip(weight) {
                *g *= w;
            }
            let along = dot(simd, grad, x) * inverse * inverse * inverse / d as f32;
            for (g, x) in grad.iter_mut().zip(x) {
                *g = g.mul_add(inverse, -along * x);
            }
        }
    }
}
