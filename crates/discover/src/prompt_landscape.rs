//! The landscape of prompts of a real model: scores and token gradients, averaged over the contexts of a [`Place`].
//!
//! A candidate is one run of tokens behind each distinct beginning, continued by the right side of every context that
//! has this beginning. The right sides leave the pass at the block where the target is read; only the prompt's own
//! tokens go on to the head for their cross-entropy. Token j is scored by what stands directly before it, the first
//! one by the end of the beginning (methods.md §2.8-1).

use tiller_engine::direction::last_rows;
use tiller_engine::gradient::{Member, Problem, TokenGradients, token_gradients};
use tiller_engine::{EarlyExit, KvCache, Model, Node, Parent, Request, Tensor, TokenTree, score};
use tiller_protocol::discovery::{Candidate, FrontPoint};

use crate::error::{DiscoverError, Result};
use crate::front::front;
use crate::landscape::{Landscape, Score};
use crate::measure::Measure;
use crate::place::Place;
use crate::stats;
use crate::tokens::AllowedTokens;

/// Rows of one forward pass; more does not make better use of a processor.
const BATCH_TOKENS: usize = 4096;

/// Prompts at a place of a model, with what they are worth.
#[derive(Debug)]
pub struct PromptLandscape<'a> {
    place: Place<'a>,
    block: usize,
    measure: Measure,
    allowed: AllowedTokens,
    /// Whether each token may begin a prompt, and whether it may stand elsewhere.
    first: Vec<bool>,
    inner: Vec<bool>,
    /// Value of each context without a prompt; 0 for a measure that is not a shift.
    baseline: Vec<f64>,
}

/// A packed batch of candidates.
struct Layout {
    tree: TokenTree,
    /// Nodes of the prompts themselves: candidate by candidate, beginning by beginning. They come first.
    n_slots: usize,
    /// Node at whose end the target is read: candidate by candidate, context by context.
    reads: Vec<usize>,
}

impl<'a> PromptLandscape<'a> {
    /// Measures the contexts without a prompt.
    ///
    /// # Errors
    /// A block that the model does not have, or a failure of the model.
    pub fn new(place: Place<'a>, block: usize, measure: Measure, allowed: AllowedTokens) -> Result<Self> {
        let n = place.users().len();
        let baseline = if measure.is_shift() {
            read(&measure, place.model(), &place.rendered(None)?, block)?
        } else {
            vec![0.0; n]
        };
        let mask = |ids: &[u32]| {
            let mut mask = vec![false; place.model().config().vocab_size];
            for id in ids {
                mask[*id as usize] = true;
            }
            mask
        };
        let (first, inner) = (mask(allowed.at(0)), mask(allowed.at(1)));
        Ok(Self { place, block, measure, allowed, first, inner, baseline })
    }

