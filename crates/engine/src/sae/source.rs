//! The tensors of a file of weights, whatever holds them: safetensors, a numpy archive (stored or deflated), or a file
//! of `PyTorch` (a zip archive with a pickled table).
//!
//! Opening a file reads its table only. Each tensor's place, type and strides are checked against the file there, so
//! that reading values later can fail only for the disk's reasons.

mod matrix;
mod npy;
mod pickle;
mod raw;
mod torch;
mod unpack;
mod zip;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use half::slice::HalfFloatSliceExt as _;
use half::{bf16, f16};
use safetensors::Dtype;

use crate::error::{EngineError, Result};
use crate::memory::room_for_bytes;
use crate::safetensors::TensorFile;

pub(super) use matrix::Matrix;
pub(super) use raw::Raw;
pub(super) use unpack::Room;
use unpack::Unpacked;
use zip::Member;

/// Type of the values of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Number {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
}

impl Number {
    /// Bytes of a value.
    pub(super) fn width(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Name in lists.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
        }
    }
}

/// Where the values of a tensor are.
#[derive(Clone, Debug)]
enum Place {
    /// From this byte of the file on.
    File(u64),
    /// From this byte of a member on, which has to be unpacked first.
    Packed(Member, u64),
    /// From this byte of an unpacked member on, in [`Container::unpacked`].
    Unpacked(usize, u64),
}

/// A tensor that a file holds.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) number: Number,
    pub(super) shape: Vec<usize>,
    /// Values from one index to the next, for each axis.
    strides: Vec<usize>,
    place: Place,
}

/// What holds the tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A safetensors file.
    Safetensors,
    /// A numpy archive.
    Npz,
    /// A file of `PyTorch`.
    Torch,
}

/// A file of weights with its table.
#[derive(Debug)]
pub(super) struct Container {
    raw: Raw,
    pub(super) kind: Kind,
    entries: BTreeMap<String, Entry>,
    /// Numbers beside the tensors.
    scalars: BTreeMap<String, f64>,
    /// Further facts that a safetensors file carries.
    pub(super) facts: BTreeMap<String, String>,
    unpacked: Vec<Unpacked>,
}

impl Container {
    /// Whether the file at `path` begins as one that can be opened.
    pub(super) fn is_one(path: &Path) -> bool {
        let mut begin = [0; 9];
        let read = File::open(path).and_then(|mut file| file.read_exact(&mut begin));
        let header = u64::from_le_bytes(begin[..8].try_into().unwrap_or_default());
        read.is_ok() && (begin.starts_with(b"PK") || begin[0] == 0x80 || begin[8] == b'{' && header < 1 << 32)
    }

