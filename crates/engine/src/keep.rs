//! How the values of a model's matrices are kept once they are loaded.
//!
//! On the processor activations are f32 whatever the weights are. Matrices in the 16 bits of their file take half the
//! memory of f32 and, where reading them is what takes the time, half of that; they are widened exactly. A model that
//! is small enough for the processor's caches gains nothing, so it is kept in f32, turned for speed. Elsewhere weights
//! and activations share one format.

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};

use crate::error::{EngineError, Result};
use crate::memory::room_for;
use crate::ops::linear::rows::Rows;
use crate::ops::linear::{Linear, Orientation};
use crate::stored::Stored;
use crate::weights::transposed;

/// Which number format matrices are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// That of the file where it pays: quantised blocks always, 16 bits on the processor for large models. Elsewhere
    /// bf16.
    Auto,
    /// This one, whatever the file holds; quantised blocks are dequantised.
    As(DType),
}

impl From<DType> for Keep {
    fn from(dtype: DType) -> Self {
        Self::As(dtype)
    }
}

/// From this many parameters on a model is large: in f32 it is more than the caches of most processors hold.
pub const LARGE: u64 = 32 << 20;

/// Puts weights where they belong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placer<'a> {
    pub(crate) device: &'a Device,
    pub(crate) keep: Keep,
    /// Parameters of the whole model.
    pub(crate) n_params: u64,
}

