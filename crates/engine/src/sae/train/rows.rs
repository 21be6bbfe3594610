//! Rows of the residual stream, in an order of chance.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::super::fit::OUTLIER;
use crate::error::{EngineError, Result};
use crate::memory::room_for;
use crate::model::{Model, Request};
use crate::random::Noise;
use crate::tree::{Node, Parent, TokenTree};

/// Rows that a training draws its batches from.
#[derive(Clone, Debug)]
pub struct Rows {
    d_model: usize,
    /// `[n, d_model]`.
    values: Vec<f32>,
    /// Those that are used, in the order of use.
    order: Vec<u32>,
}

impl Rows {
    /// None yet, of this width.
    pub fn new(d_model: usize) -> Self {
        Self { d_model, values: Vec::new(), order: Vec::new() }
    }

    /// Makes room for `n` rows in all.
    ///
    /// # Errors
    /// No memory for them.
    pub fn reserve(&mut self, n: usize) -> Result<()> {
        let more = n.saturating_mul(self.d_model).saturating_sub(self.values.len());
        room_for::<f32>(more)?;
        self.values.reserve_exact(more);
        Ok(())
    }

    /// Width of a row.
    pub fn d_model(&self) -> usize {
        self.d_model
    }

    /// Number of rows, with those of outlying length.
    pub fn len(&self) -> usize {
        self.values.len() / self.d_model.max(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Takes all of them away, and keeps the memory.
    pub fn clear(&mut self) {
        self.values.clear();
        self.order.clear();
    }

    /// Whole batches of the last [`Self::shuffle`].
    pub fn n_batches(&self, batch: usize) -> usize {
        self.order.len() / batch.max(1)
    }

    /// Runs the model over token sequences at once and adds what it has after `block`, the first position of each left
    /// out.
    ///
    /// # Errors
    /// An empty sequence or one beyond the context, values that are no numbers, no memory.
    pub fn add(&mut self, model: &Model, block: usize, sequences: &[&[u32]]) -> Result<()> {
        let mut tree = TokenTree::new();
        for ids in sequences {
            tree.push(Node { parent: Parent::Root, ids: ids.to_vec(), ends_prompt: true, is_reply: false });
        }
        let request = Request { capture: &[block], last_block: Some(block), ..Request::new(&tree) };
        let found = model.forward(&request)?.resid_post.pop();
        let (_, resid) = found.ok_or_else(|| EngineError::BadRequest(format!("block {block} gave nothing")))?;
        let resid = resid.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
        for (node, ids) in sequences.iter().enumerate() {
            if ids.len() > 1 {
                self.push(&resid.narrow(0, tree.offset(node) + 1, ids.len() - 1)?)?;
            }
        }
        Ok(())
    }

    /// Adds rows `[n, d_model]` of f32 on the processor.
    ///
    /// # Errors
    /// Rows of another width, values that are no numbers, no memory.
    pub fn push(&mut self, rows: &Tensor) -> Result<()> {
        let values = super::super::checked(rows, self.d_model)?.flatten_all()?.to_vec1::<f32>()?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err(EngineError::BadRequest("the model's activations are no numbers on this text".to_owned()));
        }
        room_for::<f32>(values.len())?;
        self.values.extend(values);
        Ok(())
    }

    /// Puts the rows in an order that `seed` and `turn` decide, those longer than `limit` left out.
    pub fn shuffle(&mut self, seed: u64, turn: u64, limit: f32) {
        let d = self.d_model.max(1);
        let lengths: Vec<f32> = self.values.par_chunks(d).map(length).collect();
        self.order = (0..).zip(lengths).filter(|(_, length)| *length <= limit).map(|(idx, _)| idx).collect();
        mix(&mut self.order, seed ^ turn.wrapping_mul(0xd1b5_4a32_d192_ed03));
    }

    /// The length from which on a row is outlying: some median lengths.
    pub fn usual_limit(&self) -> f32 {
        let mut lengths: Vec<f32> = self.values.par_chunks(self.d_model.max(1)).map(length).collect();
        lengths.sort_unstable_by(f32::total_cmp);
        lengths.get(lengths.len() / 2).map_or(0.0, |median| OUTLIER * median)
    }

    /// The rows in use, in order.
    pub(super) fn used(&self) -> impl Iterator<Item = &[f32]> {
        self.order.iter().map(|idx| self.row(*idx))
    }

    /// A batch `[n, d_model]` by its number, each value multiplied by `scale`.
    ///
    /// # Errors
    /// There is no such batch.
    pub(super) fn batch(&self, index: usize, n: usize, scale: f32) -> Result<Vec<f32>> {
        let used = index.checked_mul(n).and_then(|first| self.order.get(first..first + n));
        let used = used.ok_or_else(|| {
            let reason = format!("batch {index} of {n} rows is not among {} rows", self.order.len());
            EngineError::BadRequest(reason)
        })?;
        Ok(used.iter().flat_map(|idx| self.row(*idx)).map(|value| scale * value).collect())
    }

    pub(super) fn row(&self, idx: u32) -> &[f32] {
        let first = idx as usize * self.d_model;
        &self.values[first..first + self.d_model]
    }
}

/// The order in which texts are gone over for the `epoch`th time, decided by `seed`.
pub fn order(n: usize, seed: u64, epoch: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    mix(&mut order, seed ^ (epoch + 1).wrapping_mul(0x8cb9_2ba7_2f3d_8dd7));
    order
}

fn mix(order: &mut [u32], seed: u64) {
    let mut noise = Noise(seed);
    for last in (1..order.len()).rev() {
        // The remainder favours none by more than one in 2³² or so.
        order.swap(last, (noise.next() % (last as u64 + 1)) as usize);
    }
}

fn length(row: &[f32]) -> f32 {
    row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt() as f32
}
