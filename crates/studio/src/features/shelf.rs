//! What is kept open between two questions about features.

use std::sync::Arc;

use tiller_engine::sae::SaeFile;
use tiller_index::Index;
use tiller_protocol::feature::{SaeId, SaeInfo};
use tiller_protocol::problem::Problem;

use crate::problem;
use crate::workspace::Workspace;

/// SAEs that are kept open. An open one takes some 40 bytes a feature and its sketch.
const MAX_OPEN: usize = 3;

/// An SAE with its index.
#[derive(Debug)]
pub(crate) struct OpenSae {
    /// What is kept of it, without the counts of the index.
    pub(crate) info: SaeInfo,
    /// Its converted file.
    pub(crate) file: SaeFile,
    /// What is known of its features.
    pub(crate) index: Arc<Index>,
}

impl OpenSae {
    /// Opens one.
    ///
    /// # Errors
    /// An SAE that was not opened, a damaged file.
    pub(crate) fn new(workspace: &Workspace, id: &SaeId) -> Result<Self, Problem> {
        let file = workspace.open_sae(id)?;
        Ok(Self { info: workspace.sae(id)?, file, index: workspace.sae_index(id)? })
    }

    /// Refuses the number of a feature that is not there.
    ///
    /// # Errors
    /// Such a number.
    pub(crate) fn check(&self, latent: u32) -> Result<(), Problem> {
        if (latent as usize) < self.info.d_sae { Ok(()) } else { Err(problem::no_feature(&self.info, latent)) }
    }
}

/// The SAEs asked for last.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    /// The one asked for last at the end.
    open: Vec<OpenSae>,
}

impl Shelf {
    /// An SAE, opened if need be.
    ///
    /// # Errors
    /// An SAE that was not opened or was removed, a damaged file.
    pub(crate) fn get(&mut self, workspace: &Workspace, id: &SaeId) -> Result<&OpenSae, Problem> {
        let known = self.open.iter().position(|open| open.info.id == *id);
        // What is kept may have changed: another block, a self-test; or it is gone.
        let taken = match (known.map(|at| self.open.remove(at)), workspace.sae(id)?) {
            (Some(open), info) if open.info.site == info.site => OpenSae { info, ..open },
            _ => OpenSae::new(workspace, id)?,
        };
        if self.open.len() >= MAX_OPEN {
            self.open.remove(0);
        }
        self.open.push(taken);
        self.open.last().ok_or_else(|| problem::unknown_sae(&id.0))
    }

    /// Closes an SAE.
    pub(crate) fn close(&mut self, id: &SaeId) {
        self.open.retain(|open| open.info.id != *id);
    }
}

/// The SAEs that were opened, with what their indexes count, and what could not be read.
pub(crate) fn list(workspace: &Workspace) -> (Vec<SaeInfo>, Vec<Problem>) {
    let (infos, mut problems) = workspace.saes();
    let count = |info: SaeInfo| match workspace.sae_index(&info.id) {
        Ok(index) => counted(info, &index),
        Err(problem) => {
            problems.push(problem);
            info
        }
    };
    (infos.into_iter().map(count).collect(), problems)
}

/// Facts with what an index counts.
pub(crate) fn counted(info: SaeInfo, index: &Index) -> SaeInfo {
    let columns = index.columns();
    SaeInfo {
        n_labelled: columns.n_labelled(),
        n_bookmarked: columns.n_bookmarked(),
        scanned_tokens: index.scan_state().ok().flatten().map_or(0, |state| state.tokens),
        ..info
    }
}
