//! Latents that are watched while a reply is written.

use std::sync::Arc;

use candle_core::Tensor;

use crate::error::Result;
use crate::sae::Pinned;
use crate::tree::TokenTree;

/// Latents that are read on every token as it is run, before the edits of their block: an edit there would show itself.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Block, 0-based, whose output is read.
    pub block: usize,
    /// The latents.
    pub pinned: Pinned,
}

/// Watches to use now; read before every token.
pub type LiveWatches<'a> = &'a dyn Fn() -> Arc<Vec<Watch>>;

/// One more token of a reply.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Index of the reply.
    pub reply: usize,
    /// Text that has become certain; may be empty while a character is unfinished.
    pub text: &'a str,
    /// What was read on the tokens before this one: first on the whole prompt, then on the token drawn last. The last
    /// token of a reply is not run, and so not read.
    pub reading: &'a Reading,
}

/// What watches found on consecutive tokens of a reply.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The watches that were read.
    pub watches: Arc<Vec<Watch>>,
    /// Position of the first token, from the beginning of the prompt.
    pub first: usize,
    /// Number of tokens.
    pub n_tokens: usize,
    /// For each watch `[n_tokens, latents]`, row after row.
    pub values: Vec<Vec<f32>>,
}

/// Blocks that `watches` read.
pub(super) fn blocks(watches: &[Watch]) -> Vec<usize> {
    let mut blocks: Vec<usize> = watches.iter().map(|watch| watch.block).collect();
    blocks.sort_unstable();
    blocks.dedup();
    blocks
}

/// What is read of `resid`, rows of `tree` by block, node by node. `first` is the position at which each node begins.
pub(super) fn readings(
    watches: &Arc<Vec<Watch>>,
    resid: &[(usize, Tensor)],
    tree: &TokenTree,
    first: &[usize],
) -> Result<Vec<Reading>> {
    let of_node = |(node, &first): (usize, &usize)| {
        let n_tokens = tree.nodes()[node].ids.len();
        Reading { watches: Arc::clone(watches), first, n_tokens, values: Vec::with_capacity(watches.len()) }
    };
    let mut readings: Vec<Reading> = first.iter().enumerate().map(of_node).collect();
    for watch in watches.iter() {
        let (n, found) = (watch.pinned.latents().len(), resid.iter().find(|(block, _)| *block == watch.block));
        let values = found.map(|(_, rows)| watch.pinned.read(rows)).transpose()?.unwrap_or_default();
        for (node, reading) in readings.iter_mut().enumerate() {
            let first = tree.offset(node);
            reading.values.push(values[first * n..(first + reading.n_tokens) * n].to_vec());
        }
    }
    Ok(readings)
}
