//! Opened SAEs and their features.

use std::path::Path;

use tiller_engine::EngineError;
use tiller_index::IndexError;
use tiller_protocol::feature::SaeInfo;
use tiller_protocol::problem::Problem;

use super::{amount, capital, engine, read_failed, stopped};

/// An SAE that was not opened, or was removed.
pub(crate) fn unknown_sae(id: &str) -> Problem {
    Problem::new(
        "The SAE is not open",
        format!("There is no opened SAE named \u{201c}{id}\u{201d}; it may have been removed."),
        "Open its published file on Features, or give its path; \u{201c}tiller sae list\u{201d} names what is open.",
    )
}

/// A text that names no SAE.
pub(crate) fn no_such_sae(text: &str) -> Problem {
    Problem::new(
        "There is no such SAE",
        format!("\u{201c}{text}\u{201d} is neither a path, nor an installed SAE, nor one that was opened."),
        "See what is open with \u{201c}tiller sae list\u{201d} and what is installed with \u{201c}tiller model \
         installed\u{201d}, or give the path of a file or folder.",
    )
}

/// Another process opens an SAE in this workspace.
pub(crate) fn another_opening() -> Problem {
    Problem::new(
        "Another SAE is being opened",
        "A window or command of Tiller is converting an SAE in this workspace.",
        "Wait until it ends, or stop it, and open this one again.",
    )
}

/// The converted file of an opened SAE cannot be used.
pub(crate) fn converted_sae(name: &str, error: &EngineError) -> Problem {
    let told = engine(error);
    Problem::new(
        "The converted SAE cannot be read",
        format!("\u{201c}{name}\u{201d}: {}", told.cause),
        "Remove it on Features and open its published file again; export your labels first if there are any.",
    )
}

/// The disk has no room for the converted file.
pub(crate) fn no_room_to_convert(folder: &Path, needed: u64, free: u64) -> Problem {
    Problem::new(
        "The disk is too full for this SAE",
        format!("Converted it takes {}; the disk of {} has {} free.", amount(needed), folder.display(), amount(free)),
        "Free some space, or start Tiller with --workspace and a folder on another disk.",
    )
}

/// A published SAE that cannot be opened.
pub(crate) fn sae(path: &Path, error: &EngineError) -> Problem {
    match error {
        EngineError::Stopped => stopped(),
        EngineError::MissingFile { what, path } => Problem::new(
            "The SAE is not complete",
            format!("{} is missing: {}.", capital(what), path.display()),
            "Fetch the SAE's folder again with all its files.",
        ),
        EngineError::BadFile { path: file, reason } => bad_file(file, reason),
        EngineError::BadTensor { path, name, expected, found } => Problem::new(
            "The SAE's weights do not fit together",
            format!("{}: tensor {name} should be {expected} but is {found}.", path.display()),
            "Check that configuration and weights belong together, or fetch the SAE again.",
        ),
        EngineError::BadRequest(reason) => Problem::new(
            "The SAE cannot be opened",
            format!("{}: {}.", path.display(), capital(reason)),
            "Give what is named when you open it, or choose another SAE.",
        ),
        other => engine(other),
    }
}

fn bad_file(path: &Path, reason: &str) -> Problem {
    let cause = format!("{}: {}.", path.display(), reason.trim_end_matches('.'));
    let (title, next_step) = if reason.contains("transcoder") {
        ("This is not an SAE", "Choose an SAE that reads and writes the residual stream.")
    } else if reason.contains("cut short") {
        ("The SAE's file is damaged", "Fetch the file again and compare its size with the original.")
    } else {
        ("The SAE's file cannot be used", "Choose another SAE, or fetch this one again from where it was published.")
    };
    Problem::new(title, cause, next_step)
}

/// A model where an SAE was expected.
pub(crate) fn a_model(path: &Path) -> Problem {
    Problem::new(
        "This is a model, not an SAE",
        format!("{} holds a model, and no sparse autoencoder.", path.display()),
        "Open it on Models; choose the folder or file of an SAE here.",
    )
}

