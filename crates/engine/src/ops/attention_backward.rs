//! Gradient of the tree attention: into queries, and into keys and values of the node itself and of its ancestors in
//! the batch. Probabilities are computed again rather than kept.

use std::ops::Range;

use candle_core::Result;
use rayon::prelude::*;

use super::attention::{Attention, Side, Source};
use super::simd::{Lhs, dot, kernel, padded, small_matmul, softmax};
use super::softcap::{soft_cap, soft_cap_gradient};
use super::{ROWS_PER_TASK, Values};
use crate::plan::{Plan, PlannedNode, Span};

/// Gradients of one key head and its queries: `q` `[n, group * head_dim]`, `k` and `v` `[n, head_dim]`.
struct Plane {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

impl Attention {
    /// Gradient with respect to the rows of queries, keys and values `[n, width]`; `grad` is `[n, n_heads * head_dim]`.
    pub(crate) fn backward(&self, qkv: &[f32], grad: &[f32]) -> Result<Vec<f32>> {
        let (heads, plan) = (self.heads, &*self.plan);
        let parts: Vec<_> = self.parts.iter().map(Values::of).collect();
        let parts = parts.iter().map(Values::slice).collect::<Result<Vec<_>>>()?;
        let source = Source { heads, qkv, parts, window: self.window };
        // One plane for each key head: nodes of a plane are summed in their order, so the result is repeatable.
        let planes: Vec<Plane> =
            (0..heads.n_kv_heads).into_par_iter().map(|kv_head| plane(&source, plan, grad, kv_head)).collect();
        let mut out = vec![0.0; plan.n_tokens * heads.width()];
        out.par_chunks_mut(heads.width()).with_min_len(ROWS_PER_TASK).enumerate().for_each(|(row, out)| {
            for (kv_head, plane) in planes.iter().enumerate() {
                let (dim, group) = (heads.head_dim, heads.group() * heads.head_dim);
                out[kv_head * group..][..group].copy_from_slice(&plane.q[row * group..][..group]);
                let at = heads.q_dim() + kv_head * dim;
                out[at..][..dim].copy_from_slice(&plane.k[row * dim..][..dim]);
                out[at + heads.kv_dim()..][..dim].copy_from_slice(&plane.v[row * dim..][..dim]);
            }
        });
        Ok(out)
    }
}

fn plane(source: &Source<'_>, plan: &Plan, grad: &[f32], kv_head: usize) -> Plane {
    let heads = source.heads;
    let (n, dim) = (plan.n_tokens, heads.head_dim);
    let mut plane = Plane { q: vec![0.0; n * dim * heads.group()], k: vec![0.0; n * dim], v: vec![0.0; n * dim] };
    let mut buffers = Buffers::default();
    for node in &plan.nodes {
        buffers.node(source, node, grad, kv_head, &mut plane);
    }
    plane
}

#[derive(Default)]
struct Buffers {
    keys: Vec<f32>,
    keys_t: Vec<f32>,
    values_t: Vec<f32>,
    queries: Vec<f32>,
    grads: Vec<f32>,
    weights: Vec<f32>,
    /// Scores after the soft cap, where there is one.
    capped: Vec<f32>,
    d_scores: Vec<f32>,
    d_queries: Vec<f32>,
    d_keys: Vec<f32>,
    d_values: Vec<f32>,
}

fn zeroed(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    buffer.clear();
    buffer.resize(len, 0.0);
    buffer
}

impl Buffers {
    fn node(&mut self, source: &Source<'_>, node: &PlannedNode, grad: &[f32], kv_head: usize, plane: &mut Plane) {
        let heads = source.heads;
        let (dim, group, n) = (heads.head_dim, heads.group(), node.len);
        let keys = source.seen(node, 0, n);
        let n_keys = keys.len();
        let (stride, wide) = (padded(n_keys), padded(dim));
        source.gather(&mut self.keys, node, keys.clone(), (kv_head, Side::Keys));
        source.gather_t(&mut self.keys_t, node, keys.clone(), (kv_head, Side::Keys));
        source.gather_t(&mut self.values_t, node, keys.clone(), (kv_head, Side::Values));
        zeroed(&mut self.d_keys, n_keys * wide);
        zeroed(&mut self.d_values, n_keys * wide);
        for g in 0..group {
            let column = (kv_head * group + g) * dim;
            copy_rows(&mut self.queries, source.qkv, (node.start, n), (column, heads.width()), dim);
            copy_rows(&mut self.grads, grad, (node.start, n), (column, heads.q_dim()), dim);
            self.scores(source, node, &keys, (stride, wide));
            let d_queries = zeroed(&mut self.d_queries, n * wide);
            let d_scores = Lhs::Rows { data: &self.d_scores, stride };
            small_matmul(d_queries, d_scores, &self.keys, (n, n_keys, wide));
            let turned = |data| Lhs::Columns { data, stride };
            small_matmul(&mut self.d_keys, turned(&self.d_scores), &self.queries, (n_keys, n, wide));
            small_matmul(&mut self.d_values, turned(&self.weights), &self.grads, (n_keys, n, wide));
            for (i, row) in d_queries.chunks_exact(wide).enumerate() {
                plane.q[((node.start + i) * group + g) * dim..][..dim].copy_from_slice(&row[..dim]);
            }
        }
        let mut next = 0;
        for &span in node.past.iter().chain(&[Span::Rows { start: node.start, len: n }]) {
            let first = next;
            next += span.len();
            if let Span::Rows { start, len } = span {
                for i in keys.start.saturating_sub(first).min(len)..len {
                    let from = (first + i - keys.start) * wide;
                    add_to(&mut plane.k[(start + i) * dim..], &self.d_keys[from..from + dim]);
                    add_to(&mut plane.v[(start + i) * dim..], &self.d_values[from..from + dim]);
                }
            }
        }
    }

