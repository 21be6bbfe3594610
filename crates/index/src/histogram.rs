//! How often which activations were seen.

use serde::{Deserialize, Serialize};
use tiller_protocol::feature::Histogram;

use crate::error::{IndexError, Result};

/// Bins to a doubling of the activation.
const BINS_PER_DOUBLING: f32 = 4.0;

/// Bins are kept within these: activations from 2^-32 to 2^32.
const BIN_RANGE: (f32, f32) = (-128.0, 127.0);

/// A histogram as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Stored {
    /// Counts of a scan, in bins of a quarter of a doubling each.
    Scanned {
        /// Number of the first bin; bin b begins at 2^(b/4).
        first: i16,
        /// Tokens in it and in those after it.
        counts: Vec<u64>,
    },
    /// Read from a file, with bins of its own.
    Imported {
        /// Edges, one more than counts.
        edges: Vec<f32>,
        /// Tokens in each bin.
        counts: Vec<u64>,
    },
}

/// The bin of an activation above zero.
pub(crate) fn bin(value: f32) -> i16 {
    (value.log2() * BINS_PER_DOUBLING).floor().clamp(BIN_RANGE.0, BIN_RANGE.1) as i16
}

fn edge(bin: i16) -> f32 {
    (f32::from(bin) / BINS_PER_DOUBLING).exp2()
}

impl Stored {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| IndexError::Damaged(format!("histogram: {error}")))
    }

    pub(crate) fn to_text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| IndexError::Damaged(format!("histogram: {error}")))
    }

    /// Adds counts of bins. What was imported has other bins and is left alone.
    pub(crate) fn add(&mut self, bins: &[(i16, u32)]) {
        let Self::Scanned { first, counts } = self else { return };
        for &(bin, n) in bins {
            if counts.is_empty() {
                *first = bin;
            }
            if bin < *first {
                counts.splice(..0, std::iter::repeat_n(0, usize::from((*first - bin).unsigned_abs())));
                *first = bin;
            }
            let place = usize::from((bin - *first).unsigned_abs());
            if counts.len() <= place {
                counts.resize(place + 1, 0);
            }
            counts[place] += u64::from(n);
        }
    }

    /// Which tenth of the tokens an activation belongs to, 0 the weakest.
    pub(crate) fn decile(&self, value: f32) -> u8 {
        let Self::Scanned { first, counts } = self else { return 0 };
        let total: u64 = counts.iter().sum();
        let place = usize::try_from(bin(value) - first).unwrap_or(0).min(counts.len());
        // The middle of its bin stands for it.
        let twice_below = 2 * counts[..place].iter().sum::<u64>() + counts.get(place).copied().unwrap_or(0);
        (5 * twice_below).checked_div(total).unwrap_or(0).min(9) as u8
    }

    /// For display.
    pub(crate) fn into_histogram(self) -> Histogram {
        match self {
            Self::Imported { edges, counts } => Histogram { edges, counts },
            Self::Scanned { first, counts } => {
                Histogram { edges: (first..).map(edge).take(counts.len() + 1).collect(), counts }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_in_any_order() {
        let mut stored = Stored::Scanned { first: 0, counts: Vec::new() };
        stored.add(&[(4, 1), (2, 2), (7, 3)]);
        stored.add(&[(-1, 5), (4, 1)]);
        assert_eq!(stored, Stored::Scanned { first: -1, counts: vec![5, 0, 0, 2, 0, 2, 0, 0, 3] });
        assert_eq!(Stored::parse(&stored.to_text().unwrap()).unwrap(), stored);
        let shown = stored.into_histogram();
        assert_eq!(shown.edges.len(), shown.counts.len() + 1);
        assert!((shown.edges[5] - 2.0).abs() < 1e-6 && shown.edges.is_sorted());
    }

    #[test]
    fn bins_hold_their_values_and_deciles_rise() {
        let mut stored = Stored::Scanned { first: 0, counts: Vec::new() };
        for value in 1..=1000_u16 {
            let value = f32::from(value);
            assert!(edge(bin(value)) <= value * 1.0001 && value < edge(bin(value) + 1) * 1.0001);
            stored.add(&[(bin(value), 1)]);
        }
        assert_eq!((stored.decile(1.0), stored.decile(480.0), stored.decile(1000.0)), (0, 4, 9));
        assert_eq!((stored.decile(1e-30), stored.decile(1e30)), (0, 9));
        assert_eq!((bin(f32::MIN_POSITIVE), bin(f32::MAX)), (-128, 127));
    }
}
