//! Attention over a token tree: each row attends to everything its node continues and, causally, to its own node.
//!
//! Input rows hold queries, keys and values side by side; grouped heads share keys. Keys and values of cached parts
//! are constants. Works on `softmax(Q·Kᵀ·scale)·V` per node, without padding or masks (Vaswani et al. 2017; grouped
//! heads: Ainslie et al. 2023). Scores may be capped softly (Gemma 2), and a row may see a window of keys only, which
//! ends at itself (Mistral; Jiang et al. 2023).

use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Result, Tensor, bail};
use rayon::prelude::*;

use super::simd::{Lhs, dot, kernel, padded, small_matmul, softmax};
use super::{Values, softcap};
use crate::config::ModelConfig;
use crate::plan::{Plan, PlannedNode, Span};

/// Numbers of heads, their width, and how scores are made.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_field_names, reason = "the config's names")]
pub(crate) struct Heads {
    pub(crate) n_heads: usize,
    pub(crate) n_kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) scale: f32,
    pub(crate) softcap: Option<f32>,
}

impl Heads {
    pub(crate) fn of(config: &ModelConfig) -> Self {
        Self {
            n_heads: config.n_heads,
            n_kv_heads: config.n_kv_heads,
            head_dim: config.head_dim,
            scale: config.arch.attn_scalar.unwrap_or(config.head_dim as f64).sqrt().recip() as f32,
            softcap: config.arch.attn_softcap.map(|cap| cap as f32),
        }
    }

    /// Query heads that share one key head.
    pub(crate) fn group(&self) -> usize {
        self.n_heads / self.n_kv_heads
    }

    pub(crate) fn q_dim(&self) -> usize {
        self.n_heads * self.head_dim
    }

    pub(crate) fn kv_dim(&self) -> usize {
        self.n_kv_heads * self.head_dim
    }

    /// Width of a row of queries, keys and values.
    pub(crate) fn width(&self) -> usize {
        self.q_dim() + 2 * self.kv_dim()
    }

    /// Turns products of a query with keys into weights, in place: those of `seen` keys, zero for all others.
    pub(crate) fn weigh(&self, row: &mut [f32], seen: Range<usize>) {
        let (before, row) = row.split_at_mut(seen.start);
        before.fill(0.0);
        match self.softcap {
            None => softmax(row, seen.len(), self.scale),
            Some(cap) => {
                softcap::soft_cap(&mut row[..seen.len()], self.scale, cap);
                softmax(row, seen.len(), 1.0);
            }
        }
    }
}

/// One block's attention.
#[derive(Clone)]
pub(crate) struct Attention {
    pub(crate) heads: Heads,
    pub(crate) plan: Arc<Plan>,
    /// This block's tensor of each of the plan's parts, `[len, 2 * kv_dim]`.
    pub(crate) parts: Vec<Tensor>,
    /// Keys a row sees at most, its own among them.
    pub(crate) window: Option<usize>,
}

