//! A GGUF file, or the parts of one, on disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;

use super::header::{self, Fault, Header, TensorEntry};
use super::kind::Kind;
use super::value::Metadata;
use crate::error::{EngineError, Result};
use crate::load::file_size;
use crate::memory::room_for;

/// All parts of a model with their tables of tensors.
#[derive(Debug)]
pub(crate) struct GgufFile {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    path: PathBuf,
    file: File,
    header: Header,
}

/// The bytes of one tensor.
#[derive(Debug)]
pub(crate) struct RawTensor {
    /// Slowest axis first.
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: GgmlDType,
    /// The bytes, in words so that every kind of value is aligned.
    words: Vec<u64>,
    n_bytes: usize,
}

impl RawTensor {
    /// Room for a tensor of `n_bytes`.
    fn new(shape: Vec<usize>, dtype: GgmlDType, n_bytes: usize) -> Self {
        Self { shape, dtype, words: vec![0; n_bytes.div_ceil(8)], n_bytes }
    }

    /// Values or blocks as they are in the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.n_bytes]
    }

    /// The same, to be changed.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.n_bytes]
    }
}

/// Most parts of one model.
const MAX_PARTS: usize = 999;

impl GgufFile {
    /// Opens a file, and with any part of a split model all of them, and checks that they are as long as their tables
    /// say.
    ///
    /// # Errors
    /// [`EngineError::Io`] when a file cannot be read, [`EngineError::MissingFile`] for a part that is not there,
    /// [`EngineError::BadFile`] for one that is cut short, malformed or holds a tensor twice.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let parts = parts(path)?.iter().map(|path| Part::open(path)).collect::<Result<Vec<_>>>()?;
        for (i, part) in parts.iter().enumerate() {
            let twice = part
                .header
                .tensors
                .keys()
                .find(|name| parts.iter().take(i).any(|before| before.header.tensors.contains_key(*name)));
            if let Some(name) = twice {
                return Err(part.bad(format!("the tensor {name} is in an earlier part, too")));
            }
        }
        Ok(Self { parts })
    }

    /// The metadata, which the first part holds.
    pub(crate) fn metadata(&self) -> &Metadata {
        &self.parts[0].header.metadata
    }

    /// The file that is to be named when the model as a whole is at fault.
    pub(crate) fn path(&self) -> &Path {
        &self.parts[0].path
    }

    /// Bytes of all tensors that can be read.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.parts.iter().flat_map(|part| part.header.tensors.values()).filter_map(n_bytes).sum()
    }

    /// Name of the type that most bytes are stored in.
    pub(crate) fn main_kind(&self) -> Option<String> {
        let mut bytes: BTreeMap<String, u64> = BTreeMap::new();
        for (_, entry) in self.tensors() {
            *bytes.entry(entry.kind.name()).or_default() += n_bytes(entry).unwrap_or_default();
        }
        let name = bytes.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(name, _)| name)?;
        // As they are called everywhere else.
        Some(if matches!(name.as_str(), "F32" | "F16" | "BF16") { name.to_lowercase() } else { name })
    }

    /// The shape of a tensor, slowest axis first.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.parts.iter().find_map(|part| part.header.tensors.get(name)).map(|entry| entry.shape.as_slice())
    }

    /// Checks that a tensor is there, of this shape and of a type that can be read.
    ///
    /// # Errors
    /// [`EngineError::BadFile`] or [`EngineError::BadTensor`] with its name.
    pub(crate) fn require(&self, name: &str, shape: &[usize]) -> Result<()> {
        let found = self.parts.iter().find_map(|part| Some((part, part.header.tensors.get(name)?)));
        let Some((part, entry)) = found else { return Err(self.bad(format!("it lacks the tensor {name}"))) };
        let mismatch = |expected, found| {
            Err(EngineError::BadTensor { path: part.path.clone(), name: name.to_owned(), expected, found })
        };
        if entry.kind.readable().is_none() {
            return mismatch("a type among F32, F16, BF16 and the Q types".to_owned(), entry.kind.name());
        }
        if entry.shape != shape {
            return mismatch(format!("shape {shape:?}"), format!("{:?}", entry.shape));
        }
        Ok(())
    }

    /// Names and shapes of all tensors.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&str, &TensorEntry)> {
        self.parts.iter().flat_map(|part| &part.header.tensors).map(|(name, entry)| (name.as_str(), entry))
    }

    /// Reads a tensor.
    ///
    /// # Errors
    /// [`EngineError::BadFile`] with the tensor's name when it is not there or of a type that cannot be read,
    /// [`EngineError::Io`] when reading fails.
    pub(crate) fn read(&mut self, name: &str) -> Result<RawTensor> {
        let place = self.parts.iter().position(|part| part.header.tensors.contains_key(name));
        match place {
            Some(at) => self.parts[at].read(name),
            None => Err(self.bad(format!("it lacks the tensor {name}"))),
        }
    }

    /// The part that holds a tensor, or the first one.
    pub(crate) fn path_of(&self, name: &str) -> &Path {
        let part = self.parts.iter().find(|part| part.header.tensors.contains_key(name));
        part.map_or(self.path(), |part| &part.path)
    }

    /// [`EngineError::BadFile`] about this model.
    pub(crate) fn bad(&self, reason: String) -> EngineError {
        self.parts[0].bad(reason)
    }
}

