//! Vectors as safetensors files.
//!
//! A file holds the raw direction of every block as `direction.{b}` f32 `[d_model]`, and one metadata entry `tiller`:
//! a JSON object with `format`, `hook` (`resid_post`; blocks count from 0) and `info`, all facts of the vector. One
//! entry, because the order of several would change from run to run.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use tiller_protocol::problem::Problem;
use tiller_protocol::steering::VectorInfo;

use crate::problem;
use crate::workspace::{atomic, document};

const HOOK: &str = "resid_post";

#[derive(Serialize, Deserialize)]
struct Provenance {
    format: u32,
    hook: String,
    info: VectorInfo,
}

/// Tensors to be written: name, shape, little-endian bytes.
pub(crate) struct NamedTensor {
    /// Name in the file.
    pub(crate) name: String,
    /// Number format.
    pub(crate) dtype: Dtype,
    /// Shape.
    pub(crate) shape: Vec<usize>,
    /// Content.
    pub(crate) bytes: Vec<u8>,
}

impl NamedTensor {
    /// An f32 tensor.
    pub(crate) fn f32(name: impl Into<String>, shape: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { name: name.into(), dtype: Dtype::F32, shape: shape.to_vec(), bytes }
    }

    /// An i64 tensor.
    pub(crate) fn i64(name: impl Into<String>, shape: &[usize], values: &[i64]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { name: name.into(), dtype: Dtype::I64, shape: shape.to_vec(), bytes }
    }
}

