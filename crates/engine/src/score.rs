//! Log-probabilities of answers, and cross-entropy of text.

use std::collections::HashMap;

use candle_core::Tensor;

use crate::edit::Edit;
use crate::error::{EngineError, Result};
use crate::model::{Model, Request};
use crate::tree::{Node, Parent, TokenTree};
use crate::trie::Trie;

/// A prompt and the answers compared after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The rendered prompt, reply header included.
    pub prompt: Vec<u32>,
    /// Token ids of each answer; none may be empty.
    pub answers: Vec<Vec<u32>>,
}

/// Tokens run at once: enough for full speed, few enough for small memory.
const TOKENS_PER_PASS: usize = 4096;

/// Summed log P(answer | prompt) in nats for every answer of every choice. Equal prompt beginnings are computed once.
///
/// # Errors
/// Empty prompts or answers, or a sequence longer than the context.
pub fn answer_log_probs(model: &Model, choices: &[Choice], edits: &[Edit]) -> Result<Vec<Vec<f64>>> {
    if choices.iter().any(|choice| choice.prompt.is_empty() || choice.answers.iter().any(Vec::is_empty)) {
        return Err(EngineError::BadRequest("a prompt or an answer is empty".to_owned()));
    }
    // Neighbours in sorted order share the most.
    let mut order: Vec<usize> = (0..choices.len()).collect();
    order.sort_by(|&a, &b| choices[a].prompt.cmp(&choices[b].prompt));
    let mut scores = vec![Vec::new(); choices.len()];
    let mut batch = Batch::default();
    for (i, &choice) in order.iter().enumerate() {
        batch.add(choice, &choices[choice]);
        if batch.trie.tree.n_tokens() >= TOKENS_PER_PASS || i + 1 == order.len() {
            batch.run(model, choices, edits, &mut scores)?;
            batch = Batch::default();
        }
    }
    Ok(scores)
}

/// Mean −log P of `ids[from..]` given what stands before, nats per token. The very first token of a sequence has
/// nothing before it and cannot be scored, so `from` is at least 1.
///
/// # Errors
/// As [`answer_log_probs`]; also when nothing is left to score.
pub fn cross_entropy(model: &Model, ids: &[u32], from: usize) -> Result<f64> {
    if from == 0 || from >= ids.len() {
        return Err(EngineError::BadRequest(format!("no token to score from {from} on among {}", ids.len())));
    }
    let tree = TokenTree::sequence(&ids[..ids.len() - 1]);
    let out = model.forward(&Request::new(&tree))?;
    let losses = model.cross_entropy(&out.last.narrow(0, from - 1, ids.len() - from)?, &ids[from..])?;
    let losses = losses.to_vec1::<f32>()?;
    Ok(losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64)
}

/// Mean −log P of `tokens[1..]` of every sequence, nats per token. Equal beginnings are computed once.
///
/// # Errors
/// A sequence of fewer than two tokens or longer than the context.
pub fn cross_entropies(model: &Model, sequences: &[Vec<u32>]) -> Result<Vec<f64>> {
    if sequences.iter().any(|ids| ids.len() < 2) {
        return Err(EngineError::BadRequest("a sequence of fewer than two tokens has nothing to score".to_owned()));
    }
    let mut order: Vec<usize> = (0..sequences.len()).collect();
    order.sort_by(|&a, &b| sequences[a].cmp(&sequences[b]));
    let mut means = vec![0.0; sequences.len()];
    let mut rest = order.as_slice();
    while !rest.is_empty() {
        let mut trie = Trie::default();
        let mut scored = Scored::default();
        let mut members = Vec::new();
        while let [idx, others @ ..] = rest
            && trie.tree.n_tokens() < TOKENS_PER_PASS
        {
            let ids = &sequences[*idx];
            trie.add(&ids[..ids.len() - 1], false);
            members.push((*idx, scored.add(&trie.rows(), &ids[1..])));
            rest = others;
        }
        let out = model.forward(&Request::new(&trie.tree))?;
        let losses = scored.losses(model, &out.last)?;
        for (idx, slots) in members {
            means[idx] = slots.iter().map(|&slot| f64::from(losses[slot])).sum::<f64>() / slots.len() as f64;
        }
    }
    Ok(means)
}

/// Pairs of a row and its next token, each computed once.
#[derive(Default)]
struct Scored {
    known: HashMap<(usize, u32), usize>,
    rows: Vec<u32>,
    targets: Vec<u32>,
}

impl Scored {
    /// Adds pairs and returns where their losses will be.
    fn add(&mut self, rows: &[usize], targets: &[u32]) -> Vec<usize> {
        rows.iter()
            .zip(targets)
            .map(|(&row, &target)| {
                *self.known.entry((row, target)).or_insert_with(|| {
                    self.rows.push(row as u32);
                    self.targets.push(target);
                    self.rows.len() - 1
                })
            })
            .collect()
    }

    /// Rows used, ascending.
    fn needed(&self) -> Vec<u32> {
        let mut rows = self.rows.clone();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    fn losses(&self, model: &Model, last: &Tensor) -> Result<Vec<f32>> {
        if self.rows.is_empty() {
            return Ok(Vec::new());
        }
        let rows = Tensor::new(self.rows.as_slice(), model.device())?;
        Ok(model.cross_entropy(&last.index_select(&rows, 0)?, &self.targets)?.to_vec1()?)
    }
}

/// Prompts of one pass, with their answers.
#[derive(Default)]
struct Batch {
    trie: Trie,
    /// Choice, answer, and the rows whose next tokens are the answer's.
    wanted: Vec<(usize, usize, Vec<usize>)>,
}

impl Batch {
    fn add(&mut self, idx: usize, choice: &Choice) {
        let end = self.trie.add(&choice.prompt, true);
        let tree = &mut self.trie.tree;
        for (answer_idx, answer) in choice.answers.iter().enumerate() {
            let mut rows = vec![tree.last_row(end)];
            let given = &answer[..answer.len() - 1];
            if !given.is_empty() {
                let parent = Parent::Node { node: end, len: tree.nodes()[end].ids.len() };
                let node = tree.push(Node { parent, ids: given.to_vec(), ends_prompt: false, is_reply: true });
                rows.extend((0..given.len()).map(|i| tree.offset(node) + i));
            }
            self.wanted.push((idx, answer_idx, rows));
        }
    }

    fn run(&self, model: &Model, choices: &[Choice], edits: &[Edit], scores: &mut [Vec<f64>]) -> Result<()> {
        let mut scored = Scored::default();
        let slots: Vec<Vec<usize>> = self
            .wanted
            .iter()
            .map(|(choice, answer, rows)| scored.add(rows, &choices[*choice].answers[*answer]))
            .collect();
        let rows = scored.needed();
        let out = model.forward(&Request { edits, rows: Some(&rows), ..Request::new(&self.trie.tree) })?;
        let losses = scored.losses(model, &out.last)?;
        for ((choice, _, _), slots) in self.wanted.iter().zip(slots) {
            scores[*choice].push(slots.iter().map(|&slot| -f64::from(losses[slot])).sum());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
