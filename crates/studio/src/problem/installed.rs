//! Installed models and SAEs.

use std::path::{Path, PathBuf};

use tiller_protocol::asset::{Asset, AssetKind};
use tiller_protocol::problem::Problem;

use super::amount;

/// Most names in one sentence.
const NAMED: usize = 6;

/// What opens in this version.
const OPENS: &str = "a folder with config.json, tokenizer.json and safetensors files, a GGUF file, or an SAE \
                     as SAELens (cfg.json), Gemma Scope, Llama Scope, dictionary_learning, Goodfire, sparsify or Qwen-Scope \
                     publish it";

/// A hub model that is in none of the storage folders.
pub(crate) fn not_in_cache(id: &str, folders: &[PathBuf]) -> Problem {
    let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    Problem::new(
        "The model is not on this computer",
        format!("None of the storage folders holds {id}; looked in {}.", folders.join(", ")),
        format!(
            "Download it on the Models page, or with \u{201c}tiller model download {id}\u{201d}; or give the path of a \
             folder that holds config.json, tokenizer.json and the safetensors files."
        ),
    )
}

/// A hub model of which files are missing.
pub(crate) fn incomplete(id: &str) -> Problem {
    Problem::new(
        "The model is not complete",
        format!("Some weight files of {id} are missing, or were not downloaded to their end."),
        format!("Let the download go on under Models, or with \u{201c}tiller model download {id}\u{201d}."),
    )
}

/// A repository with several GGUF files on this computer.
pub(crate) fn several_forms(id: &str, paths: &[&Path]) -> Problem {
    Problem::new(
        "It is not clear which file is meant",
        format!(
            "There are several forms of {id} on this computer: {}.",
            listed(paths.iter().map(|path| file_name(path)))
        ),
        "Open one of them on the Models page, or give its path or its name.",
    )
}

/// A name that several assets have.
pub(crate) fn ambiguous(text: &str, assets: &[Asset]) -> Problem {
    Problem::new(
        "It is not clear which one is meant",
        format!(
            "\u{201c}{text}\u{201d} may be any of these: {}.",
            listed(assets.iter().map(|asset| asset.path.display().to_string()))
        ),
        "Give the path of one of them.",
    )
}

/// A name or path that is none of the installed assets.
pub(crate) fn not_installed(text: &str) -> Problem {
    Problem::new(
        "This is not in the library",
        format!("No installed model or SAE has the name, hub id or path \u{201c}{text}\u{201d}."),
        "See what there is under Models, or with \u{201c}tiller model installed\u{201d}; import it if it lies elsewhere.",
    )
}

/// A path where nothing is.
pub(crate) fn nothing_at(path: &Path) -> Problem {
    Problem::new(
        "There is nothing to open",
        format!("{} is not there.", path.display()),
        "Check the path, and that its disk is connected; if it was moved, say where it is now under Models.",
    )
}

/// A folder or file that is nothing that can be opened.
pub(crate) fn nothing_in(path: &Path) -> Problem {
    Problem::new(
        "There is nothing to open",
        format!("{} holds neither a model nor an SAE in a form that Tiller reads.", path.display()),
        format!("Choose {OPENS}."),
    )
}

/// A folder with several things that can be opened.
pub(crate) fn several_in(path: &Path, things: &[&Path]) -> Problem {
    let short = |thing: &&Path| thing.strip_prefix(path).unwrap_or(thing).display().to_string();
    Problem::new(
        "It is not clear what is meant",
        format!("{} holds several models or SAEs: {}.", path.display(), listed(things.iter().map(short))),
        "Choose one of them, or add the whole folder as a storage folder to have them all in the library.",
    )
}

/// An SAE where a model was expected.
pub(crate) fn an_sae(path: &Path) -> Problem {
    Problem::new(
        "This is an SAE, not a model",
        format!("{} holds a sparse autoencoder, which reads the activations of a model.", path.display()),
        "Add it to the library, and load the model that it was trained on.",
    )
}

/// A checkpoint whose weights are pickled.
pub(crate) fn pickled(path: &Path) -> Problem {
    Problem::new(
        "The weights are in a form that is not opened",
        format!("{} holds its weights as pickled Python objects (pytorch_model.bin) only.", path.display()),
        "Get the model in safetensors or GGUF: such a file can hold any program, so Tiller does not run it.",
    )
}

/// An SAE whose facts are in the names of its folders, which a copy would lose.
pub(crate) fn told_by_its_path(path: &Path) -> Problem {
    Problem::new(
        "This SAE cannot be copied",
        format!("What it reads follows from the folders it lies in: {}.", path.display()),
        "Add it without copying. Opening it makes a converted copy in the workspace.",
    )
}

