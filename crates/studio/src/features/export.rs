//! A feature as a vector that other tools read.

use std::path::Path;

use serde::Serialize;
use tiller_protocol::problem::Problem;

use super::open::decoder_row;
use super::shelf::OpenSae;
use crate::problem;
use crate::vector_file::{NamedTensor, write_tensors};
use crate::workspace::document;

/// Where the vector comes from.
#[derive(Serialize)]
struct Provenance<'a> {
    format: u32,
    hook: &'static str,
    block: usize,
    sae: &'a str,
    published: &'a Path,
    reads: Option<&'a str>,
    latent: u32,
    label: Option<String>,
    /// Length of the row as its maker stored it.
    decoder_norm: f32,
}

/// Writes a feature's decoder row, of unit length, as `direction` and as `direction.{block}`, f32 `[d_model]`.
///
/// # Errors
/// A feature that is not there, a dead one, or a file that cannot be written.
pub(crate) fn export(open: &OpenSae, latent: u32, path: &Path) -> Result<(), Problem> {
    open.check(latent)?;
    let info = &open.info;
    let decoder_norm = open.file.decoder_norm(latent as usize).unwrap_or_default();
    if decoder_norm <= 0.0 {
        return Err(problem::dead_feature(latent));
    }
    let row = decoder_row(&info.name, &open.file, latent)?;
    let label = open.index.first_labels(&[latent]).ok().and_then(|labels| labels.into_iter().flatten().next());
    let provenance = Provenance {
        format: document::FORMAT,
        hook: "resid_post",
        block: info.site.block(),
        sae: &info.name,
        published: &info.path,
        reads: info.reads.as_deref(),
        latent,
        label,
        decoder_norm,
    };
    let text = serde_json::to_string(&provenance).map_err(|error| problem::unwritable(path, &error.to_string()))?;
    let tensors = ["direction".to_owned(), format!("direction.{}", info.site.block())]
        .map(|name| NamedTensor::f32(name, &[row.len()], &row));
    write_tensors(path, &tensors, Some(("tiller_feature", text)))
}
