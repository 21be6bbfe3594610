//! `tiller bench`: the project's own speed figures.

use clap::Args;
use tiller_studio::headless::{self, Suite};

use super::{Context, Failure};
use crate::output::Ended;

/// Options of `tiller bench`.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// all, demo or qwen2.5-0.5b.
    #[arg(long, default_value = "all")]
    suite: Suite,
}

/// Measures and prints.
pub(crate) fn run(args: &BenchArgs, context: &Context) -> Result<Ended, Failure> {
    let result = headless::bench(&context.studio, args.suite)?;
    context.print(&result, &result.text())?;
    Ok(Ended::from_stopped(context.studio.watch.is_stopped()))
}