impl Attention {
    /// Rows of queries, keys and values `[n, width]` to mixed values `[n, n_heads * head_dim]` by stock operations, one
    /// node after the other.
    pub(crate) fn composite(&self, qkv: &Tensor) -> Result<Tensor> {
        let outputs = self.plan.nodes.iter().map(|node| self.composite_node(qkv, node)).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&outputs, 0)
    }

    fn composite_node(&self, qkv: &Tensor, node: &PlannedNode) -> Result<Tensor> {
        let Heads { n_kv_heads, head_dim, .. } = self.heads;
        let (q_dim, kv_dim, group) = (self.heads.q_dim(), self.heads.kv_dim(), self.heads.group());
        let mut runs = Vec::new();
        for &span in &node.past {
            runs.push(match span {
                Span::Rows { start, len } => qkv.narrow(0, start, len)?.narrow(1, q_dim, 2 * kv_dim)?,
                Span::Part { part, len } => self.parts[part].narrow(0, 0, len)?,
            });
        }
        let own = qkv.narrow(0, node.start, node.len)?;
        runs.push(own.narrow(1, q_dim, 2 * kv_dim)?);
        let keys = Tensor::cat(&runs, 0)?;
        let n_keys = keys.dim(0)?;
        let split = |from: usize| -> Result<Tensor> {
            let heads = keys.narrow(1, from, kv_dim)?.reshape((n_keys, n_kv_heads, head_dim))?.transpose(0, 1)?;
            heads.unsqueeze(1)?.broadcast_as((n_kv_heads, group, n_keys, head_dim))?.contiguous()
        };
        let (k, v) = (split(0)?, split(kv_dim)?);
        let q = own.narrow(1, 0, q_dim)?.reshape((node.len, n_kv_heads, group, head_dim))?;
        let q = q.permute((1, 2, 0, 3))?.contiguous()?;
        let scores = (q.matmul(&k.t()?.contiguous()?)?.to_dtype(DType::F32)? * f64::from(self.heads.scale))?;
        let scores = match self.heads.softcap {
            Some(cap) => softcap::composite(&scores, cap)?,
            None => scores,
        };
        let seen = |i: usize, j: usize| (first_seen(node, i, self.window)..=node.past_len + i).contains(&j);
        let mask: Vec<f32> = (0..node.len)
            .flat_map(|i| (0..n_keys).map(move |j| if seen(i, j) { 0.0 } else { f32::NEG_INFINITY }))
            .collect();
        let mask = Tensor::from_vec(mask, (1, 1, node.len, n_keys), qkv.device())?;
        let scores = scores.broadcast_add(&mask)?;
        let shifted = scores.broadcast_sub(&scores.max_keepdim(3)?.detach())?.exp()?;
        let weights = shifted.broadcast_div(&shifted.sum_keepdim(3)?)?.to_dtype(qkv.dtype())?;
        weights.matmul(&v)?.permute((2, 0, 1, 3))?.reshape((node.len, q_dim))
    }
}

/// First key, counted along the path, that a row of a node sees.
pub(crate) fn first_seen(node: &PlannedNode, row: usize, window: Option<usize>) -> usize {
    window.map_or(0, |window| (node.past_len + row + 1).saturating_sub(window))
}

/// Query rows of one node handled by one task.
const QUERIES_PER_TASK: usize = 32;

/// Some rows of a node: the queries of one task.
struct Task {
    node: usize,
    first: usize,
    n: usize,
}

impl Attention {
    /// Rows of queries, keys and values `[n, width]` to mixed values `[n, n_heads * head_dim]`, of all rows or of some
    /// (ascending).
    pub(crate) fn forward(&self, qkv: &[f32], rows: Option<&[u32]>) -> Result<Vec<f32>> {
        let (n, q_dim) = (self.plan.n_tokens, self.heads.q_dim());
        if qkv.len() != n * self.heads.width() {
            bail!("attention over {n} rows was given {} values", qkv.len());
        }
        let parts: Vec<_> = self.parts.iter().map(Values::of).collect();
        let parts = parts.iter().map(Values::slice).collect::<Result<Vec<_>>>()?;
        let source = Source { heads: self.heads, qkv, parts, window: self.window };
        let mut out = vec![0.0; rows.map_or(n, <[u32]>::len) * q_dim];
        let mut rest = out.as_mut_slice();
        let mut tasks = Vec::new();
        for task in self.tasks(rows) {
            let (rows, tail) = rest.split_at_mut(task.n * q_dim);
            rest = tail;
            tasks.push((task, rows));
        }
        if let [(task, rows)] = tasks.as_mut_slice() {
            source.run(&self.plan, task, rows, &mut Scratch::default());
        } else {
            tasks.into_par_iter().with_min_len(4).for_each_init(Scratch::default, |scratch, (task, rows)| {
                source.run(&self.plan, &task, rows, scratch);
            });
        }
        Ok(out)
    }

    fn tasks(&self, rows: Option<&[u32]>) -> Vec<Task> {
        let mut tasks = Vec::new();
        let mut rest = rows;
        for (node, planned) in self.plan.nodes.iter().enumerate() {
            let end = planned.start + planned.len;
            let runs = match &mut rest {
                None => vec![(0, planned.len)],
                Some(rows) => {
                    let (own, others) = rows.split_at(rows.partition_point(|&row| (row as usize) < end));
                    *rows = others;
                    let runs = own.chunk_by(|a, b| a + 1 == *b);
                    runs.map(|run| (run[0] as usize - planned.start, run.len())).collect()
                }
            };
            for (start, len) in runs {
                let firsts = (start..start + len).step_by(QUERIES_PER_TASK);
                tasks.extend(firsts.map(|first| Task { node, first, n: QUERIES_PER_TASK.min(start + len - first) }));
            }
        }
        tasks
    }
}

