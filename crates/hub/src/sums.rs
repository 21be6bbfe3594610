//! Checksums: written, read, and computed while a file comes in.

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::listing::Sum;

impl Sum {
    /// Hex digits, as they name the file's blob in the cache.
    pub fn hex(&self) -> String {
        match self {
            Self::Sha256(bytes) => hex(bytes),
            Self::GitBlob(bytes) => hex(bytes),
        }
    }

    /// Reads what [`Self::hex`] writes: 64 digits are a SHA-256, 40 a git blob id.
    pub fn from_hex(text: &str) -> Option<Self> {
        match text.len() {
            64 => digits(text).map(Self::Sha256),
            40 => digits(text).map(Self::GitBlob),
            _ => None,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// Small letters only: that is how blobs are named.
fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |char: u8| match char {
        b'0'..=b'9' => Some(char - b'0'),
        b'a'..=b'f' => Some(char - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Computes a file's checksum from its bytes in order.
pub(crate) enum Summing {
    /// Of a large file.
    Sha256(Sha256),
    /// Of a small file, its length already in.
    GitBlob(Sha1),
}

impl Summing {
    /// Begins a checksum of the same kind as `sum`, of a file of `bytes` bytes.
    pub(crate) fn like(sum: &Sum, bytes: u64) -> Self {
        match sum {
            Sum::Sha256(_) => Self::Sha256(Sha256::new()),
            Sum::GitBlob(_) => Self::GitBlob(Sha1::new_with_prefix(format!("blob {bytes}\0"))),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(sum) => sum.update(bytes),
            Self::GitBlob(sum) => sum.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Sum {
        match self {
            Self::Sha256(sum) => Sum::Sha256(sum.finalize().into()),
            Self::GitBlob(sum) => Sum::GitBlob(sum.finalize().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both values are what `sha256sum` and `git hash-object` say of a file that holds `hello` and a line feed.
    #[test]
    fn both_kinds_are_those_of_the_usual_tools() {
        for expected in [
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
            "ce013625030ba8dba906f756967f9e9ca394464a",
        ] {
            let sum = Sum::from_hex(expected).unwrap();
            let mut summing = Summing::like(&sum, 6);
            summing.update(b"hel");
            summing.update(b"lo\n");
            assert_eq!(summing.finish().hex(), expected);
        }
        for bad in ["", "ce01", "CE013625030ba8dba906f756967f9e9ca394464a", "ge013625030ba8dba906f756967f9e9ca394464a"]
        {
            assert_eq!(Sum::from_hex(bad), None, "{bad}");
        }
    }
}
