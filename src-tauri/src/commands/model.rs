//! `tiller model`: what there is, what it takes, and getting it.

mod download;
mod library;
mod list;

use clap::{Args, Subcommand};
use tiller_protocol::model::ModelCheck;
use tiller_studio::headless::{self, Described};

use super::{Context, Failure};
use crate::output::{Ended, amount};

/// Options of `tiller model`.
#[derive(Args, Debug)]
pub(crate) struct ModelArgs {
    #[command(subcommand)]
    what: What,
}

/// What is to be told.
#[derive(Debug, Subcommand)]
enum What {
    /// List published models of the supported families, what they take, and autoencoders that read them.
    List,
    /// Describe a model, check its files, and say whether it fits the memory that is free.
    Info {
        /// `demo`, a checkpoint folder, a GGUF file, the folder of an autoencoder, a hub id, or an installed name.
        model: String,
    },
    /// Download a model or an autoencoder from the hub, or go on with one; each file is checked.
    Download(download::DownloadArgs),
    /// List what is on this machine: sizes, formats, places, and whether it is whole.
    Installed,
    /// Check a model or an autoencoder that is on this machine already and add it to the library.
    Import(library::ImportArgs),
    /// Read an installed model's files and compare them with their checksums.
    Verify(library::VerifyArgs),
    /// Delete an installed model's files, or forget it where it is only linked.
    Remove(library::RemoveArgs),
}

/// Tells it.
pub(crate) fn run(args: &ModelArgs, context: &Context) -> Result<Ended, Failure> {
    match &args.what {
        What::List => {
            let list = headless::model_list(&context.studio)?;
            context.print(&list, &list::table(&list))?;
        }
        What::Info { model } => {
            let described = headless::model_describe(&context.studio, model)?;
            let text = match &described {
                Described::Model(check) => facts(check),
                Described::Sae(sae) => library::facts(sae),
            };
            context.print(&described, &text)?;
        }
        What::Download(args) => return download::run(args, context),
        What::Installed => return library::installed(context),
        What::Import(args) => return library::import(args, context),
        What::Verify(args) => return library::verify(args, context),
        What::Remove(args) => return library::remove(args, context),
    }
    Ok(Ended::Done)
}

fn facts(check: &ModelCheck) -> String {
    let need = &check.need;
    let free = check.free_bytes.map_or_else(|| "unknown".to_owned(), amount);
    let verdict = match (check.free_bytes, check.fits(), check.fits_discovery()) {
        (None, ..) => "unknown",
        (_, false, _) => "no; it is refused unless --load-anyway is given",
        _ if !check.has_gradients => "yes; quantised, so no discovery (--dtype bf16 or f32 turns it into numbers)",
        (_, true, false) => "for chat, not for discovery with the default settings",
        (_, true, true) => "yes",
    };
    let mut lines = vec![
        ("model", check.name.clone()),
        ("architecture", check.architecture.clone()),
        ("parameters", format!("{} ({} blocks of width {})", check.n_params, check.n_layers, check.d_model)),
        ("context", format!("{} tokens", check.context_len)),
        ("files", amount(check.file_bytes)),
        ("loads as", format!("{} on {}", check.dtype, check.device)),
        ("weights", amount(need.weights_bytes)),
        ("conversation", {
            let bytes = need.cache_bytes.saturating_add(need.chat_bytes);
            format!("{} for {} tokens", amount(bytes), need.context_tokens)
        }),
        ("discovery", format!("{} for a step with the default settings", amount(need.discovery_bytes))),
        ("needed, free", format!("{}, {free}", amount(need.to_chat()))),
        ("fits", verdict.to_owned()),
    ];
    if need.sae_bytes > 0 {
        lines.insert(7, ("autoencoder", amount(need.sae_bytes)));
    }
    lines.extend(check.note.clone().map(|note| ("note", note)));
    let lines: Vec<String> = lines.into_iter().map(|(name, value)| format!("{name:<14}{value}\n")).collect();
    lines.concat()
}
