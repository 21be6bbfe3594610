//! Weight files whose content is wrong.

use tiller_engine::EngineError;
use tiller_protocol::problem::Problem;

/// Tells what is wrong with the tensors of a checkpoint.
pub(super) fn tell(error: &EngineError) -> Problem {
    match error {
        EngineError::NotFinite { path, name, value, index, len } => Problem::new(
            "The weights hold values that are not numbers",
            format!("{}: tensor {name} holds {value} as value {index} of {len}.", path.display()),
            "Fetch the file again. If it stays the same, the checkpoint itself is broken: choose another one.",
        ),
        EngineError::MissingTensors { path, missing, n_missing, n_expected } => {
            let names: Vec<String> = missing
                .iter()
                .map(|(name, alike)| match alike {
                    Some(alike) => format!("{name} (there is {alike})"),
                    None => name.clone(),
                })
                .collect();
            let rest = n_missing - missing.len();
            let more = if rest == 0 { String::new() } else { format!(", and {rest} more") };
            let renamed = missing.iter().any(|(_, alike)| alike.is_some());
            Problem::new(
                "Tensors of the model are missing",
                format!(
                    "{} lacks {n_missing} of the {n_expected} tensors that config.json asks for: {}{more}.",
                    path.display(),
                    names.join(", ")
                ),
                if renamed {
                    "The names look as if they were written by another program: convert the checkpoint to the Hugging \
                     Face layout, or fetch the original."
                } else {
                    "Check that config.json and the weight files belong together, or fetch the model again."
                },
            )
        }
        EngineError::DuplicateTensor { name, first, second } => Problem::new(
            "Two weight files hold the same tensor",
            format!("Tensor {name} is in {} and again in {}.", first.display(), second.display()),
            "Remove the file that does not belong to the model, or fetch the model again into an empty folder.",
        ),
        other => Problem::new("The weights cannot be used", format!("{other}."), "Fetch the model again."),
    }
}
