//! One module for each command without a window: its options, and how its result is told to people.

pub(crate) mod bench;
pub(crate) mod demo;
pub(crate) mod discover;
pub(crate) mod evaluate;
pub(crate) mod extract;
pub(crate) mod features;
pub(crate) mod generate;
pub(crate) mod grad;
pub(crate) mod model;
mod number;
pub(crate) mod sae;
mod steering;
pub(crate) mod trace;

use std::process::ExitCode;
use std::sync::Arc;

use tiller_protocol::model::LoadOptions;
use tiller_protocol::problem::Problem;
use tiller_studio::HubOptions;
use tiller_studio::headless::{self, Watch};

use crate::cli::{self, Command, Global};
use crate::interrupt;
use crate::output::{self, Ended};
use crate::progress::Progress;

/// What every command works with.
pub(crate) struct Context {
    /// Options, progress and stop for the studio.
    pub(crate) studio: headless::Global,
    /// Whether stdout takes one JSON document.
    pub(crate) json: bool,
}

impl Context {
    /// Prints a command's result.
    pub(crate) fn print(&self, value: &impl serde::Serialize, text: &str) -> Result<(), Failure> {
        output::result(value, text, self.json).map_err(Failure::Problem)
    }
}

/// Why a command did not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Its options do not fit together.
    Usage(String),
    /// It does this only once it is told to by an option more; as wrong usage to the caller.
    Unconfirmed(Problem),
    /// Something went wrong.
    Problem(Problem),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Runs a command and returns the exit code.
pub(crate) fn run(command: &Command, global: &Global) -> ExitCode {
    let progress = Progress::new();
    let watch = Watch { on_step: Some(progress.on_step()), ..Watch::default() };
    interrupt::on_interrupt(Arc::clone(&watch.stop), || {
        output::to_stderr("\nStopping; press Ctrl-C again to end at once\n");
    });
    let context = Context {
        studio: headless::Global {
            workspace: global.workspace.clone(),
            device: global.device,
            dtype: global.dtype,
            load: LoadOptions { anyway: global.load_anyway, template: global.template() },
            hub: HubOptions { offline: global.offline, ..HubOptions::default() },
            watch,
        },
        json: global.json,
    };
    let ended = dispatch(command, &context);
    progress.finish();
    match ended {
        Ok(ended) => ended.exit_code(),
        Err(Failure::Usage(message)) => cli::usage(&format!("error: {message}"), global.json),
        Err(Failure::Unconfirmed(problem)) => {
            output::failure(&problem, global.json);
            ExitCode::from(output::USAGE)
        }
        Err(Failure::Problem(problem)) => {
            let failed = output::failure(&problem, global.json);
            // It was stopped before it had a result.
            if context.studio.watch.is_stopped() { Ended::Stopped.exit_code() } else { failed }
        }
    }
}

fn dispatch(command: &Command, context: &Context) -> Result<Ended, Failure> {
    match command {
        Command::Demo(args) => demo::run(args, context),
        Command::Model(args) => model::run(args, context),
        Command::Trace(args) => trace::run(args, context),
        Command::Grad(args) => grad::run(args, context),
        Command::Extract(args) => extract::run(args, context),
        Command::Discover(args) => discover::run(args, context),
        Command::Evaluate(args) => evaluate::run(args, context),
        Command::Generate(args) => generate::run(args, context),
        Command::Sae(args) => sae::run(args, context),
        Command::Features(args) => features::run(args, context),
        Command::Bench(args) => bench::run(args, context),
    }
}
