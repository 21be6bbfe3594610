//! Reading what others know of an SAE's features: labels, statistics, examples.

use std::ops::ControlFlow;
use std::path::Path;

use tiller_engine::sae::SaeFile;
use tiller_index::Index;
use tiller_index::import::{ImportProgress, ImportSettings};
use tiller_protocol::feature::{ImportOptions, ImportReport, LabelSource, SaeId, SaeInfo};
use tiller_protocol::problem::Problem;

use super::shelf::OpenSae;
use crate::jobs::Sink;
use crate::problem;
use crate::workspace::Workspace;

/// Reads a file or folder into the index of an opened SAE.
///
/// # Errors
/// An SAE that was not opened, a file that cannot be read or is of another SAE, or a stop.
pub(crate) fn import(
    workspace: &Workspace,
    sae: &SaeId,
    path: &Path,
    options: &ImportOptions,
    sink: &mut dyn Sink,
) -> Result<ImportReport, Problem> {
    let OpenSae { info, file, index } = OpenSae::new(workspace, sae)?;
    read(&index, (&info, &file), path, LabelSource::Imported, options.anyway, sink)
}

/// The same for an index that is at hand.
pub(super) fn read(
    index: &Index,
    (info, file): (&SaeInfo, &SaeFile),
    path: &Path,
    label_source: LabelSource,
    anyway: bool,
    sink: &mut dyn Sink,
) -> Result<ImportReport, Problem> {
    let norms: Vec<f32> = (0..info.d_sae).map(|latent| file.decoder_norm(latent).unwrap_or_default()).collect();
    let settings = ImportSettings {
        anyway,
        model: info.reads.as_deref(),
        block: Some(info.site.block()),
        d_model: Some(info.d_model),
        label_source,
        decoder_norms: Some(&norms),
        ..ImportSettings::default()
    };
    let mut progress = |at: ImportProgress| {
        sink.step(at.done_bytes as usize, at.total_bytes as usize, "bytes");
        if sink.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    index.import(path, &settings, &mut progress).map_err(|error| problem::index(&info.name, &error))
}
