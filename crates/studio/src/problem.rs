//! What went wrong, in words for people.
//!
//! The one place where a failure becomes a title, a cause and a next step. Errors of the library crates are told in
//! [`engine`] and [`discover`]; everything studio itself can meet has a function here, so that the wording can be
//! read, compared and tested together.

mod features;
mod hub;
mod installed;
mod memory;
mod sae;
mod train;
mod weights;

use std::io;
use std::path::Path;

use tiller_discover::DiscoverError;
use tiller_engine::EngineError;
use tiller_protocol::problem::Problem;

pub(crate) use features::{empty_side, no_examples, no_text_in_line, no_texts, not_text, sae_misfit};
pub(crate) use hub::{cannot_run, hub, no_choice, no_tokenizer, nothing_to_open, only_pickles, refusal, which_choice};
pub(crate) use installed::{
    ambiguous, an_sae, another_import, behind_a_link, changed_while_loading, damaged, downloading, folder_known,
    folder_stays, in_use, incomplete, no_room_to_copy, no_storage_folder, not_in_cache, not_installed, not_linked,
    nothing_at, nothing_in, other_kind, outside_folders, pickled, several_forms, several_in, ships_with_tiller,
    told_by_its_path,
};
pub(crate) use memory::{amount, does_not_fit, no_room};
pub(crate) use sae::{
    a_model, another_opening, converted_sae, dead_feature, index, no_feature, no_room_to_convert, no_such_sae, sae,
    sae_in_use, unknown_sae,
};
pub(crate) use train::{checkpoint, no_block, other_training, too_little_text};

/// What to do when a calculation fails for a reason that Tiller did not foresee.
const REPORT_IT: &str = "Try again. If it happens again, report it together with the cause above.";

/// Tells an engine failure.
pub(crate) fn engine(error: &EngineError) -> Problem {
    match error {
        EngineError::MissingFile { what, path } => Problem::new(
            "The model is not complete",
            format!("{} is missing: {}.", capital(what), path.display()),
            "Choose a folder in the Hugging Face layout (config.json, tokenizer.json, *.safetensors), \
             or fetch the model again.",
        ),
        EngineError::Io { path, source } => read_failed(path, source),
        EngineError::BadFile { path, reason } => bad_model_file(path, reason),
        EngineError::UnknownArchitecture { name, path } => Problem::new(
            "This kind of model is not supported",
            format!(
                "{} names the architecture \u{201c}{name}\u{201d}, which this version cannot run.",
                path.as_ref().map_or_else(|| "It".to_owned(), |path| path.display().to_string())
            ),
            "Choose a model of one of these families: Llama 3, Mistral, Qwen2.5, Qwen3, Gemma 2, Gemma 3.",
        ),
        EngineError::BadTensor { path, name, expected, found } => Problem::new(
            "The weights do not fit the model",
            format!("{}: tensor {name} should be {expected} but is {found}.", path.display()),
            "Check that config.json and the weight files belong together, or fetch the model again.",
        ),
        EngineError::NotFinite { .. } | EngineError::MissingTensors { .. } | EngineError::DuplicateTensor { .. } => {
            weights::tell(error)
        }
        EngineError::OtherTokenizer { dir, found } => Problem::new(
            "The tokenizer has a form that cannot be read",
            format!("{} holds {found}, but no tokenizer.json.", dir.display()),
            "Fetch tokenizer.json from where the model was published. If there is none, transformers writes it: \
             AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER).",
        ),
        EngineError::TokenizerMismatch(reason) => Problem::new(
            "The tokenizer does not fit the model",
            format!("{}.", capital(reason)),
            "Put the tokenizer.json that was published with these weights into the model's folder.",
        ),
        EngineError::Tokenizer(reason) => Problem::new(
            "The text could not be turned into tokens",
            format!("The tokenizer says: {reason}."),
            "Change the text, or fetch the model's tokenizer.json again.",
        ),
        EngineError::Template(reason) => Problem::new(
            "The chat template could not be used",
            format!("The model's chat template says: {reason}."),
            "Use another placement of the prompt, or a model whose tokenizer_config.json has a working chat_template.",
        ),
        EngineError::ContextOverflow { len, max } => Problem::new(
            "The text is too long for this model",
            format!("It takes {len} tokens; the model can read {max}."),
            "Shorten the text, or start a new conversation.",
        ),
        EngineError::NoGradient { format } => no_gradient(format),
        EngineError::BadRequest(reason) => Problem::new(
            "The model cannot do this",
            format!("{}.", capital(reason)),
            "Change the setting that is named and try again.",
        ),
        EngineError::NoDevice { name, reason } => Problem::new(
            "The device is not available",
            format!("{name}: {reason}."),
            "Choose another device in Settings (or --device cpu) and load the model again.",
        ),
        EngineError::OutOfMemory { device, needed, free } => memory::out_of_memory(device, *needed, *free),
        EngineError::Diverged { step } => Problem::new(
            "The training has gone astray",
            format!("After {step} steps its loss grew beyond all bounds."),
            "Choose a smaller learning rate, and begin anew.",
        ),
        EngineError::Stopped => stopped(),
        EngineError::Candle(error) => {
            Problem::new("The calculation failed", format!("{}.", capital(&error.to_string())), REPORT_IT)
        }
    }
}

