//! Gradient with respect to one-hot tokens (methods.md eq. 7).
//!
//! For a member with tokens p, target t and cross-entropy x of its own tokens (eq. 6), the gradient of `−t + λ·x` with
//! respect to the one-hot row of position j is
//!
//! `G[j, v] = scale·⟨W_E[v], g_j⟩ + λ·(−log P(v | p_<j)) / n_scored`,
//!
//! `g_j` being the gradient at the j-th embedding and the second term (only where position j is scored) the gradient
//! through the token's other role, as the label of the cross-entropy. The embeddings are the differentiated variable,
//! so nothing of vocabulary size enters the tape.

use std::ops::Range;

use candle_core::{DType, Tensor, Var};
use rayon::prelude::*;

use crate::edit::Edit;
use crate::error::{EngineError, Result};
use crate::model::{EarlyExit, KvCache, Model, Request};
use crate::ops::loss::{cross_entropy_known, negative_log_probs};
use crate::tree::{Parent, TokenTree};

/// What is differentiated, for several members at once. Members do not influence each other.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// The members' tokens and what follows them. Optimised tokens must be in the tree, not in a cache.
    pub tree: &'a TokenTree,
    /// Caches that `Parent::Cache` refers to.
    pub caches: &'a [&'a KvCache],
    /// The members.
    pub members: &'a [Member],
    /// Block whose `resid_post` the target reads.
    pub block: usize,
    /// Edits of the pass.
    pub edits: &'a [Edit],
}

/// One optimised prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Nodes that hold the prompt's tokens, all with the same ids: several when the prompt stands in several contexts.
    /// Gradients add up over them, cross-entropies are averaged.
    pub slots: Vec<usize>,
    /// Nodes whose last row the target reads.
    pub reads: Vec<usize>,
    /// λ, the weight of the cross-entropy in units of the target per nat.
    pub lambda: f64,
}

/// The objective: from the members' read rows of `resid_post[block]`, in member order, `[n_reads, d_model]`, to one
/// target for each member, `[n_members]`. Must be differentiable and keep members apart.
pub type Objective<'a> = &'a dyn Fn(&Tensor) -> Result<Tensor>;

/// Targets, cross-entropies and gradients of all members.
#[derive(Debug)]
pub struct TokenGradients {
    /// Target of each member.
    pub targets: Vec<f64>,
    /// Mean −log P of each member's scored tokens, nats; NaN when it was not computed because every λ is 0.
    pub xents: Vec<f64>,
    /// `[Σ prompt_len, vocab]`, f32, member by member.
    grads: Tensor,
    /// Rows of each member.
    rows: Vec<Range<usize>>,
}

impl TokenGradients {
    /// Number of members.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// ∂(−target + λ·xent)/∂one-hot of one member, `[prompt_len, vocab]`, f32.
    ///
    /// # Errors
    /// A member out of range.
    pub fn dense(&self, member: usize) -> Result<Tensor> {
        let rows = self.rows.get(member).ok_or_else(|| EngineError::BadRequest(format!("no member {member}")))?;
        Ok(self.grads.narrow(0, rows.start, rows.len())?)
    }

    /// For each position of one member the `k` allowed tokens whose gradient is smallest (the most promising
    /// replacements), best first; the lower id first among equals. `allowed` has one entry for each token and may be
    /// shorter than the vocabulary: what it does not cover is not allowed.
    ///
    /// # Errors
    /// A member out of range.
    pub fn top_k(&self, member: usize, k: usize, allowed: &[bool]) -> Result<Vec<Vec<u32>>> {
        let dense = self.dense(member)?.to_vec2::<f32>()?;
        let candidates: Vec<u32> = (0..).zip(allowed).filter(|&(_, &allowed)| allowed).map(|(id, _)| id).collect();
        Ok(dense
            .par_iter()
            .map(|row| {
                let order = |&a: &u32, &b: &u32| row[a as usize].total_cmp(&row[b as usize]).then(a.cmp(&b));
                let mut ids: Vec<u32> = candidates.iter().copied().filter(|&id| (id as usize) < row.len()).collect();
                if k > 0 && k < ids.len() {
                    ids.select_nth_unstable_by(k - 1, order);
                }
                ids.truncate(k);
                ids.sort_unstable_by(order);
                ids
            })
            .collect())
    }
}

