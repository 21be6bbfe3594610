//! The head of a GGUF file: metadata and the table of tensors.
//!
//! Written against the specification in ggml's `docs/gguf.md`, versions 2 and 3, little-endian. Whatever a file claims,
//! no more is allocated than it has bytes for.

use std::collections::BTreeMap;
use std::io::Read;

use super::kind::Kind;
use super::value::{Metadata, Value};

/// No head is longer than this: the largest vocabularies take some 20 MB.
const MAX_HEADER: u64 = 128 << 20;
/// No list is longer than this.
const MAX_LIST: u64 = 1 << 22;
/// No file has more tensors, or more metadata keys, than this.
const MAX_ENTRIES: u64 = 1 << 16;
/// No tensor has more axes than this.
const MAX_AXES: u32 = 4;

/// What stands before the tensor data.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) metadata: Metadata,
    pub(crate) tensors: BTreeMap<String, TensorEntry>,
    /// Where the data begins, bytes.
    pub(crate) data_start: u64,
}

/// A line of the table of tensors.
#[derive(Clone, Debug)]
pub(crate) struct TensorEntry {
    /// Slowest axis first: `[n_out, n_in]`, the reverse of the file's order.
    pub(crate) shape: Vec<usize>,
    pub(crate) kind: Kind,
    /// Bytes after the beginning of the data.
    pub(crate) offset: u64,
}

/// Why a head cannot be read.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The system's reason.
    Io(std::io::Error),
    /// What is wrong with the content.
    Content(String),
}

type Found<T> = Result<T, Fault>;

fn content<T>(reason: impl Into<String>) -> Found<T> {
    Err(Fault::Content(reason.into()))
}

/// Reads a head from a file of `size` bytes.
///
/// # Errors
/// A file that cannot be read, is cut short, or is no GGUF file of version 2 or 3.
pub(crate) fn read(from: &mut dyn Read, size: u64) -> Found<Header> {
    let mut cursor = Cursor { from, at: 0, size };
    let magic = if size < 4 { [0; 4] } else { cursor.array::<4>()? };
    if &magic != b"GGUF" {
        return content("it is not a GGUF file: it does not begin with \u{201c}GGUF\u{201d}");
    }
    match cursor.u32()? {
        2 | 3 => {}
        version if version.swap_bytes() <= 3 => {
            return content("it is a big-endian GGUF file; only little-endian is read");
        }
        version => return content(format!("GGUF version {version} is not supported, only 2 and 3")),
    }
    let (n_tensors, n_keys) = (cursor.u64()?, cursor.u64()?);
    // A tensor takes 24 bytes at least, a key 13.
    let fewest = n_tensors.saturating_mul(24).saturating_add(n_keys.saturating_mul(13));
    if n_tensors > MAX_ENTRIES || n_keys > MAX_ENTRIES || fewest > cursor.left() {
        return content(format!("it claims {n_tensors} tensors and {n_keys} metadata keys in {size} bytes"));
    }
    let mut metadata = BTreeMap::new();
    for _ in 0..n_keys {
        let key = cursor.text()?;
        let value_type = cursor.u32()?;
        let value = cursor.value(value_type, &key)?;
        metadata.insert(key, value);
    }
    let metadata = Metadata(metadata);
    let mut tensors = BTreeMap::new();
    for _ in 0..n_tensors {
        let name = cursor.text()?;
        let entry = cursor.tensor(&name)?;
        if tensors.insert(name.clone(), entry).is_some() {
            return content(format!("it holds the tensor {name} twice"));
        }
    }
    let alignment = match metadata.0.get("general.alignment") {
        None => 32,
        Some(Value::Int(number)) if matches!(number, 1..=0x1_0000) => *number as u64,
        Some(_) => return content("its metadata `general.alignment` makes no sense"),
    };
    Ok(Header { metadata, tensors, data_start: cursor.at.next_multiple_of(alignment) })
}

/// Reads forward and knows how much is left.
struct Cursor<'a> {
    from: &'a mut dyn Read,
    at: u64,
    size: u64,
}

