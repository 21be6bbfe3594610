//! Rows of tensors in a safetensors file, read where they stand; the file is never read whole.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata};

use crate::error::{IndexError, Result};

/// Longest header that is read, as the format has it.
const MAX_HEADER: u64 = 100_000_000;

/// A file whose header was read and fits its length.
pub(super) struct Tensors {
    file: File,
    metadata: Metadata,
    data_start: u64,
    path: PathBuf,
}

/// A tensor of one or two axes: rows of equal width.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    pub(super) len: usize,
    pub(super) width: usize,
    dtype: Dtype,
    start: u64,
}

impl Tensors {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let refuse = |reason: String| IndexError::Unrecognised { reason, path: path.to_owned() };
        let mut file = File::open(path).map_err(IndexError::read(path))?;
        let len = file.metadata().map_err(IndexError::read(path))?.len();
        let mut size = [0; 8];
        file.read_exact(&mut size).map_err(|error| refuse(format!("it is too short for tensors ({error})")))?;
        let size = u64::from_le_bytes(size);
        if size > MAX_HEADER || size.saturating_add(8) > len {
            return Err(refuse("its table of tensors is damaged".to_owned()));
        }
        let mut header = vec![0; size as usize];
        file.read_exact(&mut header).map_err(IndexError::read(path))?;
        let metadata: Metadata = serde_json::from_slice(&header)
            .map_err(|error| refuse(format!("its table of tensors is damaged ({error})")))?;
        let expected = 8 + size + metadata.data_len() as u64;
        if len != expected {
            return Err(refuse(format!("it should have {expected} bytes and has {len}; it may be cut off")));
        }
        Ok(Self { file, metadata, data_start: 8 + size, path: path.to_owned() })
    }

    /// Whether there is a tensor of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.metadata.info(name).is_some()
    }

    /// Where the rows of a tensor are; one of another number of rows than `n_rows`, if that is given, is refused.
    pub(super) fn rows(&self, name: &str, n_rows: Option<usize>) -> Result<Rows> {
        let refuse = |reason: String| IndexError::Unrecognised { reason, path: self.path.clone() };
        let info = self.metadata.info(name).ok_or_else(|| refuse(format!("it has no tensor {name}")))?;
        let (found, width) = match info.shape[..] {
            [n] => (n, 1),
            [n, width] if width > 0 => (n, width),
            _ => return Err(refuse(format!("its {name} has the shape {:?}", info.shape))),
        };
        if let Some(d_sae) = n_rows.filter(|&n_rows| n_rows != found) {
            return Err(IndexError::WrongShape { tensor: name.to_owned(), found, d_sae, path: self.path.clone() });
        }
        if bytes_of(info.dtype).is_none() {
            return Err(refuse(format!("its {name} has numbers of type {:?}, which is not read", info.dtype)));
        }
        Ok(Rows { len: found, width, dtype: info.dtype, start: self.data_start + info.data_offsets.0 as u64 })
    }

    /// Reads `len` rows from row `first` on, as doubles: they hold every id and every value exactly.
    pub(super) fn read(&mut self, rows: Rows, first: usize, len: usize, values: &mut Vec<f64>) -> Result<()> {
        self.read_values(rows, first * rows.width, len * rows.width, values)
    }

    /// Reads `len` values from value `first` on, rows one after the other.
    pub(super) fn read_values(&mut self, rows: Rows, first: usize, len: usize, values: &mut Vec<f64>) -> Result<()> {
        let size = bytes_of(rows.dtype).unwrap_or(1);
        let mut bytes = vec![0; len * size];
        let read = |file: &mut File| -> io::Result<()> {
            file.seek(SeekFrom::Start(rows.start + (first * size) as u64))?;
            file.read_exact(&mut bytes)
        };
        let mut read = read;
        read(&mut self.file).map_err(IndexError::read(&self.path))?;
        values.clear();
        values.extend(bytes.chunks_exact(size).map(|bytes| value(bytes, rows.dtype)));
        Ok(())
    }
}

fn bytes_of(dtype: Dtype) -> Option<usize> {
    Some(match dtype {
        Dtype::U8 | Dtype::I8 => 1,
        Dtype::U16 | Dtype::I16 | Dtype::F16 | Dtype::BF16 => 2,
        Dtype::U32 | Dtype::I32 | Dtype::F32 => 4,
        Dtype::I64 | Dtype::U64 | Dtype::F64 => 8,
        _ => return None,
    })
}

fn value(bytes: &[u8], dtype: Dtype) -> f64 {
    fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
        bytes.try_into().unwrap_or([0; N])
    }
    match dtype {
        Dtype::U8 => f64::from(fixed::<1>(bytes)[0]),
        Dtype::I8 => f64::from(i8::from_le_bytes(fixed(bytes))),
        Dtype::U16 => f64::from(u16::from_le_bytes(fixed(bytes))),
        Dtype::I16 => f64::from(i16::from_le_bytes(fixed(bytes))),
        Dtype::F16 => f16::from_le_bytes(fixed(bytes)).to_f64(),
        Dtype::BF16 => bf16::from_le_bytes(fixed(bytes)).to_f64(),
        Dtype::U32 => f64::from(u32::from_le_bytes(fixed(bytes))),
        Dtype::I32 => f64::from(i32::from_le_bytes(fixed(bytes))),
        Dtype::F32 => f64::from(f32::from_le_bytes(fixed(bytes))),
        Dtype::U64 => u64::from_le_bytes(fixed(bytes)) as f64,
        Dtype::I64 => i64::from_le_bytes(fixed(bytes)) as f64,
        Dtype::F64 => f64::from_le_bytes(fixed(bytes)),
        _ => f64::NAN,
    }
}
