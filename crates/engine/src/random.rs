//! Random numbers that never change between versions, and models with random weights, for measurements and tests.

use candle_core::{DType, Device};

use crate::config::ModelConfig;
use crate::error::Result;
use crate::keep::Keep;
use crate::model::Model;
use crate::stored::Stored;
use crate::tokenizer::Tokenizer;
use crate::weights::{Source, Weights};

/// `SplitMix64` (Steele, Lea & Flood 2014): a small generator whose stream never changes between versions.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [−1, 1).
    pub(crate) fn uniform(&mut self) -> f32 {
        (self.next() >> 40) as f32 / 8_388_608.0 - 1.0
    }
}

impl Source for Noise {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Stored> {
        let n = shape.iter().product();
        let (centre, width) = match shape {
            [_] if name.ends_with("norm.weight") => (1.0, 0.1),
            [_] => (0.0, 0.1),
            _ if name.starts_with("model.embed") => (0.0, 1.0),
            // Uniform of this width keeps the size of what goes through.
            [.., n_in] => (0.0, (3.0 / *n_in as f32).sqrt()),
            [] => (0.0, 1.0),
        };
        Ok(Stored::F32((0..n).map(|_| centre + width * self.uniform()).collect()))
    }
}

impl Model {
    /// A model of any shape with random weights and a tokenizer of single bytes, on the processor in f32. The same
    /// seed gives the same weights.
    ///
    /// # Errors
    /// [`crate::EngineError::BadRequest`] for numbers that do not fit each other.
    pub fn random(config: ModelConfig, seed: u64) -> Result<Self> {
        Self::random_kept(config, seed, Keep::As(DType::F32))
    }

    /// [`Self::random`] with weights kept in another number format.
    ///
    /// # Errors
    /// As [`Self::random`].
    pub fn random_kept(config: ModelConfig, seed: u64, keep: Keep) -> Result<Self> {
        config.check()?;
        let weights = Weights::read(&config, &mut Noise(seed), &Device::Cpu, keep)?;
        let tokenizer = Tokenizer::bytes(config.vocab_size)?;
        let eos_ids = config.eos_ids.clone();
        Ok(Self { config, device: Device::Cpu, weights, tokenizer, template: None, eos_ids })
    }
}
