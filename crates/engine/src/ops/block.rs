//! One decoder block: `x + attention(norm(x))`, then `x + mlp(norm(x))`; some families norm what is added, too.
//!
//! On the processor the block is a single `CustomOp`: forward in place through a few buffers, the wide ones only for
//! some rows at a time; backward written out, from what the forward kept. As weights are constants, the gradient needs
//! only the inputs of the norms, of the attention and of the gate; what a family does without is neither run nor kept. The tape then holds one entry for each block.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::attention::Attention;
use super::linear::Linear;
use super::norm::Norm;
use super::qk_norm::QkNorm;
use super::rope::{self, Rotation};
use super::{Values, is_fused, mlp, values};
use crate::config::Activation;

/// Weights of one block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) attn_norm: Norm,
    pub(crate) qkv: Linear,
    /// Norms of queries and keys.
    pub(crate) qk_norm: Option<QkNorm>,
    pub(crate) o: Linear,
    /// Norm of what the attention adds.
    pub(crate) post_attn: Option<Norm>,
    pub(crate) mlp_norm: Norm,
    pub(crate) gate_up: Linear,
    pub(crate) activation: Activation,
    pub(crate) down: Linear,
    /// Norm of what the MLP adds.
    pub(crate) post_mlp: Option<Norm>,
}

/// The residual stream after a block, and the keys and values of its tokens.
pub(crate) struct Passed {
    /// `[n, d_model]`.
    pub(crate) x: Tensor,
    qkv: Qkv,
}

/// Rotated queries, keys and values, `[n, qkv_dim]`; constants.
enum Qkv {
    Kept(Arc<Mutex<Kept>>),
    Tensor(Tensor),
}

impl Block {
    /// Runs the block on `x` `[n, d_model]`; the gradient passes. Only the `needed` rows (ascending; `None` is all) need
    /// go through all of it: what the others hold means nothing.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        rotation: &Rotation,
        attention: &Attention,
        needed: Option<Arc<[u32]>>,
    ) -> Result<Passed> {
        if !is_fused(x) {
            return self.composite(x, rotation, attention);
        }
        let kept = Arc::new(Mutex::new(Kept::default()));
        let op = BlockOp {
            block: self.clone(),
            rotation: rotation.clone(),
            attention: attention.clone(),
            needed,
            for_gradient: x.track_op(),
            kept: Arc::clone(&kept),
        };
        Ok(Passed { x: x.contiguous()?.apply_op1(op)?, qkv: Qkv::Kept(kept) })
    }

    /// The same by stock operations.
    pub(crate) fn composite(&self, x: &Tensor, rotation: &Rotation, attention: &Attention) -> Result<Passed> {
        let added = |norm: &Option<Norm>, x: Tensor| match norm {
            Some(norm) => norm.composite(&x),
            None => Ok(x),
        };
        let qkv = self.qkv.composite(&self.attn_norm.composite(x)?)?;
        let qkv = match &self.qk_norm {
            Some(norm) => norm.composite(&qkv, attention.heads)?,
            None => qkv,
        };
        let qkv = rope::composite(&qkv, rotation)?;
        let x = (x + added(&self.post_attn, self.o.composite(&attention.composite(&qkv)?)?)?)?;
        let gated = mlp::composite(&self.gate_up.composite(&self.mlp_norm.composite(&x)?)?, self.activation)?;
        let x = (&x + added(&self.post_mlp, self.down.composite(&gated)?)?)?;
        Ok(Passed { x, qkv: Qkv::Tensor(qkv.detach()) })
    }

    /// Its matrices.
    pub(crate) fn linears(&self) -> [&Linear; 4] {
        [&self.qkv, &self.o, &self.gate_up, &self.down]
    }

    /// Number of parameters.
    pub(crate) fn n_values(&self) -> usize {
        let norms = [Some(&self.attn_norm), Some(&self.mlp_norm), self.post_attn.as_ref(), self.post_mlp.as_ref()];
        let of_heads = self.qk_norm.iter().flat_map(|norm| [&norm.q, &norm.k]);
        self.linears().map(Linear::n_values).iter().sum::<usize>()
            + norms.into_iter().flatten().chain(of_heads).map(|norm| norm.weight.elem_count()).sum::<usize>()
    }
}

impl Passed {
    /// Keys and values `[len, 2 * kv_dim]` of some rows; a constant with its own memory.
    pub(crate) fn keys_and_values(&self, (start, len): (usize, usize), attention: &Attention) -> Result<Tensor> {
        let (q_dim, width) = (attention.heads.q_dim(), attention.heads.width());
        match &self.qkv {
            Qkv::Tensor(qkv) => qkv.narrow(0, start, len)?.narrow(1, q_dim, width - q_dim)?.force_contiguous(),
            Qkv::Kept(kept) => {
                let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let rows = kept.qkv[start * width..(start + len) * width].chunks_exact(width);
                let kv: Vec<f32> = rows.flat_map(|row| &row[q_dim..]).copied().collect();
                Tensor::from_vec(kv, (len, width - q_dim), self.x.device())
            }
        }
    }
}

