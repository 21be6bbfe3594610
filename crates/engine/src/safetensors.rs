//! Reading `.safetensors` files tensor by tensor, without mapping them into memory: a file that ends early or is
//! replaced while the model is in use is an error, or harmless, and never a fault that ends the program.
//!
//! Mapping would save little. Values are read straight into the memory that they are kept in or turned from, one tensor
//! at a time, so that a model of 988 MB in bf16 loads in 1.4 s and never takes more than 20 MB beside its weights; and
//! all but the embedding are rearranged for speed ([`crate::keep`]), so they could not be used in place.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::DType;
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use crate::error::{EngineError, Result};
use crate::memory::room_for;
use crate::stored::Stored;

/// One file with its table of contents.
#[derive(Debug)]
pub(crate) struct TensorFile {
    path: PathBuf,
    file: File,
    metadata: Metadata,
    /// Where the data begins, bytes.
    start: u64,
}

/// No header of a supported model is longer than a few MB. The format's own limit of 100 MB would let a file of nothing
/// but names fill the memory.
const MAX_HEADER: u64 = 16_000_000;

impl TensorFile {
    /// Opens a file and checks that it is as long as its table says.
    ///
    /// # Errors
    /// [`EngineError::Io`] when it cannot be read, [`EngineError::BadFile`] when it is cut short or malformed.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let io = |source| EngineError::Io { path: path.to_owned(), source };
        let bad = |reason: String| EngineError::BadFile { path: path.to_owned(), reason };
        let mut file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let mut length = [0; 8];
        if size < 8 {
            return Err(bad("the file is cut short: it has no header".to_owned()));
        }
        file.read_exact(&mut length).map_err(io)?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER {
            // A text read as a length is astronomically large; a real header is only too long.
            let reason = if length > size {
                "it is not a safetensors file".to_owned()
            } else {
                format!("its header of {} MB is longer than that of any supported model", length / 1_000_000)
            };
            return Err(bad(reason));
        }
        if size < 8 + length {
            return Err(bad("the file is cut short in its header".to_owned()));
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header).map_err(io)?;
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|error| bad(format!("its header is malformed: {error}")))?;
        let start = 8 + length;
        let wanted = start + metadata.data_len() as u64;
        if size < wanted {
            return Err(bad(format!("the file is cut short: {size} of {wanted} bytes")));
        }
        Ok(Self { path: path.to_owned(), file, metadata, start })
    }

    /// Bytes of all tensors.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.metadata.data_len() as u64
    }

    /// Bytes and values of a tensor of this shape. Accepts f32, f16 and bf16.
    ///
    /// # Errors
    /// [`EngineError::BadTensor`] for another shape or type, [`EngineError::BadFile`] when the file does not hold it,
    /// [`EngineError::Io`] when reading fails.
    pub(crate) fn read(&mut self, name: &str, shape: &[usize]) -> Result<(u64, Stored)> {
        let path = self.path.clone();
        let Some(info) = self.metadata.info(name) else {
            return Err(EngineError::BadFile { path, reason: format!("it holds no tensor {name}") });
        };
        let (dtype, (from, to)) = (info.dtype, info.data_offsets);
        self.check(name, shape)?;
        let n = shape.iter().product();
        let at = self.start + from as u64;
        let values = match dtype {
            Dtype::F16 => Stored::F16(self.values(at, n)?),
            Dtype::BF16 => Stored::Bf16(self.values(at, n)?),
            _ => Stored::F32(self.values(at, n)?),
        };
        Ok(((to - from) as u64, values))
    }

    /// Whether a tensor has this shape and a type that is read; one that is not there has any.
    ///
    /// # Errors
    /// [`EngineError::BadTensor`] for another shape or type.
    pub(crate) fn check(&self, name: &str, shape: &[usize]) -> Result<()> {
        let Some(info) = self.metadata.info(name) else { return Ok(()) };
        let mismatch = |expected: String, found: String| {
            Err(EngineError::BadTensor { path: self.path.clone(), name: name.to_owned(), expected, found })
        };
        if info.shape != shape {
            return mismatch(format!("shape {shape:?}"), format!("{:?}", info.shape));
        }
        let width = match info.dtype {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::BF16 => 2,
            other => return mismatch("a type of F32, F16 or BF16".to_owned(), format!("{other:?}")),
        };
        let n_bytes = info.data_offsets.1 - info.data_offsets.0;
        if n_bytes != width * shape.iter().product::<usize>() {
            return mismatch(format!("{width} bytes a value"), format!("{n_bytes} bytes in all"));
        }
        Ok(())
    }

    /// `n` values from byte `at` on.
    fn values<T: bytemuck::Pod>(&mut self, at: u64, n: usize) -> Result<Vec<T>> {
        const { assert!(cfg!(target_endian = "little"), "safetensors holds little-endian values") };
        room_for::<T>(n)?;
        let mut values = vec![T::zeroed(); n];
        self.file
            .seek(SeekFrom::Start(at))
            .and_then(|_| self.file.read_exact(bytemuck::cast_slice_mut(&mut values)))
            .map_err(|source| EngineError::Io { path: self.path.clone(), source })?;
        Ok(values)
    }

    /// Bytes of its tensors of one number format.
    pub(crate) fn bytes_of(&self, dtype: DType) -> u64 {
        let wanted = match dtype {
            DType::BF16 => Dtype::BF16,
            DType::F16 => Dtype::F16,
            _ => Dtype::F32,
        };
        let tensors = self.metadata.tensors().into_values().filter(|info| info.dtype == wanted);
        tensors.map(|info| (info.data_offsets.1 - info.data_offsets.0) as u64).sum()
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Names of its tensors, as they follow each other.
    pub(crate) fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// Each tensor: name, number format, shape, and from which byte of the file to which its values are.
    pub(crate) fn table(&self) -> Vec<(String, Dtype, Vec<usize>, [u64; 2])> {
        let row = |name: String| {
            let info = self.metadata.info(&name)?;
            let (from, to) = info.data_offsets;
            let place = [from, to].map(|offset| self.start.saturating_add(offset as u64));
            Some((name, info.dtype, info.shape.clone(), place))
        };
        self.metadata.offset_keys().into_iter().filter_map(row).collect()
    }

    /// The further facts that its header carries.
    pub(crate) fn facts(&self) -> BTreeMap<String, String> {
        self.metadata.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}
