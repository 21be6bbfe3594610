//! What a checkpoint is, from its texts and the tables of its weight files; no weight is read.

use std::path::Path;

use candle_core::{DType, Device};

use super::checkpoint::Checkpoint;
use super::{gguf, model_config, texts};
use crate::config::ModelConfig;
use crate::error::Result;
use crate::keep::{Keep, LARGE};
use crate::memory::{self, Beside, Format};

/// Facts about a model that is not loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// Its configuration, checked.
    pub config: ModelConfig,
    /// Bytes of all tensors in its files.
    pub file_bytes: u64,
    /// Number format that most values are stored in; `None` for quantised blocks.
    pub stored: Option<DType>,
    /// The bytes of a tensor are read before its values are made of them, so both are there for a moment.
    pub(super) is_buffered: bool,
}

impl Preview {
    /// How the matrices would be kept; `None` as quantised blocks.
    fn kept(&self, device: &Device, keep: Keep) -> Option<DType> {
        match (keep, self.stored) {
            (Keep::As(dtype), _) => Some(dtype),
            (Keep::Auto, None) if device.is_cpu() => None,
            (Keep::Auto, Some(stored)) if device.is_cpu() => {
                let is_large = memory::n_params(&self.config) >= LARGE;
                Some(if is_large { stored } else { DType::F32 })
            }
            (Keep::Auto, _) => Some(DType::BF16),
        }
    }

    /// Name of the number format that the matrices would be kept in.
    pub fn format(&self, device: &Device, keep: Keep) -> &'static str {
        self.kept(device, keep).map_or("quantised", |dtype| dtype.as_str())
    }

    /// Whether gradients would pass the matrices.
    pub fn has_gradients(&self, device: &Device, keep: Keep) -> bool {
        self.kept(device, keep).is_some()
    }

    /// Bytes of the weights once they are loaded.
    pub fn weights_bytes(&self, device: &Device, keep: Keep) -> u64 {
        match self.kept(device, keep) {
            None => self.file_bytes,
            Some(DType::F32) => memory::weights_bytes(&self.config, Format::F32),
            Some(_) => memory::weights_bytes(&self.config, Format::Half),
        }
    }

    /// Bytes needed beside the weights while they are read.
    pub fn loading_bytes(&self, device: &Device, keep: Keep) -> u64 {
        let kept = self.kept(device, keep);
        if kept.is_none() {
            // A tensor's blocks are held twice for a moment; the embedding is the largest.
            let share =
                self.config.vocab_size as f64 * self.config.d_model as f64 / memory::n_params(&self.config) as f64;
            return (share * self.file_bytes as f64) as u64;
        }
        let (width, n) = (|dtype: DType| dtype.size_in_bytes() as u64, memory::n_params(&self.config));
        let stored = self.stored.map_or(self.file_bytes.div_ceil(n.max(1)), width);
        let buffer = if self.is_buffered { stored } else { 0 };
        let beside = match kept {
            _ if kept == self.stored && kept != Some(DType::F32) => Beside { embed: buffer, pair: buffer },
            Some(DType::F32) => {
                Beside { embed: if kept == self.stored { buffer } else { stored }, pair: stored.saturating_add(4) }
            }
            // By way of f32.
            _ => Beside { embed: 4, pair: stored.saturating_add(4) },
        };
        memory::loading_bytes(&self.config, self.weights_bytes(device, keep), kept.map_or(4, width), beside)
    }
}

/// Reads what can be known about the model in a folder without its weights, and checks that its files are whole:
/// what this accepts can only fail by the values of its weights, or for want of memory.
///
/// # Errors
/// A missing or broken file, an unknown architecture, or tensors or a tokenizer that do not fit.
pub fn preview(dir: &Path) -> Result<Preview> {
    if let Some(file) = gguf::file_of(dir) {
        return gguf::preview(&file);
    }
    let config = model_config(dir)?;
    texts(dir, &config)?;
    let mut silent = |_, _| true;
    let checkpoint = Checkpoint::open(dir, &mut silent)?;
    checkpoint.require(&config)?;
    Ok(Preview { config, file_bytes: checkpoint.data_bytes(), stored: Some(checkpoint.dtype()), is_buffered: false })
}
