//! Opened SAEs and their features.

use std::path::Path;

use tiller_engine::EngineError;
use tiller_protocol::problem::Problem;

use super::{amount, capital, engine, stopped};

/// An SAE that was not opened, or was removed.
pub(crate) fn unknown_sae(id: &str) -> Problem {
    Problem::new(
        "The SAE is not open",
        format!("There is no opened SAE named \u{201c}{id}\u{201d}; it may have been removed."),
        "Open its file on Features, or with \u{201c}tiller sae convert\u{201d}; \u{201c}tiller sae list\u{201d} names what is open.",
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
        format!("{name}: {}", told.cause),
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
