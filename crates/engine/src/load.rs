//! Reading a checkpoint folder; the only file that touches the disk (with `sae.rs`).
use crate::{error::Result, model::Model};
use candle_core::{DType, Device};
use std::path::Path;
/// Loads `config.json`, tokenizer, chat template and safetensors from a folder.
/// `progress(done_bytes, total_bytes)` returns `false` to stop.
/// # Errors
/// A missing or broken file, an unknown architecture, tensors or a tokenizer that do not fit.
pub fn model(
    _dir: &Path,
    _device: &Device,
    _dtype: DType,
    _progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Model> {
    todo!()
}
/// The weight files of a checkpoint folder in a fixed order (for hashing).
/// # Errors
/// When the folder holds none.
pub fn weight_files(_dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    todo!()
}