impl Placer<'_> {
    /// Number format of activations, norms and biases.
    pub(crate) fn activations(&self) -> DType {
        match (self.device, self.keep) {
            (Device::Cpu, Keep::Auto | Keep::As(DType::BF16 | DType::F16)) => DType::F32,
            (_, Keep::Auto) => DType::BF16,
            (_, Keep::As(dtype)) => dtype,
        }
    }

    /// A norm's weight or a bias.
    pub(crate) fn vector(&self, values: Vec<f32>) -> Result<Tensor> {
        let n = values.len();
        Ok(Tensor::from_vec(values, n, self.device)?.to_dtype(self.activations())?)
    }

    /// Projections of the same input, one below the other: values `[n_out, n_in]` and `n_out` of each.
    pub(crate) fn linear(&self, parts: Vec<(Stored, usize)>, n_in: usize, bias: Option<Tensor>) -> Result<Linear> {
        if parts.iter().any(|(stored, _)| self.is_narrow(stored)) {
            let narrow = |(stored, n_out)| Ok((self.narrowed(stored)?, n_out));
            let parts: Vec<(Stored, usize)> = parts.into_iter().map(narrow).collect::<Result<_>>()?;
            let all = |is: fn(&Stored) -> bool| parts.iter().all(|(stored, _)| is(stored));
            if all(|stored| matches!(stored, Stored::F16(_))) || all(|stored| matches!(stored, Stored::Bf16(_))) {
                let parts = parts.into_iter().map(|(stored, _)| stored).collect();
                return Ok(Linear::of_turned(Rows::turned(parts, n_in)?, bias));
            }
            let rows = |(stored, n_out)| Rows::new(stored, n_out, n_in);
            return Ok(Linear::of_rows(parts.into_iter().map(rows).collect::<candle_core::Result<_>>()?, bias));
        }
        if !self.device.is_cpu() {
            let tensors: Vec<Tensor> =
                parts.into_iter().map(|(stored, n_out)| self.tensor(stored, n_out, n_in)).collect::<Result<_>>()?;
            return Ok(Linear::new(Tensor::cat(&tensors, 0)?, bias, Orientation::OutIn));
        }
        let n_out: usize = parts.iter().map(|(_, n_out)| n_out).sum();
        // Once as they are and once turned.
        room_for::<f32>(2 * n_in * n_out)?;
        let mut rows = Vec::with_capacity(n_in * n_out);
        for (stored, _) in parts {
            rows.extend(stored.widened()?);
        }
        let turned = Tensor::from_vec(transposed(&rows, n_in), (n_in, n_out), self.device)?;
        Ok(Linear::new(turned.to_dtype(self.activations())?, bias, Orientation::InOut))
    }

    /// An embedding, or a head of the same shape `[vocab, d_model]`.
    pub(crate) fn embedding(&self, stored: Stored, vocab: usize, d_model: usize) -> Result<Linear> {
        if self.is_narrow(&stored) {
            return Ok(Linear::of_rows(vec![Rows::new(self.narrowed(stored)?, vocab, d_model)?], None));
        }
        Ok(Linear::new(self.tensor(stored, vocab, d_model)?, None, Orientation::OutIn))
    }

    /// Whether a matrix is kept in fewer bits than the activations.
    fn is_narrow(&self, stored: &Stored) -> bool {
        self.device.is_cpu()
            && match (self.keep, stored) {
                (Keep::Auto, Stored::Quantised(_)) | (Keep::As(DType::BF16 | DType::F16), _) => true,
                (Keep::Auto, Stored::F16(_) | Stored::Bf16(_)) => self.n_params >= LARGE,
                _ => false,
            }
    }

    /// The values in the format asked for.
    fn narrowed(&self, stored: Stored) -> Result<Stored> {
        Ok(match (self.keep, stored) {
            (Keep::As(DType::BF16), stored @ (Stored::F32(_) | Stored::F16(_) | Stored::Quantised(_))) => {
                Stored::Bf16(stored.widened()?.into_iter().map(bf16::from_f32).collect())
            }
            (Keep::As(DType::F16), stored @ (Stored::F32(_) | Stored::Bf16(_) | Stored::Quantised(_))) => {
                let values = Stored::F16(stored.widened()?.into_iter().map(f16::from_f32).collect());
                if values.first_not_finite().is_some() {
                    let reason = "some weights are too large for f16: choose the number format bf16 or f32";
                    return Err(EngineError::BadRequest(reason.to_owned()));
                }
                values
            }
            (_, stored) => stored,
        })
    }

    /// `[n_out, n_in]` in the activations' format; in the file's own on the way to a device.
    fn tensor(&self, stored: Stored, n_out: usize, n_in: usize) -> Result<Tensor> {
        let shape = (n_out, n_in);
        let tensor = match stored {
            Stored::F16(values) if !self.device.is_cpu() => Tensor::from_vec(values, shape, self.device)?,
            Stored::Bf16(values) if !self.device.is_cpu() => Tensor::from_vec(values, shape, self.device)?,
            stored => Tensor::from_vec(stored.widened()?, shape, self.device)?,
        };
        Ok(tensor.to_dtype(self.activations())?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::quantized::{GgmlDType, QTensor};

    use super::*;
    use crate::testing::noise;

    #[test]
    fn formats_follow_the_choice_the_file_and_the_size_of_the_model() {
        let values = noise(&[8, 256], 0.3);
        let flat = values.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let wide = Stored::F32(flat.clone());
        let brain = Stored::Bf16(flat.iter().map(|v| bf16::from_f32(*v)).collect());
        let half = Stored::F16(flat.iter().map(|v| f16::from_f32(*v)).collect());
        let blocks = Stored::Quantised(Arc::new(QTensor::quantize(&values, GgmlDType::Q6K).unwrap()));
        let (small, large) = (LARGE - 1, LARGE);
        for (keep, n_params, stored, expected) in [
            (Keep::Auto, large, &wide, "f32"),
            (Keep::Auto, large, &brain, "bf16"),
            (Keep::Auto, large, &half, "f16"),
            (Keep::Auto, small, &brain, "f32"),
            (Keep::Auto, small, &half, "f32"),
            (Keep::Auto, small, &blocks, "q6_k"),
            (Keep::As(DType::F32), large, &blocks, "f32"),
            (Keep::As(DType::F32), large, &brain, "f32"),
            (Keep::As(DType::BF16), small, &wide, "bf16"),
            (Keep::As(DType::BF16), small, &blocks, "bf16"),
            (Keep::As(DType::F16), small, &brain, "f16"),
        ] {
            let placer = Placer { device: &Device::Cpu, keep, n_params };
            let linear = placer.linear(vec![(stored.clone(), 8), (stored.clone(), 8)], 256, None).unwrap();
            let table = placer.embedding(stored.clone(), 8, 256).unwrap();
            for (found, n_values) in [(&linear, 2 * 8 * 256), (&table, 8 * 256)] {
                assert!(found.formats().iter().all(|(format, _)| *format == expected), "{keep:?}: {found:?}");
                assert_eq!(found.n_values(), n_values);
            }
            assert_eq!((linear.has_gradient(), placer.activations()), (expected != "q6_k", DType::F32));
            let exact = table.look_up(&[3], &Device::Cpu).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let kept = stored.clone().widened().unwrap();
            let rounded = |v: &f32| match expected {
                "bf16" => bf16::from_f32(*v).to_f32(),
                "f16" => f16::from_f32(*v).to_f32(),
                _ => *v,
            };
            assert_eq!(exact, kept[3 * 256..4 * 256].iter().map(rounded).collect::<Vec<_>>());
        }
    }
}
