//! Running the blocks.

use std::sync::Arc;

use candle_core::Tensor;

use crate::cache::{KvCache, KvPart};
use crate::config::BlockParams;
use crate::device;
use crate::edit::{Edit, PreparedEdits};
use crate::error::{EngineError, Result};
use crate::memory::{self, Pass};
use crate::model::{EarlyExit, Model, Output, Request};
use crate::ops::attention::{Attention, Heads};
use crate::ops::rope::{Rope, Rotation};
use crate::plan::Plan;
use crate::tree::Parent;

/// What stays the same from block to block.
struct Shared {
    plan: Arc<Plan>,
    /// For each of the config's rotary settings.
    rotations: Vec<Rotation>,
    heads: Heads,
}

impl Shared {
    fn attention(&self, block: usize, window: Option<usize>) -> Attention {
        let parts = self.plan.parts.iter().map(|part| part.blocks[block].clone()).collect();
        Attention { heads: self.heads, plan: Arc::clone(&self.plan), parts, window }
    }
}

impl Model {
    /// Runs the blocks.
    ///
    /// The gradient flows from every output to `embeds` when it is tracked, not into caches.
    ///
    /// # Errors
    /// [`EngineError::ContextOverflow`] for a path longer than the context, [`EngineError::BadRequest`] for an empty
    /// tree or node, a block or id out of range, or shapes that do not fit.
    pub fn forward(&self, request: &Request<'_>) -> Result<Output> {
        let last_block = self.checked(request)?;
        let mut shared = self.shared(Plan::new(request.tree, request.caches, self.config.context_len)?);
        self.room_for(request, &shared.plan, last_block)?;
        let mut edits = PreparedEdits::new(request.edits, request.tree, &shared.plan)?;
        let mut x = match request.embeds {
            Some(embeds) => embeds.clone(),
            None => self.embed(&request.tree.ids())?,
        };
        let (mut captured, mut before) = (vec![None; request.capture.len()], vec![None; request.before.len()]);
        let mut kept: Vec<Vec<Tensor>> = vec![Vec::new(); if request.keep_kv { request.tree.nodes().len() } else { 0 }];
        for block in 0..=last_block {
            let BlockParams { window, rope } = self.config.blocks[block];
            let attention = shared.attention(block, window);
            let needed = needed_rows(request, &shared.plan, block, last_block);
            let passed = self.weights.blocks[block].forward(&x, &shared.rotations[rope], &attention, needed)?;
            for (node, kept) in shared.plan.nodes.iter().zip(&mut kept) {
                kept.push(passed.keys_and_values((node.start, node.len), &attention)?);
            }
            x = passed.x;
            fill(&mut before, request.before, block, &x);
            x = edits.apply(block, x)?;
            fill(&mut captured, request.capture, block, &x);
            if let Some(EarlyExit { keep, .. }) =
                request.early.filter(|early| early.after_block == block && block < last_block)
            {
                let (plan, rows) = shared.plan.subset(keep)?;
                x = x.index_select(&Tensor::new(rows.as_slice(), &self.device)?, 0)?;
                edits.keep_rows(&rows);
                shared = self.shared(plan);
            }
        }
        let caches = if request.keep_kv {
            let ran_all = last_block + 1 == self.config.n_layers;
            node_caches(request, &shared.plan, kept, ran_all.then_some(&x))?
        } else {
            Vec::new()
        };
        let [before, resid_post] = [before, captured].map(|found| found.into_iter().flatten().collect());
        Ok(Output { resid_post, before, last: x, caches })
    }

    /// Asks the system for the room that the pass will take: refused in the middle, it would end the process.
    fn room_for(&self, request: &Request<'_>, plan: &Plan, last_block: usize) -> Result<()> {
        if !self.device.is_cpu() {
            return Ok(());
        }
        let is_tracked = request.embeds.is_some_and(Tensor::track_op);
        let until = request.early.map_or(last_block, |early| early.after_block);
        let pass = Pass {
            rows: request.tree.n_tokens(),
            keys: plan.positions().iter().max().map_or(0, |last| last + 1),
            captured: request.capture.len() + request.before.len(),
            keeps_cache: request.keep_kv,
            taped: if is_tracked { until + 1 } else { 0 },
        };
        memory::room_for_pass(&self.config, pass, device::runs(&self.device, self.dtype()))
    }

