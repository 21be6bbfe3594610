//! Windows: parts of texts with the activations of one feature, packed to one blob a feature.
//!
//! The blob is deflated: a number of windows, each with its tokens, its activations above zero as gaps and values, the
//! place of its peak, and what decides whether it stays when a better one comes.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use crate::error::{IndexError, Result};
use crate::scan::{SAMPLED, STRONGEST};

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

/// What decides whether a window stays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rank {
    /// Activation at the peak.
    pub(crate) height: f32,
    /// Absent for the strongest, which stay by their height; of the others, which are a random sample, the lowest stay.
    pub(crate) draw: Option<u32>,
}

/// What a further window must be above to be kept for its height, and what its draw must be below.
pub(crate) type Bars = (f32, u32);

/// A window as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    pub(crate) window: Window,
    pub(crate) rank: Rank,
}

impl Kept {
    /// A window that stays by its height.
    pub(crate) fn strong(window: Window) -> Self {
        Self { rank: Rank { height: window.height(), draw: None }, window }
    }
}

impl AsRef<Rank> for Kept {
    fn as_ref(&self) -> &Rank {
        &self.rank
    }
}

/// Keeps the strongest windows, strongest first, then the sample.
pub(crate) fn prune<T: AsRef<Rank>>(windows: &mut Vec<T>) -> Bars {
    // Stable: of two that are equal the earlier stays.
    windows.sort_by(|a, b| {
        let (a, b) = (a.as_ref(), b.as_ref());
        match (a.draw, b.draw) {
            (None, None) => b.height.total_cmp(&a.height),
            (a, b) => a.cmp(&b),
        }
    });
    let n_strongest = windows.iter().take_while(|window| window.as_ref().draw.is_none()).count();
    let mut sample = windows.split_off(n_strongest);
    windows.truncate(STRONGEST);
    sample.truncate(SAMPLED);
    let bar = windows.last().filter(|_| windows.len() == STRONGEST).map_or(0.0, |window| window.as_ref().height);
    let draw_bar = sample.last().filter(|_| sample.len() == SAMPLED).and_then(|window| window.as_ref().draw);
    windows.append(&mut sample);
    (bar, draw_bar.unwrap_or(u32::MAX))
}

/// Packs windows.
pub(crate) fn pack(windows: &[Kept]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    number(&mut bytes, windows.len() as u64);
    for Kept { window, rank } in windows {
        number(&mut bytes, rank.draw.map_or(0, |draw| u64::from(draw) + 1));
        number(&mut bytes, window.decile.map_or(0, |decile| u64::from(decile) + 1));
        number(&mut bytes, window.peak as u64);
        match &window.tokens {
            Tokens::Ids(ids) => {
                number(&mut bytes, (ids.len() as u64) << 1);
                ids.iter().for_each(|&id| number(&mut bytes, u64::from(id)));
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
pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<Kept>> {
    let mut bytes = Vec::new();
    let read = DeflateDecoder::new(packed).take(MAX_BYTES).read_to_end(&mut bytes);
    read.map_err(|error| IndexError::Damaged(format!("examples: {error}")))?;
    let mut source = Source(&bytes);
    source.windows().ok_or_else(|| IndexError::Damaged("examples end in the middle".to_owned()))
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn number(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A count of things that take at least a byte each: more than there are bytes left is damage.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    fn windows(&mut self) -> Option<Vec<Kept>> {
        let count = self.count()?;
        (0..count).map(|_| self.window()).collect()
    }

    fn window(&mut self) -> Option<Kept> {
        let draw = self.number()?.checked_sub(1).map(u32::try_from).transpose().ok()?;
        let decile = self.number()?.checked_sub(1).map(u8::try_from).transpose().ok()?;
        let peak = usize::try_from(self.number()?).ok()?;
        let kind = self.number()?;
        let len = usize::try_from(kind >> 1).ok().filter(|&len| len <= self.0.len())?;
        let tokens = if kind & 1 == 0 {
            let ids: Option<Vec<u32>> = (0..len).map(|_| u32::try_from(self.number()?).ok()).collect();
            Tokens::Ids(ids?)
        } else {
            let texts: Option<Vec<String>> = (0..len).map(|_| self.text()).collect();
            Tokens::Texts(texts?)
        };
        let mut values = vec![0.0; len];
        let mut at = 0_usize;
        for _ in 0..self.count()? {
            at = at.checked_add(usize::try_from(self.number()?).ok()?)?;
            let bytes: [u8; 4] = self.take(4)?.try_into().ok()?;
            *values.get_mut(at)? = f32::from_le_bytes(bytes);
        }
        if peak >= len {
            return None;
        }
        let rank = Rank { height: values[peak], draw };
        Some(Kept { window: Window { tokens, values, peak, decile }, rank })
    }

    fn text(&mut self) -> Option<String> {
        let len = self.count()?;
        String::from_utf8(self.take(len)?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Kept> {
        let values = vec![0.0, 1.5, -0.25, 0.0, f32::MAX];
        let texts = ["", "a", "\u{2192}", "\n", "long word"].map(str::to_owned).to_vec();
        let ids = Tokens::Ids(vec![0, 1, 127, 128, u32::MAX]);
        let strong = Window { tokens: ids, values: values.clone(), peak: 4, decile: None };
        let drawn = Window { tokens: Tokens::Texts(texts), values, peak: 1, decile: Some(9) };
        let rank = Rank { height: 1.5, draw: Some(u32::MAX) };
        vec![Kept::strong(strong), Kept { window: drawn, rank }]
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
                let windows = Source(&damaged).windows().unwrap_or_default();
                assert!(windows.iter().all(|kept| kept.window.peak < kept.window.values.len()));
            }
        }
    }
}
