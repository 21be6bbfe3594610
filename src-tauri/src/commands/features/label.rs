//! `tiller features label`.

use clap::Args;
use tiller_protocol::model::ModelSource;
use tiller_studio::headless::{self, FeaturesLabelled, ToLabel, WrittenLabel};

use crate::cli;
use crate::commands::{Context, Failure};
use crate::output::Ended;

/// Options of `tiller features label`.
#[derive(Args, Debug)]
pub(super) struct LabelArgs {
    /// `demo`, the name of an opened autoencoder, or the file or folder of a published one.
    #[arg(long)]
    sae: String,
    /// The model that writes: `demo`, a checkpoint folder, a GGUF file, or a hub id. It has to be one that the autoencoder
    /// reads.
    #[arg(long, value_parser = cli::model)]
    model: ModelSource,
    /// Label the bookmarked features.
    #[arg(long, conflicts_with = "features")]
    bookmarked: bool,
    /// Features by number. Of several, those that this model has labelled before are passed over.
    #[arg(value_name = "FEATURE", required_unless_present = "bookmarked")]
    features: Vec<u32>,
}

/// Labels.
pub(super) fn run(args: &LabelArgs, context: &Context) -> Result<Ended, Failure> {
    let which = if args.bookmarked { ToLabel::Bookmarked } else { ToLabel::Features(args.features.clone()) };
    let result = headless::features_label(&context.studio, &args.sae, &args.model, &which)?;
    context.print(&result, &told(&result))?;
    Ok(Ended::from_stopped(result.stopped))
}

fn told(result: &FeaturesLabelled) -> String {
    let line = |label: &WrittenLabel| {
        let score = label.score.map_or_else(|| "   -".to_owned(), |score| format!("{score:.2}"));
        let method = label.method.as_deref().unwrap_or_default();
        format!("{:>8}  {score}  {method:<15}  {}", label.latent, label.text)
    };
    let mut lines: Vec<String> = result.labels.iter().map(line).collect();
    lines.push(format!("{} labels written", result.labels.len()));
    if result.n_known > 0 {
        lines.push(format!("{} features had one by this model", result.n_known));
    }
    lines.extend(result.note.clone());
    lines.join("\n") + "\n"
}
