//! `tiller features scan`.

use std::path::PathBuf;

use clap::Args;
use tiller_protocol::feature::{Corpus, ScanSettings};
use tiller_protocol::model::ModelSource;
use tiller_studio::headless;

use crate::cli;
use crate::commands::{Context, Failure};
use crate::output::Ended;

/// Options of `tiller features scan`.
#[derive(Args, Debug)]
pub(super) struct ScanArgs {
    /// `demo`, the name of an opened autoencoder, or the file or folder of a published one.
    #[arg(long)]
    sae: String,
    /// `demo`, a checkpoint folder, a GGUF file, or a hub id.
    #[arg(long, value_parser = cli::model)]
    model: ModelSource,
    /// A text file, a .jsonl file whose lines have `text` or `messages`, or a folder of such files; what ships with Tiller
    /// when it is left out.
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// At most so many tokens.
    #[arg(long, default_value_t = ScanSettings::default().max_tokens, value_name = "N")]
    tokens: u64,
    /// Tokens of a sequence: longer texts are cut into such pieces.
    #[arg(long, default_value_t = ScanSettings::default().context_len, value_name = "N")]
    context: usize,
    /// Begin anew, also where a scan of the same texts could be gone on with.
    #[arg(long)]
    restart: bool,
}

/// Scans.
pub(super) fn run(args: &ScanArgs, context: &Context) -> Result<Ended, Failure> {
    if args.context < 2 || args.tokens == 0 {
        return Err(Failure::Usage("--context needs at least 2 tokens, and --tokens at least 1".to_owned()));
    }
    let settings = ScanSettings {
        corpus: args.data.clone().map_or(Corpus::Shipped, Corpus::Path),
        max_tokens: args.tokens,
        context_len: args.context,
        resume: !args.restart,
    };
    let result = headless::features_scan(&context.studio, &args.sae, &args.model, &settings)?;
    let end = if result.stopped { "Stopped; the same command goes on. " } else { "" };
    let text = format!(
        "{end}{} tokens counted; {} of {} features of {} were active\n",
        result.tokens, result.n_active, result.d_sae, result.sae.0
    );
    context.print(&result, &text)?;
    Ok(Ended::from_stopped(result.stopped))
}