/// Files that differ from what they should be.
pub(crate) fn damaged(bad: &[(String, String)], is_hub: bool) -> Problem {
    let (title, next_step) = if is_hub {
        ("Files are damaged", "Download it again; only the damaged files are fetched.")
    } else {
        let next_step = "If that is as it should be, remove it from the library and import it again; else fetch these \
                         files again from where they came from.";
        ("Files have changed", next_step)
    };
    let told = bad.iter().take(NAMED).map(|(file, reason)| format!("{file} ({reason})"));
    let more = if bad.len() > NAMED { format!(", and {} more", bad.len() - NAMED) } else { String::new() };
    Problem::new(title, format!("Not what they should be: {}{more}.", told.collect::<Vec<_>>().join(", ")), next_step)
}

/// Files that became others while they were read.
pub(crate) fn changed_while_loading(path: &Path) -> Problem {
    Problem::new(
        "The model changed while it was loaded",
        format!(
            "Files of {} were written or replaced meanwhile, so what was read may be half old, half new.",
            path.display()
        ),
        "Wait until whatever writes them has ended, and load the model again.",
    )
}

/// An asset that is being used.
pub(crate) fn in_use(name: &str) -> Problem {
    Problem::new(
        "The model is in use",
        format!("{name} is loaded, or about to be."),
        "Unload it first, or load another model; then remove it.",
    )
}

/// An asset that a download is writing.
pub(crate) fn downloading(name: &str) -> Problem {
    Problem::new(
        "A download is at work on it",
        format!("Files of {name} are being downloaded."),
        "Cancel the download first, or wait until it has ended.",
    )
}

/// What came with the program.
pub(crate) fn ships_with_tiller(name: &str) -> Problem {
    Problem::new(
        "This stays",
        format!("{name} is part of Tiller."),
        "Nothing to do; it takes little room and is needed on Home.",
    )
}

/// A link in a storage folder that leads elsewhere.
pub(crate) fn behind_a_link(path: &Path) -> Problem {
    Problem::new(
        "This cannot be removed here",
        format!(
            "{} is reached through a link in a storage folder, and its files lie outside all of them.",
            path.display()
        ),
        "Delete that link, or the files themselves, with your file manager.",
    )
}

/// Files that would be deleted outside the storage folder.
pub(crate) fn outside_folders(path: &Path, root: &Path) -> Problem {
    Problem::new(
        "Nothing was deleted",
        format!("{} does not lie in the storage folder {}.", path.display(), root.display()),
        "Delete it with your file manager if you are sure.",
    )
}

/// A storage folder that is not there.
pub(crate) fn no_storage_folder(path: &Path) -> Problem {
    Problem::new(
        "The folder is not there",
        format!("{} is not a folder.", path.display()),
        "Choose a folder that exists, and check that its disk is connected.",
    )
}

/// A storage folder inside another.
pub(crate) fn folder_known(path: &Path, holder: &Path) -> Problem {
    Problem::new(
        "The folder is in the library already",
        format!("{} lies in the storage folder {}.", path.display(), holder.display()),
        "Nothing to do: what it holds is listed.",
    )
}

/// A folder that the user has not added.
pub(crate) fn folder_stays(path: &Path) -> Problem {
    Problem::new(
        "This is not one of your storage folders",
        format!("{} was not added by you: it is none of the list, or one that Tiller itself uses.", path.display()),
        "Choose one of the folders that you have added.",
    )
}

/// Something that is no link.
pub(crate) fn not_linked(path: &Path) -> Problem {
    Problem::new(
        "Only a link can be pointed elsewhere",
        format!("{} lies in a storage folder, or is not in the library.", path.display()),
        "If its disk is now connected in another place, add that place as a storage folder; else import it from there.",
    )
}

/// What was found in the new place is of the other kind.
pub(crate) fn other_kind(from: &Path, to: &Path, kind: AssetKind) -> Problem {
    let (found, wanted) = match kind {
        AssetKind::Model => ("a model", "an SAE"),
        AssetKind::Sae => ("an SAE", "a model"),
    };
    Problem::new(
        "This is something else",
        format!("{} is {found}; {} was {wanted}.", to.display(), from.display()),
        "Choose the place that it was moved to, or import this one by itself.",
    )
}

/// A disk without room for a copy.
pub(crate) fn no_room_to_copy(folder: &Path, needed: u64, free: u64) -> Problem {
    Problem::new(
        "The disk has too little room",
        format!("The copy takes {}; {} has {} free.", amount(needed), folder.display(), amount(free)),
        "Add it to the library without copying, or free some space and try again.",
    )
}

/// Another import is making a copy.
pub(crate) fn another_import() -> Problem {
    Problem::new(
        "Another import is at work",
        "Another window or command is copying into the same imports folder.",
        "Wait until it has ended and import again.",
    )
}

/// A GGUF file's or folder's own name.
fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// The first few names, and how many more there are.
fn listed(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<String> = names.collect();
    let n = names.len();
    if n > NAMED {
        names.truncate(NAMED);
        names.push(format!("and {} more", n - NAMED));
    }
    names.join(", ")
}
