//! Additions to the residual stream.

use candle_core::{DType, Tensor};
use tiller_protocol::steering::Positions;

use crate::error::Result;
use crate::plan::Plan;
use crate::tree::{Node, TokenTree};

/// Adds `delta` to `resid_post[block]` at some positions (methods.md eq. 8).
#[derive(Clone, Debug)]
pub struct Edit {
    /// Block, 0-based.
    pub block: usize,
    /// What is added, `[d_model]`, f32: coefficient and vector already multiplied.
    pub delta: Tensor,
    /// Where it is added. Position 0 is never touched.
    pub positions: Positions,
}

/// Edits with the rows they touch. Edits that change nothing are left out, so that the result is the unedited one bit
/// for bit.
pub(crate) struct PreparedEdits(Vec<Prepared>);

struct Prepared {
    block: usize,
    /// `[1, d_model]`.
    delta: Tensor,
    rows: Vec<bool>,
}

impl PreparedEdits {
    pub(crate) fn new(edits: &[Edit], tree: &TokenTree, plan: &Plan) -> Result<Self> {
        let mut prepared = Vec::new();
        for edit in edits {
            let delta = edit.delta.to_dtype(DType::F32)?;
            if delta.to_vec1::<f32>()?.iter().all(|&value| value == 0.0) {
                continue;
            }
            let mut rows = vec![false; plan.n_tokens];
            for (node, planned) in tree.nodes().iter().zip(&plan.nodes) {
                for (i, row) in rows[planned.start..planned.start + planned.len].iter_mut().enumerate() {
                    *row = planned.past_len + i > 0 && touches(edit.positions, node, i + 1 == planned.len);
                }
            }
            prepared.push(Prepared { block: edit.block, delta: delta.unsqueeze(0)?, rows });
        }
        Ok(Self(prepared))
    }

    /// Adds the edits of one block to `x` `[n_tokens, d_model]`; the gradient passes.
    pub(crate) fn apply(&self, block: usize, mut x: Tensor) -> Result<Tensor> {
        for edit in self.0.iter().filter(|edit| edit.block == block && edit.rows.contains(&true)) {
            let delta = edit.delta.to_dtype(x.dtype())?.to_device(x.device())?;
            x = if edit.rows.iter().all(|&row| row) {
                x.broadcast_add(&delta)?
            } else {
                let rows: Vec<f32> = edit.rows.iter().map(|&row| f32::from(u8::from(row))).collect();
                let rows = Tensor::from_vec(rows, (edit.rows.len(), 1), x.device())?.to_dtype(x.dtype())?;
                (x + rows.broadcast_mul(&delta)?)?
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