/// Writes tensors atomically, with one entry of metadata if any.
///
/// # Errors
/// A folder that cannot be written.
pub(crate) fn write_tensors(path: &Path, tensors: &[NamedTensor], told: Option<(&str, String)>) -> Result<(), Problem> {
    let unwritable = |error: safetensors::SafeTensorError| problem::unwritable(path, &error.to_string());
    let views = tensors
        .iter()
        .map(|t| Ok((t.name.as_str(), TensorView::new(t.dtype, t.shape.clone(), &t.bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(unwritable)?;
    let metadata = told.map(|(key, text)| HashMap::from([(key.to_owned(), text)]));
    let bytes = safetensors::serialize(views, metadata).map_err(unwritable)?;
    atomic::write(path, &bytes)
}

/// Writes a vector's file.
///
/// # Errors
/// As [`write_tensors`].
pub(crate) fn write(path: &Path, info: &VectorInfo, directions: &[Vec<f32>]) -> Result<(), Problem> {
    let tensors: Vec<NamedTensor> = directions
        .iter()
        .enumerate()
        .map(|(block, direction)| NamedTensor::f32(format!("direction.{block}"), &[direction.len()], direction))
        .collect();
    let info = VectorInfo { path: Default::default(), ..info.clone() };
    let provenance = Provenance { format: document::FORMAT, hook: HOOK.to_owned(), info };
    let text = serde_json::to_string(&provenance).map_err(|error| problem::unwritable(path, &error.to_string()))?;
    write_tensors(path, &tensors, Some(("tiller", text)))
}

/// The directions of blocks `0..n_blocks`, each `[d_model]`.
///
/// # Errors
/// A file that is missing, broken, or lacks a block.
pub(crate) fn read_directions(path: &Path, n_blocks: usize) -> Result<Vec<Vec<f32>>, Problem> {
    let tensors = load(path)?;
    (0..n_blocks).map(|block| row(path, &tensors, &format!("direction.{block}"))).collect()
}

/// The tensor `direction` `[d_model]` as it is.
///
/// # Errors
/// A file that is missing, broken, or lacks the tensor.
pub(crate) fn read_direction(path: &Path) -> Result<Vec<f32>, Problem> {
    row(path, &load(path)?, "direction")
}

/// `direction.{block}`, or else the tensor `direction`.
///
/// # Errors
/// As [`read_direction`].
pub(crate) fn read_block(path: &Path, block: usize) -> Result<Vec<f32>, Problem> {
    let tensors = load(path)?;
    let name = format!("direction.{block}");
    row(path, &tensors, if tensors.contains_key(&name) { &name } else { "direction" })
}

/// The facts in a file's metadata; `None` for files that others have made.
///
/// # Errors
/// A file that is missing or broken, or whose form is unknown.
pub(crate) fn read_info(path: &Path) -> Result<Option<VectorInfo>, Problem> {
    let bytes = std::fs::read(path).map_err(|error| problem::read_failed(path, &error))?;
    let (_, header) =
        SafeTensors::read_metadata(&bytes).map_err(|error| problem::bad_safetensors(path, &error.to_string()))?;
    let Some(text) = header.metadata().as_ref().and_then(|entries| entries.get("tiller")) else { return Ok(None) };
    let read: Provenance = serde_json::from_str(text).map_err(|error| problem::unreadable(path, &error.to_string()))?;
    if read.format != document::FORMAT {
        return Err(problem::unknown_format(path, read.format));
    }
    Ok(Some(read.info))
}

fn load(path: &Path) -> Result<HashMap<String, Tensor>, Problem> {
    if let Err(error) = std::fs::metadata(path) {
        return Err(problem::read_failed(path, &error));
    }
    candle_core::safetensors::load(path, &Device::Cpu)
        .map_err(|error| problem::bad_safetensors(path, &error.to_string()))
}

fn row(path: &Path, tensors: &HashMap<String, Tensor>, name: &str) -> Result<Vec<f32>, Problem> {
    let tensor = tensors.get(name).ok_or_else(|| {
        let mut names: Vec<&str> = tensors.keys().map(String::as_str).collect();
        names.sort_unstable();
        problem::bad_safetensors(path, &format!("it has no tensor {name}; it holds {}", names.join(", ")))
    })?;
    let values: Vec<f32> = tensor
        .squeeze_all()
        .and_then(|flat| flat.to_dtype(DType::F32)?.to_vec1())
        .map_err(|error| problem::bad_safetensors(path, &format!("tensor {name}: {error}")))?;
    if values.iter().all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err(problem::bad_safetensors(path, &format!("tensor {name} holds values that are not finite")))
    }
}

/// A tensor without its axes of length 1.
trait SqueezeAll {
    fn squeeze_all(&self) -> candle_core::Result<Tensor>;
}

impl SqueezeAll for Tensor {
    fn squeeze_all(&self) -> candle_core::Result<Tensor> {
        let long: Vec<usize> = self.dims().iter().copied().filter(|len| *len != 1).collect();
        if long.len() <= 1 { self.flatten_all() } else { self.reshape(long) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;

    use tiller_protocol::steering::{BlockDiagnostics, ExtractMethod, Positions, VectorId};

    use super::*;

    /// A vector of two blocks and width two.
    pub(crate) fn example(id: &str) -> VectorInfo {
        let block = |block| BlockDiagnostics {
            block,
            norm: 2.0,
            resid_norm: 10.0,
            split_half_cos: 0.9,
            agreement: 1.0,
            auroc: 1.0,
            neutral_sigma: 0.5,
            letter_cos: 0.0,
        };
        VectorInfo {
            id: VectorId(id.to_owned()),
            name: "Warmth".to_owned(),
            persona: Some("warmth".to_owned()),
            positive: "warm".to_owned(),
            negative: "cold".to_owned(),
            method: ExtractMethod::MeanDifference,
            model_hash: "0123456789abcdef".to_owned(),
            model_name: "Tiny".to_owned(),
            d_model: 2,
            n_pairs: 4,
            recommended_block: 1,
            recommended_positions: Positions::LastPrompt,
            blocks: vec![block(0), block(1)],
            path: PathBuf::new(),
        }
    }

    #[test]
    fn vectors_round_trip_bit_by_bit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v.safetensors");
        let directions = vec![vec![1.0, f32::MIN_POSITIVE], vec![-0.1, 3.5]];
        write(&path, &example("warm"), &directions).unwrap();
        let once = std::fs::read(&path).unwrap();
        assert_eq!(read_directions(&path, 2).unwrap(), directions);
        assert_eq!(read_block(&path, 1).unwrap(), directions[1]);
        assert_eq!(read_info(&path).unwrap(), Some(example("warm")));
        assert!(read_direction(&path).unwrap_err().cause.contains("direction.0, direction.1"));
        write(&path, &example("warm"), &directions).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), once, "the same vector gives the same bytes");
    }

    #[test]
    fn broken_files_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v.safetensors");
        assert!(read_direction(&path).unwrap_err().title.contains("cannot be read"));
        write_tensors(&path, &[NamedTensor::f32("direction", &[3], &[1.0, f32::NAN, 0.0])], None).unwrap();
        assert!(read_direction(&path).unwrap_err().cause.contains("not finite"));
        write_tensors(&path, &[NamedTensor::f32("direction", &[1, 2], &[1.0, 2.0])], None).unwrap();
        assert_eq!(read_direction(&path).unwrap(), [1.0, 2.0]);
        assert_eq!(read_info(&path).unwrap(), None);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        assert!(read_direction(&path).unwrap_err().next_step.contains("again"));
    }
}
