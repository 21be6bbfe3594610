//! Keys and values of tokens already seen.

use std::sync::Arc;

use candle_core::Tensor;

use crate::error::Result;

/// Keys and values of a token sequence in every block: a constant, cheap to clone.
///
/// Held in parts, so that a longer cache shares those of the one it extends. Positions being optimised must never be
/// in a cache: no gradient passes through it.
#[derive(Clone, Debug, Default)]
pub struct KvCache {
    /// Parts with the number of tokens used of each.
    pub(crate) parts: Vec<(Arc<KvPart>, usize)>,
    pub(crate) last_resid: Option<Tensor>,
}

/// Keys and values of a run of tokens.
#[derive(Debug)]
pub(crate) struct KvPart {
    /// For each block `[n, 2 * kv_dim]`: keys (rotated), then values.
    pub(crate) blocks: Vec<Tensor>,
    pub(crate) len: usize,
}

/// Parts up to this length are merged with a neighbour of the same length or shorter, as a binary counter carries: a
/// growing reply then has few parts, and each token is copied only a few times.
const MERGE_UP_TO: usize = 256;

impl KvCache {
    /// Tokens held.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|&(_, used)| used).sum()
    }

    /// Whether no token is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last block's `resid_post` `[1, d_model]` at the last token, from which the next token is predicted; absent
    /// when the pass that made the cache stopped at an earlier block.
    pub fn last_resid(&self) -> Option<&Tensor> {
        self.last_resid.as_ref()
    }

    /// The first `len` tokens.
    pub(crate) fn truncated(&self, len: usize) -> Self {
        let mut left = len;
        let mut parts = Vec::new();
        for (part, used) in &self.parts {
            let take = left.min(*used);
            if take > 0 {
                parts.push((Arc::clone(part), take));
            }
            left -= take;
        }
        Self { parts, last_resid: None }
    }

    /// Adds a part at the end, merging short neighbours.
    pub(crate) fn push(&mut self, part: KvPart) -> Result<()> {
        let used = part.len;
        self.parts.push((Arc::new(part), used));
        while let [.., (left, left_used), (right, right_used)] = self.parts.as_slice() {
            if *left_used > *right_used || *left_used > MERGE_UP_TO {
                break;
            }
            let merged = left.joined(*left_used, right, *right_used)?;
            let len = merged.len;
            self.parts.truncate(self.parts.len() - 2);
            self.parts.push((Arc::new(merged), len));
        }
        Ok(())
    }
}

impl KvPart {
    fn joined(&self, len: usize, other: &Self, other_len: usize) -> Result<Self> {
        let blocks = self
            .blocks
            .iter()
            .zip(&other.blocks)
            .map(|(a, b)| Tensor::cat(&[&a.narrow(0, 0, len)?, &b.narrow(0, 0, other_len)?], 0))
            .collect::<candle_core::Result<_>>()?;
        Ok(Self { blocks, len: len + other_len })
    }
}
