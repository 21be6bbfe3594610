//! `tiller generate`: one reply.

use clap::Args;
use tiller_protocol::chat::Sampling;
use tiller_protocol::model::ModelSource;
use tiller_protocol::steering::Positions;
use tiller_studio::headless::{self, GenerateOptions};

use super::steering::SteeringArgs;
use super::{Context, Failure, number};
use crate::cli;
use crate::output::{self, Ended};

/// Options of `tiller generate`.
#[derive(Args, Debug)]
pub(crate) struct GenerateArgs {
    /// `demo`, a checkpoint folder, a GGUF file, or a hub id.
    #[arg(long, value_parser = cli::model)]
    model: ModelSource,
    /// System text.
    #[arg(long)]
    system: Option<String>,
    /// User text.
    #[arg(long)]
    user: String,
    #[command(flatten)]
    steering: SteeringArgs,
    /// Seed of the draws.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// 0 takes the most likely token each time.
    #[arg(long, default_value_t = Sampling::default().temperature, value_parser = number::not_negative)]
    temperature: f64,
    /// Keep only this many most likely tokens; 0 keeps all.
    #[arg(long, default_value_t = Sampling::default().top_k)]
    top_k: usize,
    /// Keep the most likely tokens up to this mass.
    #[arg(long, default_value_t = Sampling::default().top_p, value_parser = number::share)]
    top_p: f64,
    /// Drop tokens less likely than this share of the most likely one.
    #[arg(long, default_value_t = Sampling::default().min_p, value_parser = number::share)]
    min_p: f64,
    /// Divides the logits of tokens already written; 1 is off.
    #[arg(long, default_value_t = Sampling::default().repetition_penalty, value_parser = number::positive)]
    repetition_penalty: f64,
    /// Longest reply, in tokens.
    #[arg(long, default_value_t = Sampling::default().max_tokens)]
    max_tokens: usize,
}

/// Writes the reply as it comes, or one document at the end.
pub(crate) fn run(args: &GenerateArgs, context: &Context) -> Result<Ended, Failure> {
    let options = GenerateOptions {
        model: args.model.clone(),
        system: args.system.clone(),
        user: args.user.clone(),
        vectors: args.steering.vectors(Positions::Generated)?,
        sampling: Sampling {
            temperature: args.temperature,
            top_k: args.top_k,
            top_p: args.top_p,
            min_p: args.min_p,
            repetition_penalty: args.repetition_penalty,
            max_tokens: args.max_tokens,
            seed: args.seed,
        },
    };
    let mut written = Ok(());
    let result = headless::generate(&context.studio, &options, &mut |text| {
        if !context.json && written.is_ok() {
            written = output::to_stdout(text);
        }
    })?;
    written?;
    context.print(&result, "\n")?;
    if result.folded_system {
        output::to_stderr("The model's chat template has no place for a system text: it was put before the user's.\n");
    }
    let stopped = result.reason == tiller_protocol::chat::EndReason::Stopped;
    Ok(Ended::from_stopped(stopped))
}