/// Tells a failure of discovery or evaluation.
pub(crate) fn discover(error: &DiscoverError) -> Problem {
    match error {
        DiscoverError::Engine(error) => engine(error),
        DiscoverError::BadSettings(reason) => Problem::new(
            "The run cannot start with these settings",
            format!("{}.", capital(reason)),
            "Change the setting that is named and start again.",
        ),
        DiscoverError::TooFew { what, found, needed } => Problem::new(
            "The persona has too little material",
            format!("{}: {found} given, at least {needed} needed.", capital(what)),
            "Add more to the persona's files, or choose another persona.",
        ),
        DiscoverError::BadDirection(reason) => Problem::new(
            "The direction cannot be used",
            format!("{}.", capital(reason)),
            "Extract the vector again with the model that is loaded.",
        ),
        DiscoverError::NoPrompt { prompt_len } => Problem::new(
            "No prompt fits the filters",
            format!("No prompt of {prompt_len} tokens passes the token filter."),
            "Switch a filter off, or choose another length.",
        ),
    }
}

/// A model file whose content is wrong; what is cut short and the configuration get their own words.
fn bad_model_file(path: &Path, reason: &str) -> Problem {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (title, next_step) = if reason.contains("cut short") {
        ("A weight file is damaged", "Fetch the file again and compare its size with the original.")
    } else if name.ends_with(".safetensors") {
        ("A weight file is not usable", "Fetch the file again from where the model was published.")
    } else if name == "config.json" {
        ("The model's config.json is not usable", "Replace config.json by the one that was published with the weights.")
    } else {
        ("A file of the model is not usable", "Fetch the file again from where the model was published.")
    };
    Problem::new(title, format!("{}: {reason}.", path.display()), next_step)
}

/// The user stopped a job before it had anything to keep.
pub(crate) fn stopped() -> Problem {
    Problem::new("Stopped", "The job was stopped before it had a result.", "Start it again when you like.")
}

/// A file could not be read.
pub(crate) fn read_failed(path: &Path, error: &io::Error) -> Problem {
    let next_step = match error.kind() {
        io::ErrorKind::NotFound => "Check the path; the file may have been moved or deleted.",
        io::ErrorKind::PermissionDenied => "Give yourself the right to read it, or choose another file.",
        _ => "Check that the disk is connected and try again.",
    };
    Problem::new("A file cannot be read", format!("{}: {error}.", path.display()), next_step)
}

/// A file could not be written.
pub(crate) fn write_failed(path: &Path, error: &io::Error) -> Problem {
    let (cause, next_step) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (format!("The disk is full; {} was not written.", path.display()), "Free some space and try again.")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            (format!("{} may not be written: {error}.", path.display()), "Choose a folder that you may write to.")
        }
        _ => (format!("{}: {error}.", path.display()), "Check the folder and try again."),
    };
    Problem::new("A file cannot be written", cause, next_step)
}

/// A value that has no form on disk.
pub(crate) fn unwritable(path: &Path, reason: &str) -> Problem {
    Problem::new("A file cannot be written", format!("{}: {reason}.", path.display()), REPORT_IT)
}

