//! Log-probabilities of answers, and cross-entropy of text.

use crate::edit::Edit;
use crate::error::{EngineError, Result};
use crate::model::{Model, Request};
use crate::tree::{Node, Parent, TokenTree};

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
        if batch.tree.n_tokens() >= TOKENS_PER_PASS || i + 1 == order.len() {
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

/// Prompts of one pass as a trie, with their answers.
#[derive(Default)]
struct Batch {
    tree: TokenTree,
    /// Nodes of the prompt added last, each with the position of its first token.
    path: Vec<(usize, usize)>,
    last_prompt: Vec<u32>,
    /// Choice, answer, and the rows whose next tokens are the answer's.
    wanted: Vec<(usize, usize, Vec<usize>)>,
}

impl Batch {
    fn add(&mut self, idx: usize, choice: &Choice) {
        let end = self.add_prompt(&choice.prompt);
        for (answer_idx, answer) in choice.answers.iter().enumerate() {
            let mut rows = vec![self.tree.last_row(end)];
            let (_, given) = answer.split_last().unwrap_or((&0, &[]));
            if !given.is_empty() {
                let len = self.tree.nodes()[end].ids.len();
                let parent = Parent::Node { node: end, len };
                let node = self.tree.push(Node { parent, ids: given.to_vec(), ends_prompt: false, is_reply: true });
                rows.extend((0..given.len()).map(|i| self.tree.offset(node) + i));
            }
            self.wanted.push((idx, answer_idx, rows));
        }
    }

    /// Adds what the prompt does not share with the last one and returns its last node. The prompt's last token always
    /// gets a row of its own node, because edits may touch it alone.
    fn add_prompt(&mut self, prompt: &[u32]) -> usize {
        let same = prompt.iter().zip(&self.last_prompt).take_while(|(a, b)| a == b).count();
        if same == prompt.len()
            && same == self.last_prompt.len()
            && let Some(&(node, _)) = self.path.last()
        {
            return node;
        }
        let shared = same.min(prompt.len() - 1).min(self.last_prompt.len().saturating_sub(1));
        while self.path.last().is_some_and(|&(_, start)| start >= shared) {
            self.path.pop();
        }
        let parent = self.path.last().map_or(Parent::Root, |&(node, start)| Parent::Node { node, len: shared - start });
        let ids = prompt[shared..].to_vec();
        let node = self.tree.push(Node { parent, ids, ends_prompt: true, is_reply: false });
        self.path.push((node, shared));
        prompt.clone_into(&mut self.last_prompt);
        node
    }

    fn run(&self, model: &Model, choices: &[Choice], edits: &[Edit], scores: &mut [Vec<f64>]) -> Result<()> {
        let out = model.forward(&Request { edits, ..Request::new(&self.tree) })?;
        let mut rows = Vec::new();
        let mut targets = Vec::new();
        for (choice, answer, answer_rows) in &self.wanted {
            rows.extend(answer_rows.iter().map(|&row| row as u32));
            targets.extend_from_slice(&choices[*choice].answers[*answer]);
        }
        if rows.is_empty() {
            return Ok(());
        }
        let rows = candle_core::Tensor::new(rows, model.device())?;
        let losses = model.cross_entropy(&out.last.index_select(&rows, 0)?, &targets)?.to_vec1::<f32>()?;
        let mut losses = losses.into_iter();
        for (choice, _, answer_rows) in &self.wanted {
            let sum = losses.by_ref().take(answer_rows.len()).map(|loss| -f64::from(loss)).sum();
            scores[*choice].push(sum);
        }
        Ok(())
    }
}
