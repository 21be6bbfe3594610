//! EPO: evolutionary prompt optimisation over a grid of fluency weights (arXiv 2402.01702; methods.md §3.1).
//!
//! Each slot of the population has its own λ and holds the prompt with the smallest −target + λ·xent of everything
//! it has met. An iteration mutates one token of each member many times, scores the children, and refills every slot
//! from parents and children together. Where it differs from the published code (methods.md §2.8): slots keep their
//! order, so that a member's gradient always uses its own slot's λ; the weight of a restart is really drawn, and
//! iteration 0 never restarts; no prompt is evaluated twice; a child whose text does not read back as its tokens is
//! drawn again.
//!
//! The search knows tokens and scores only; models are behind [`Landscape`]. The same settings, seed and landscape
//! repeat a run exactly, also when it is cut between two iterations and continued by [`resume`].

mod settings;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::ops::{ControlFlow, Range};

use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tiller_protocol::discovery::{Candidate, Proposer};

use crate::error::{DiscoverError, Result};
use crate::landscape::{Landscape, Score};
pub use settings::{EpoSettings, lambda_grid};

/// Draws of one child, or of one prompt of the first population, before it is given up.
const CHILD_DRAWS: usize = 20;
const START_DRAWS: usize = 400;

/// State of a search between iterations; everything needed to continue it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Every candidate evaluated, in order; the index is the candidate's id.
    pub history: Vec<Candidate>,
    /// For each λ, the history index of the member in its slot.
    pub slots: Vec<usize>,
    /// Finished iterations.
    pub iteration: usize,
    /// Gradients computed so far (one per member and iteration in which it was new).
    pub gradients: u64,
    /// Whether the observer ended it.
    pub stopped: bool,
}

impl Run {
    /// The members in slot order.
    pub fn population(&self) -> Vec<Candidate> {
        self.slots.iter().map(|i| self.history[*i].clone()).collect()
    }

    /// Candidates evaluated so far.
    pub fn evaluations(&self) -> u64 {
        self.history.len() as u64
    }
}

/// What an observer is told.
#[derive(Debug)]
pub enum Report<'a> {
    /// Within an iteration: so many of its children are scored.
    Evaluating {
        /// Scored.
        done: usize,
        /// Children of this iteration.
        total: usize,
    },
    /// The first population (iteration 0) or an iteration is finished.
    Iteration {
        /// The search so far.
        run: &'a Run,
        /// History indices that are new.
        new: Range<usize>,
    },
}

/// Called during a search; `Break` ends it with everything found so far.
pub type Observer<'a> = dyn FnMut(Report<'_>) -> ControlFlow<()> + 'a;

/// Searches from the beginning.
///
/// # Errors
/// Settings that make no sense, a filter that leaves no prompt, or a failure of the landscape.
pub fn epo(landscape: &dyn Landscape, settings: &EpoSettings, observer: &mut Observer<'_>) -> Result<Run> {
    resume(landscape, settings, Run::default(), observer)
}

/// Continues `run` up to the iterations and evaluations of `settings`.
///
/// # Errors
/// As [`epo`].
pub fn resume(landscape: &dyn Landscape, settings: &EpoSettings, run: Run, observer: &mut Observer<'_>) -> Result<Run> {
    settings.check()?;
    let lambdas = lambda_grid(settings.lambda_min, settings.lambda_max, settings.population);
    let seen_ids = run.history.iter().map(|c| c.ids.clone()).collect();
    let seen_texts = run.history.iter().map(|c| c.text.clone()).collect();
    let proposals = vec![None; settings.population];
    let mut search = Search { landscape, settings, lambdas, run, seen_ids, seen_texts, proposals };
    search.run.stopped = false;
    if search.run.slots.is_empty() && search.start(observer)?.is_break() {
        search.run.stopped = true;
        return Ok(search.run);
    }
    while search.run.iteration < settings.iterations && search.budget() > 0 {
        if search.iterate(observer)?.is_break() {
            search.run.stopped = true;
            break;
        }
    }
    Ok(search.run)
}

