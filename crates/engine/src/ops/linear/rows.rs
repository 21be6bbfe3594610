//! Rows of a checkpoint's matrix in the format of its file, for use in place.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QuantizedType};
use candle_core::{CpuStorage, Device, Result, Tensor, bail};
use half::vec::HalfFloatVecExt as _;

use super::widen::{Half, columns_product, widen, word_dots};
use crate::stored::Stored;
use crate::weights::transposed;

/// A matrix `[n_out, n_in]` on the processor, row after row.
#[derive(Clone)]
pub(crate) struct Rows {
    values: Arc<Kept>,
    n_out: usize,
    n_in: usize,
}

enum Kept {
    F32(Vec<f32>),
    Half(Vec<u16>, Half),
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
            Stored::F16(values) => Kept::Half(values.reinterpret_into(), Half::F16),
            Stored::Bf16(values) => Kept::Half(values.reinterpret_into(), Half::Bf16),
            // Without candle's wrapper, which on first use would keep a rearranged copy beside the blocks.
            Stored::Quantised(blocks) => Kept::Blocks(blocks.dtype().from_data(blocks.data()?)),
        };
        Ok(Self { values: Arc::new(values), n_out, n_in })
    }

    /// Parts `[n_out, n_in]`, all f16 or all bf16, one below the other and turned: `[n_in, Σ n_out]`.
    ///
    /// # Errors
    /// When they are of several formats, or no whole rows.
    pub(crate) fn turned(parts: Vec<Stored>, n_in: usize) -> Result<Self> {
        let mut format = None;
        let mut rows: Vec<u16> = Vec::with_capacity(parts.iter().map(Stored::len).sum());
        for part in parts {
            let (own, bits): (Half, Vec<u16>) = match part {
                Stored::F16(values) => (Half::F16, values.reinterpret_into()),
                Stored::Bf16(values) => (Half::Bf16, values.reinterpret_into()),
                Stored::F32(_) | Stored::Quantised(_) => bail!("these values do not have 16 bits"),
            };
            if *format.get_or_insert(own) != own || !bits.len().is_multiple_of(n_in) {
                bail!("parts of a weight do not fit each other");
            }
            rows.extend(bits);
        }
        let (Some(format), n_out) = (format, rows.len() / n_in) else { bail!("a weight without parts") };
        let values = Kept::Half(transposed(&rows, n_in), format);
        Ok(Self { values: Arc::new(values), n_out: n_in, n_in: n_out })
    }

    /// Values in a row.
    pub(crate) fn n_in(&self) -> usize {
        self.n_in
    }

    /// Rows.
    pub(crate) fn n_out(&self) -> usize {
        self.n_out
    }

    pub(crate) fn is_quantised(&self) -> bool {
        matches!(*self.values, Kept::Blocks(_))
    }

    /// Up to how many input rows [`Self::integer_product`] is faster than widening; 0 where there is none.
    pub(super) fn integer_rows(&self) -> usize {
        match &*self.values {
            Kept::Blocks(blocks) if blocks.dtype() == GgmlDType::Q8_0 => 4,
            Kept::Blocks(_) => 8,
            Kept::F32(_) | Kept::Half(..) => 0,
        }
    }

    /// Name of the number format, as files spell it.
    pub(crate) fn format(&self) -> &'static str {
        match &*self.values {
            Kept::F32(_) => "f32",
            Kept::Half(_, format) => format.name(),
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
            Kept::Half(..) => 2 * n,
            Kept::Blocks(blocks) => blocks.storage_size_in_bytes() as u64,
        }
    }

    /// Some rows in f32, exactly: `out` `[rows.len(), n_in]`.
    pub(crate) fn widen(&self, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let Kept::Blocks(blocks) = &*self.values else {
            return self.widen_values(rows.start * self.n_in..rows.end * self.n_in, out);
        };
        let ids: Vec<u32> = rows.map(|row| row as u32).collect();
        match blocks.embedding(&ids, self.n_out, self.n_in)? {
            CpuStorage::F32(wide) => out.copy_from_slice(&wide),
            _ => bail!("quantised rows did not widen to f32"),
        }
        Ok(())
    }

    /// Some columns of some rows in f32, exactly: `out` `[rows.len(), columns.len()]`. Not of quantised blocks.
    pub(super) fn widen_columns(&self, rows: Range<usize>, columns: Range<usize>, out: &mut [f32]) -> Result<()> {
        if columns.is_empty() {
            return Ok(());
        }
        for (row, out) in rows.zip(out.chunks_exact_mut(columns.len())) {
            self.widen_values(row * self.n_in + columns.start..row * self.n_in + columns.end, out)?;
        }
        Ok(())
    }

    fn widen_values(&self, values: Range<usize>, out: &mut [f32]) -> Result<()> {
        match &*self.values {
            Kept::F32(all) => out.copy_from_slice(&all[values]),
            Kept::Half(all, format) => widen(out, &all[values], *format),
            Kept::Blocks(_) => bail!("quantised blocks are widened row by row"),
        }
        Ok(())
    }

    /// All rows in f32, `[n_out, n_in]`.
    pub(crate) fn widened(&self) -> Result<Tensor> {
        let mut out = vec![0.0; self.n_out * self.n_in];
        self.widen(0..self.n_out, &mut out)?;
        Tensor::from_vec(out, (self.n_out, self.n_in), &Device::Cpu)
    }

    /// `out = x·Wᵀ` for some rows and one input row, where there is a way without widening; whether there was. `x` is
    /// [`super::widen::even_then_odd`].
    pub(super) fn one_row_product(&self, out: &mut [f32], x: &[f32], rows: Range<usize>) -> bool {
        let Kept::Half(all, format) = &*self.values else { return false };
        let Ok(words) = bytemuck::try_cast_slice(&all[rows.start * self.n_in..rows.end * self.n_in]) else {
            return false;
        };
        if self.n_in.is_multiple_of(2) {
            word_dots(out, x, words, *format);
            return true;
        }
        false
    }

    /// `out = x·W[rows, columns]` for one input row.
    pub(super) fn columns_product(
        &self,
        out: &mut [f32],
        x: &[f32],
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Result<()> {
        let values = rows.start * self.n_in..rows.end * self.n_in;
        match &*self.values {
            Kept::Half(all, format) => columns_product(out, x, &all[values], (columns.start, self.n_in), *format),
            Kept::F32(all) => {
                out.fill(0.0);
                for (x, row) in x.iter().zip(all[values].chunks_exact(self.n_in)) {
                    out.iter_mut().zip(&row[columns.clone()]).for_each(|(out, w)| *out = x.mul_add(*w, *out));
                }
            }
            Kept::Blocks(_) => bail!("quantised blocks are widened row by row"),
        }
        Ok(())
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