    fn shared(&self, plan: Plan) -> Shared {
        let positions = Arc::new(plan.positions());
        let n_positions = positions.iter().max().map_or(0, |last| last + 1);
        let rotation = |rope: &Rope| Rotation {
            table: rope.table(n_positions),
            positions: Arc::clone(&positions),
            head_dim: self.config.head_dim,
            n_rotated: self.config.n_heads + self.config.n_kv_heads,
        };
        let rotations = self.weights.ropes.iter().map(rotation).collect();
        Shared { plan: Arc::new(plan), rotations, heads: Heads::of(&self.config) }
    }

    /// The last block to run.
    fn checked(&self, request: &Request<'_>) -> Result<usize> {
        let n = self.config.n_layers;
        let last = request.last_block.unwrap_or(n - 1);
        let edited = request.edits.iter().map(|edit| edit.block);
        if let Some(block) = edited.chain([last]).find(|&block| block >= n) {
            return Err(EngineError::BadRequest(format!(
                "block {block} is not among the model's {n} (0 to {})",
                n - 1
            )));
        }
        if let Some(block) = request.capture.iter().chain(request.before).find(|&&block| block > last) {
            return Err(EngineError::BadRequest(format!(
                "block {block} is not run: the pass stops after block {last}"
            )));
        }
        if request.early.is_some() && (request.keep_kv || request.rows.is_some()) {
            return Err(EngineError::BadRequest("nodes leave early: caches and single rows cannot be had".to_owned()));
        }
        let n_tokens = request.tree.n_tokens();
        let ascending = request.rows.is_none_or(|rows| rows.is_sorted_by(|a, b| a < b));
        if !ascending || request.rows.is_some_and(|rows| rows.last().is_some_and(|&row| row as usize >= n_tokens)) {
            return Err(EngineError::BadRequest(format!("the rows needed are not ascending among {n_tokens}")));
        }
        let wanted = (request.tree.n_tokens(), self.config.d_model);
        if let Some(embeds) = request.embeds.filter(|embeds| embeds.dims() != [wanted.0, wanted.1]) {
            return Err(EngineError::BadRequest(format!("embeddings of shape {:?}, not {wanted:?}", embeds.dims())));
        }
        if let Some(found) = request.edits.iter().map(Edit::row_dims).find(|found| *found != [wanted.1]) {
            return Err(EngineError::BadRequest(format!("an edit of shape {found:?}, not [{}]", wanted.1)));
        }
        Ok(last)
    }
}

/// Puts `x` into the slots that want this block.
fn fill(slots: &mut [Option<(usize, Tensor)>], wanted: &[usize], block: usize, x: &Tensor) {
    for (slot, _) in slots.iter_mut().zip(wanted).filter(|&(_, &wanted)| wanted == block) {
        *slot = Some((block, x.clone()));
    }
}

/// Rows whose residual stream is needed after a block, when not all are.
fn needed_rows(request: &Request<'_>, plan: &Plan, block: usize, last_block: usize) -> Option<Arc<[u32]>> {
    if block == last_block && request.early.is_none() {
        return request.rows.map(Arc::from);
    }
    let early = request.early.filter(|early| early.after_block == block)?;
    let mut rows = Vec::new();
    for (idx, node) in plan.nodes.iter().enumerate() {
        let first = if early.keep.contains(&idx) { node.start } else { node.start + node.len - 1 };
        rows.extend((first..node.start + node.len).map(|row| row as u32));
    }
    Some(rows.into())
}

fn node_caches(
    request: &Request<'_>,
    plan: &Plan,
    kept: Vec<Vec<Tensor>>,
    last: Option<&Tensor>,
) -> Result<Vec<KvCache>> {
    let mut caches: Vec<KvCache> = Vec::with_capacity(kept.len());
    for ((node, planned), blocks) in request.tree.nodes().iter().zip(&plan.nodes).zip(kept) {
        let mut cache = match node.parent {
            Parent::Root => KvCache { parts: Vec::new(), last_resid: None },
            Parent::Cache(cache) => (*request.caches[cache]).clone(),
            Parent::Node { node, len } => caches[node].truncated(plan.nodes[node].past_len + len),
        };
        cache.push(KvPart { blocks, len: planned.len })?;
        cache.last_resid = match last {
            Some(x) => Some(x.narrow(0, planned.start + planned.len - 1, 1)?.detach().force_contiguous()?),
            None => None,
        };
        caches.push(cache);
    }
    Ok(caches)
}

#[cfg(test)]
mod tests;
