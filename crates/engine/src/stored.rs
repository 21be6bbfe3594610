//! The values of one tensor as its file keeps them.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::Device;
use candle_core::quantized::{QStorage, QTensor};
use half::slice::HalfFloatSliceExt as _;
use half::{bf16, f16};
use rayon::prelude::*;

use crate::error::Result;
use crate::memory::room_for;
use crate::ops::Values;

/// Values row after row, in the number format of the file.
#[derive(Clone, Debug)]
pub(crate) enum Stored {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 16-bit floats.
    F16(Vec<f16>),
    /// bfloat16.
    Bf16(Vec<bf16>),
    /// Blocks of a quantised format, of the tensor's shape, on the processor.
    Quantised(Arc<QTensor>),
}

/// Values widened by one task.
const AT_ONCE: usize = 1 << 16;

impl Stored {
    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
            Self::Bf16(values) => values.len(),
            Self::Quantised(blocks) => blocks.shape().elem_count(),
        }
    }

    /// Place and value of the first NaN or infinity; `None` for quantised blocks, whose values are not laid open.
    pub(crate) fn first_not_finite(&self) -> Option<(usize, f32)> {
        fn first<T: Copy + Sync>(values: &[T], widen: impl Fn(T) -> f32 + Sync) -> Option<(usize, f32)> {
            let is_broken = |value: &T| !widen(*value).is_finite();
            let chunk = values.par_chunks(AT_ONCE).position_first(|chunk| chunk.iter().any(is_broken))? * AT_ONCE;
            let index = chunk + values[chunk..].iter().position(is_broken)?;
            Some((index, widen(values[index])))
        }
        match self {
            Self::F32(values) => first(values, |value| value),
            Self::F16(values) => first(values, f16::to_f32),
            Self::Bf16(values) => first(values, bf16::to_f32),
            Self::Quantised(_) => None,
        }
    }

    /// The values in f32: exact, and for quantised blocks what they stand for.
    ///
    /// # Errors
    /// No room for them, or a failure of the tensor library with quantised blocks.
    pub(crate) fn widened(self) -> Result<Vec<f32>> {
        let n_out = if matches!(self, Self::F32(_)) { 0 } else { self.len() };
        room_for::<f32>(n_out)?;
        let mut out = vec![0.0; n_out];
        let tasks = out.par_chunks_mut(AT_ONCE);
        match self {
            Self::F32(values) => return Ok(values),
            Self::F16(values) => {
                tasks.zip(values.par_chunks(AT_ONCE)).for_each(|(out, values)| values.convert_to_f32_slice(out));
            }
            Self::Bf16(values) => {
                tasks.zip(values.par_chunks(AT_ONCE)).for_each(|(out, values)| values.convert_to_f32_slice(out));
            }
            Self::Quantised(blocks) => {
                // Some blocks after the other: the library makes a tensor of them, which is a second copy.
                let (dtype, bytes) = (blocks.dtype(), blocks.data()?);
                let width = AT_ONCE / dtype.block_size() * dtype.type_size();
                tasks.zip(bytes.par_chunks(width)).try_for_each(|(out, bytes)| -> Result<()> {
                    let some = QStorage::from_data(Cow::Borrowed(bytes), &Device::Cpu, dtype)?;
                    let values = QTensor::new(some, out.len())?.dequantize(&Device::Cpu)?;
                    out.copy_from_slice(Values::of(&values).slice()?);
                    Ok(())
                })?;
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::GgmlDType;

    use super::*;
    use crate::testing::noise;

    #[test]
    fn the_first_value_that_is_no_number_is_found() {
        let mut values = vec![0.5_f32; 2 * AT_ONCE + 7];
        assert_eq!(Stored::F32(values.clone()).first_not_finite(), None);
        values[AT_ONCE + 3] = f32::NEG_INFINITY;
        values[2 * AT_ONCE + 1] = f32::NAN;
        let expected = Some((AT_ONCE + 3, f32::NEG_INFINITY));
        assert_eq!(Stored::F32(values.clone()).first_not_finite(), expected);
        assert_eq!(Stored::F16(values.iter().map(|v| f16::from_f32(*v)).collect()).first_not_finite(), expected);
        assert_eq!(Stored::Bf16(values.iter().map(|v| bf16::from_f32(*v)).collect()).first_not_finite(), expected);
    }

    #[test]
    fn every_format_widens_to_what_it_holds() {
        let values = noise(&[3 * AT_ONCE / 512 + 1, 512], 0.4);
        let flat = values.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let half: Vec<f16> = flat.iter().map(|v| f16::from_f32(*v)).collect();
        let brain: Vec<bf16> = flat.iter().map(|v| bf16::from_f32(*v)).collect();
        assert_eq!(Stored::F32(flat.clone()).widened().unwrap(), flat);
        let expected: Vec<f32> = half.iter().map(|v| v.to_f32()).collect();
        assert_eq!(Stored::F16(half).widened().unwrap(), expected);
        let expected: Vec<f32> = brain.iter().map(|v| v.to_f32()).collect();
        assert_eq!(Stored::Bf16(brain).widened().unwrap(), expected);
        let blocks = Stored::Quantised(Arc::new(QTensor::quantize(&values, GgmlDType::Q8_0).unwrap()));
        assert_eq!(blocks.len(), flat.len());
        let found = blocks.widened().unwrap();
        assert!(found.iter().zip(&flat).all(|(a, b)| (a - b).abs() < 0.01) && found != flat);
    }
}
