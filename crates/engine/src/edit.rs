//! Edits of the residual stream.

use std::sync::Arc;

use candle_core::{DType, Tensor};
use tiller_protocol::steering::Positions;

use crate::error::Result;
use crate::plan::Plan;
use crate::sae::LatentEdit;
use crate::tree::{Node, TokenTree};

/// A change of `resid_post[block]` at some positions.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Block, 0-based.
    pub block: usize,
    /// What is done there.
    pub change: Change,
    /// Where it is done. Position 0 is never touched.
    pub positions: Positions,
}

/// What an edit does to a row.
#[derive(Clone, Debug)]
pub enum Change {
    /// Adds this vector, `[d_model]`, f32: coefficient and direction already multiplied (methods.md eq. 8).
    Add(Tensor),
    /// Changes latents of an SAE (methods.md §5.3).
    Latents(Arc<LatentEdit>),
}

impl Edit {
    /// Adds `delta` `[d_model]`, f32: coefficient and direction already multiplied.
    pub fn add(block: usize, delta: Tensor, positions: Positions) -> Self {
        Self { block, change: Change::Add(delta), positions }
    }

    /// Changes latents.
    pub fn latents(block: usize, latents: Arc<LatentEdit>, positions: Positions) -> Self {
        Self { block, change: Change::Latents(latents), positions }
    }

    /// Shape of the rows that it fits, but for their number.
    pub(crate) fn row_dims(&self) -> Vec<usize> {
        match &self.change {
            Change::Add(delta) => delta.dims().to_vec(),
            Change::Latents(latents) => vec![latents.d_model()],
        }
    }
}

/// Edits with the rows they touch. Edits that change nothing are left out, so that the result is the unedited one bit
/// for bit.
pub(crate) struct PreparedEdits(Vec<Prepared>);

struct Prepared {
    block: usize,
    change: Change,
    rows: Vec<bool>,
}

impl PreparedEdits {
    pub(crate) fn new(edits: &[Edit], tree: &TokenTree, plan: &Plan) -> Result<Self> {
        let mut prepared = Vec::new();
        for edit in edits {
            let change = match &edit.change {
                Change::Add(delta) => {
                    let delta = delta.to_dtype(DType::F32)?;
                    if delta.to_vec1::<f32>()?.iter().all(|&value| value == 0.0) {
                        continue;
                    }
                    Change::Add(delta.unsqueeze(0)?)
                }
                Change::Latents(latents) if latents.changes_nothing() => continue,
                Change::Latents(latents) => Change::Latents(Arc::clone(latents)),
            };
            let mut rows = vec![false; plan.n_tokens];
            for (node, planned) in tree.nodes().iter().zip(&plan.nodes) {
                for (i, row) in rows[planned.start..planned.start + planned.len].iter_mut().enumerate() {
                    *row = planned.past_len + i > 0 && touches(edit.positions, node, i + 1 == planned.len);
                }
            }
            prepared.push(Prepared { block: edit.block, change, rows });
        }
        Ok(Self(prepared))
    }

    /// Makes the edits of one block on `x` `[n_tokens, d_model]`, in order; the gradient passes.
    pub(crate) fn apply(&self, block: usize, mut x: Tensor) -> Result<Tensor> {
        for edit in self.0.iter().filter(|edit| edit.block == block && edit.rows.contains(&true)) {
            let is_whole = edit.rows.iter().all(|&row| row);
            x = match &edit.change {
                Change::Add(delta) => {
                    let delta = delta.to_dtype(x.dtype())?.to_device(x.device())?;
                    if is_whole { x.broadcast_add(&delta)? } else { masked_add(&x, &edit.rows, &delta)? }
                }
                Change::Latents(latents) if is_whole => {
                    let delta = latents.delta(&x)?.to_dtype(x.dtype())?;
                    x.broadcast_add(&delta)?
                }
                Change::Latents(latents) => {
                    // The others are spared the reading of their latents.
                    let touched: Vec<u32> = (0..).zip(&edit.rows).filter(|(_, row)| **row).map(|(i, _)| i).collect();
                    let touched = Tensor::new(touched, x.device())?;
                    let rows = x.index_select(&touched, 0)?;
                    let delta = latents.delta(&rows)?.to_dtype(x.dtype())?.broadcast_as(rows.shape())?.contiguous()?;
                    x.index_add(&touched, &delta, 0)?
                }
            };
        }
        Ok(x)
    }

    /// Follows a selection of rows.
    pub(crate) fn keep_rows(&mut self, rows: &[u32]) {
        for edit in &mut self.0 {
            edit.rows = rows.iter().map(|&row| edit.rows[row as usize]).collect();
        }
    }
}

/// Adds `delta` `[1, d_model]` to some rows of `x`.
fn masked_add(x: &Tensor, rows: &[bool], delta: &Tensor) -> Result<Tensor> {
    let rows: Vec<f32> = rows.iter().map(|&row| f32::from(u8::from(row))).collect();
    let n = rows.len();
    let rows = Tensor::from_vec(rows, (n, 1), x.device())?.to_dtype(x.dtype())?;
    Ok((x + rows.broadcast_mul(delta)?)?)
}

/// Whether an edit touches a token of `node` that is not at position 0.
fn touches(positions: Positions, node: &Node, is_last: bool) -> bool {
    let ends_prompt = node.ends_prompt && is_last;
    match positions {
        Positions::All => true,
        Positions::Prompt => !node.is_reply,
        Positions::LastPrompt => ends_prompt,
        Positions::Generated => ends_prompt || node.is_reply,
    }
}
