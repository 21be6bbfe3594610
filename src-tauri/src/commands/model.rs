//! `tiller model`: what models take, without loading them.

use clap::{Args, Subcommand};
use tiller_protocol::model::{ModelCheck, ModelSource};
use tiller_studio::catalogue::CatalogueEntry;
use tiller_studio::headless::{self, ModelList};

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
    /// List published models of the supported families with the memory they take.
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
            let list = headless::model_list()?;
            context.print(&list, &table(&list))?;
        }
        What::Info { model } => {
            let check = headless::model_info(&context.studio, model)?;
            context.print(&check, &facts(&check))?;
        }
    }
    Ok(Ended::Done)
}

/// Bytes in thousands of millions with as many decimals as fit the column.
fn gigabytes(bytes: u64) -> String {
    let value = bytes as f64 / 1e9;
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") }
}

fn table(list: &ModelList) -> String {
    let formats: Vec<&str> =
        list.models.first().map(|entry| entry.weights.iter().map(|w| w.format.as_str()).collect()).unwrap_or_default();
    let columns = |name: &str, cells: &[String], last: &str| {
        let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>8}")).collect();
        format!("{name:<16}{}  {last}\n", cells.concat())
    };
    let mut head = vec!["10^9".to_owned()];
    head.extend(formats.iter().map(|&format| format.to_owned()));
    head.extend(["+chat".to_owned(), "+search".to_owned()]);
    let mut lines = vec![columns("model", &head, "fits now as")];
    for entry in &list.models {
        let mut cells = vec![gigabytes(entry.n_params)];
        cells.extend(entry.weights.iter().map(|weights| gigabytes(weights.bytes)));
        cells.extend([entry.conversation_bytes, entry.discovery_bytes].map(gigabytes));
        lines.push(columns(&entry.name, &cells, &fit(entry, list.free_bytes)));
    }
    let free = list.free_bytes.map_or_else(|| "unknown".to_owned(), |free| format!("{} GB", gigabytes(free)));
    lines.push(format!(
        "\nParameters in 10^9. GB of weights by number format; +chat: a conversation of up to 4096 tokens, +search: a\n\
         discovery step with the default settings, both on the processor. Free now: {free}.\n"
    ));
    lines.concat()
}

fn fit(entry: &CatalogueEntry, free: Option<u64>) -> String {
    match free {
        None => "unknown".to_owned(),
        Some(free) => entry.best_fit(free).map_or_else(|| "-".to_owned(), |weights| weights.format.clone()),
    }
}

/// Bytes in the unit that fits.
fn amount(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{} GB", gigabytes(bytes)),
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