/// The block as one operation.
struct BlockOp {
    block: Block,
    rotation: Rotation,
    attention: Attention,
    needed: Option<Arc<[u32]>>,
    for_gradient: bool,
    kept: Arc<Mutex<Kept>>,
}

/// What the forward leaves for the caller and for the backward.
#[derive(Default)]
struct Kept {
    /// `[n, qkv_dim]`, rotated.
    qkv: Vec<f32>,
    /// Queries and keys before their norms, `[n, q_dim + kv_dim]`; where they are normed. This and the following for
    /// gradients only.
    raw: Vec<f32>,
    /// What the attention gives before its norm, `[n_needed, d_model]`; where it is normed.
    attn_out: Vec<f32>,
    /// Residual stream between attention and MLP, `[n_needed, d_model]`.
    middle: Vec<f32>,
    /// Gate and up, `[n_needed, 2 * d_mlp]`.
    both: Vec<f32>,
    /// What the MLP gives before its norm, `[n_needed, d_model]`; where it is normed.
    mlp_out: Vec<f32>,
}

/// Rows that go through the wide layers before the next ones start, so that their activations stay in cache.
const ROWS_AT_ONCE: usize = 256;

impl BlockOp {
    /// Rotated queries, keys and values, and what [`Kept::raw`] holds of them.
    fn queries_keys_values(&self, x: &[f32]) -> Result<(Vec<f32>, Vec<f32>)> {
        let (d, width) = (self.block.qkv.n_in(), self.block.qkv.n_out());
        let mut qkv = vec![0.0; x.len() / d * width];
        let mut normed = vec![0.0; x.len().min(ROWS_AT_ONCE * d)];
        for (qkv, x) in qkv.chunks_mut(ROWS_AT_ONCE * width).zip(x.chunks(ROWS_AT_ONCE * d)) {
            let normed = &mut normed[..x.len()];
            self.block.attn_norm.forward_into(normed, x)?;
            self.block.qkv.forward_into(qkv, normed, false)?;
        }
        let raw = match &self.block.qk_norm {
            Some(norm) => norm.apply(&mut qkv, self.attention.heads, self.for_gradient)?,
            None => Vec::new(),
        };
        self.rotation.apply(&mut qkv, width, 1.0);
        Ok((qkv, raw))
    }

    /// Adds the attention's output to `x` in place, given the `mixed` values.
    fn add_attention(&self, x: &mut [f32], mixed: &[f32], kept: &mut Kept) -> Result<()> {
        let Some(norm) = &self.block.post_attn else {
            return self.block.o.forward_into(x, mixed, true);
        };
        let mut out = vec![0.0; x.len()];
        self.block.o.forward_into(&mut out, mixed, false)?;
        norm.add_into(x, &out)?;
        if self.for_gradient {
            kept.attn_out = out;
        }
        Ok(())
    }

    /// Adds the MLP's output to `x` in place.
    fn add_mlp(&self, x: &mut [f32], kept: &mut Kept) -> Result<()> {
        let (d, wide) = (self.block.gate_up.n_in(), self.block.gate_up.n_out());
        let n_all = x.len() / d;
        let rows = ROWS_AT_ONCE.min(n_all).max(1);
        // Without a gradient to come, the next rows use the place of the last ones.
        let n_kept = if self.for_gradient { n_all } else { rows };
        kept.both = vec![0.0; n_kept * wide];
        kept.mlp_out = vec![0.0; if self.block.post_mlp.is_some() { n_kept * d } else { 0 }];
        let mut normed = vec![0.0; rows * d];
        let mut gated = vec![0.0; rows * wide / 2];
        for (i, x) in x.chunks_mut(rows * d).enumerate() {
            let (n, first) = (x.len() / d, if self.for_gradient { i * rows } else { 0 });
            let both = &mut kept.both[first * wide..][..n * wide];
            let (normed, gated) = (&mut normed[..n * d], &mut gated[..n * wide / 2]);
            self.block.mlp_norm.forward_into(normed, x)?;
            self.block.gate_up.forward_into(both, normed, false)?;
            mlp::gate_into(gated, both, wide, self.block.activation);
            match &self.block.post_mlp {
                None => self.block.down.forward_into(x, gated, true)?,
                Some(norm) => {
                    let out = &mut kept.mlp_out[first * d..][..n * d];
                    self.block.down.forward_into(out, gated, false)?;
                    norm.add_into(x, out)?;
                }
            }
        }
        if !self.for_gradient {
            (kept.both, kept.mlp_out) = Default::default();
        }
        Ok(())
    }

