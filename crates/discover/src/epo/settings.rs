//! What a search is told, and the grid of λ.

use tiller_protocol::discovery::{DiscoverySettings, Proposer};

use crate::error::{DiscoverError, Result};

/// Settings of one search. The units are those of [`DiscoverySettings`], from which they are usually made.
#[derive(Clone, Debug, PartialEq)]
pub struct EpoSettings {
    /// Prompt length in tokens; a warm start brings its own.
    pub prompt_len: usize,
    /// Members, one for each λ.
    pub population: usize,
    /// Children of each member in each iteration.
    pub children: usize,
    /// Largest number of iterations.
    pub iterations: usize,
    /// The search also ends after this many evaluated candidates, so that controls can be given equal effort.
    pub max_evaluations: Option<u64>,
    /// Tokens taken by gradient at each position.
    pub top_k: usize,
    /// Smallest λ, target units per nat; with either end at 0 all are 0.
    pub lambda_min: f64,
    /// Largest λ, target units per nat.
    pub lambda_max: f64,
    /// Iterations between restarts; 0 never.
    pub restart_every: usize,
    /// Centre of the restart weight, target units per nat.
    pub restart_xent: f64,
    /// The restart weight is drawn evenly between centre / this and centre · this; at least 1.
    pub restart_max_mult: f64,
    /// Gradient, or the random-mutation control.
    pub proposer: Proposer,
    /// Tokens to start from instead of random ones.
    pub warm_start: Option<Vec<u32>>,
    /// Seed of every draw.
    pub seed: u64,
}

impl From<&DiscoverySettings> for EpoSettings {
    /// Without the warm start, whose tokens depend on the place where the prompt stands.
    fn from(run: &DiscoverySettings) -> Self {
        Self {
            prompt_len: run.prompt_len,
            population: run.population,
            children: run.children,
            iterations: run.iterations,
            max_evaluations: None,
            top_k: run.top_k,
            lambda_min: run.lambda_min,
            lambda_max: run.lambda_max,
            restart_every: run.restart_every,
            restart_xent: run.restart_xent,
            restart_max_mult: run.restart_max_mult,
            proposer: run.proposer,
            warm_start: None,
            seed: run.seed,
        }
    }
}

impl EpoSettings {
    /// # Errors
    /// The first setting that no search can follow, in words.
    pub fn check(&self) -> Result<()> {
        let counts = [
            (self.prompt_len, "prompt length"),
            (self.population, "population"),
            (self.children, "number of children"),
            (self.top_k, "number of tokens per position"),
        ];
        if let Some((_, name)) = counts.iter().find(|(count, _)| *count == 0) {
            return Err(DiscoverError::BadSettings(format!("the {name} must be at least 1")));
        }
        if self.warm_start.as_ref().is_some_and(Vec::is_empty) {
            return Err(DiscoverError::BadSettings("the starting text has no tokens".to_owned()));
        }
        let is_weight = |x: f64| x.is_finite() && x >= 0.0;
        if !(is_weight(self.lambda_min) && is_weight(self.lambda_max) && self.lambda_min <= self.lambda_max) {
            return Err(DiscoverError::BadSettings(format!(
                "the fluency range {} to {} must rise and begin at 0 or above",
                self.lambda_min, self.lambda_max
            )));
        }
        if !(is_weight(self.restart_xent) && self.restart_max_mult.is_finite() && self.restart_max_mult >= 1.0) {
            return Err(DiscoverError::BadSettings(
                "the restart weight must be 0 or above and its spread 1 or above".to_owned(),
            ));
        }
        Ok(())
    }
}

/// `n` weights evenly spaced in the logarithm from `min` to `max`; all 0 when either end is 0 (methods.md §3.1-1).
pub fn lambda_grid(min: f64, max: f64, n: usize) -> Vec<f64> {
    if min <= 0.0 || max <= 0.0 {
        return vec![0.0; n];
    }
    let last = n.saturating_sub(1).max(1) as f64;
    (0..n).map(|i| min * (max / min).powf(i as f64 / last)).collect()
}