/// A number that is no feature.
pub(crate) fn no_feature(info: &SaeInfo, latent: u32) -> Problem {
    Problem::new(
        "There is no such feature",
        format!("{} has the features 0 to {}; {latent} was asked for.", info.name, info.d_sae.saturating_sub(1)),
        "Give a number in this range.",
    )
}

/// A feature that writes nothing.
pub(crate) fn dead_feature(latent: u32) -> Problem {
    Problem::new(
        "The feature is dead",
        format!("Feature {latent} has no decoder row: it writes nothing into the residual stream."),
        "Choose another feature; the filter \u{201c}alive\u{201d} leaves such ones out.",
    )
}

/// An opened SAE that somebody works with.
pub(crate) fn sae_in_use(name: &str) -> Problem {
    Problem::new(
        "The SAE is in use",
        format!("A job that runs now works with {name}."),
        "Wait until it ends, or stop it, and remove the SAE then.",
    )
}

/// The index of an SAE's features failed.
pub(crate) fn index(sae: &str, error: &IndexError) -> Problem {
    let of = |cause: String| format!("\u{201c}{sae}\u{201d}: {}.", cause.trim_end_matches('.'));
    match error {
        IndexError::Stopped => stopped(),
        IndexError::Newer { .. } => Problem::new(
            "The feature index was written by a newer version",
            of(error.to_string()),
            "Open it with a newer version of Tiller.",
        ),
        IndexError::Busy => Problem::new(
            "The feature index is in use",
            of(error.to_string()),
            "Wait until the other window or command of Tiller ends, and try again.",
        ),
        IndexError::Full => Problem::new("The disk is full", of(error.to_string()), "Free some space and try again."),
        IndexError::NoLatent { .. } => {
            Problem::new("There is no such feature", of(error.to_string()), "Give the number of a feature of this SAE.")
        }
        IndexError::Empty => Problem::new("There is nothing to save", of(error.to_string()), "Write a text first."),
        IndexError::Foreign(_) | IndexError::OtherSize { .. } | IndexError::Damaged(_) | IndexError::Database(_) => {
            Problem::new(
                "The feature index cannot be used",
                of(error.to_string()),
                "Copy features.db from the SAE's folder in the workspace if you need its labels; then remove the SAE on \
                 Features and open it again.",
            )
        }
        IndexError::Read { .. }
        | IndexError::Unrecognised { .. }
        | IndexError::Mismatch { .. }
        | IndexError::OutOfRange { .. }
        | IndexError::WrongShape { .. }
        | IndexError::TooLarge { .. } => index_import(error),
    }
}

/// A file of labels, statistics or examples cannot be read into an index.
fn index_import(error: &IndexError) -> Problem {
    let cause = format!("{}.", capital(&error.to_string()));
    match error {
        IndexError::Read { source, path } => read_failed(path, source),
        IndexError::Unrecognised { .. } => Problem::new(
            "The file is not in a form that is read",
            cause,
            "Choose a Neuronpedia export (a folder, .jsonl, .jsonl.gz or .json), a CSV file with the columns index and \
             label, or a sparsity.safetensors.",
        ),
        IndexError::Mismatch { .. } => Problem::new(
            "The file was made for another SAE",
            cause,
            "Choose the export of this SAE; if you know that it fits, import it anyway.",
        ),
        IndexError::OutOfRange { may_be_width, .. } => Problem::new(
            "The file names features that the SAE does not have",
            cause,
            if *may_be_width {
                "The width of the model may have been taken for the number of features. Choose the export of this SAE."
            } else {
                "Choose the export of this SAE; if you know that it fits, import it anyway, without those features."
            },
        ),
        IndexError::WrongShape { .. } => {
            Problem::new("The file was made for another SAE", cause, "Choose the file that came with this SAE.")
        }
        IndexError::TooLarge { .. } => Problem::new(
            "The file is too large to be read safely",
            cause,
            "Fetch it again from where it was published; it may be damaged.",
        ),
        other => index("The index", other),
    }
}
