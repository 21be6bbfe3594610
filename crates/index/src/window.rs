//! Windows: parts of texts with the activations of one feature. Those that were imported are packed to one blob a feature.
//!
//! The blob is deflated: a number of windows, each with its decile, the place of its peak, its tokens, and its
//! activations as gaps and values.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use crate::error::{IndexError, Result};
use crate::varint::{Source, number};

/// Most bytes of an unpacked blob.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Tokens of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// Numbers in the vocabulary of the model that was run.
    Ids(Vec<u32>),
    /// Texts, with spaces and line feeds as they are.
    Texts(Vec<String>),
}

impl Tokens {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Ids(ids) => ids.len(),
            Self::Texts(texts) => texts.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Part of a text with the activations of one feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Tokens.
    pub tokens: Tokens,
    /// Activation on each, residual units; as many as there are tokens.
    pub values: Vec<f32>,
    /// Index of the token that it was picked for.
    pub peak: usize,
    /// Which tenth of the activations above zero it was drawn from, 0 the weakest; absent for the largest ones.
    pub decile: Option<u8>,
}

impl Window {
    /// Activation at the peak.
    pub fn height(&self) -> f32 {
        self.values.get(self.peak).copied().unwrap_or(0.0)
    }
}

/// Packs windows.
pub(crate) fn pack(windows: &[Window]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    number(&mut bytes, windows.len() as u64);
    for window in windows {
        number(&mut bytes, window.decile.map_or(0, |decile| u64::from(decile) + 1));
        number(&mut bytes, window.peak as u64);
        match &window.tokens {
            Tokens::Ids(ids) => {
                number(&mut bytes, (ids.len() as u64) << 1);
                for &id in ids {
                    number(&mut bytes, u64::from(id));
                }
            }
            Tokens::Texts(texts) => {
                number(&mut bytes, (texts.len() as u64) << 1 | 1);
                for text in texts {
                    number(&mut bytes, text.len() as u64);
                    bytes.extend_from_slice(text.as_bytes());
                }
            }
        }
        let active = || window.values.iter().enumerate().filter(|(_, value)| **value != 0.0);
        number(&mut bytes, active().count() as u64);
        let mut last = 0;
        for (at, value) in active() {
            number(&mut bytes, (at - last) as u64);
            bytes.extend_from_slice(&value.to_le_bytes());
            last = at;
        }
    }
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
    let result = packed.write_all(&bytes).and_then(|()| packed.finish());
    result.map_err(|error| IndexError::Damaged(error.to_string()))
}

/// Unpacks windows.
pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<Window>> {
    let mut bytes = Vec::new();
    let read = DeflateDecoder::new(packed).take(MAX_BYTES).read_to_end(&mut bytes);
    read.map_err(|error| IndexError::Damaged(format!("examples: {error}")))?;
    windows(&bytes).ok_or_else(|| IndexError::Damaged("examples end in the middle".to_owned()))
}

fn windows(bytes: &[u8]) -> Option<Vec<Window>> {
    let mut source = Source(bytes);
    let count = source.count()?;
    (0..count).map(|_| window(&mut source)).collect()
}

fn window(source: &mut Source<'_>) -> Option<Window> {
    let decile = source.number()?.checked_sub(1).map(u8::try_from).transpose().ok()?;
    let peak = usize::try_from(source.number()?).ok()?;
    let kind = source.number()?;
    // A token takes at least a byte.
    let len = usize::try_from(kind >> 1).ok().filter(|&len| len <= source.0.len())?;
    let tokens = if kind & 1 == 0 {
        let ids: Option<Vec<u32>> = (0..len).map(|_| u32::try_from(source.number()?).ok()).collect();
        Tokens::Ids(ids?)
    } else {
        let texts: Option<Vec<String>> = (0..len).map(|_| source.text()).collect();
        Tokens::Texts(texts?)
    };
    let mut values = vec![0.0; len];
    let mut at = 0_usize;
    for _ in 0..source.count()? {
        let (gap, value) = source.step()?;
        at = at.checked_add(gap)?;
        *values.get_mut(at)? = value;
    }
    (peak < len).then_some(Window { tokens, values, peak, decile })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Window> {
        let values = vec![0.0, 1.5, -0.25, 0.0, f32::MAX];
        let texts = ["", "a", "\u{2192}", "\n", "long word"].map(str::to_owned).to_vec();
        let ids = Tokens::Ids(vec![0, 1, 127, 128, u32::MAX]);
        vec![
            Window { tokens: ids, values: values.clone(), peak: 4, decile: None },
            Window { tokens: Tokens::Texts(texts), values, peak: 1, decile: Some(9) },
        ]
    }

    #[test]
    fn windows_come_back_as_they_were() {
        let packed = pack(&samples()).unwrap();
        assert_eq!(unpack(&packed).unwrap(), samples());
        assert_eq!(unpack(&pack(&[]).unwrap()).unwrap(), []);
    }

    #[test]
    fn damaged_bytes_are_an_error_or_other_windows_and_never_a_panic() {
        let packed = pack(&samples()).unwrap();
        for len in 0..packed.len() {
            assert!(unpack(&packed[..len]).is_err(), "{len}");
        }
        let mut bytes = Vec::new();
        DeflateDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
        for at in 0..bytes.len() {
            for value in [0, 0x7f, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                let windows = windows(&damaged).unwrap_or_default();
                assert!(windows.iter().all(|window| window.peak < window.values.len()));
            }
        }
    }
}