/// The gradient of `−target + λ·xent` with respect to the one-hot tokens of every member.
///
/// A prompt's first token is scored when something stands before it: a cache (which must know its last residual, see
/// [`KvCache::last_resid`]) or another node; otherwise it is free.
///
/// # Errors
/// Members that name missing or unequal nodes, a prompt of one token that cannot be scored while λ is not 0, and
/// everything [`Model::forward`] refuses. [`EngineError::NoGradient`] while the weights are quantised.
pub fn token_gradients(model: &Model, problem: &Problem<'_>, objective: Objective<'_>) -> Result<TokenGradients> {
    if !model.has_gradients() {
        return Err(EngineError::NoGradient { format: model.weights_format() });
    }
    check(problem)?;
    let with_xent = problem.members.iter().any(|member| member.lambda != 0.0);
    let embeds = Var::from_tensor(&model.embed(&problem.tree.ids())?)?;
    let keep = if with_xent { slots_and_ancestors(problem) } else { Vec::new() };
    let early = EarlyExit { after_block: problem.block, keep: &keep };
    let out = model.forward(&Request {
        caches: problem.caches,
        embeds: Some(embeds.as_tensor()),
        edits: problem.edits,
        capture: &[problem.block],
        last_block: (!with_xent).then_some(problem.block),
        early: with_xent.then_some(early),
        ..Request::new(problem.tree)
    })?;
    let [(_, captured)] = out.resid_post.as_slice() else {
        return Err(EngineError::BadRequest("the target's block was not run".to_owned()));
    };
    let targets = objective(&select_rows(model, captured, reads(problem))?)?.to_dtype(DType::F32)?;
    if targets.dims() != [problem.members.len()] {
        let (found, n) = (targets.dims(), problem.members.len());
        return Err(EngineError::BadRequest(format!("the objective gave {found:?}, not one target for {n} members")));
    }
    let mut loss = targets.sum_all()?.neg()?;
    let mut xents = vec![f64::NAN; problem.members.len()];
    let scored = if with_xent { Some(Scored::new(model, problem, &keep)?) } else { None };
    let mut nll = None;
    if let Some(scored) = &scored {
        let hidden = model.final_norm(&scored.rows_before(model, problem, &out.last)?)?;
        let known = negative_log_probs(&hidden, &model.weights.head)?;
        let losses = cross_entropy_known(&hidden, &model.weights.head, &scored.targets, &known)?;
        xents = scored.xents(&losses.to_vec1::<f32>()?, problem.members.len());
        let weights: Vec<f32> =
            scored.owners.iter().map(|owner| (owner.share * problem.members[owner.member].lambda) as f32).collect();
        loss = (loss + (losses * Tensor::new(weights, model.device())?)?.sum_all()?)?;
        nll = Some(known);
    }
    let mut grads = loss.backward()?;
    let grad = grads
        .remove(embeds.as_tensor())
        .ok_or_else(|| EngineError::BadRequest("the objective does not depend on the prompt".to_owned()))?;
    let rows = member_rows(problem);
    let grads = onehot_gradients(model, problem, &grad, scored.zip(nll).as_ref(), &rows)?;
    let targets = targets.to_vec1::<f32>()?.into_iter().map(f64::from).collect();
    Ok(TokenGradients { targets, xents, grads, rows })
}

