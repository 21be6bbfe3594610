//! `tiller grad`: the gradient for one-hot tokens.

use std::path::PathBuf;

use clap::Args;
use tiller_protocol::model::ModelSource;
use tiller_studio::headless::{self, GradOptions};

use super::{Context, Failure, number};
use crate::cli;
use crate::output::Ended;

/// Options of `tiller grad`.
#[derive(Args, Debug)]
pub(crate) struct GradArgs {
    /// `demo`, a checkpoint folder, a GGUF file, or a hub id.
    #[arg(long, value_parser = cli::model)]
    model: ModelSource,
    /// Token ids, with commas between.
    #[arg(long, value_delimiter = ',', required = true, value_name = "IDS")]
    ids: Vec<u32>,
    /// Safetensors file whose tensor `direction` is used as it is.
    #[arg(long, value_name = "FILE")]
    vector: PathBuf,
    /// Block, counted from 0, whose residual is read at the last position.
    #[arg(long)]
    block: usize,
    /// Weight of the cross-entropy.
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = number::finite)]
    lambda: f64,
    /// Safetensors file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs the gradient.
pub(crate) fn run(args: &GradArgs, context: &Context) -> Result<Ended, Failure> {
    let options = GradOptions {
        model: args.model.clone(),
        ids: args.ids.clone(),
        vector: args.vector.clone(),
        block: args.block,
        lambda: args.lambda,
        out: args.out.clone(),
    };
    let result = headless::grad(&context.studio, &options)?;
    let text = format!(
        "target {:.6}, cross-entropy {:.6} nats per token\nWrote token_grad: {}\n",
        result.target,
        result.xent,
        result.out.display()
    );
    context.print(&result, &text)?;
    Ok(Ended::Done)
}
