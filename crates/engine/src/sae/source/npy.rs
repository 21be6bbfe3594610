//! The header of a `.npy` array (source: numpy's format description, versions 1 to 3).

use super::{Number, raw::Part};

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: Number,
    pub(super) shape: Vec<usize>,
    /// The first index varies fastest.
    pub(super) is_fortran: bool,
    /// Where the values begin, bytes.
    pub(super) start: u64,
}

/// Longest header that is read, bytes; numpy's own limit for headers that it did not write is 10,000.
const MAX_HEADER: u64 = 1 << 16;

/// Reads it from the bytes of a member (unpacked).
///
/// # Errors
/// Why it is not the header of an array of numbers.
pub(super) fn header(from: &mut dyn std::io::Read) -> Result<Header, String> {
    let mut take = |n: usize| -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; n];
        from.read_exact(&mut bytes).map_err(|error| format!("ends in its header ({error})"))?;
        Ok(bytes)
    };
    let magic = take(8)?;
    if !magic.starts_with(b"\x93NUMPY") {
        return Err("is not a numpy array".to_owned());
    }
    let width = if magic[6] == 1 { 2 } else { 4 };
    let len = take(width)?.iter().rev().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
    if len > MAX_HEADER {
        return Err(format!("has a header of {len} bytes"));
    }
    let text = String::from_utf8_lossy(&take(len as usize)?).into_owned();
    let value = |key: &str| -> Result<&str, String> {
        let (_, rest) = text.split_once(&format!("'{key}':")).ok_or_else(|| format!("does not give its {key}"))?;
        Ok(rest.trim_start())
    };
    let number = match value("descr")?.trim_matches('\'').split('\'').next().unwrap_or_default() {
        "<f8" => Number::F64,
        "<f4" => Number::F32,
        "<f2" => Number::F16,
        "<i8" => Number::I64,
        other => return Err(format!("holds values of the type {other:?}")),
    };
    let shape = value("shape")?.strip_prefix('(').and_then(|rest| rest.split_once(')'));
    let (shape, _) = shape.ok_or("does not give its shape")?;
    let shape: Result<_, _> = shape.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::parse).collect();
    let shape = shape.map_err(|error| format!("does not give its shape ({error})"))?;
    let is_fortran = value("fortran_order")?.starts_with("True");
    Ok(Header { number, shape, is_fortran, start: 8 + width as u64 + len })
}

/// The unpacked bytes of a member, without a check of their sum.
pub(super) fn unpacked<'a>(part: Part<'a>, is_deflated: bool) -> Box<dyn std::io::Read + 'a> {
    if is_deflated { Box::new(flate2::read::DeflateDecoder::new(part)) } else { Box::new(part) }
}
