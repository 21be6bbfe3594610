//! `tiller demo`: the whole job on the demo model, with a report.

use std::path::PathBuf;

use clap::Args;
use tiller_studio::headless::{self, DemoOptions};

use super::{Context, Failure};
use crate::output::Ended;

/// Options of `tiller demo`.
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Folder for report.html, results.json and the plots.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Fewer personas and shorter searches.
    #[arg(long)]
    quick: bool,
    /// First seed of the searches.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Runs the demo.
pub(crate) fn run(args: &DemoArgs, context: &Context) -> Result<Ended, Failure> {
    let options = DemoOptions { out: args.out.clone(), quick: args.quick, seed: args.seed };
    let result = headless::demo(&context.studio, &options)?;
    let findings = result.findings.join("\n");
    let text = format!("{findings}\nReport: {} ({:.0} s)\n", result.report.display(), result.seconds);
    context.print(&result, &text)?;
    Ok(Ended::from_stopped(result.stopped))
}
