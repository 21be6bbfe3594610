//! The folder of a training: its checkpoint while it runs, and the SAE in the end.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tiller_engine::sae::train::{Published, TrainOptions, Trainer};
use tiller_protocol::problem::Problem;

use crate::problem;
use crate::workspace::atomic;

/// Where a training is in its texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// How often the store was put in order before.
    pub(super) turn: u64,
    /// Steps of this turn that were taken.
    pub(super) batch: usize,
    /// How often the texts had been gone over when the store was filled.
    pub(super) epoch: u64,
    /// The first sequence in it, in the order of that epoch.
    pub(super) sequence: usize,
}

/// What a checkpoint says beside the numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// Hash of the model.
    pub(super) model: String,
    /// Block, 0-based.
    pub(super) block: usize,
    /// Hash of the token ids.
    pub(super) texts: String,
    /// Where it is in them.
    pub(super) place: Place,
}

/// A folder.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The file of a training that is not complete.
    pub(super) fn checkpoint_path(&self) -> PathBuf {
        self.0.join("checkpoint.safetensors")
    }

    /// Writes a checkpoint, whole or not at all.
    ///
    /// # Errors
    /// A folder that cannot be written, a full disk.
    pub(super) fn save(&self, trainer: &Trainer, note: &Note) -> Result<(), Problem> {
        let path = self.checkpoint_path();
        let note = serde_json::to_string(note).map_err(|error| problem::unwritable(&path, &error.to_string()))?;
        atomic::write_with(&path, |file| {
            let mut out = BufWriter::new(file);
            trainer.write_state(&note, &mut out)?;
            out.flush()
        })
    }

    /// The checkpoint, if there is one.
    ///
    /// # Errors
    /// One that is damaged or was begun with other settings.
    pub(super) fn checkpoint(
        &self,
        options: &TrainOptions,
        d_model: usize,
    ) -> Result<Option<(Trainer, Note)>, Problem> {
        let path = self.checkpoint_path();
        if !path.is_file() {
            return Ok(None);
        }
        let (trainer, note) =
            Trainer::resume(&path, options.clone(), d_model).map_err(|error| problem::checkpoint(&path, &error))?;
        let note = serde_json::from_str(&note).map_err(|error| problem::unreadable(&path, &error.to_string()))?;
        Ok(Some((trainer, note)))
    }

    /// Writes the SAE; the checkpoint goes. The weights come first, so that a folder with a `cfg.json` of this training
    /// has them.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub(super) fn publish(&self, trainer: &Trainer, about: &Published) -> Result<(), Problem> {
        atomic::write_with(&self.0.join("sae_weights.safetensors"), |file| {
            let mut out = BufWriter::new(file);
            trainer.write_weights(about.precision, &mut out)?;
            out.flush()
        })?;
        atomic::write(&self.0.join("cfg.json"), trainer.config(about).as_bytes())?;
        // One that stays is passed over by the next training, unless that is to go on from it.
        drop(fs::remove_file(self.checkpoint_path()));
        Ok(())
    }
}
