//! `tiller model`: what models take, without loading them.

mod list;

use clap::{Args, Subcommand};
use tiller_protocol::model::{ModelCheck, ModelSource};
use tiller_studio::headless;

use super::{Context, Failure};
use crate::cli;
use crate::output::Ended;

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
        /// `demo`, a checkpoint folder, a GGUF file, or a hub id.
        #[arg(value_parser = cli::model)]
        model: ModelSource,
    },
}

/// Tells it.
pub(crate) fn run(args: &ModelArgs, context: &Context) -> Result<Ended, Failure> {
    match &args.what {
        What::List => {
            let list = headless::model_list(&context.studio)?;
            context.print(&list, &list::table(&list))?;
        }
        What::Info { model } => {
            let check = headless::model_info(&context.studio, model)?;
            context.print(&check, &facts(&check))?;
        }
    }
    Ok(Ended::Done)
}

/// Bytes in the unit that fits.
fn amount(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{} GB", list::gigabytes(bytes)),
    }
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