/// A document that is not what it should be.
pub(crate) fn unreadable(path: &Path, reason: &str) -> Problem {
    Problem::new(
        "A file is not in the form it should be",
        format!("{}: {}.", path.display(), reason.trim_end_matches('.')),
        "Correct the file in a text editor, or remove it.",
    )
}

/// A document of a form that this version does not know.
pub(crate) fn unknown_format(path: &Path, format: u32) -> Problem {
    Problem::new(
        "A file was written by another version",
        format!("{} has format {format}; this version reads format 1.", path.display()),
        "Open it with a newer version of Tiller.",
    )
}

/// A safetensors file that is not a model's.
pub(crate) fn bad_safetensors(path: &Path, reason: &str) -> Problem {
    Problem::new(
        "The vector file is not usable",
        format!("{}: {}.", path.display(), reason.trim_end_matches('.')),
        "Export or extract the vector again.",
    )
}

/// Settings that could not be read and were put aside.
pub(crate) fn settings_kept_aside(reason: &Problem, aside: Option<&std::path::PathBuf>) -> Problem {
    let next_step = match aside {
        Some(path) => format!("Nothing to do. The old settings are kept in {}.", path.display()),
        None => "The old file could not be moved aside; the next change of a setting replaces it.".to_owned(),
    };
    Problem::new("The settings were reset", reason.cause.clone(), next_step)
}

/// A list of downloads that could not be read and was put aside.
pub(crate) fn downloads_kept_aside(reason: &Problem, aside: Option<&std::path::PathBuf>) -> Problem {
    let aside = match aside {
        Some(path) => format!("The old list is kept in {}.", path.display()),
        None => "The old list could not be moved aside; the next download replaces it.".to_owned(),
    };
    Problem::new(
        "The list of downloads could not be read",
        reason.cause.clone(),
        format!("Start the downloads again; they go on from what is on the disk. {aside}"),
    )
}

/// Another window works in the workspace.
pub(crate) fn workspace_in_use(root: &Path) -> Problem {
    Problem::new(
        "Tiller is already open",
        format!("Another window works in {}.", root.display()),
        "Use that window, or start this one with --workspace and another folder.",
    )
}

/// The platform names no data folder.
pub(crate) fn no_home() -> Problem {
    Problem::new(
        "There is no place for the workspace",
        "The system names no folder for application data (is HOME set?).",
        "Start Tiller with --workspace and a folder.",
    )
}

/// A name that may not become a file name.
pub(crate) fn bad_name(name: &str) -> Problem {
    Problem::new(
        "The name cannot be used",
        format!("\u{201c}{name}\u{201d} is not a plain file name."),
        "Use letters, digits, - and _ only.",
    )
}

/// A vector that the library does not hold.
pub(crate) fn unknown_vector(id: &str) -> Problem {
    Problem::new(
        "The vector is not in the library",
        format!("There is no vector named {id}; it may have been deleted."),
        "Extract it again on the Personas page, or restore it.",
    )
}

/// Nothing to bring back.
pub(crate) fn nothing_to_restore(id: &str) -> Problem {
    Problem::new(
        "The vector cannot be restored",
        format!("The trash holds no {id}, or the library has one of that name already."),
        "Extract it again on the Personas page.",
    )
}

/// A vector made with another model.
pub(crate) fn foreign_vector(vector: &str, made_with: &str, loaded: &str) -> Problem {
    Problem::new(
        "The vector belongs to another model",
        format!("{vector} was extracted from {made_with}; {loaded} is loaded."),
        "Load that model, or extract the vector from this one.",
    )
}

/// A vector whose shape or values do not fit.
pub(crate) fn unfit_vector(vector: &str, reason: &str) -> Problem {
    Problem::new(
        "The vector does not fit the model",
        format!("{vector}: {reason}."),
        "Extract the vector again with the model that is loaded, or choose another block.",
    )
}

/// A persona that is nowhere.
pub(crate) fn unknown_persona(id: &str, known: &[String]) -> Problem {
    Problem::new(
        "The persona is not in the library",
        format!("There is no persona \u{201c}{id}\u{201d}. There are: {}.", known.join(", ")),
        "Choose one of these, or put your own into the workspace's folder personas.",
    )
}

