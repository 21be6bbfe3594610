//! `tiller features`: what the features of an autoencoder are.

mod label;
mod scan;
mod search;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tiller_protocol::feature::ImportOptions;
use tiller_studio::headless::{self, FeaturesImported};

use super::{Context, Failure};
use crate::output::Ended;

/// Options of `tiller features`.
#[derive(Args, Debug)]
pub(crate) struct FeaturesArgs {
    #[command(subcommand)]
    what: What,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
enum What {
    /// Search features: by label, token, similarity, vector, or by what fires on texts.
    Search(Box<search::SearchArgs>),
    /// Tell all that is known of a feature.
    Show(show::ShowArgs),
    /// Run a model over texts and note what each feature is active on; what is found can be resumed and shows at once.
    Scan(scan::ScanArgs),
    /// Let a model write labels from what features are active on.
    Label(label::LabelArgs),
    /// Read labels, statistics or examples from a file or folder: Neuronpedia exports, CSV, sparsity.safetensors.
    ImportLabels(ImportArgs),
}

/// Options of `tiller features import-labels`.
#[derive(Args, Debug)]
struct ImportArgs {
    /// `demo`, the name of an opened autoencoder, or the file or folder of a published one.
    #[arg(long)]
    sae: String,
    /// What to read.
    path: PathBuf,
    /// Import although the file names another model, block or source.
    #[arg(long)]
    anyway: bool,
}

/// Does it.
pub(crate) fn run(args: &FeaturesArgs, context: &Context) -> Result<Ended, Failure> {
    match &args.what {
        What::Search(args) => search::run(args, context),
        What::Show(args) => show::run(args, context),
        What::Scan(args) => scan::run(args, context),
        What::Label(args) => label::run(args, context),
        What::ImportLabels(ImportArgs { sae, path, anyway }) => {
            let options = ImportOptions { anyway: *anyway };
            let imported = headless::features_import(&context.studio, sae, path, &options)?;
            context.print(&imported, &told(&imported))?;
            Ok(Ended::Done)
        }
    }
}

fn told(imported: &FeaturesImported) -> String {
    let report = &imported.report;
    let text = format!(
        "Read {} ({} rows) into {}\n  {} labels, {} features with statistics, {} examples; {} rows were left out\n",
        report.form,
        report.n_rows,
        imported.sae.0,
        report.n_labels,
        report.n_stats,
        report.n_examples,
        report.n_skipped
    );
    let reasons: Vec<String> = report.reasons.iter().map(|reason| format!("  {reason}\n")).collect();
    text + &reasons.concat()
}
