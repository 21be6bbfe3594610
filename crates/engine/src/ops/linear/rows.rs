//! Rows of a checkpoint's matrix in the format of its file, for use in place.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QuantizedType};
use candle_core::{CpuStorage, Device, Result, Tensor, bail};
use half::slice::HalfFloatSliceExt as _;
use half::{bf16, f16};

use super::super::simd::kernel;
use crate::stored::Stored;

/// A matrix `[n_out, n_in]` on the processor, row after row.
#[derive(Clone)]
pub(crate) struct Rows {
    values: Arc<Kept>,
    n_out: usize,
    n_in: usize,
}

enum Kept {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
    Blocks(Box<dyn QuantizedType>),
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({}, [{}, {}])", self.format(), self.n_out, self.n_in)
    }
}

impl Rows {
    /// # Errors
    /// When there are not `n_out · n_in` values.
    pub(crate) fn new(stored: Stored, n_out: usize, n_in: usize) -> Result<Self> {
        if stored.len() != n_out * n_in {
            bail!("{} values are no matrix of {n_out} by {n_in}", stored.len());
        }
        let values = match stored {
            Stored::F32(values) => Kept::F32(values),
            Stored::F16(values) => Kept::F16(values),
            Stored::Bf16(values) => Kept::Bf16(values),
            // Without candle's wrapper, which on first use would keep a rearranged copy beside the blocks.
            Stored::Quantised(blocks) => Kept::Blocks(blocks.dtype().from_data(blocks.data()?)),
        };
        Ok(Self { values: Arc::new(values), n_out, n_in })
    }

    pub(crate) fn n_in(&self) -> usize {
        self.n_in
    }

    pub(crate) fn n_out(&self) -> usize {
        self.n_out
    }

    pub(crate) fn is_quantised(&self) -> bool {
        matches!(*self.values, Kept::Blocks(_))
    }

    /// Name of the number format, as files spell it.
    pub(crate) fn format(&self) -> &'static str {
        match &*self.values {
            Kept::F32(_) => "f32",
            Kept::F16(_) => "f16",
            Kept::Bf16(_) => "bf16",
            Kept::Blocks(blocks) => match blocks.dtype() {
                GgmlDType::F32 => "f32",
                GgmlDType::F16 => "f16",
                GgmlDType::BF16 => "bf16",
                GgmlDType::Q4_0 => "q4_0",
                GgmlDType::Q4_1 => "q4_1",
                GgmlDType::Q5_0 => "q5_0",
                GgmlDType::Q5_1 => "q5_1",
                GgmlDType::Q8_0 => "q8_0",
                GgmlDType::Q8_1 => "q8_1",
                GgmlDType::Q2K => "q2_k",
                GgmlDType::Q3K => "q3_k",
                GgmlDType::Q4K => "q4_k",
                GgmlDType::Q5K => "q5_k",
                GgmlDType::Q6K => "q6_k",
                GgmlDType::Q8K => "q8_k",
            },
        }
    }

    /// Memory taken, bytes.
    pub(crate) fn bytes(&self) -> u64 {
        let n = (self.n_out * self.n_in) as u64;
        match &*self.values {
            Kept::F32(_) => 4 * n,
            Kept::F16(_) | Kept::Bf16(_) => 2 * n,
            Kept::Blocks(blocks) => blocks.storage_size_in_bytes() as u64,
        }
    }

    /// Some rows in f32, exactly: `out` `[rows.len(), n_in]`.
    pub(crate) fn widen(&self, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let values = rows.start * self.n_in..rows.end * self.n_in;
        match &*self.values {
            Kept::F32(all) => out.copy_from_slice(&all[values]),
            Kept::F16(all) => all[values].convert_to_f32_slice(out),
            Kept::Bf16(all) => widen_bf16(out, all[values].reinterpret_cast()),
            Kept::Blocks(all) => {
                let ids: Vec<u32> = rows.map(|row| row as u32).collect();
                match all.embedding(&ids, self.n_out, self.n_in)? {
                    CpuStorage::F32(wide) => out.copy_from_slice(&wide),
                    _ => bail!("quantised rows did not widen to f32"),
                }
            }
        }
        Ok(())
    }

    /// All rows in f32, `[n_out, n_in]`.
    pub(crate) fn widened(&self) -> Result<Tensor> {
        let mut out = vec![0.0; self.n_out * self.n_in];
        self.widen(0..self.n_out, &mut out)?;
        Tensor::from_vec(out, (self.n_out, self.n_in), &Device::Cpu)
    }

    /// `out = x·Wᵀ` for quantised blocks, with `x` rounded to 8-bit integers block by block; `None` for other formats.
    pub(super) fn integer_product(&self, x: &[f32]) -> Result<Option<Vec<f32>>> {
        let Kept::Blocks(blocks) = &*self.values else { return Ok(None) };
        let n = x.len() / self.n_in;
        let mut out = vec![0.0; n * self.n_out];
        blocks.matmul_t((n, self.n_in, self.n_out), x, &mut out)?;
        Ok(Some(out))
    }
}

kernel! {
    /// bf16 is the upper half of f32.
    pub(crate) fn widen_bf16[_simd](out: &'k mut [f32], values: &'k [u16]) {
        for (out, bits) in out.iter_mut().zip(values) {
            *out = f32::from_bits(u32::from(*bits) << 16);
        }
    }
}