    /// Opens a file by its content.
    ///
    /// # Errors
    /// A file that cannot be read, is broken or cut short, or is none of these.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let raw = Raw::open(path)?;
        let begin = raw.bytes(0, raw.len().min(8))?;
        let mut container = Self {
            raw,
            kind: Kind::Safetensors,
            entries: BTreeMap::new(),
            scalars: BTreeMap::new(),
            facts: BTreeMap::new(),
            unpacked: Vec::new(),
        };
        if begin.starts_with(b"PK") {
            container.read_archive()?;
        } else if begin.starts_with(b"\x80") && begin.len() == 8 && begin[1] <= 5 && begin[2] != 0 {
            let reason =
                "it is a bare pickle, as PyTorch wrote before version 1.6; load and save it once with a newer one";
            return Err(container.raw.bad(reason));
        } else {
            container.read_safetensors()?;
        }
        Ok(container)
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        self.raw.path()
    }

    /// The error of a file whose content is wrong.
    pub(super) fn bad(&self, reason: impl Into<String>) -> EngineError {
        self.raw.bad(reason)
    }

    /// A tensor.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// Shape of a tensor.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entry(name).map(|entry| entry.shape.as_slice())
    }

    /// Where tensors begin in the file, bytes; those that are packed are left out.
    pub(super) fn table_of(&self, names: &[&str]) -> Vec<u64> {
        let place = |name: &&str| if let Place::File(at) = self.entry(name)?.place { Some(at) } else { None };
        names.iter().filter_map(place).collect()
    }

    /// Names of its tensors.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// A single number of this name: beside the tensors, or a tensor of one value.
    pub(super) fn scalar(&self, name: &str) -> Option<f64> {
        if let Some(value) = self.scalars.get(name) {
            return Some(*value);
        }
        let entry = self.entry(name).filter(|entry| entry.shape.iter().product::<usize>() == 1)?;
        let mut value = [0.0];
        self.values(name, entry, 0, &mut value).ok()?;
        Some(value[0].into())
    }

    /// `n` values of a tensor that has only these, in order; all of them finite.
    ///
    /// # Errors
    /// A tensor that is missing or of another length, a value that is no number, a failure to read.
    pub(super) fn vector(&self, name: &str, n: usize) -> Result<Vec<f32>> {
        let entry = self.entry(name).ok_or_else(|| self.bad(format!("it holds no tensor {name}")))?;
        if entry.shape != [n] || n > 1 && entry.strides != [1] {
            return Err(self.misshapen(name, &[n], entry));
        }
        room_for_bytes(4 * n as u64)?;
        let mut values = vec![0.0; n];
        self.values(name, entry, 0, &mut values)?;
        Ok(values)
    }

    /// The error of a tensor of another shape.
    pub(super) fn misshapen(&self, name: &str, expected: &[usize], found: &Entry) -> EngineError {
        let strides = if found.strides == row_major(&found.shape) {
            String::new()
        } else {
            format!(" with strides {:?}", found.strides)
        };
        EngineError::BadTensor {
            path: self.path().to_owned(),
            name: name.to_owned(),
            expected: format!("shape {expected:?}"),
            found: format!("{:?}{strides}", found.shape),
        }
    }

    /// A matrix of `n` rows of `width` values, which the file holds as it is, or turned (`[width, n]`).
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub(super) fn matrix(&self, name: &str, rows: (usize, usize), is_turned: bool) -> Result<Matrix<'_>> {
        let entry = self.entry(name).ok_or_else(|| self.bad(format!("it holds no tensor {name}")))?;
        let (n, width) = rows;
        let expected = if is_turned { [width, n] } else { [n, width] };
        let strides = <[usize; 2]>::try_from(entry.strides.as_slice()).ok();
        let Some([first, second]) = strides.filter(|_| entry.shape == expected) else {
            return Err(self.misshapen(name, &expected, entry));
        };
        let (row, value) = if is_turned { (second, first) } else { (first, second) };
        if row != 1 && value != 1 && n > 1 && width > 1 {
            return Err(self.misshapen(name, &expected, entry));
        }
        Ok(Matrix { container: self, name: name.to_owned(), entry, n, width, row, value })
    }

    /// Values from the place `first` on, in the order in which they are stored; all of them finite.
    fn values(&self, name: &str, entry: &Entry, first: usize, out: &mut [f32]) -> Result<()> {
        let width = entry.number.width();
        let mut bytes = vec![0; out.len() * width];
        let skip = (first * width) as u64;
        match &entry.place {
            Place::File(at) => self.raw.fill(at + skip, &mut bytes)?,
            Place::Unpacked(idx, at) => match &self.unpacked[*idx] {
                Unpacked::File(raw, _) => raw.fill(at + skip, &mut bytes)?,
                Unpacked::Memory(all) => {
                    let at = (at + skip) as usize;
                    bytes.copy_from_slice(&all[at..at + out.len() * width]);
                }
            },
            Place::Packed(member, at) => {
                // A few values of a table are wanted before the file is unpacked as a whole.
                let mut from = npy::unpacked(self.raw.part(member.start, member.packed), member.is_deflated);
                std::io::copy(&mut from.by_ref().take(at + skip), &mut std::io::sink())
                    .and_then(|_| from.read_exact(&mut bytes))
                    .map_err(|error| self.raw.io(error))?;
            }
        }
        widen(entry.number, &bytes, out);
        if let Some(index) = out.iter().position(|value| !value.is_finite()) {
            return Err(EngineError::NotFinite {
                path: self.path().to_owned(),
                name: name.to_owned(),
                value: out[index],
                index: first + index,
                len: entry.shape.iter().product(),
            });
        }
        Ok(())
    }

    fn read_safetensors(&mut self) -> Result<()> {
        let file = TensorFile::open(self.raw.path())?;
        for (name, dtype, shape, [at, end]) in file.table() {
            let number = match dtype {
                Dtype::F64 => Number::F64,
                Dtype::F32 => Number::F32,
                Dtype::F16 => Number::F16,
                Dtype::BF16 => Number::Bf16,
                Dtype::I64 => Number::I64,
                Dtype::I32 => Number::I32,
                // Of no use here; a tensor of weights would be missed by its name.
                _ => continue,
            };
            let entry = Entry { number, strides: row_major(&shape), shape, place: Place::File(at) };
            self.add(name, entry, end.min(self.raw.len()).saturating_sub(at))?;
        }
        self.facts = file.facts();
        Ok(())
    }

    fn read_archive(&mut self) -> Result<()> {
        let members = zip::members(&self.raw)?;
        if let Some(table) =
            members.iter().find(|member| member.name == "data.pkl" || member.name.ends_with("/data.pkl"))
        {
            self.kind = Kind::Torch;
            return torch::read(self, &members, table);
        }
        self.kind = Kind::Npz;
        for member in &members {
            let Some(name) = member.name.strip_suffix(".npy") else { continue };
            let broken = |reason: String| self.bad(format!("its member {} {reason}", member.name));
            let mut from = npy::unpacked(self.raw.part(member.start, member.packed), member.is_deflated);
            let header = npy::header(&mut from).map_err(broken)?;
            drop(from);
            let mut strides = row_major(&header.shape);
            if header.is_fortran {
                let turned: Vec<usize> = header.shape.iter().rev().copied().collect();
                strides = row_major(&turned).into_iter().rev().collect();
            }
            let place = if member.is_deflated {
                Place::Packed(member.clone(), header.start)
            } else {
                Place::File(member.start + header.start)
            };
            let entry = Entry { number: header.number, shape: header.shape, strides, place };
            self.add(name.to_owned(), entry, member.size.saturating_sub(header.start))?;
        }
        if self.entries.is_empty() {
            return Err(self.bad("it is an archive without tensors"));
        }
        Ok(())
    }

    /// Takes a tensor in, if its values fit into `bytes`.
    fn add(&mut self, name: String, entry: Entry, bytes: u64) -> Result<()> {
        let last = entry
            .shape
            .iter()
            .zip(&entry.strides)
            .try_fold(0_usize, |last, (&n, &stride)| last.checked_add(n.saturating_sub(1).checked_mul(stride)?));
        let is_empty = entry.shape.contains(&0);
        let needed = last.and_then(|last| last.checked_add(1)?.checked_mul(entry.number.width()));
        let n = entry.shape.iter().try_fold(1_usize, |n, &len| n.checked_mul(len));
        let distinct = n.is_some_and(|n| last.is_some_and(|last| n <= last.saturating_add(1)));
        if !is_empty && (needed.is_none_or(|needed| needed as u64 > bytes) || !distinct) {
            return Err(EngineError::BadTensor {
                path: self.path().to_owned(),
                name,
                expected: format!("{} values of {:?} in {bytes} bytes", entry.number.name(), entry.shape),
                found: "fewer".to_owned(),
            });
        }
        self.entries.insert(name, entry);
        Ok(())
    }
}

/// Strides of rows after rows.
fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
    }
    strides
}

/// Little-endian values in f32.
fn widen(number: Number, bytes: &[u8], out: &mut [f32]) {
    fn each<const N: usize>(bytes: &[u8], out: &mut [f32], read: impl Fn([u8; N]) -> f32) {
        for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<N>().0) {
            *out = read(*bytes);
        }
    }
    match number {
        Number::F64 => each(bytes, out, |bytes| f64::from_le_bytes(bytes) as f32),
        Number::I64 => each(bytes, out, |bytes| i64::from_le_bytes(bytes) as f32),
        Number::I32 => each(bytes, out, |bytes| i32::from_le_bytes(bytes) as f32),
        Number::F32 => each(bytes, out, f32::from_le_bytes),
        Number::F16 => bytemuck::pod_collect_to_vec::<u8, f16>(bytes).convert_to_f32_slice(out),
        Number::Bf16 => bytemuck::pod_collect_to_vec::<u8, bf16>(bytes).convert_to_f32_slice(out),
    }
}