    /// Gradient of the input, given `grad` of the output, both `[n, d_model]`. A row that is not needed passes its own
    /// through, as the forward did.
    fn gradient(&self, x: &[f32], grad: &[f32], kept: &Kept) -> Result<Vec<f32>> {
        let Block { attn_norm, qkv, qk_norm, o, post_attn, mlp_norm, gate_up, activation, down, post_mlp } =
            &self.block;
        let (d, n) = (qkv.n_in(), x.len() / qkv.n_in());
        let grad_needed = self.gathered(grad, d);
        let n_needed = grad_needed.len() / d;
        let mut d_middle = grad_needed.to_vec();
        let mut d_gated = vec![0.0; n_needed * down.n_in()];
        down.backward_into(&mut d_gated, &before_norm(post_mlp.as_ref(), &kept.mlp_out, &grad_needed)?, false)?;
        let d_both = mlp::gate_backward(&kept.both, &d_gated, gate_up.n_out(), *activation);
        let mut d_normed = vec![0.0; n_needed * d];
        gate_up.backward_into(&mut d_normed, &d_both, false)?;
        mlp_norm.backward_add(&mut d_middle, &kept.middle, &d_normed)?;
        let mut d_mixed = vec![0.0; n_needed * o.n_in()];
        o.backward_into(&mut d_mixed, &before_norm(post_attn.as_ref(), &kept.attn_out, &d_middle)?, false)?;
        let mut dx = grad.to_vec();
        self.scatter(&mut dx, &d_middle, d);
        let mut d_all = vec![0.0; n * o.n_in()];
        self.scatter(&mut d_all, &d_mixed, o.n_in());
        let mut d_qkv = self.attention.backward(&kept.qkv, &d_all)?;
        self.rotation.apply(&mut d_qkv, qkv.n_out(), -1.0);
        if let Some(norm) = qk_norm {
            norm.backward(&mut d_qkv, &kept.raw, self.attention.heads)?;
        }
        d_normed.resize(n * d, 0.0);
        qkv.backward_into(&mut d_normed, &d_qkv, false)?;
        attn_norm.backward_add(&mut dx, x, &d_normed)?;
        Ok(dx)
    }

    /// The needed rows of `from` `[n, width]`.
    fn gathered<'a>(&self, from: &'a [f32], width: usize) -> Cow<'a, [f32]> {
        match &self.needed {
            None => Cow::Borrowed(from),
            Some(rows) => rows.iter().flat_map(|&row| &from[row as usize * width..][..width]).copied().collect(),
        }
    }

    /// Writes the needed rows back to their places.
    fn scatter(&self, to: &mut [f32], rows: &[f32], width: usize) {
        match &self.needed {
            None => to.copy_from_slice(rows),
            Some(needed) => {
                for (&row, from) in needed.iter().zip(rows.chunks_exact(width)) {
                    to[row as usize * width..][..width].copy_from_slice(from);
                }
            }
        }
    }
}

/// Gradient with respect to what a norm was given, from that of what it gave; the same without a norm.
fn before_norm<'a>(norm: Option<&Norm>, given: &[f32], grad: &'a [f32]) -> Result<Cow<'a, [f32]>> {
    let Some(norm) = norm else { return Ok(Cow::Borrowed(grad)) };
    let mut before = vec![0.0; grad.len()];
    norm.backward_add(&mut before, given, grad)?;
    Ok(Cow::Owned(before))
}

impl CustomOp1 for BlockOp {
    fn name(&self) -> &'static str {
        "tiller-block"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let (qkv, raw) = self.queries_keys_values(x)?;
        let mut kept = Kept { qkv, raw, ..Kept::default() };
        let d = self.block.qkv.n_in();
        let mixed = self.attention.forward(&kept.qkv, self.needed.as_deref())?;
        let mut rows = self.gathered(x, d).into_owned();
        self.add_attention(&mut rows, &mixed, &mut kept)?;
        drop(mixed);
        if self.for_gradient {
            kept.middle.clone_from(&rows);
        }
        self.add_mlp(&mut rows, &mut kept)?;
        let out = if self.needed.is_none() {
            rows
        } else {
            let mut out = x.to_vec();
            self.scatter(&mut out, &rows, d);
            out
        };
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.for_gradient {
            bail!("a block that ran without a tape was asked for a gradient");
        }
        let grad = grad.contiguous()?;
        let dx = self.gradient(Values::of(arg).slice()?, Values::of(&grad).slice()?, &kept)?;
        Tensor::from_vec(dx, arg.shape(), arg.device()).map(Some)
    }
}
