//! `tiller bench`: the project's own speed figures.

use clap::Args;
use tiller_studio::headless::{self, SaeSize, Suite};

use super::{Context, Failure};
use crate::output::Ended;

/// Options of `tiller bench`.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// all, demo, qwen2.5-0.5b or sae.
    #[arg(long, default_value = "all")]
    suite: Suite,
    /// Latents of the SAE that is made up in a temporary folder; it takes four bytes a latent and value.
    #[arg(long, default_value_t = SaeSize::default().latents, value_parser = at_least_one)]
    sae_latents: usize,
    /// Values of its rows.
    #[arg(long, default_value_t = SaeSize::default().width, value_parser = at_least_one)]
    sae_width: usize,
}

/// Measures and prints.
pub(crate) fn run(args: &BenchArgs, context: &Context) -> Result<Ended, Failure> {
    let result =
        headless::bench(&context.studio, args.suite, SaeSize { latents: args.sae_latents, width: args.sae_width })?;
    context.print(&result, &result.text())?;
    Ok(Ended::from_stopped(context.studio.watch.is_stopped()))
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| (1..=1 << 24).contains(n)).ok_or_else(|| "a number from 1 to 16777216".to_owned())
}
