//! What fires on each token: the model up to the block that an SAE reads, and the SAE.

use std::ops::Range;

use tiller_engine::sae::Active;
use tiller_engine::tree::{Node, Parent};
use tiller_engine::{DType, Device, Request, Tensor, TokenTree};
use tiller_protocol::problem::Problem;

use super::Coder;
use crate::jobs::Sink;
use crate::models::Loaded;
use crate::problem;

/// A token whose residual stream is longer than this many median lengths is outlying: some models park attention on
/// tokens in the middle of a text, and what fires there says nothing about the text (sae.md §A.5).
const OUTLIER: f32 = 10.0;

/// Tokens of one sequence.
pub(crate) type Tokens<'a> = &'a [u32];

/// What fires on one token.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fired {
    /// The features that are active, with their activations; none at position 0, where the residual stream is of another
    /// size.
    pub(crate) active: Active,
    /// Neither at position 0 nor outlying.
    pub(crate) is_usual: bool,
}

/// Tokens that go through the model at once: many where a pass is quick, few where the user would wait for its end to
/// stop it. It depends on nothing but the model and where it runs, so that a scan is the same every time.
pub(crate) fn tokens_at_once(loaded: &Loaded) -> usize {
    let is_small = loaded.info.n_params < 300_000_000;
    if is_small || !loaded.device().is_cpu() { 2048 } else { 256 }
}

/// Neighbouring sequences of `lens` tokens that go through the model together.
fn batches(lens: impl Iterator<Item = usize>, at_once: usize) -> Vec<Range<usize>> {
    let (mut batches, mut tokens): (Vec<Range<usize>>, usize) = (Vec::new(), 0);
    for (i, len) in lens.enumerate() {
        match batches.last_mut() {
            Some(batch) if tokens + len <= at_once => {
                batch.end = i + 1;
                tokens += len;
            }
            _ => {
                batches.push(i..i + 1);
                tokens = len;
            }
        }
    }
    batches
}

/// What fires on every token of every sequence.
///
/// # Errors
/// A sequence longer than the context, a failure of the model or of reading the SAE, or a stop.
pub(crate) fn activations(
    loaded: &Loaded,
    coder: &Coder,
    sequences: &[Tokens<'_>],
    sink: &mut dyn Sink,
) -> Result<Vec<Vec<Fired>>, Problem> {
    let total: usize = sequences.iter().map(|ids| ids.len()).sum();
    let (mut found, mut done) = (Vec::with_capacity(sequences.len()), 0);
    for batch in batches(sequences.iter().map(|ids| ids.len()), tokens_at_once(loaded)) {
        sink.check()?;
        sink.step(done, total, "tokens");
        let sequences = &sequences[batch];
        found.append(&mut together(loaded, coder, sequences, sink)?);
        done += sequences.iter().map(|ids| ids.len()).sum::<usize>();
    }
    sink.step(total, total, "tokens");
    Ok(found)
}

/// The same for sequences that go through the model together.
///
/// # Errors
/// As [`activations`].
pub(crate) fn together(
    loaded: &Loaded,
    coder: &Coder,
    sequences: &[Tokens<'_>],
    sink: &dyn Sink,
) -> Result<Vec<Vec<Fired>>, Problem> {
    let run = || -> tiller_engine::Result<Vec<Vec<Fired>>> {
        let fired = match rows(loaded, coder.block(), sequences)? {
            Some(rows) => {
                let active = coder.file.encode(&rows, &mut |_, _| !sink.is_stopped())?;
                let usual = usual(&rows)?;
                active.into_iter().zip(usual).map(|(active, is_usual)| Fired { active, is_usual }).collect()
            }
            None => Vec::new(),
        };
        let mut fired = fired.into_iter();
        let positions = |ids: &Tokens<'_>| {
            let first = (!ids.is_empty()).then(Fired::default);
            first.into_iter().chain(fired.by_ref().take(ids.len().saturating_sub(1))).collect()
        };
        Ok(sequences.iter().map(positions).collect())
    };
    run().map_err(|error| problem::engine(&error))
}

/// `resid_post` at `block` of every token but the first of each sequence, f32, on the processor; `None` when there is no
/// such token.
fn rows(loaded: &Loaded, block: usize, sequences: &[Tokens<'_>]) -> tiller_engine::Result<Option<Tensor>> {
    let mut tree = TokenTree::new();
    let mut wanted: Vec<u32> = Vec::new();
    for ids in sequences.iter().filter(|ids| ids.len() > 1) {
        let ids = ids.to_vec();
        let node = tree.push(Node { parent: Parent::Root, ids, ends_prompt: false, is_reply: false });
        wanted.extend((tree.offset(node) + 1..=tree.last_row(node)).map(|row| row as u32));
    }
    if wanted.is_empty() {
        return Ok(None);
    }
    let out = loaded.model.forward(&Request { last_block: Some(block), ..Request::new(&tree) })?;
    let wanted = Tensor::new(wanted, loaded.device())?;
    Ok(Some(out.last.index_select(&wanted, 0)?.to_dtype(DType::F32)?.to_device(&Device::Cpu)?))
}

/// Which rows are not outlying.
fn usual(rows: &Tensor) -> tiller_engine::Result<Vec<bool>> {
    let lengths = rows.sqr()?.sum(1)?.sqrt()?.to_vec1::<f32>()?;
    let mut sorted = lengths.clone();
    sorted.sort_unstable_by(f32::total_cmp);
    let limit = sorted.get(sorted.len() / 2).map_or(0.0, |median| OUTLIER * median);
    Ok(lengths.into_iter().map(|length| length <= limit).collect())
}