/// Where keys and values are read from.
pub(crate) struct Source<'a> {
    pub(crate) heads: Heads,
    pub(crate) qkv: &'a [f32],
    pub(crate) parts: Vec<&'a [f32]>,
    pub(crate) window: Option<usize>,
}

/// Keys or values one after the other, a row every `stride` values.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    data: &'a [f32],
    stride: usize,
    len: usize,
}

kernel! {
    /// Products of every query `[group, dim]` with the keys of a run, into columns `first..` of `[group, n_keys]`.
    fn score_run[simd](scores: &'k mut [f32], queries: &'k [f32], run: Run<'k>, first: usize, shape: (usize, usize)) {
        let (n_keys, dim) = shape;
        for i in 0..run.len {
            let key = &run.data[i * run.stride..][..dim];
            for (scores, query) in scores.chunks_exact_mut(n_keys).zip(queries.chunks_exact(dim)) {
                scores[first + i] = dot(simd, query, key);
            }
        }
    }
}

kernel! {
    /// Adds the values of a run, weighted by columns `first..` of `[group, n_keys]`, to `[group, dim]`.
    fn mix_run[_simd](out: &'k mut [f32], weights: &'k [f32], run: Run<'k>, first: usize, shape: (usize, usize)) {
        let (n_keys, dim) = shape;
        for i in 0..run.len {
            let value = &run.data[i * run.stride..][..dim];
            for (out, weights) in out.chunks_exact_mut(dim).zip(weights.chunks_exact(n_keys)) {
                let weight = weights[first + i];
                for (out, value) in out.iter_mut().zip(value) {
                    *out = weight.mul_add(*value, *out);
                }
            }
        }
    }
}

/// Buffers of one thread.
#[derive(Default)]
struct Scratch {
    keys_t: Vec<f32>,
    values: Vec<f32>,
    scores: Vec<f32>,
    mixed: Vec<f32>,
}

/// Keys or values.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Keys,
    Values,
}