/// Both terms of eq. 7 for all members, `[Σ prompt_len, vocab]`.
fn onehot_gradients(
    model: &Model,
    problem: &Problem<'_>,
    grad: &Tensor,
    labels: Option<&(Scored, Tensor)>,
    rows: &[Range<usize>],
) -> Result<Tensor> {
    let (vocab, n_rows) = (model.config().vocab_size, rows.last().map_or(0, |rows| rows.end));
    let mut slots: Vec<Tensor> = Vec::with_capacity(problem.members.len());
    for member in problem.members {
        let mut sum: Option<Tensor> = None;
        for &slot in &member.slots {
            let rows = grad.narrow(0, problem.tree.offset(slot), problem.tree.nodes()[slot].ids.len())?;
            sum = Some(match sum {
                Some(sum) => (sum + rows)?,
                None => rows,
            });
        }
        slots.extend(sum);
    }
    let embeds = Tensor::cat(&slots, 0)?;
    let scale = model.config().arch.embed_scale;
    let embeds = if scale == 1.0 { embeds } else { (embeds * scale)? };
    let dense = model.weights.embed.forward(&embeds)?;
    let Some((scored, nll)) = labels else { return Ok(dense.to_dtype(DType::F32)?) };
    let mut out = dense.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    let nll = nll.to_vec2::<f32>()?;
    // Rows of several slots meet in one row here, so they are added one after the other.
    for (owner, nll) in scored.owners.iter().zip(&nll) {
        let weight = (owner.share * problem.members[owner.member].lambda) as f32;
        if weight != 0.0 {
            let row = (rows[owner.member].start + owner.position) * vocab;
            out[row..row + vocab]
                .par_iter_mut()
                .with_min_len(1 << 13)
                .zip(nll)
                .for_each(|(to, nll)| *to += weight * nll);
        }
    }
    Ok(Tensor::from_vec(out, (n_rows, vocab), model.device())?)
}

/// The tokens that count in the members' cross-entropies.
#[derive(Default)]
struct Scored {
    owners: Vec<Owner>,
    targets: Vec<u32>,
    /// For each, where the residual before it is found: among the rows of the caches' last residuals followed by those
    /// of the last block.
    rows: Vec<u32>,
    /// Caches whose last residual is needed.
    caches: Vec<usize>,
}

struct Owner {
    member: usize,
    /// Position in the prompt.
    position: usize,
    /// Weight in the member's mean.
    share: f64,
}

impl Scored {
    fn new(model: &Model, problem: &Problem<'_>, keep: &[usize]) -> Result<Self> {
        let nodes = problem.tree.nodes();
        let slots = problem.members.iter().flat_map(|member| &member.slots);
        let mut scored = Self::default();
        for &slot in slots.clone() {
            if let Parent::Cache(cache) = nodes[slot].parent
                && !scored.caches.contains(&cache)
            {
                scored.caches.push(cache);
            }
        }
        // After the early exit the kept nodes alone are packed.
        let row_of_node = kept_offsets(problem.tree, keep, model.config().n_layers > problem.block + 1);
        for (member_idx, member) in problem.members.iter().enumerate() {
            for &slot in &member.slots {
                let (node, first) = (&nodes[slot], scored.caches.len() + row_of_node[slot]);
                let before = match node.parent {
                    Parent::Root | Parent::Node { len: 0, .. } => None,
                    Parent::Cache(cache) => scored.caches.iter().position(|&known| known == cache),
                    Parent::Node { node, len } => Some(scored.caches.len() + row_of_node[node] + len - 1),
                };
                let free = usize::from(before.is_none());
                let n_scored = node.ids.len() - free;
                if n_scored == 0 {
                    return Err(EngineError::BadRequest("a prompt of one token has no token to score".to_owned()));
                }
                let share = 1.0 / (member.slots.len() * n_scored) as f64;
                let rows = before.into_iter().chain(first..first + node.ids.len() - 1);
                scored.rows.extend(rows.map(|row| row as u32));
                scored.targets.extend_from_slice(&node.ids[free..]);
                let positions = free..node.ids.len();
                scored.owners.extend(positions.map(|position| Owner { member: member_idx, position, share }));
            }
        }
        Ok(scored)
    }