impl Part {
    fn open(path: &Path) -> Result<Self> {
        let io = |source| EngineError::Io { path: path.to_owned(), source };
        let bad = |reason: String| EngineError::BadFile { path: path.to_owned(), reason };
        let size = file_size(path, "a GGUF file")?;
        let file = File::open(path).map_err(io)?;
        let header = header::read(&mut BufReader::new(&file), size).map_err(|fault| match fault {
            Fault::Io(source) => io(source),
            Fault::Content(reason) => bad(reason),
        })?;
        for (name, entry) in &header.tensors {
            let Some(dtype) = entry.kind.readable() else { continue };
            let width = entry.shape.last().copied().unwrap_or(1);
            let Some(bytes) = n_bytes(entry) else {
                let kind = entry.kind.name();
                let block = dtype.block_size();
                return Err(bad(format!(
                    "the tensor {name} is {kind} in rows of {width}, which must be whole blocks of {block}"
                )));
            };
            let end = header.data_start.saturating_add(entry.offset).saturating_add(bytes);
            if end > size {
                return Err(bad(format!("the file is cut short: the tensor {name} ends at byte {end} of {size}")));
            }
        }
        Ok(Self { path: path.to_owned(), file, header })
    }

    fn read(&mut self, name: &str) -> Result<RawTensor> {
        let Some(entry) = self.header.tensors.get(name) else {
            return Err(self.bad(format!("it lacks the tensor {name}")));
        };
        let (Some(dtype), Some(n)) = (entry.kind.readable(), n_bytes(entry)) else {
            let kind = entry.kind.name();
            return Err(self.bad(format!("the tensor {name} is stored as {kind}, which Tiller does not read")));
        };
        room_for::<u8>(n as usize)?;
        let mut raw = RawTensor::new(entry.shape.clone(), dtype, n as usize);
        self.file
            .seek(SeekFrom::Start(self.header.data_start + entry.offset))
            .and_then(|_| self.file.read_exact(raw.bytes_mut()))
            .map_err(|source| EngineError::Io { path: self.path.clone(), source })?;
        Ok(raw)
    }

    fn bad(&self, reason: String) -> EngineError {
        EngineError::BadFile { path: self.path.clone(), reason }
    }
}

/// Bytes of a tensor; `None` when its type cannot be read or its rows are no whole blocks.
pub(crate) fn n_bytes(entry: &TensorEntry) -> Option<u64> {
    let n_values = entry.shape.iter().map(|n| *n as u64).product();
    let width = entry.shape.last().copied().unwrap_or(1) as u64;
    Kind::bytes(entry.kind.readable()?, n_values, width)
}

/// The files of the model that `path` belongs to, first part first: `NAME-00002-of-00003.gguf` means three.
///
/// # Errors
/// [`EngineError::BadFile`] for part numbers that make no sense.
pub(crate) fn parts(path: &Path) -> Result<Vec<PathBuf>> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let split = name.strip_suffix(".gguf").and_then(|stem| {
        let (front, count) = stem.rsplit_once("-of-")?;
        let (stem, number) = front.rsplit_once('-')?;
        let digits = |text: &str| if text.len() == 5 { text.parse::<usize>().ok() } else { None };
        Some((stem, digits(number)?, digits(count)?))
    });
    let Some((stem, number, count)) = split else { return Ok(vec![path.to_owned()]) };
    if number == 0 || number > count || count > MAX_PARTS {
        let reason = format!("its name says that it is part {number} of {count}");
        return Err(EngineError::BadFile { path: path.to_owned(), reason });
    }
    Ok((1..=count).map(|i| path.with_file_name(format!("{stem}-{i:05}-of-{count:05}.gguf"))).collect())
}
