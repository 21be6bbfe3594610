//! Commands on features that the engine thread carries out.

use std::time::Instant;

use tiller_protocol::message::{Command, Event, JobId};
use tiller_protocol::problem::Problem;

use super::{Coder, find, label, probe, scan};
use crate::features::find::ranked;
use crate::features::shelf::OpenSae;
use crate::jobs::Sink;
use crate::models::Loaded;
use crate::problem;
use crate::studio::Shared;

/// Carries out a search, a probe, a scan or the writing of labels.
///
/// # Errors
/// An SAE that is not open or does not fit, what the job itself meets, or a stop.
pub(crate) fn answer(
    loaded: &Loaded,
    shared: &Shared,
    (job, command): (JobId, Command),
    sink: &mut dyn Sink,
) -> Result<Event, Problem> {
    let opened = |sae| OpenSae::new(&shared.workspace, sae);
    match command {
        Command::SearchFeatures { search, .. } => {
            let began = Instant::now();
            let (coder, index) = Coder::of(opened(&search.sae)?);
            let found = find::find(loaded, &coder, &search.query, sink)?;
            let found = found.ok_or_else(|| problem::bad_input("this search needs no model", "Report this."))?;
            let mut results = ranked(&index, &coder.name, &search, found)?;
            results.secs = began.elapsed().as_secs_f64();
            Ok(Event::FeaturesFound { job, results: Box::new(results) })
        }
        Command::ProbeFeature { feature, text, .. } => {
            let open = opened(&feature.sae)?;
            open.check(feature.latent)?;
            let (coder, _) = Coder::of(open);
            let probe = probe::probe(loaded, &coder, (&feature, &text), sink)?;
            Ok(Event::FeatureProbed { job, probe: Box::new(probe) })
        }
        Command::ScanFeatures { sae, settings, .. } => {
            let (coder, index) = Coder::of(opened(&sae)?);
            let ask = scan::Ask { sae: &sae, settings: &settings, assets: &shared.assets };
            let scanned = scan::scan(loaded, &coder, &index, &ask, sink)?;
            if scanned.is_stopped {
                return Err(problem::stopped());
            }
            Ok(Event::FeaturesScanned { job, sae, tokens: scanned.tokens })
        }
        Command::LabelFeatures { sae, latents, .. } => {
            let open = opened(&sae)?;
            latents.iter().try_for_each(|latent| open.check(*latent))?;
            let lens = shared.features.lens();
            let lens = lens.as_deref().filter(|lens| lens.fits(&open.info) && !lens.is_early(&open.info));
            let (coder, index) = Coder::of(open);
            let labelled =
                label::label(loaded, &coder, &index, &label::Ask { sae: &sae, latents: &latents, lens }, sink)?;
            if let Some(note) = labelled.note() {
                shared.outbox.post(Event::Notice(note));
            }
            if labelled.is_stopped {
                return Err(problem::stopped());
            }
            Ok(Event::FeaturesLabelled { job, sae, n_labelled: labelled.labels.len() })
        }
        other => Err(problem::bad_input(&format!("{other:?} is not a job on features"), "Report this.")),
    }
}
