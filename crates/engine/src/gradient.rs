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

use candle_core::{DType, Tensor, Var};

use crate::edit::Edit;
use crate::error::{EngineError, Result};
use crate::model::{EarlyExit, KvCache, Model, Request};
use crate::ops::linear::{Linear, Orientation};
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
    members: Vec<MemberGradient>,
    embedding: Linear,
    scale: f64,
}

#[derive(Debug)]
struct MemberGradient {
    /// `[len, d_model]`: gradient of the loss at the embeddings.
    embeds: Tensor,
    /// `[len, vocab]`: the label term, already weighted.
    labels: Option<Tensor>,
}

impl TokenGradients {
    /// Number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// ∂(−target + λ·xent)/∂one-hot of one member, `[prompt_len, vocab]`, f32.
    ///
    /// # Errors
    /// A member out of range.
    pub fn dense(&self, member: usize) -> Result<Tensor> {
        let found = self.members.get(member);
        let found = found.ok_or_else(|| EngineError::BadRequest(format!("no member {member}")))?;
        let embeds = if self.scale == 1.0 { found.embeds.clone() } else { (&found.embeds * self.scale)? };
        let grad = self.embedding.forward(&embeds)?.to_dtype(DType::F32)?;
        Ok(match &found.labels {
            Some(labels) => (grad + labels)?,
            None => grad,
        })
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
            .iter()
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
/// everything [`Model::forward`] refuses.
pub fn token_gradients(model: &Model, problem: &Problem<'_>, objective: Objective<'_>) -> Result<TokenGradients> {
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
    let mut labels = vec![None; problem.members.len()];
    if with_xent {
        // After the early exit the kept nodes alone are packed.
        let kept_rows = kept_offsets(problem.tree, &keep, model.config().n_layers > problem.block + 1);
        for (idx, member) in problem.members.iter().enumerate() {
            let (xent, label) = member_xent(model, problem, member, &out.last, &kept_rows)?;
            xents[idx] = f64::from(xent.to_scalar::<f32>()?);
            labels[idx] = Some((label * member.lambda)?);
            loss = (loss + (xent * member.lambda)?)?;
        }
    }
    let mut grads = loss.backward()?;
    let grad = grads
        .remove(embeds.as_tensor())
        .ok_or_else(|| EngineError::BadRequest("the objective does not depend on the prompt".to_owned()))?;
    let members = problem.members.iter().zip(labels).map(|(member, labels)| {
        let mut sum: Option<Tensor> = None;
        for &slot in &member.slots {
            let rows = grad.narrow(0, problem.tree.offset(slot), problem.tree.nodes()[slot].ids.len())?;
            sum = Some(match sum {
                Some(sum) => (sum + rows)?,
                None => rows.contiguous()?,
            });
        }
        let embeds = sum.ok_or_else(|| EngineError::BadRequest("a member has no slot".to_owned()))?;
        Ok(MemberGradient { embeds, labels })
    });
    Ok(TokenGradients {
        targets: targets.to_vec1::<f32>()?.into_iter().map(f64::from).collect(),
        xents,
        members: members.collect::<Result<_>>()?,
        embedding: Linear::new(model.embedding().clone(), None, Orientation::OutIn),
        scale: model.config().arch.embed_scale,
    })
}

/// A member's cross-entropy as a tracked scalar, and the label term of eq. 7 without λ, `[len, vocab]`.
fn member_xent(
    model: &Model,
    problem: &Problem<'_>,
    member: &Member,
    last: &Tensor,
    row_of_node: &[usize],
) -> Result<(Tensor, Tensor)> {
    let mut xent: Option<Tensor> = None;
    let mut label: Option<Tensor> = None;
    for &slot in &member.slots {
        let node = &problem.tree.nodes()[slot];
        let before = match node.parent {
            Parent::Root => None,
            Parent::Cache(cache) => Some(problem.caches[cache].last_resid().cloned().ok_or_else(|| {
                EngineError::BadRequest("the cache before the prompt does not hold its last residual".to_owned())
            })?),
            Parent::Node { node, len: 0 } => {
                return Err(EngineError::BadRequest(format!("the prompt continues no token of run {node}")));
            }
            Parent::Node { node, len } => Some(last.narrow(0, row_of_node[node] + len - 1, 1)?),
        };
        let free = usize::from(before.is_none());
        let n_scored = node.ids.len() - free;
        if n_scored == 0 {
            return Err(EngineError::BadRequest("a prompt of one token has no token to score".to_owned()));
        }
        let own = last.narrow(0, row_of_node[slot], node.ids.len() - 1)?;
        let resid = match before {
            Some(before) => Tensor::cat(&[&before, &own], 0)?,
            None => own,
        };
        let share = 1.0 / member.slots.len() as f64;
        let loss = (model.cross_entropy(&resid, &node.ids[free..])?.mean_all()? * share)?;
        let mut term = (model.negative_log_probs(&resid)? * (share / n_scored as f64))?;
        if free == 1 {
            term = Tensor::cat(&[&term.narrow(0, 0, 1)?.zeros_like()?, &term], 0)?;
        }
        xent = Some(match xent {
            Some(sum) => (sum + loss)?,
            None => loss,
        });
        label = Some(match label {
            Some(sum) => (sum + term)?,
            None => term,
        });
    }
    xent.zip(label).ok_or_else(|| EngineError::BadRequest("a member has no slot".to_owned()))
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