    /// Residuals of the last block before each scored token, `[n_scored, d_model]`.
    fn rows_before(&self, model: &Model, problem: &Problem<'_>, last: &Tensor) -> Result<Tensor> {
        let mut parts = Vec::with_capacity(self.caches.len() + 1);
        for &cache in &self.caches {
            parts.push(problem.caches[cache].last_resid().cloned().ok_or_else(|| {
                EngineError::BadRequest("the cache before the prompt does not hold its last residual".to_owned())
            })?);
        }
        parts.push(last.clone());
        let all = if parts.len() == 1 { last.clone() } else { Tensor::cat(&parts, 0)? };
        Ok(all.index_select(&Tensor::new(self.rows.as_slice(), model.device())?, 0)?)
    }

    fn xents(&self, losses: &[f32], n_members: usize) -> Vec<f64> {
        let mut xents = vec![0.0; n_members];
        for (owner, &loss) in self.owners.iter().zip(losses) {
            xents[owner.member] += owner.share * f64::from(loss);
        }
        xents
    }
}

/// Rows of each member when their prompts stand one after the other.
fn member_rows(problem: &Problem<'_>) -> Vec<Range<usize>> {
    let mut next = 0;
    let lens = problem.members.iter().map(|member| problem.tree.nodes()[member.slots[0]].ids.len());
    lens.map(|len| {
        next += len;
        next - len..next
    })
    .collect()
}

fn check(problem: &Problem<'_>) -> Result<()> {
    let nodes = problem.tree.nodes();
    if problem.members.is_empty() {
        return Err(EngineError::BadRequest("there are no members".to_owned()));
    }
    for member in problem.members {
        if let Some(node) = member.slots.iter().chain(&member.reads).find(|&&node| node >= nodes.len()) {
            return Err(EngineError::BadRequest(format!("a member names run {node} of {}", nodes.len())));
        }
        if member.slots.is_empty() {
            return Err(EngineError::BadRequest("a member has no slot".to_owned()));
        }
        if member.slots.windows(2).any(|pair| nodes[pair[0]].ids != nodes[pair[1]].ids) {
            return Err(EngineError::BadRequest("a member's runs hold different prompts".to_owned()));
        }
    }
    Ok(())
}

fn reads(problem: &Problem<'_>) -> Vec<u32> {
    problem.members.iter().flat_map(|member| &member.reads).map(|&node| problem.tree.last_row(node) as u32).collect()
}

fn select_rows(model: &Model, x: &Tensor, rows: Vec<u32>) -> Result<Tensor> {
    let all = rows.len() == x.dim(0)? && rows.iter().zip(0..).all(|(&row, i)| row == i);
    Ok(if all { x.clone() } else { x.index_select(&Tensor::new(rows, model.device())?, 0)? })
}

/// Nodes needed for the cross-entropy: the prompts and whatever of the tree stands before them.
fn slots_and_ancestors(problem: &Problem<'_>) -> Vec<usize> {
    let mut keep = vec![false; problem.tree.nodes().len()];
    for &slot in problem.members.iter().flat_map(|member| &member.slots) {
        let mut next = Some(slot);
        while let Some(idx) = next.filter(|&idx| !keep[idx]) {
            keep[idx] = true;
            next = match problem.tree.nodes()[idx].parent {
                Parent::Node { node, .. } => Some(node),
                Parent::Root | Parent::Cache(_) => None,
            };
        }
    }
    (0..keep.len()).filter(|&idx| keep[idx]).collect()
}

/// First row of each node in the last block's output: packed anew when other nodes have left.
fn kept_offsets(tree: &TokenTree, keep: &[usize], left_early: bool) -> Vec<usize> {
    if !left_early {
        return (0..tree.nodes().len()).map(|node| tree.offset(node)).collect();
    }
    let mut offsets = vec![usize::MAX; tree.nodes().len()];
    let mut next = 0;
    for &node in keep {
        offsets[node] = next;
        next += tree.nodes()[node].ids.len();
    }
    offsets
}

#[cfg(test)]
mod tests;
