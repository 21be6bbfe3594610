//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tiller_protocol::chat::{Date, TemplateOptions};
use tiller_protocol::model::{DeviceChoice, DtypeChoice, ModelSource};
use tiller_protocol::problem::Problem;
use tiller_studio::headless;

use crate::commands;
use crate::output;

/// See, steer and re-prompt the personas inside open language models.
///
/// Without a command the window opens; with one it never does.
#[derive(Debug, Parser)]
#[command(name = "tiller", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Options for every command.
    #[command(flatten)]
    pub(crate) global: Global,

    /// What draws the window; both are tried in turn unless one is named.
    #[arg(long, value_enum)]
    pub(crate) renderer: Option<Renderer>,

    /// What to do without a window.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Options for every command.
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// Folder for vectors, runs and settings [default: the platform's data folder].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) workspace: Option<PathBuf>,

    /// Where the model runs: auto, cpu, cuda, cuda:N or metal.
    #[arg(long, global = true, default_value = "auto", value_parser = device)]
    pub(crate) device: DeviceChoice,

    /// Number format of the weights: auto, f32, bf16 or f16.
    #[arg(long, global = true, default_value = "auto", value_parser = dtype)]
    pub(crate) dtype: DtypeChoice,

    /// Load a model even if it does not fit the memory that is free.
    #[arg(long, global = true)]
    pub(crate) load_anyway: bool,

    /// Whether a model with such a switch thinks before it answers: on or off [default: as its chat template has it].
    #[arg(long, global = true, value_name = "ON|OFF", value_parser = on_or_off)]
    pub(crate) thinking: Option<bool>,

    /// The day that chat templates print, as 2024-07-26 [default: a fixed one].
    #[arg(long, global = true, value_name = "DAY")]
    pub(crate) date: Option<Date>,

    /// Print one JSON document on stdout and nothing else; progress goes to stderr.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Never use the network.
    #[arg(long, global = true)]
    pub(crate) offline: bool,

    /// Tell more on stderr; twice for debugging.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl Global {
    /// What chat templates are told.
    pub(crate) fn template(&self) -> TemplateOptions {
        TemplateOptions { thinking: self.thinking, date: self.date }
    }
}

/// What draws the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Renderer {
    /// Vulkan, Metal, Direct3D, or OpenGL through wgpu.
    Wgpu,
    /// OpenGL.
    Glow,
}

/// Commands without a window.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Do the whole job on the demo model and write a report.
    Demo(commands::demo::DemoArgs),
    /// Find, download, import, check and remove models and autoencoders.
    Model(commands::model::ModelArgs),
    /// Write residuals and logits of a token sequence.
    Trace(commands::trace::TraceArgs),
    /// Write the gradient for one-hot tokens.
    Grad(commands::grad::GradArgs),
    /// Extract a persona's direction for every block.
    Extract(commands::extract::ExtractArgs),
    /// Search for prompts that act like a direction.
    Discover(commands::discover::DiscoverArgs),
    /// Measure prompts and vectors on items.
    Evaluate(commands::evaluate::EvaluateArgs),
    /// Write one reply.
    Generate(commands::generate::GenerateArgs),
    /// Describe, check, use and convert sparse autoencoders.
    Sae(commands::sae::SaeArgs),
    /// Search the features of an autoencoder, and read what is known of them.
    Features(commands::features::FeaturesArgs),
    /// Measure Tiller's own speed.
    Bench(commands::bench::BenchArgs),
}

/// Reads the command line; help, version and wrong usage are told here and end in their exit code.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Cli, ExitCode> {
    let args: Vec<OsString> = args.collect();
    Cli::try_parse_from(&args).map_err(|error| {
        if !error.use_stderr() {
            let told = output::to_stdout(&error.render().to_string());
            return if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        usage(&error.render().to_string(), args.iter().any(|arg| arg == "--json"))
    })
}

