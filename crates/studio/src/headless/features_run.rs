//! `tiller features scan|label`: what the features of an SAE fire on, and labels that the model writes from it.

use serde::Serialize;
use tiller_protocol::feature::{OpenOptions, SaeId, ScanSettings};
use tiller_protocol::model::{ModelInfo, ModelSource};
use tiller_protocol::problem::Problem;

use super::options::Global;
use super::sae::Bench;
use super::session::{Session, WatchSink};
use crate::assets::Assets;
use crate::features::ModelLens;
use crate::jobs::features::{Coder, label, scan};
use crate::problem;

/// Result of [`features_scan`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeaturesScanned {
    /// The SAE's name in the workspace.
    pub sae: SaeId,
    /// Tokens that were counted, those before a resumption included.
    pub tokens: u64,
    /// Features that were active at least once.
    pub n_active: usize,
    /// Features of the SAE.
    pub d_sae: usize,
    /// The model that was run.
    pub model: ModelInfo,
    /// Stopped before the end; what was found is kept, and the scan can be gone on with.
    pub stopped: bool,
}

/// Result of [`features_label`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeaturesLabelled {
    /// The SAE's name in the workspace.
    pub sae: SaeId,
    /// Labels that were written.
    pub labels: Vec<WrittenLabel>,
    /// Features that have too few examples to label from.
    pub without_examples: Vec<u32>,
    /// Features that were passed over because this model has labelled them before.
    pub n_known: usize,
    /// The model that wrote them.
    pub model: ModelInfo,
    /// What one should know.
    pub note: Option<String>,
    /// Stopped before the end; what was written is kept.
    pub stopped: bool,
}

/// A label that was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WrittenLabel {
    /// The feature.
    pub latent: u32,
    /// The label.
    pub text: String,
    /// `max-act-windows` when the model wrote it, `rule` when it names tokens by rule.
    pub method: Option<String>,
    /// Balanced accuracy on windows that were held out; 0.5 is chance. Absent when there were too few.
    pub score: Option<f32>,
}

/// Which features are labelled.
#[derive(Clone, Debug, PartialEq)]
pub enum ToLabel {
    /// These.
    Features(Vec<u32>),
    /// Those that are bookmarked.
    Bookmarked,
}

/// Runs a model over texts and notes in the index of an SAE what each feature fires on.
///
/// # Errors
/// What cannot be loaded, opened or read, or does not fit together.
pub fn features_scan(
    global: &Global,
    sae: &str,
    model: &ModelSource,
    settings: &ScanSettings,
) -> Result<FeaturesScanned, Problem> {
    let bench = Bench::new(global)?;
    let open = bench.open(global, sae, &OpenOptions::default())?;
    let session = Session::open(global, model)?;
    let id = open.info.id.clone();
    let (coder, index) = Coder::of(open);
    let mut sink = WatchSink::new(global, "Scanning texts");
    let assets = Assets::find();
    let ask = scan::Ask { sae: &id, settings, assets: &assets };
    let end = scan::scan(&session.loaded, &coder, &index, &ask, &mut sink)?;
    Ok(FeaturesScanned {
        sae: id,
        tokens: end.tokens,
        n_active: end.n_active,
        d_sae: coder.d_sae(),
        model: session.loaded.info,
        stopped: end.is_stopped,
    })
}

/// Lets a model write labels for features from what they fire on, each with a score.
///
/// # Errors
/// What cannot be loaded or opened, or does not fit together; features that are not there, or none with examples.
pub fn features_label(
    global: &Global,
    sae: &str,
    model: &ModelSource,
    which: &ToLabel,
) -> Result<FeaturesLabelled, Problem> {
    let bench = Bench::new(global)?;
    let open = bench.open(global, sae, &OpenOptions::default())?;
    let latents = match which {
        ToLabel::Features(latents) => latents.clone(),
        ToLabel::Bookmarked => {
            let columns = open.index.columns();
            (0..open.info.d_sae as u32).filter(|latent| columns.is_bookmarked(*latent)).collect()
        }
    };
    if latents.is_empty() {
        return Err(problem::bad_input("no feature was chosen", "Give features by number, or bookmark some."));
    }
    latents.iter().try_for_each(|latent| open.check(*latent))?;
    let session = Session::open(global, model)?;
    let lens = ModelLens::of(&session.loaded).filter(|lens| lens.fits(&open.info) && !lens.is_early(&open.info));
    let id = open.info.id.clone();
    let (coder, index) = Coder::of(open);
    let mut sink = WatchSink::new(global, "Writing labels");
    let ask = label::Ask { sae: &id, latents: &latents, lens: lens.as_ref() };
    let labelled = label::label(&session.loaded, &coder, &index, &ask, &mut sink)?;
    let note = labelled.note();
    let told = |(latent, label): (u32, tiller_index::label::NewLabel)| WrittenLabel {
        latent,
        text: label.text,
        method: label.method,
        score: label.score,
    };
    Ok(FeaturesLabelled {
        sae: id,
        labels: labelled.labels.into_iter().map(told).collect(),
        without_examples: labelled.without_examples,
        n_known: labelled.known,
        model: session.loaded.info,
        note,
        stopped: labelled.is_stopped,
    })
}