/// Index of the smallest −target + λ·xent; the first of equals.
pub fn select(pool: &[Score], lambda: f64) -> Option<usize> {
    let loss = |score: &Score| -score.target + lambda * score.xent;
    (0..pool.len()).reduce(|best, i| if loss(&pool[i]) < loss(&pool[best]) { i } else { best })
}

/// A prompt waiting to be scored.
struct Child {
    parent: Option<u64>,
    ids: Vec<u32>,
    text: String,
}

/// Tokens proposed for each position of one candidate.
type Proposals = Vec<Vec<u32>>;

struct Search<'a> {
    landscape: &'a dyn Landscape,
    settings: &'a EpoSettings,
    lambdas: Vec<f64>,
    run: Run,
    seen_ids: HashSet<Vec<u32>>,
    seen_texts: HashSet<String>,
    /// Per slot: the candidate whose gradient was taken last, and what it proposed.
    proposals: Vec<Option<(usize, Proposals)>>,
}

impl Search<'_> {
    /// Candidates that may still be evaluated.
    fn budget(&self) -> usize {
        let left = self.settings.max_evaluations.map_or(u64::MAX, |max| max.saturating_sub(self.run.evaluations()));
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// A stream of random numbers for each iteration, so that a resumed run draws what an unbroken one would.
    fn rng(&self, stream: usize) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.settings.seed);
        rng.set_stream(stream as u64);
        rng
    }

    /// Fills the slots with the warm start or with random prompts.
    fn start(&mut self, observer: &mut Observer<'_>) -> Result<ControlFlow<()>> {
        let children = match &self.settings.warm_start {
            Some(ids) => vec![self.warm_start(ids)?],
            None => self.random_prompts()?,
        };
        let flow = self.evaluate(children, observer)?;
        if self.run.history.is_empty() {
            return Ok(flow);
        }
        let n = self.run.history.len();
        self.run.slots = (0..self.settings.population).map(|slot| slot % n).collect();
        Ok(if flow.is_break() { flow } else { observer(Report::Iteration { run: &self.run, new: 0..n }) })
    }

    fn warm_start(&mut self, ids: &[u32]) -> Result<Child> {
        let text = self.landscape.text(ids)?.ok_or_else(|| {
            DiscoverError::BadSettings("the starting text does not read back as its tokens in this place".to_owned())
        })?;
        self.seen_ids.insert(ids.to_vec());
        self.seen_texts.insert(text.clone());
        Ok(Child { parent: None, ids: ids.to_vec(), text })
    }

    /// As many different random prompts as there are slots, or fewer where the filter leaves fewer.
    fn random_prompts(&mut self) -> Result<Vec<Child>> {
        let mut rng = self.rng(0);
        let mut found = Vec::new();
        for _ in 0..START_DRAWS * self.settings.population {
            let ids: Option<Vec<u32>> =
                (0..self.settings.prompt_len).map(|p| self.landscape.allowed(p).choose(&mut rng).copied()).collect();
            let Some(ids) = ids else { break };
            if let Some(text) = self.fresh_text(&ids)? {
                found.push(Child { parent: None, ids, text });
            }
            if found.len() == self.settings.population {
                break;
            }
        }
        if found.is_empty() {
            return Err(DiscoverError::NoPrompt { prompt_len: self.settings.prompt_len });
        }
        Ok(found)
    }

    /// The text of `ids` if it reads back as `ids` and neither was met before; marks both as met.
    fn fresh_text(&mut self, ids: &[u32]) -> Result<Option<String>> {
        if self.seen_ids.contains(ids) {
            return Ok(None);
        }
        self.seen_ids.insert(ids.to_vec());
        Ok(self.landscape.text(ids)?.filter(|text| self.seen_texts.insert(text.clone())))
    }

    fn iterate(&mut self, observer: &mut Observer<'_>) -> Result<ControlFlow<()>> {
        let mut rng = self.rng(self.run.iteration + 1);
        self.refresh_proposals()?;
        let mut children = self.children(&mut rng)?;
        children.truncate(self.budget());
        let first_new = self.run.history.len();
        let flow = self.evaluate(children, observer)?;
        self.refill(first_new, &mut rng);
        self.run.iteration += 1;
        if flow.is_break() {
            return Ok(flow);
        }
        let new = first_new..self.run.history.len();
        Ok(observer(Report::Iteration { run: &self.run, new }))
    }

    /// Takes the gradient of members that are new in their slot.
    fn refresh_proposals(&mut self) -> Result<()> {
        if self.settings.proposer == Proposer::RandomMutation {
            return Ok(());
        }
        let stale: Vec<usize> = (0..self.run.slots.len())
            .filter(|slot| self.proposals[*slot].as_ref().is_none_or(|(member, _)| *member != self.run.slots[*slot]))
            .collect();
        let members: Vec<(&[u32], f64)> = stale
            .iter()
            .map(|slot| (self.run.history[self.run.slots[*slot]].ids.as_slice(), self.lambdas[*slot]))
            .collect();
        self.run.gradients += members.len() as u64;
        let found = self.landscape.proposals(&members, self.settings.top_k)?;
        for (slot, proposals) in stale.into_iter().zip(found) {
            self.proposals[slot] = Some((self.run.slots[slot], proposals));
        }
        Ok(())
    }

    /// One-token mutations of the members, taken round-robin.
    fn children(&mut self, rng: &mut ChaCha8Rng) -> Result<Vec<Child>> {
        let mut children = Vec::new();
        for i in 0..self.settings.population * self.settings.children {
            let slot = i % self.settings.population;
            for _ in 0..CHILD_DRAWS {
                let member = &self.run.history[self.run.slots[slot]];
                let mut ids = member.ids.clone();
                let parent = Some(member.id);
                let position = rng.random_range(0..ids.len());
                let choices = match &self.proposals[slot] {
                    Some((_, proposals)) => proposals[position].as_slice(),
                    None => self.landscape.allowed(position),
                };
                let Some(token) = choices.choose(rng) else { continue };
                ids[position] = *token;
                if let Some(text) = self.fresh_text(&ids)? {
                    children.push(Child { parent, ids, text });
                    break;
                }
            }
        }
        Ok(children)
    }

    /// Scores children batch by batch and appends them to the history; what is scored stays when the observer stops.
    fn evaluate(&mut self, children: Vec<Child>, observer: &mut Observer<'_>) -> Result<ControlFlow<()>> {
        let total = children.len();
        let iteration = if self.run.slots.is_empty() { 0 } else { self.run.iteration + 1 };
        let mut waiting = children.into_iter().peekable();
        let mut done = 0;
        while waiting.peek().is_some() {
            let batch: Vec<Child> = waiting.by_ref().take(self.landscape.batch().max(1)).collect();
            let prompts: Vec<Vec<u32>> = batch.iter().map(|child| child.ids.clone()).collect();
            let scores = self.landscape.evaluate(&prompts)?;
            done += batch.len();
            for (child, score) in batch.into_iter().zip(scores) {
                let (id, Child { parent, ids, text }) = (self.run.history.len() as u64, child);
                let Score { target, xent } = score;
                self.run.history.push(Candidate { id, parent, iteration, text, ids, target, xent });
            }
            if observer(Report::Evaluating { done, total }).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Refills every slot from parents and children by its own λ; at a restart all slots by one drawn weight.
    fn refill(&mut self, first_new: usize, rng: &mut ChaCha8Rng) {
        let pool: Vec<usize> = self.run.slots.iter().copied().chain(first_new..self.run.history.len()).collect();
        let scores: Vec<Score> = pool.iter().map(|i| score(&self.run.history[*i])).collect();
        let (settings, iteration) = (self.settings, self.run.iteration);
        let restarts = settings.restart_every > 0 && iteration > 0 && iteration.is_multiple_of(settings.restart_every);
        let drawn = restarts.then(|| {
            let mult = settings.restart_max_mult;
            rng.random_range(settings.restart_xent / mult..=settings.restart_xent * mult)
        });
        for (slot, lambda) in self.lambdas.iter().enumerate() {
            if let Some(best) = select(&scores, drawn.unwrap_or(*lambda)) {
                self.run.slots[slot] = pool[best];
            }
        }
    }
}

fn score(candidate: &Candidate) -> Score {
    Score { target: candidate.target, xent: candidate.xent }
}
