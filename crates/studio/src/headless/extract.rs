//! `tiller extract`: a persona's vector as a file.

use tiller_protocol::problem::Problem;
use tiller_protocol::steering::VectorInfo;

use super::options::{ExtractOptions, Global};
use super::results::ExtractResult;
use super::session::{Session, WatchSink};
use crate::jobs::extract as job;
use crate::vector_file;

/// Extracts a persona's direction for every block and writes it to a safetensors file.
///
/// The file holds `direction.{b}` f32 `[d_model]` (the raw mean difference at `resid_post[b]`, b from 0) for every
/// block, and one metadata entry `tiller`: a JSON object with `format`, `hook` (`resid_post`) and `info`, the whole
/// [`VectorInfo`].
///
/// # Errors
/// A model or persona that cannot be loaded, a file that cannot be written, or a stop.
pub fn extract(global: &Global, options: &ExtractOptions) -> Result<ExtractResult, Problem> {
    let session = Session::open(global, &options.model)?;
    let persona = session.library.load_any(&options.persona)?;
    let mut sink = WatchSink::new(global, format!("Extracting {}", persona.card.name));
    let neutral = job::neutral_prompts(&session.neutral);
    let vector = job::extract(&session.loaded, &persona, options.method, &neutral, &mut sink)?;
    let info = VectorInfo { path: options.out.clone(), ..vector.info };
    vector_file::write(&options.out, &info, &vector.directions)?;
    Ok(ExtractResult { out: options.out.clone(), vector: info, stopped: false })
}
