//! What a list says about a sparse autoencoder: from its configuration and the table of its weight file.

use std::path::Path;

use tiller_protocol::site::Site;

use super::description::{Description, Hints};
use super::file::SaeFile;
use super::{find, formats};
use crate::error::Result;

/// Facts about an SAE that is not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaeFacts {
    /// `standard`, `jumprelu`, `gated`, `topk` or `abstopk`.
    pub architecture: &'static str,
    /// Where it reads.
    pub site: Site,
    /// Width of the activations it reads.
    pub d_model: usize,
    /// Number of latents.
    pub d_sae: usize,
    /// Number format of its weights as they are stored.
    pub format: String,
    /// The model that it says it was trained on.
    pub reads: Option<String>,
}

/// Reads them from a file or folder in any form that is read, and checks that its tensors are there in the shapes that
/// they must have; no matrix is read.
///
/// # Errors
/// As [`super::Sae::load`].
pub fn facts(path: &Path) -> Result<SaeFacts> {
    let about = describe(path, Hints::default())?;
    Ok(SaeFacts {
        architecture: about.architecture.name(),
        site: about.site,
        d_model: about.d_model,
        d_sae: about.d_sae,
        format: about.stored_as,
        reads: about.reads,
    })
}

/// All that is known of the SAE at `path` without its weights.
///
/// # Errors
/// As [`super::Sae::load`].
pub fn describe(path: &Path, hints: Hints) -> Result<Description> {
    if SaeFile::is_one(path) {
        return Ok(SaeFile::open(path)?.description().clone());
    }
    let found = find::find(path)?;
    Ok(formats::recipe(&found, hints)?.description)
}