impl Source<'_> {
    /// Keys that the rows of a node up to `n_own`, from `row` on, see between them, counted along the path.
    pub(crate) fn seen(&self, node: &PlannedNode, row: usize, n_own: usize) -> Range<usize> {
        first_seen(node, row, self.window)..node.past_len + n_own
    }

    /// Runs of some keys or values of one head, in order.
    fn runs(
        &self,
        node: &PlannedNode,
        keys: Range<usize>,
        (kv_head, side): (usize, Side),
    ) -> impl Iterator<Item = Run<'_>> {
        let (q_dim, kv_dim, width) = (self.heads.q_dim(), self.heads.kv_dim(), self.heads.width());
        let column = kv_head * self.heads.head_dim + if matches!(side, Side::Values) { kv_dim } else { 0 };
        let own = Span::Rows { start: node.start, len: node.len };
        let mut next = 0;
        node.past.iter().copied().chain([own]).filter_map(move |span| {
            let first = next;
            next += span.len();
            let (skip, end) = (keys.start.saturating_sub(first), keys.end.min(next));
            let len = end.checked_sub(first + skip).filter(|&len| len > 0)?;
            Some(match span {
                Span::Rows { start, .. } => {
                    Run { data: &self.qkv[(start + skip) * width + q_dim + column..], stride: width, len }
                }
                Span::Part { part, .. } => {
                    Run { data: &self.parts[part][skip * 2 * kv_dim + column..], stride: 2 * kv_dim, len }
                }
            })
        })
    }

    /// Calls `visit(index, [head_dim])` for each key or value of [`Self::runs`].
    fn each_key(
        &self,
        node: &PlannedNode,
        keys: Range<usize>,
        which: (usize, Side),
        mut visit: impl FnMut(usize, &[f32]),
    ) {
        let mut idx = 0;
        for run in self.runs(node, keys, which) {
            for i in 0..run.len {
                visit(idx, &run.data[i * run.stride..][..self.heads.head_dim]);
                idx += 1;
            }
        }
    }

    /// One query row, read where the keys lie: gathering them would cost as much as the attention itself.
    fn run_one(&self, node: &PlannedNode, row: usize, out: &mut [f32], scratch: &mut Scratch) {
        let heads = self.heads;
        let (group, dim) = (heads.group(), heads.head_dim);
        let keys = self.seen(node, row, row + 1);
        let n_keys = keys.len();
        let queries = &self.qkv[(node.start + row) * heads.width()..][..heads.q_dim()];
        for (kv_head, (queries, out)) in
            queries.chunks_exact(group * dim).zip(out.chunks_exact_mut(group * dim)).enumerate()
        {
            let scores = &mut scratch.scores;
            scores.clear();
            scores.resize(group * n_keys, 0.0);
            let mut first = 0;
            for run in self.runs(node, keys.clone(), (kv_head, Side::Keys)) {
                score_run(scores, queries, run, first, (n_keys, dim));
                first += run.len;
            }
            scores.chunks_exact_mut(n_keys).for_each(|row| heads.weigh(row, 0..n_keys));
            first = 0;
            for run in self.runs(node, keys.clone(), (kv_head, Side::Values)) {
                mix_run(out, scores, run, first, (n_keys, dim));
                first += run.len;
            }
        }
    }

    /// Rows `[keys.len(), padded(head_dim)]`.
    pub(crate) fn gather(&self, to: &mut Vec<f32>, node: &PlannedNode, keys: Range<usize>, which: (usize, Side)) {
        let dim = padded(self.heads.head_dim);
        to.clear();
        to.resize(keys.len() * dim, 0.0);
        self.each_key(node, keys, which, |i, row| to[i * dim..][..row.len()].copy_from_slice(row));
    }

    /// Columns `[head_dim, padded(keys.len())]`.
    pub(crate) fn gather_t(&self, to: &mut Vec<f32>, node: &PlannedNode, keys: Range<usize>, which: (usize, Side)) {
        let stride = padded(keys.len());
        to.clear();
        to.resize(self.heads.head_dim * stride, 0.0);
        self.each_key(node, keys, which, |i, row| {
            for (column, value) in to[i..].chunks_mut(stride).zip(row) {
                column[0] = *value;
            }
        });
    }

    fn run(&self, plan: &Plan, task: &Task, out: &mut [f32], scratch: &mut Scratch) {
        let (node, heads) = (&plan.nodes[task.node], self.heads);
        if task.n == 1 {
            return self.run_one(node, task.first, out, scratch);
        }
        let (width, dim, q_dim) = (heads.width(), heads.head_dim, heads.q_dim());
        let keys = self.seen(node, task.first, task.first + task.n);
        let n_keys = keys.len();
        let (stride, value_dim) = (padded(n_keys), padded(dim));
        let queries = &self.qkv[(node.start + task.first) * width..];
        for kv_head in 0..heads.n_kv_heads {
            self.gather_t(&mut scratch.keys_t, node, keys.clone(), (kv_head, Side::Keys));
            self.gather(&mut scratch.values, node, keys.clone(), (kv_head, Side::Values));
            for head in kv_head * heads.group()..(kv_head + 1) * heads.group() {
                let (scores, mixed) = (&mut scratch.scores, &mut scratch.mixed);
                scores.clear();
                scores.resize(task.n * stride, 0.0);
                mixed.clear();
                mixed.resize(task.n * value_dim, 0.0);
                let q = Lhs::Rows { data: &queries[head * dim..], stride: width };
                small_matmul(scores, q, &scratch.keys_t, (task.n, dim, stride));
                for (i, row) in scores.chunks_exact_mut(stride).enumerate() {
                    let seen = self.seen(node, task.first + i, task.first + i + 1);
                    heads.weigh(row, seen.start - keys.start..seen.end - keys.start);
                }
                let weights = Lhs::Rows { data: scores, stride };
                small_matmul(mixed, weights, &scratch.values, (task.n, n_keys, value_dim));
                for (row, mixed) in mixed.chunks_exact(value_dim).enumerate() {
                    out[row * q_dim + head * dim..][..dim].copy_from_slice(&mixed[..dim]);
                }
            }
        }
    }
}