    /// Fills `weights` and `d_scores` (with respect to the unscaled products), `[n, stride]`.
    fn scores(&mut self, source: &Source<'_>, node: &PlannedNode, keys: &Range<usize>, (stride, wide): (usize, usize)) {
        let (heads, n) = (source.heads, node.len);
        let shape = (n, heads.head_dim, stride);
        let weights = zeroed(&mut self.weights, n * stride);
        small_matmul(weights, Lhs::Rows { data: &self.queries, stride: wide }, &self.keys_t, shape);
        let d_scores = zeroed(&mut self.d_scores, n * stride);
        small_matmul(d_scores, Lhs::Rows { data: &self.grads, stride: wide }, &self.values_t, shape);
        for (i, (weights, d_scores)) in
            weights.chunks_exact_mut(stride).zip(d_scores.chunks_exact_mut(stride)).enumerate()
        {
            let seen = source.seen(node, i, i + 1);
            let seen = seen.start - keys.start..seen.end - keys.start;
            let Some(cap) = heads.softcap else {
                heads.weigh(weights, seen);
                score_gradient(d_scores, weights, heads.scale);
                continue;
            };
            soft_cap(&mut weights[seen.clone()], heads.scale, cap);
            self.capped.clear();
            self.capped.extend_from_slice(&weights[seen.clone()]);
            weights[..seen.start].fill(0.0);
            softmax(&mut weights[seen.start..], seen.len(), 1.0);
            score_gradient(d_scores, weights, 1.0);
            soft_cap_gradient(&mut d_scores[seen], &self.capped, heads.scale, cap);
        }
    }
}

kernel! {
    /// From the gradient of softmax weights to that of the products they were made from.
    fn score_gradient[simd](d_scores: &'k mut [f32], weights: &'k [f32], scale: f32) {
        let mean = dot(simd, weights, d_scores);
        for (d, w) in d_scores.iter_mut().zip(weights) {
            *d = *w * (*d - mean) * scale;
        }
    }
}

/// Copies `dim` values of `n` rows from `first` on, each row padded to whole vectors.
fn copy_rows(
    to: &mut Vec<f32>,
    from: &[f32],
    (first, n): (usize, usize),
    (column, stride): (usize, usize),
    dim: usize,
) {
    let wide = padded(dim);
    zeroed(to, n * wide);
    for (i, row) in to.chunks_exact_mut(wide).enumerate() {
        row[..dim].copy_from_slice(&from[(first + i) * stride + column..][..dim]);
    }
}

fn add_to(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}
