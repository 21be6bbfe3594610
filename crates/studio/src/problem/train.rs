//! What can go wrong while an SAE is trained.

use std::path::Path;

use tiller_engine::EngineError;
use tiller_protocol::problem::Problem;

/// The texts are over before one step is full.
pub(crate) fn too_little_text(found: usize, needed: usize) -> Problem {
    Problem::new(
        "There is too little text to train on",
        format!("The texts have {found} tokens behind their first; one step takes {needed}."),
        "Give more text, or choose a shorter step.",
    )
}

/// A checkpoint that was begun on something else.
pub(crate) fn other_training(checkpoint: &Path, what: &str) -> Problem {
    Problem::new(
        "This training cannot be gone on with",
        format!("{} was begun with {what}.", checkpoint.display()),
        "Go on with what it was begun with, or begin anew under another name.",
    )
}

/// A block that the model does not have.
pub(crate) fn no_block(block: usize, n_layers: usize) -> Problem {
    Problem::new(
        "There is no such block",
        format!("Block {block} was asked for; the model has {n_layers}, counted from 0."),
        format!("Choose a block from 0 to {}.", n_layers.saturating_sub(1)),
    )
}

/// A checkpoint that cannot be read, or not with these settings.
pub(crate) fn checkpoint(path: &Path, error: &EngineError) -> Problem {
    match error {
        EngineError::BadRequest(reason) => Problem::new(
            "This training cannot be gone on with",
            format!("{reason}."),
            "Go on with the settings that it was begun with, or begin anew.",
        ),
        EngineError::BadFile { .. } | EngineError::BadTensor { .. } => Problem::new(
            "The checkpoint is damaged",
            format!("{}: {error}.", path.display()),
            "Remove the file and begin the training anew.",
        ),
        other => super::engine(other),
    }
}