    /// Where the prompts stand.
    pub fn place(&self) -> &Place<'a> {
        &self.place
    }

    /// Block, 0-based, where the target is read.
    pub fn block(&self) -> usize {
        self.block
    }

    /// Scores a text of any length as it is deployed: rendered and tokenised whole, every context from its first
    /// token, nothing shared. The cross-entropy is that of the tokens that differ from the template without it.
    ///
    /// # Errors
    /// A text that leaves no token of its own, or a failure of the model.
    pub fn score_text(&self, text: &str) -> Result<Score> {
        let model = self.model();
        let rendered = self.place.rendered(Some(text))?;
        let values = read(&self.measure, model, &rendered, self.block)?;
        let mut xents = Vec::new();
        for (context, ids) in rendered.iter().enumerate() {
            let range = self.place.prompt_range(context, ids);
            if range.is_empty() {
                return Err(DiscoverError::BadSettings("the prompt is empty in its place".to_owned()));
            }
            // A first token with nothing before it is free, as in a search.
            let from = range.start.max(1);
            if from < range.end {
                xents.push(score::cross_entropy(model, &ids[..range.end], from)?);
            }
        }
        Ok(Score { target: self.mean_shift(&values), xent: stats::mean(&xents) })
    }

    /// The front of a history, with the scores of the texts as they are deployed ([`Self::score_text`]). A candidate
    /// whose text does not hold exactly its ids in every context as rendered whole is left out.
    ///
    /// # Errors
    /// A failure of the template, the tokenizer or the model.
    pub fn verified_front(&self, history: &[Candidate]) -> Result<Vec<FrontPoint>> {
        let mut verified = Vec::new();
        for FrontPoint { candidate, .. } in front(history) {
            if self.is_faithful(&candidate)? {
                let Score { target, xent } = self.score_text(&candidate.text)?;
                verified.push(Candidate { target, xent, ..candidate });
            }
        }
        Ok(front(&verified))
    }

    fn is_faithful(&self, candidate: &Candidate) -> Result<bool> {
        let rendered = self.place.rendered(Some(&candidate.text))?;
        Ok(rendered
            .iter()
            .enumerate()
            .all(|(context, ids)| ids[self.place.prompt_range(context, ids)] == candidate.ids[..]))
    }

    fn model(&self) -> &'a Model {
        self.place.model()
    }

    /// Mean over contexts of the value less the value without a prompt.
    fn mean_shift(&self, values: &[f64]) -> f64 {
        values.iter().zip(&self.baseline).map(|(v, b)| v - b).sum::<f64>() / self.baseline.len() as f64
    }

    fn caches(&self) -> Vec<&KvCache> {
        self.place.beginnings().iter().filter_map(|b| b.cache.as_ref()).collect()
    }

    /// Tokens of one candidate with all its contexts.
    fn tokens_per_prompt(&self, prompt_len: usize) -> usize {
        self.place
            .beginnings()
            .iter()
            .map(|b| prompt_len + b.rights.iter().map(|(_, right)| right.len()).sum::<usize>())
            .sum()
    }

    fn layout(&self, prompts: &[&[u32]]) -> Layout {
        let beginnings = self.place.beginnings();
        let mut tree = TokenTree::new();
        for ids in prompts {
            let mut cache = 0;
            for beginning in beginnings {
                let parent = if beginning.cache.is_some() { Parent::Cache(cache) } else { Parent::Root };
                cache += usize::from(beginning.cache.is_some());
                let ends_prompt = beginning.rights.iter().any(|(_, right)| right.is_empty());
                tree.push(Node { parent, ids: ids.to_vec(), ends_prompt, is_reply: false });
            }
        }
        let n_contexts = self.baseline.len();
        let mut reads = vec![0; prompts.len() * n_contexts];
        for (candidate, ids) in prompts.iter().enumerate() {
            for (b, beginning) in beginnings.iter().enumerate() {
                let slot = candidate * beginnings.len() + b;
                for (context, right) in &beginning.rights {
                    let node = if right.is_empty() {
                        slot
                    } else {
                        let parent = Parent::Node { node: slot, len: ids.len() };
                        tree.push(Node { parent, ids: right.clone(), ends_prompt: true, is_reply: false })
                    };
                    reads[candidate * n_contexts + context] = node;
                }
            }
        }
        Layout { tree, n_slots: prompts.len() * beginnings.len(), reads }
    }

    /// Runs a layout: the rows where the target is read `[n_candidates · n_contexts, d_model]`, and the last block's
    /// rows of the prompts' own tokens.
    fn run(&self, layout: &Layout) -> Result<(Tensor, Tensor)> {
        let keep: Vec<usize> = (0..layout.n_slots).collect();
        let (caches, capture) = (self.caches(), [self.block]);
        // At the last block there is nothing to leave: its rows are those of the whole tree, the slots' first.
        let early = (self.block + 1 < self.model().config().n_layers)
            .then_some(EarlyExit { after_block: self.block, keep: &keep });
        let request = Request { caches: &caches, capture: &capture, early, ..Request::new(&layout.tree) };
        let mut out = self.model().forward(&request)?;
        let (_, captured) = out.resid_post.pop().ok_or_else(|| {
            DiscoverError::BadSettings(format!("block {} is not among the model's blocks", self.block))
        })?;
        let rows: Vec<u32> = layout.reads.iter().map(|node| layout.tree.last_row(*node) as u32).collect();
        let read = captured.index_select(&Tensor::new(rows, self.model().device())?, 0)?;
        Ok((read, out.last))
    }

    /// For each slot node: the row (among the slots' rows) and the token that it predicts, from the second token on.
    fn predictions(prompts: &[&[u32]], n_beginnings: usize) -> (Vec<u32>, Vec<u32>) {
        let (mut rows, mut targets) = (Vec::new(), Vec::new());
        let mut row = 0;
        for ids in prompts {
            for _ in 0..n_beginnings {
                rows.extend(row..row + ids.len() as u32 - 1);
                targets.extend_from_slice(&ids[1..]);
                row += ids.len() as u32;
            }
        }
        (rows, targets)
    }

    /// −log P of a first token behind each beginning; `None` where nothing stands before it.
    fn first_nll(&self, token: u32) -> Vec<Option<f64>> {
        let nll = |table: &Vec<f32>| table.get(token as usize).map(|nll| f64::from(*nll));
        self.place.beginnings().iter().map(|b| b.first_nll.as_ref().and_then(nll)).collect()
    }
}

