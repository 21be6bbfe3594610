//! `tiller sae train`: an SAE of one's own.

use std::path::PathBuf;

use clap::Args;
use tiller_protocol::feature::{Corpus, TrainKind, TrainSettings};
use tiller_protocol::model::ModelSource;
use tiller_studio::headless::{self, SaeTrainOptions, SaeTrained};

use super::super::{Context, Failure, number};
use crate::cli;
use crate::output::Ended;

/// Options of `tiller sae train`.
#[derive(Args, Debug)]
pub(super) struct TrainArgs {
    /// `demo`, a checkpoint folder, a GGUF file, or a hub id.
    #[arg(long, value_parser = cli::model)]
    model: ModelSource,
    /// Block (0-based) whose output it reads [default: the middle one].
    #[arg(long, value_name = "B")]
    block: Option<usize>,
    /// A text file, a .jsonl file whose lines have `text` or `messages`, or a folder of such files [default: texts that
    /// ship with Tiller].
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Folder for cfg.json and the weights.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// topk, batchtopk or jumprelu.
    #[arg(long, default_value = "topk", value_parser = kind)]
    architecture: TrainKind,
    /// Number of latents.
    #[arg(long, default_value_t = TrainSettings::default().d_sae)]
    latents: usize,
    /// Latents that pass for a token; on average for batchtopk and jumprelu.
    #[arg(long, default_value_t = TrainSettings::default().k)]
    k: usize,
    /// Tokens to train on; the texts are gone over again when they have fewer.
    #[arg(long, default_value_t = TrainSettings::default().tokens)]
    tokens: u64,
    /// Tokens of a step.
    #[arg(long, default_value_t = TrainSettings::default().batch)]
    batch: usize,
    /// Adam's learning rate [default: 2e-4 · √(16384 / latents)].
    #[arg(long, value_name = "RATE", value_parser = number::positive)]
    learning_rate: Option<f64>,
    /// Tokens of a sequence; longer texts are cut.
    #[arg(long, default_value_t = TrainSettings::default().context_len)]
    context: usize,
    /// Seed of the beginning and of the order.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write the weights in f16 instead of f32.
    #[arg(long)]
    half: bool,
    /// Go on from the checkpoint in the folder, if there is one.
    #[arg(long)]
    resume: bool,
}

fn kind(text: &str) -> Result<TrainKind, String> {
    match text {
        "topk" => Ok(TrainKind::TopK),
        "batchtopk" => Ok(TrainKind::BatchTopK),
        "jumprelu" => Ok(TrainKind::JumpRelu),
        _ => Err("expected topk, batchtopk or jumprelu".to_owned()),
    }
}

/// Trains it.
pub(super) fn run(args: &TrainArgs, context: &Context) -> Result<Ended, Failure> {
    let options = SaeTrainOptions {
        model: args.model.clone(),
        settings: TrainSettings {
            name: String::new(),
            corpus: args.data.clone().map_or(Corpus::Shipped, Corpus::Path),
            block: args.block,
            kind: args.architecture,
            d_sae: args.latents,
            k: args.k,
            tokens: args.tokens,
            batch: args.batch,
            learning_rate: args.learning_rate,
            context_len: args.context,
            seed: args.seed,
            resume: args.resume,
        },
        half: args.half,
        out: args.out.clone(),
    };
    let result = headless::sae_train(&context.studio, &options)?;
    context.print(&result, &told(&result))?;
    Ok(Ended::from_stopped(result.stopped))
}

fn told(result: &SaeTrained) -> String {
    let SaeTrained { out, block, last, model, stopped } = result;
    let facts = format!(
        "{}, block {block}, {} tokens: FVU {:.4}, L0 {:.1}, {:.1} % of the latents dead (the last steps)\n",
        model.name,
        last.tokens,
        last.fvu,
        last.l0,
        100.0 * last.dead
    );
    let out = out.display();
    if *stopped {
        format!("{facts}Stopped; go on with --resume: the checkpoint is in {out}\n")
    } else {
        format!("{facts}Wrote {out}\n")
    }
}
