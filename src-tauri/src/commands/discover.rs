//! `tiller discover`: a search for prompts.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use tiller_protocol::discovery::RunResult;
use tiller_protocol::model::ModelSource;
use tiller_studio::headless::{self, DiscoverOptions};

use super::{Context, Failure};
use crate::cli;
use crate::output::Ended;

/// Options of `tiller discover`.
#[derive(Args, Debug)]
pub(crate) struct DiscoverArgs {
    /// `demo`, a checkpoint folder, a GGUF file, or a hub id.
    #[arg(long, default_value = "demo", value_parser = cli::model)]
    model: ModelSource,
    /// Settings of the run as TOML; what is missing takes the desktop preset.
    #[arg(long, value_name = "RUN.toml")]
    config: PathBuf,
    /// Folder for candidates.jsonl, front.json, front.png and run.toml.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Go on from the candidates that the folder already holds.
    #[arg(long)]
    resume: bool,
}

/// Runs the search.
pub(crate) fn run(args: &DiscoverArgs, context: &Context) -> Result<Ended, Failure> {
    let options = DiscoverOptions {
        model: args.model.clone(),
        config: args.config.clone(),
        out: args.out.clone(),
        resume: args.resume,
    };
    let result = headless::discover(&context.studio, &options)?;
    let text = format!("{}Wrote {}\n", front(&result.run), result.out.display());
    context.print(&result, &text)?;
    Ok(Ended::from_stopped(result.run.stopped))
}

/// The front, one line for each prompt.
fn front(run: &RunResult) -> String {
    let mut text = format!("{} candidates evaluated, {} on the front\n", run.evaluations, run.front.len());
    text.push_str("cross-entropy   effect  persona rate (selection)  prompt\n");
    for point in &run.front {
        let rate = point.select.as_ref().map_or_else(String::new, |select| {
            let rate = select.persona;
            format!("{:.0} % [{:.0}, {:.0}]", 100.0 * rate.rate, 100.0 * rate.low, 100.0 * rate.high)
        });
        let candidate = &point.candidate;
        let line =
            writeln!(text, "{:>13.2} {:>8.3}  {rate:<24}  {:?}", candidate.xent, candidate.target, candidate.text);
        debug_assert!(line.is_ok(), "writing to a string succeeds");
    }
    text
}
