//! `tiller evaluate`: rates of prompts and vectors on items.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use tiller_protocol::evaluation::{Condition, Rate};
use tiller_protocol::model::ModelSource;
use tiller_protocol::persona::Placement;
use tiller_protocol::steering::Positions;
use tiller_studio::headless::{self, EvaluateOptions};

use super::steering::SteeringArgs;
use super::{Context, Failure};
use crate::cli;
use crate::output::Ended;

/// Options of `tiller evaluate`.
#[derive(Args, Debug)]
pub(crate) struct EvaluateArgs {
    /// `demo`, a checkpoint folder, a GGUF file, or a hub id.
    #[arg(long, value_parser = cli::model)]
    model: ModelSource,
    /// Items, one JSON object a line.
    #[arg(long, value_name = "ITEMS.jsonl")]
    items: PathBuf,
    /// A prompt to measure beside no prompt; may be repeated.
    #[arg(long = "prompt", value_name = "TEXT")]
    prompts: Vec<String>,
    /// Where prompts stand: system, user-prefix, user-suffix or assistant-prefill.
    #[arg(long, default_value = "system", value_parser = cli::word::<Placement>)]
    placement: Placement,
    #[command(flatten)]
    steering: SteeringArgs,
}

/// Runs the measurement.
pub(crate) fn run(args: &EvaluateArgs, context: &Context) -> Result<Ended, Failure> {
    let options = EvaluateOptions {
        model: args.model.clone(),
        items: args.items.clone(),
        prompts: args.prompts.clone(),
        placement: args.placement,
        vectors: args.steering.vectors(Positions::LastPrompt)?,
    };
    let result = headless::evaluate(&context.studio, &options)?;
    context.print(&result, &table(&result.conditions))?;
    Ok(Ended::from_stopped(result.stopped))
}

/// The rates, one line for each condition.
fn table(conditions: &[Condition]) -> String {
    let mut text = format!("{:<24} {:<20} {:<20} condition\n", "persona rate [95 %]", "as written", "letters swapped");
    for condition in conditions {
        let Some(behaviour) = &condition.report else { continue };
        let prompt = condition.prompt.as_ref().map_or_else(String::new, |prompt| format!(": {prompt:?}"));
        let line = writeln!(
            text,
            "{:<24} {:<20} {:<20} {}{prompt}",
            interval(behaviour.persona),
            behaviour.as_written.map_or_else(String::new, interval),
            behaviour.swapped.map_or_else(String::new, interval),
            condition.name
        );
        debug_assert!(line.is_ok(), "writing to a string succeeds");
    }
    text
}

/// A rate with its interval: `42 % [37, 47]`.
fn interval(rate: Rate) -> String {
    format!("{:.0} % [{:.0}, {:.0}]", 100.0 * rate.rate, 100.0 * rate.low, 100.0 * rate.high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_with_its_interval() {
        let rate = Rate { hits: 21, n: 50, rate: 0.42, low: 0.294, high: 0.558 };
        assert_eq!(interval(rate), "42 % [29, 56]");
    }
}