impl Cursor<'_> {
    fn left(&self) -> u64 {
        self.size.saturating_sub(self.at)
    }

    fn need(&self, n: u64) -> Found<()> {
        if n > self.left() {
            return content(format!("the file is cut short in its header, at byte {}", self.size));
        }
        if self.at.saturating_add(n) > MAX_HEADER {
            return content(format!("its header is longer than {} MB", MAX_HEADER >> 20));
        }
        Ok(())
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Found<()> {
        self.need(bytes.len() as u64)?;
        self.from.read_exact(bytes).map_err(Fault::Io)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Found<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Found<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Found<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self, n: u64) -> Found<Vec<u8>> {
        self.need(n)?;
        let mut bytes = vec![0; n as usize];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Text; where it is not UTF-8, the bad bytes are replaced, as a few published vocabularies need.
    fn text(&mut self) -> Found<String> {
        let n = self.u64()?;
        let bytes = self.bytes(n)?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    fn value(&mut self, value_type: u32, key: &str) -> Found<Value> {
        Ok(match value_type {
            8 => Value::Text(self.text()?),
            9 => self.list(key)?,
            6 => Value::Float(f64::from(f32::from_le_bytes(self.array()?))),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            _ => Value::Int(self.int(value_type, key)?),
        })
    }

    fn int(&mut self, value_type: u32, key: &str) -> Found<i64> {
        Ok(match value_type {
            0 | 7 => i64::from(u8::from_le_bytes(self.array()?)),
            1 => i64::from(i8::from_le_bytes(self.array()?)),
            2 => i64::from(u16::from_le_bytes(self.array()?)),
            3 => i64::from(i16::from_le_bytes(self.array()?)),
            4 => i64::from(self.u32()?),
            5 => i64::from(i32::from_le_bytes(self.array()?)),
            // Beyond the signed range it is a hash or a mistake: no size.
            10 => i64::try_from(self.u64()?).unwrap_or(-1),
            11 => i64::from_le_bytes(self.array()?),
            other => return content(format!("its metadata `{key}` is of the unknown type {other}")),
        })
    }

    fn list(&mut self, key: &str) -> Found<Value> {
        let (value_type, n) = (self.u32()?, self.u64()?);
        let least = match value_type {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            9 => return content(format!("its metadata `{key}` is a list of lists")),
            other => return content(format!("its metadata `{key}` is a list of the unknown type {other}")),
        };
        if n > MAX_LIST || n * least > self.left() {
            return content(format!(
                "its metadata `{key}` claims {n} entries, but the file is cut short: {} bytes are left",
                self.left()
            ));
        }
        Ok(match value_type {
            8 => Value::Texts((0..n).map(|_| self.text()).collect::<Found<_>>()?),
            6 => Value::Floats((0..n).map(|_| self.array().map(f32::from_le_bytes)).collect::<Found<_>>()?),
            12 => Value::Floats((0..n).map(|_| Ok(f64::from_le_bytes(self.array()?) as f32)).collect::<Found<_>>()?),
            other => Value::Ints((0..n).map(|_| self.int(other, key)).collect::<Found<_>>()?),
        })
    }

    fn tensor(&mut self, name: &str) -> Found<TensorEntry> {
        let n_axes = self.u32()?;
        if n_axes == 0 || n_axes > MAX_AXES {
            return content(format!("the tensor {name} has {n_axes} axes"));
        }
        let mut shape = (0..n_axes).map(|_| self.u64()).collect::<Found<Vec<_>>>()?;
        shape.reverse();
        let n_values = shape.iter().try_fold(1_u64, |product, n| product.checked_mul(*n));
        if n_values.is_none_or(|n| n == 0 || n > 1 << 48) {
            return content(format!("the tensor {name} has the impossible shape {shape:?}"));
        }
        let shape = shape.into_iter().map(|n| n as usize).collect();
        Ok(TensorEntry { shape, kind: Kind(self.u32()?), offset: self.u64()? })
    }
}
