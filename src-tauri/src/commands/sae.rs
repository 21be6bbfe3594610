//! `tiller sae`: sparse autoencoders, as they are published and as Tiller keeps them.

mod told;
mod train;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tiller_protocol::feature::{OpenOptions, SelfTestVerdict};
use tiller_protocol::model::ModelSource;
use tiller_protocol::problem::Problem;
use tiller_studio::headless::{self, SaeDescribed};

use super::trace::InputArgs;
use super::{Context, Failure};
use crate::cli;
use crate::output::{Ended, amount};

/// Options of `tiller sae`.
#[derive(Args, Debug)]
pub(crate) struct SaeArgs {
    #[command(subcommand)]
    what: What,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
enum What {
    /// List the autoencoders that were opened.
    List,
    /// Say what an autoencoder is; the weights of a published one are not read.
    Info {
        /// `demo`, a file or folder in any published form, an installed name, or the name of an opened one.
        sae: String,
        #[command(flatten)]
        hints: HintArgs,
    },
    /// Try an autoencoder on a model: how well it rebuilds the residual stream at its block and one either side.
    Check {
        /// `demo`, a checkpoint folder, a GGUF file, or a hub id.
        #[arg(long, value_parser = cli::model)]
        model: ModelSource,
        /// As for `info`; a published one is opened first.
        sae: String,
        /// Try it at this block (0-based) instead of its own; nothing is kept then.
        #[arg(long, value_name = "B")]
        block: Option<usize>,
    },
    /// Say which features are active on each token of a text.
    Encode {
        /// As for `info`; a published one is opened first.
        #[arg(long)]
        sae: String,
        /// `demo`, a checkpoint folder, a GGUF file, or a hub id.
        #[arg(long, value_parser = cli::model)]
        model: ModelSource,
        #[command(flatten)]
        input: InputArgs,
        /// Features that are told for a token, the most active first.
        #[arg(long, default_value_t = 8, value_name = "N")]
        top: usize,
    },
    /// Train an autoencoder on what a block of a model writes while it reads texts.
    Train(train::TrainArgs),
    /// Write a published autoencoder in the form that is browsed, to a file of its own.
    Convert {
        /// A file or folder in any published form.
        path: PathBuf,
        /// File to write.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        hints: HintArgs,
    },
    /// Delete an opened autoencoder with its labels, notes and bookmarks; the published files stay.
    Remove {
        /// Name of an opened one.
        sae: String,
        /// Do it; without this the command only says what would go, and ends with exit code 2.
        #[arg(long)]
        yes: bool,
    },
}

/// What a person knows of a file that does not say it itself.
#[derive(Args, Clone, Copy, Debug)]
struct HintArgs {
    /// Block (0-based) whose output it reads; goes before what the file says.
    #[arg(long, value_name = "B")]
    at_block: Option<usize>,
    /// Latents that pass at once, for files that do not say it.
    #[arg(long, value_name = "N")]
    k: Option<usize>,
    /// Mean length of the activations it was trained on, for files that leave it out.
    #[arg(long, value_name = "X")]
    mean_norm: Option<f32>,
}

impl From<HintArgs> for OpenOptions {
    fn from(args: HintArgs) -> Self {
        Self { block: args.at_block, k: args.k, mean_norm: args.mean_norm, delete_original: false }
    }
}

/// Does it.
pub(crate) fn run(args: &SaeArgs, context: &Context) -> Result<Ended, Failure> {
    let studio = &context.studio;
    match &args.what {
        What::List => {
            let list = headless::sae_list(studio)?;
            context.print(&list, &told::list(&list))?;
        }
        What::Info { sae, hints } => {
            let described = headless::sae_info(studio, sae, &(*hints).into())?;
            let text = match &described {
                SaeDescribed::Opened(info) => told::opened(info),
                SaeDescribed::Published(published) => told::published(published),
            };
            context.print(&described, &text)?;
        }
        What::Check { model, sae, block } => {
            let checked = headless::sae_check(studio, model, sae, *block)?;
            context.print(&checked, &told::checked(&checked))?;
            let verdict = checked.sae.self_test.map(|test| test.verdict);
            return Ok(if verdict == Some(SelfTestVerdict::Good) { Ended::Done } else { Ended::Found });
        }
        What::Encode { sae, model, input, top } => {
            let encoded = headless::sae_encode(studio, model, sae, &input.input()?, *top)?;
            context.print(&encoded, &told::encoded(&encoded))?;
        }
        What::Convert { path, out, hints } => {
            let converted = headless::sae_convert(studio, path, &(*hints).into(), out)?;
            let text = format!("Wrote {} ({})\n", converted.out.display(), amount(converted.bytes));
            context.print(&converted, &text)?;
        }
        What::Train(args) => return train::run(args, context),
        What::Remove { sae, yes } => return remove(sae, *yes, context),
    }
    Ok(Ended::Done)
}

fn remove(sae: &str, is_sure: bool, context: &Context) -> Result<Ended, Failure> {
    let removed = headless::sae_remove(&context.studio, sae, is_sure)?;
    let freed = amount(removed.freed_bytes);
    if !removed.removed {
        return Err(Failure::Unconfirmed(Problem::new(
            "Nothing was removed",
            format!("{} takes {freed}; {} features have a label.", removed.id.0, removed.n_labelled),
            "Give --yes to remove it.",
        )));
    }
    context.print(&removed, &format!("Removed {}; {freed} are free again\n", removed.id.0))?;
    Ok(Ended::Done)
}