impl Landscape for PromptLandscape<'_> {
    fn allowed(&self, position: usize) -> &[u32] {
        self.allowed.at(position)
    }

    fn text(&self, ids: &[u32]) -> Result<Option<String>> {
        self.place.text(ids)
    }

    fn batch(&self) -> usize {
        // Prompts of a run have one length; the usual one is good enough to size a batch.
        (BATCH_TOKENS / self.tokens_per_prompt(8).max(1)).max(1)
    }

    fn evaluate(&self, prompts: &[Vec<u32>]) -> Result<Vec<Score>> {
        let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
        let n_beginnings = self.place.beginnings().len();
        let (read, slots) = self.run(&self.layout(&prompts))?;
        let values = self.measure.values(&read)?;
        let (rows, targets) = Self::predictions(&prompts, n_beginnings);
        let nll: Vec<f32> = if rows.is_empty() {
            Vec::new()
        } else {
            let rows = slots.index_select(&Tensor::new(rows, self.model().device())?, 0)?;
            self.model().cross_entropy(&rows, &targets)?.to_vec1()?
        };
        let mut nll = nll.into_iter().map(f64::from);
        let mut scores = Vec::with_capacity(prompts.len());
        for (ids, values) in prompts.iter().zip(values.chunks(self.baseline.len())) {
            let xents: Vec<f64> = self
                .first_nll(ids[0])
                .into_iter()
                .map(|first| {
                    let sum = first.unwrap_or(0.0) + nll.by_ref().take(ids.len() - 1).sum::<f64>();
                    sum / (ids.len() - usize::from(first.is_none())).max(1) as f64
                })
                .collect();
            scores.push(Score { target: self.mean_shift(values), xent: stats::mean(&xents) });
        }
        Ok(scores)
    }

    fn proposals(&self, members: &[(&[u32], f64)], k: usize) -> Result<Vec<Vec<Vec<u32>>>> {
        let mut proposals = Vec::with_capacity(members.len());
        for members in members.chunks(self.batch()) {
            let gradients = self.gradients(members)?;
            for (member, (ids, _)) in members.iter().enumerate() {
                // Only the beginning of a prompt has tokens of its own.
                let mut best = gradients.top_k(member, k, &self.first)?;
                if ids.len() > 1 {
                    best.splice(1.., gradients.top_k(member, k, &self.inner)?.into_iter().skip(1));
                }
                proposals.push(best);
            }
        }
        Ok(proposals)
    }
}

impl PromptLandscape<'_> {
    /// Gradients of −target + λ·xent by the one-hot tokens of each `(prompt, λ)`, with the contexts of the landscape.
    ///
    /// # Errors
    /// A failure of the model.
    pub fn gradients(&self, members: &[(&[u32], f64)]) -> Result<TokenGradients> {
        let prompts: Vec<&[u32]> = members.iter().map(|(ids, _)| *ids).collect();
        let layout = self.layout(&prompts);
        let (n_slots, n_reads) = (self.place.beginnings().len(), self.baseline.len());
        let members: Vec<Member> = members
            .iter()
            .enumerate()
            .map(|(i, (_, lambda))| Member {
                slots: (i * n_slots..(i + 1) * n_slots).collect(),
                reads: layout.reads[i * n_reads..(i + 1) * n_reads].to_vec(),
                lambda: *lambda,
            })
            .collect();
        let caches = self.caches();
        let problem = Problem { tree: &layout.tree, caches: &caches, members: &members, block: self.block, edits: &[] };
        let objective = |rows: &Tensor| -> tiller_engine::Result<Tensor> {
            Ok(self.measure.surrogate(rows)?.reshape((members.len(), n_reads))?.mean(1)?)
        };
        Ok(token_gradients(self.model(), &problem, &objective)?)
    }
}

/// Values at the end of whole sequences.
fn read(measure: &Measure, model: &Model, sequences: &[Vec<u32>], block: usize) -> Result<Vec<f64>> {
    let states = last_rows(model, sequences, &[block], &[])?;
    Ok(states.first().map(|states| measure.values(states)).transpose()?.unwrap_or_default())
}