/// Tells wrong usage and returns exit code 2.
pub(crate) fn usage(message: &str, json: bool) -> ExitCode {
    output::to_stderr(&format!("{}\n", message.trim_end()));
    if json {
        let cause = message.trim().strip_prefix("error: ").unwrap_or(message.trim());
        let problem = Problem::new("The command line was not understood", cause, "Run tiller --help.");
        drop(output::to_stdout(&output::error_document(&problem)));
    }
    ExitCode::from(output::USAGE)
}

/// `auto`, `cpu`, `cuda`, `cuda:N` or `metal`.
fn device(text: &str) -> Result<DeviceChoice, String> {
    match text {
        "auto" => Ok(DeviceChoice::Auto),
        "cpu" => Ok(DeviceChoice::Cpu),
        "metal" => Ok(DeviceChoice::Metal),
        "cuda" => Ok(DeviceChoice::Cuda(0)),
        other => other
            .strip_prefix("cuda:")
            .and_then(|index| index.parse().ok())
            .map(DeviceChoice::Cuda)
            .ok_or_else(|| "expected auto, cpu, cuda, cuda:N or metal".to_owned()),
    }
}

/// `on` or `off`.
fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off".to_owned()),
    }
}

/// `auto`, `f32`, `bf16` or `f16`.
fn dtype(text: &str) -> Result<DtypeChoice, String> {
    match text {
        "auto" => Ok(DtypeChoice::Auto),
        "f32" => Ok(DtypeChoice::F32),
        "bf16" => Ok(DtypeChoice::Bf16),
        "f16" => Ok(DtypeChoice::F16),
        _ => Err("expected auto, f32, bf16 or f16".to_owned()),
    }
}

/// `demo`, a folder, a GGUF file, or a hub id.
#[expect(clippy::unnecessary_wraps, reason = "clap's value parsers return a result")]
pub(crate) fn model(text: &str) -> Result<ModelSource, String> {
    Ok(headless::model_source(text))
}

/// A word of the protocol, written with hyphens on the command line: `user-prefix`, `last-prompt`.
pub(crate) fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    let value = serde_json::Value::String(text.replace('-', "_"));
    serde_json::from_value(value).map_err(|error| error.to_string().replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use tiller_protocol::persona::Placement;

    use super::*;

    fn parsed(line: &str) -> Cli {
        Cli::try_parse_from(line.split_whitespace()).unwrap()
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_opens_the_window() {
        assert!(parsed("tiller").command.is_none());
        assert_eq!(parsed("tiller --renderer glow").renderer, Some(Renderer::Glow));
    }

    #[test]
    fn global_options_may_stand_after_the_command() {
        let cli = parsed("tiller demo --out report --device cuda:1 --dtype bf16 --json --workspace w -vv");
        assert_eq!(cli.global.device, DeviceChoice::Cuda(1));
        assert_eq!(cli.global.dtype, DtypeChoice::Bf16);
        assert!(cli.global.json);
        assert_eq!(cli.global.workspace, Some(PathBuf::from("w")));
        assert_eq!(cli.global.verbose, 2);
        assert_eq!((cli.global.thinking, cli.global.date), (None, None));
        let cli = parsed("tiller demo --out report --thinking off --date 2026-03-05");
        assert_eq!((cli.global.thinking, cli.global.date), (Some(false), Date::new(2026, 3, 5)));
    }

    #[test]
    fn unknown_devices_and_formats_are_refused() {
        let refused = [
            "tiller --device tpu",
            "tiller --device cuda:x",
            "tiller --dtype f64",
            "tiller --thinking maybe",
            "tiller --date 2024-02-30",
            "tiller fly",
        ];
        for line in refused {
            assert!(Cli::try_parse_from(line.split_whitespace()).is_err(), "{line}");
        }
    }

    #[test]
    fn protocol_words_are_written_with_hyphens() {
        assert_eq!(word::<Placement>("user-prefix"), Ok(Placement::UserPrefix));
        let refused = word::<Placement>("nowhere").unwrap_err();
        assert!(refused.contains("assistant-prefill"), "{refused}");
    }
}
