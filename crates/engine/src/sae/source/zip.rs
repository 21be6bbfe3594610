//! The table of contents of a zip archive, as `PyTorch` and numpy write them: members stored or deflated, with the
//! 64-bit extensions (source: PKWARE's APPNOTE 6.3.10, §4.3–4.5).
//!
//! Nothing in an archive is believed: each member must lie in the file, and one that claims to unpack to a great deal
//! more than it takes is refused before any of it is unpacked.

use super::raw::Raw;
use crate::error::Result;

/// One file in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sae) struct Member {
    pub(in crate::sae) name: String,
    /// Packed by DEFLATE; else stored as it is.
    pub(in crate::sae) is_deflated: bool,
    /// Where its bytes begin in the file.
    pub(in crate::sae) start: u64,
    /// Bytes in the file.
    pub(in crate::sae) packed: u64,
    /// Bytes when unpacked.
    pub(in crate::sae) size: u64,
    /// Check sum of the unpacked bytes.
    pub(in crate::sae) crc: u32,
}

/// Longest table that is read, bytes: that of some 100,000 members.
const MAX_TABLE: u64 = 8 << 20;
/// Members beyond this are not those of an SAE.
const MAX_MEMBERS: usize = 10_000;
/// Weights deflate to nine tenths or so, and only constants to much less.
const MAX_RATIO: u64 = 64;
/// A member up to this size may be constant, e.g. a bias of zeros.
const SMALL: u64 = 16 << 20;
/// The record that ends an archive, with the longest comment.
const MAX_END: u64 = 22 + 0xffff;

/// Numbers in the archive are little-endian.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(width)?)?;
    Some(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

/// Its members.
///
/// # Errors
/// A file that ends early or is no such archive, and a member that is encrypted, packed in another way, outside the
/// file, or too good to be true.
pub(in crate::sae) fn members(raw: &Raw) -> Result<Vec<Member>> {
    let (table_at, table_len, n) = end_record(raw)?;
    if table_len > MAX_TABLE || n > MAX_MEMBERS as u64 {
        return Err(raw.bad(format!("its table of {n} members and {table_len} bytes is not that of an SAE")));
    }
    let table = raw.bytes(table_at, table_len)?;
    let mut members = Vec::new();
    let mut at = 0;
    for idx in 0..n {
        let (member, next) = member(raw, &table, at)?.ok_or_else(|| raw.bad(format!("member {idx} is malformed")))?;
        members.push(member);
        at = next;
    }
    Ok(members)
}

/// Start, length and number of members of the table.
fn end_record(raw: &Raw) -> Result<(u64, u64, u64)> {
    let n = raw.len().min(MAX_END);
    let from = raw.len() - n;
    let tail = raw.bytes(from, n)?;
    let at = tail.windows(4).rposition(|word| word == b"PK\x05\x06");
    let read = |bytes: &[u8], at: usize, width: usize| number(bytes, at, width).unwrap_or(u64::MAX);
    let Some(at) = at.filter(|at| at + 22 <= tail.len()) else {
        return Err(raw.bad("it is cut short: the table at its end is missing"));
    };
    let (n, len, start) = (read(&tail, at + 10, 2), read(&tail, at + 12, 4), read(&tail, at + 16, 4));
    if n != 0xffff && len != 0xffff_ffff && start != 0xffff_ffff {
        return Ok((start, len, n));
    }
    // The 64-bit record is found by a locator just before the end record.
    let locator = (from + at as u64).checked_sub(20).ok_or_else(|| raw.bad("its 64-bit record is missing"))?;
    let locator = raw.bytes(locator, 20)?;
    let record = if locator.starts_with(b"PK\x06\x07") { raw.bytes(read(&locator, 8, 8), 56)? } else { Vec::new() };
    if !record.starts_with(b"PK\x06\x06") {
        return Err(raw.bad("its 64-bit record is missing"));
    }
    Ok((read(&record, 48, 8), read(&record, 40, 8), read(&record, 32, 8)))
}

/// The member whose entry begins at `at` in the table, and where the next one begins.
fn member(raw: &Raw, table: &[u8], at: usize) -> Result<Option<(Member, usize)>> {
    let field = |offset: usize, width: usize| number(table, at + offset, width);
    let entry = || -> Option<_> {
        if table.get(at..at + 4)? != b"PK\x01\x02" {
            return None;
        }
        let lens = [field(28, 2)? as usize, field(30, 2)? as usize, field(32, 2)? as usize];
        let name = String::from_utf8_lossy(table.get(at + 46..at + 46 + lens[0])?).into_owned();
        let extra = table.get(at + 46 + lens[0]..at + 46 + lens[0] + lens[1])?;
        let mut wide = wide(extra);
        let mut sized = |value: u64| if value == 0xffff_ffff { wide.next() } else { Some(value) };
        let (packed, size) = (field(20, 4)?, field(24, 4)?);
        // The 64-bit fields come in this order, and only those that are needed.
        let (size, packed, header) = (sized(size)?, sized(packed)?, sized(field(42, 4)?)?);
        Some((name, packed, size, header, at + 46 + lens.iter().sum::<usize>()))
    };
    let Some((name, packed, size, header, next)) = entry() else { return Ok(None) };
    let (flags, method, crc) = (field(8, 2).unwrap_or(0), field(10, 2).unwrap_or(0), field(16, 4).unwrap_or(0));
    let refuse = |reason: String| Err(raw.bad(format!("its member {name} {reason}")));
    if flags & 1 != 0 {
        return refuse("is encrypted".to_owned());
    }
    if !matches!(method, 0 | 8) || method == 0 && packed != size {
        return refuse(format!("is packed in a way that is not read (method {method})"));
    }
    if size > SMALL && size / MAX_RATIO > packed {
        return refuse(format!("says that its {packed} bytes unpack to {size}: that is not a file of weights"));
    }
    let local = raw.bytes(header, 30)?;
    if !local.starts_with(b"PK\x03\x04") {
        return refuse("is not where the table says".to_owned());
    }
    let lens = number(&local, 26, 2).unwrap_or(0) + number(&local, 28, 2).unwrap_or(0);
    let start = header + 30 + lens;
    if start.checked_add(packed).is_none_or(|end| end > raw.len()) {
        return refuse("ends outside the file".to_owned());
    }
    Ok(Some((Member { name, is_deflated: method == 8, start, packed, size, crc: crc as u32 }, next)))
}

/// The 64-bit fields of an entry's extra data.
fn wide(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut found = Vec::new();
    while let (Some(id), Some(len)) = (number(extra, 0, 2), number(extra, 2, 2)) {
        let Some(data) = extra.get(4..4 + len as usize) else { break };
        if id == 1 {
            found = data.chunks_exact(8).filter_map(|bytes| number(bytes, 0, 8)).collect();
        }
        extra = &extra[4 + len as usize..];
    }
    found.into_iter()
}
