//! `tiller sae train`: an SAE as a folder that `SAELens` reads.

use std::path::PathBuf;

use serde::Serialize;
use tiller_engine::sae::Precision;
use tiller_protocol::feature::{TrainPoint, TrainSettings};
use tiller_protocol::model::{ModelInfo, ModelSource};
use tiller_protocol::problem::Problem;

use super::options::Global;
use super::session::{Session, WatchSink};
use crate::assets::Assets;
use crate::jobs::train_sae;

/// `tiller sae train`.
#[derive(Clone, Debug, PartialEq)]
pub struct SaeTrainOptions {
    /// Model.
    pub model: ModelSource,
    /// How; the name has no meaning here.
    pub settings: TrainSettings,
    /// Write the weights in f16 instead of f32.
    pub half: bool,
    /// Target folder.
    pub out: PathBuf,
}

/// Result of [`sae_train`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SaeTrained {
    /// Folder with `cfg.json` and `sae_weights.safetensors`, or with the checkpoint when it was stopped.
    pub out: PathBuf,
    /// Block, 0-based.
    pub block: usize,
    /// The last steps, on average over what they were trained on.
    pub last: TrainPoint,
    /// The model.
    pub model: ModelInfo,
    /// Whether it was stopped before the end.
    pub stopped: bool,
}

/// Trains an SAE and writes its folder; a stop leaves a checkpoint there.
///
/// # Errors
/// A model or texts that cannot be read, settings that make no sense, a folder that cannot be written, or a stop before
/// the first step.
pub fn sae_train(global: &Global, options: &SaeTrainOptions) -> Result<SaeTrained, Problem> {
    let session = Session::open(global, &options.model)?;
    let mut sink = WatchSink::new(global, "Training");
    let ask = train_sae::Ask {
        settings: &options.settings,
        precision: if options.half { Precision::F16 } else { Precision::F32 },
        out: &options.out,
        assets: &Assets::find(),
    };
    let trained = train_sae::train(&session.loaded, &ask, &mut sink)?;
    Ok(SaeTrained {
        out: trained.out,
        block: trained.block,
        last: trained.last,
        model: session.loaded.info,
        stopped: trained.is_stopped,
    })
}
