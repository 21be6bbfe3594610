//! Jobs on the features of an opened SAE that need the model: searches by text, probes, scans, labels.

mod activations;
mod answer;
pub(crate) mod find;
pub(crate) mod label;
pub(crate) mod probe;
pub(crate) mod scan;

use std::sync::Arc;

use tiller_engine::sae::SaeFile;
use tiller_index::Index;
use tiller_protocol::problem::Problem;

use crate::features::shelf::OpenSae;
use crate::models::Loaded;
use crate::problem;

pub(crate) use activations::{Fired, Tokens, activations};
pub(crate) use answer::answer;

/// An opened SAE.
#[derive(Clone, Debug)]
pub(crate) struct Coder {
    /// Its converted file; it reads where its description says.
    pub(crate) file: Arc<SaeFile>,
    /// Name for people.
    pub(crate) name: String,
}

impl Coder {
    /// An opened SAE, and the index of its features.
    pub(crate) fn of(open: OpenSae) -> (Self, Arc<Index>) {
        (Self { file: Arc::new(open.file), name: open.info.name }, open.index)
    }

    /// Number of features.
    pub(crate) fn d_sae(&self) -> usize {
        self.file.description().d_sae
    }

    /// Block, 0-based, whose output it reads.
    pub(crate) fn block(&self) -> usize {
        self.file.description().site.block()
    }

    /// Makes sure that it can read the residual stream of a model.
    ///
    /// # Errors
    /// Another width, or a block that the model does not have.
    pub(crate) fn check(&self, loaded: &Loaded) -> Result<(), Problem> {
        match self.file.description().misfit(loaded.info.d_model, loaded.info.n_layers) {
            Some(reason) => Err(problem::sae_misfit(&self.name, &loaded.info.name, &reason)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