/// A persona without data of one kind.
pub(crate) fn empty_persona(name: &str, what: &str, file: &Path) -> Problem {
    Problem::new(
        "The persona set is empty",
        format!("{name} has no {what}: {} holds no line.", file.display()),
        "Add at least one line to the file, or choose another persona.",
    )
}

/// A persona without data that a job needs.
pub(crate) fn empty_persona_part(name: &str, what: &str) -> Problem {
    Problem::new(
        "The persona set is empty",
        format!("{name} has no {what}, which this job needs."),
        "Add them to the persona's folder, or choose another persona.",
    )
}

/// No model is loaded.
pub(crate) fn no_model() -> Problem {
    Problem::new("No model is loaded", "This needs a model.", "Open the demo model on Home, or load one on Models.")
}

/// A base model without a chat template was asked to chat.
pub(crate) fn no_template(model: &str) -> Problem {
    Problem::new(
        "The model has no chat template",
        format!("{model} brings no chat_template, so turns cannot be laid out."),
        "Choose an instruction-tuned model.",
    )
}

/// The engine is at work.
pub(crate) fn busy(running: &str) -> Problem {
    Problem::new(
        "The model is at work",
        format!("\u{201c}{running}\u{201d} is still running, and one job runs at a time."),
        "Wait until it ends, or stop it.",
    )
}

/// A job panicked.
pub(crate) fn panicked(title: &str, reason: &str) -> Problem {
    Problem::new(
        "The job failed unexpectedly",
        format!("\u{201c}{title}\u{201d} ended with an internal error: {}.", reason.trim_end_matches('.')),
        "Your work is safe. Try again, and report it if it happens again.",
    )
}

/// A thread could not be started.
pub(crate) fn no_thread(error: &io::Error) -> Problem {
    Problem::new(
        "Tiller could not start",
        format!("The system refused a thread: {error}."),
        "Close other programs and start Tiller again.",
    )
}

/// The shipped files are nowhere.
pub(crate) fn no_assets(tried: &[std::path::PathBuf]) -> Problem {
    let places: Vec<String> = tried.iter().map(|path| path.display().to_string()).collect();
    Problem::new(
        "The files that ship with Tiller are missing",
        format!("No folder with demo/model was found; looked in {}.", places.join(", ")),
        "Install Tiller again, or set TILLER_ASSETS to the folder assets of its source.",
    )
}

/// A folder that is not there.
pub(crate) fn no_folder(path: &Path) -> Problem {
    Problem::new(
        "The model is not there",
        format!("{} is neither a folder nor a GGUF file.", path.display()),
        "Choose a folder that holds config.json, tokenizer.json and the safetensors files, or a file that ends in .gguf.",
    )
}

/// A gradient asked of quantised weights.
pub(crate) fn no_gradient(format: &str) -> Problem {
    Problem::new(
        "Quantised weights have no gradient",
        format!("Searching for prompts needs gradients; this model's weights are kept in quantised blocks ({format})."),
        "Open it again with the number format f32 or bf16 (--dtype f32), which expands the blocks and takes more memory, \
         or open the full checkpoint.",
    )
}

/// A pattern that is not a regular expression.
pub(crate) fn bad_pattern(persona: &str, reason: &str) -> Problem {
    Problem::new(
        "The persona's pattern cannot be used",
        format!("{persona}: {}.", reason.trim_end_matches('.')),
        "Correct the pattern in the persona's file.",
    )
}

/// A picture could not be drawn.
pub(crate) fn no_picture(reason: &str) -> Problem {
    Problem::new("The plot could not be drawn", format!("{reason}."), REPORT_IT)
}

/// SAEGA without an SAE.
pub(crate) fn no_sae(model: &str) -> Problem {
    Problem::new(
        "There is no SAE for this model",
        format!("SAEGA needs a sparse autoencoder, and none is known for {model}."),
        "Choose RESGA, or open the demo model, which brings one.",
    )
}

/// What the user asked for is empty or out of range.
pub(crate) fn bad_input(cause: &str, next_step: &str) -> Problem {
    Problem::new("The request cannot be carried out", format!("{}.", capital(cause)), next_step)
}

/// The text with its first letter in upper case and without a final full stop.
fn capital(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests;
