//! Opened SAEs and their features: opening a published SAE, searching, what is known of one feature.
//!
//! Reading order: [`open`] (from a published file to a folder of the workspace), [`shelf`] (what is kept open), [`find`]
//! and [`card`] (questions that need no model), [`self_test`] (the one that does).

pub(crate) mod card;
pub(crate) mod export;
pub(crate) mod find;
pub(crate) mod import;
pub(crate) mod open;
pub(crate) mod self_test;
pub(crate) mod shelf;
pub(crate) mod token;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tiller_engine::Lens;
use tiller_engine::tokenizer::Tokenizer;
use tiller_protocol::feature::SaeInfo;
use tiller_protocol::message::JobId;

use crate::models::Loaded;

/// Share of the model's depth before which later blocks may turn a feature's effect on the logits round.
const DEEP_ENOUGH: f64 = 0.6;

/// What the threads share about features.
#[derive(Debug, Default)]
pub(crate) struct Features {
    /// The search that counts; older ones are out of date.
    newest: Mutex<Option<JobId>>,
    lens: Mutex<Option<Arc<ModelLens>>>,
}

impl Features {
    /// Notes that a search was asked for; those before it stop.
    pub(crate) fn begin(&self, job: JobId) {
        *lock(&self.newest) = Some(job);
    }

    /// Stops a search, whether it has begun or not.
    pub(crate) fn stop(&self, job: JobId) {
        let mut newest = lock(&self.newest);
        if *newest == Some(job) {
            *newest = None;
        }
    }

    /// Whether nobody waits for a search any more.
    pub(crate) fn is_stopped(&self, job: JobId) -> bool {
        *lock(&self.newest) != Some(job)
    }

    /// The logit lens of the loaded model.
    pub(crate) fn lens(&self) -> Option<Arc<ModelLens>> {
        lock(&self.lens).clone()
    }

    /// Notes which model is loaded now; `None` gives up the weights that the lens shares with it.
    pub(crate) fn set_model(&self, loaded: Option<&Loaded>) {
        let lens = loaded.and_then(ModelLens::of).map(Arc::new);
        *lock(&self.lens) = lens;
    }
}

/// The logit lens of a model with what is needed to put its tokens into words.
#[derive(Clone, Debug)]
pub(crate) struct ModelLens {
    /// The lens.
    pub(crate) lens: Lens,
    /// The model's tokenizer.
    pub(crate) tokenizer: Tokenizer,
    /// The model's name.
    pub(crate) name: String,
    /// Its number of blocks.
    n_layers: usize,
}

impl ModelLens {
    /// That of a loaded model; none where its output weights cannot be read.
    pub(crate) fn of(loaded: &Loaded) -> Option<Self> {
        let lens = loaded.model.lens();
        if let Err(error) = &lens {
            log::warn!("the model has no logit lens: {error}");
        }
        Some(Self {
            lens: lens.ok()?,
            tokenizer: loaded.model.tokenizer().clone(),
            name: loaded.info.name.clone(),
            n_layers: loaded.info.n_layers,
        })
    }

    /// Whether an SAE reads a residual stream such as this model's.
    pub(crate) fn fits(&self, sae: &SaeInfo) -> bool {
        sae.d_model == self.lens.d_model() && sae.site.block() < self.n_layers
    }

    /// Whether an SAE sits so early that later blocks may turn its effects round.
    pub(crate) fn is_early(&self, sae: &SaeInfo) -> bool {
        ((sae.site.block() + 1) as f64) < DEEP_ENOUGH * self.n_layers as f64
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_search_counts() {
        let features = Features::default();
        features.begin(JobId(1));
        features.begin(JobId(2));
        assert!(features.is_stopped(JobId(1)) && !features.is_stopped(JobId(2)));
        features.stop(JobId(1));
        assert!(!features.is_stopped(JobId(2)), "stopping an old one stops no other");
        features.stop(JobId(2));
        assert!(features.is_stopped(JobId(2)));
    }
}
