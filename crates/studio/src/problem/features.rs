//! What can be wrong with texts that the model is run over, and with jobs on features.

use std::path::Path;

use tiller_protocol::problem::Problem;

use super::capital;

/// A corpus without a text.
pub(crate) fn no_texts(wher: &str) -> Problem {
    Problem::new(
        "There is no text to read",
        format!("{} no text of two tokens or more.", capital(wher)),
        "Give a text file, a .jsonl file whose lines have \u{201c}text\u{201d} or \u{201c}messages\u{201d}, or a folder \
         of .txt, .md and .jsonl files.",
    )
}

/// A file that does not hold text.
pub(crate) fn not_text(path: &Path, reason: &str) -> Problem {
    Problem::new(
        "A file is not a text",
        format!("{}: {}.", path.display(), reason.trim_end_matches('.')),
        "Choose a file of plain text in UTF-8, or take this one out of the folder.",
    )
}

/// A line of a JSON lines file without a text.
pub(crate) fn no_text_in_line(path: &Path, line: usize, reason: &str) -> Problem {
    Problem::new(
        "A line of the file holds no text",
        format!("{}, line {line}: {}.", path.display(), reason.trim_end_matches('.')),
        "Give every line an object with \u{201c}text\u{201d}, or with \u{201c}messages\u{201d}: a list of objects with \
         \u{201c}role\u{201d} and \u{201c}content\u{201d}.",
    )
}

/// An SAE that does not read this model's residual stream.
pub(crate) fn sae_misfit(sae: &str, model: &str, reason: &str) -> Problem {
    Problem::new(
        "The SAE does not fit the model",
        format!("{sae} cannot be used on {model}: {}.", reason.trim_end_matches('.')),
        "Load the model that it was trained on, or open another SAE.",
    )
}

/// One side of a contrast is empty.
pub(crate) fn empty_side(which: &str) -> Problem {
    Problem::new(
        "One set of texts is empty",
        format!("A contrast compares two sets of texts, and there is none on the side {which}."),
        "Write at least one text of two words or more on both sides.",
    )
}

/// Labels are to be written from examples that are not there.
pub(crate) fn no_examples(sae: &str) -> Problem {
    Problem::new(
        "There are no examples to label from",
        format!(
            "None of the chosen features of {sae} has two examples; labels are written from what features fire on."
        ),
        "Scan texts first (Scan texts on the Features page, or tiller features scan), or import examples.",
    )
}
