//! The arithmetic of a decoder block, each operation with a gradient that is kept.
//!
//! Every operation has two bodies. On the processor in f32 it is part of one of our own `CustomOp`s ([`block`],
//! [`norm`], [`linear`], [`loss`]) with a written-out backward pass; weights are constants of the op, so no weight
//! gradient is ever computed. Elsewhere it is a composite of stock differentiable operations, which also serves the
//! tests as the reference. candle's own fused
//! kernels (`candle_nn::ops::rms_norm`, `rope`, `softmax_last_dim`, …) drop gradients without an error and are not
//! used at all.
//!
//! Activations are packed rows `[n_tokens, width]`, contiguous.

pub(crate) mod attention;
mod attention_backward;
pub(crate) mod block;
pub(crate) mod gemm;
pub(crate) mod linear;
pub(crate) mod loss;
pub(crate) mod mlp;
pub(crate) mod norm;
pub(crate) mod qk_norm;
pub(crate) mod rope;
pub(crate) mod simd;
pub(crate) mod softcap;

use candle_core::{CpuStorage, DType, Layout, Result, Storage, StorageRef, Tensor, bail};

/// Whether the fused body applies: the processor in f32.
pub(crate) fn is_fused(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32
}

/// The values of a contiguous f32 storage.
pub(crate) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("a fused operation was given rows that are not contiguous")
    };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// Read access to the values of a contiguous f32 tensor on the processor.
pub(crate) struct Values<'a> {
    guard: StorageRef<'a>,
    layout: &'a Layout,
}

impl<'a> Values<'a> {
    pub(crate) fn of(tensor: &'a Tensor) -> Self {
        let (guard, layout) = tensor.storage_and_layout();
        Self { guard, layout }
    }

    pub(crate) fn slice(&self) -> Result<&[f32]> {
        match &*self.guard {
            Storage::Cpu(storage) => values(storage, self.layout),
            Storage::Cuda(_) | Storage::Metal(_) => bail!("a fused operation was given a tensor of another device"),
        }
    }
}

/// Rows handled by one task of a row-wise kernel: small enough to stay in cache, large enough to pay for the task.
pub(crate) const ROWS_PER_TASK: usize = 16;

#[cfg(test)]
mod tests;
