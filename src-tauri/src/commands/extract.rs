//! `tiller extract`: a persona's direction for every block.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use tiller_protocol::model::ModelSource;
use tiller_protocol::steering::{ExtractMethod, VectorInfo};
use tiller_studio::headless::{self, ExtractOptions};

use super::{Context, Failure};
use crate::cli;
use crate::output::Ended;

/// Options of `tiller extract`.
#[derive(Args, Debug)]
pub(crate) struct ExtractArgs {
    /// `demo`, a checkpoint folder, a GGUF file, or a hub id.
    #[arg(long, value_parser = cli::model)]
    model: ModelSource,
    /// Persona by id, or the path of its TOML file.
    #[arg(long)]
    persona: String,
    /// mean-difference.
    #[arg(long, default_value = "mean-difference", value_parser = cli::word::<ExtractMethod>)]
    method: ExtractMethod,
    /// Safetensors file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs the extraction.
pub(crate) fn run(args: &ExtractArgs, context: &Context) -> Result<Ended, Failure> {
    let options = ExtractOptions {
        model: args.model.clone(),
        persona: args.persona.clone(),
        method: args.method,
        out: args.out.clone(),
    };
    let result = headless::extract(&context.studio, &options)?;
    let text = if result.stopped {
        "Stopped before the end; no file was written\n".to_owned()
    } else {
        format!("{}Wrote {}\n", table(&result.vector), result.out.display())
    };
    context.print(&result, &text)?;
    Ok(Ended::from_stopped(result.stopped))
}

/// The diagnostics, one line for each block.
fn table(vector: &VectorInfo) -> String {
    let mut text = format!("{}, {} pairs, {}\n", vector.name, vector.n_pairs, vector.model_name);
    text.push_str("block    norm  share of residual  split-half cosine  AUROC  letter cosine\n");
    for block in &vector.blocks {
        let share = if block.resid_norm > 0.0 { block.norm / block.resid_norm } else { 0.0 };
        let mark = if block.block == vector.recommended_block { "*" } else { " " };
        let line = writeln!(
            text,
            "{:>4}{mark} {:>7.3} {:>18.3} {:>18.3} {:>6.3} {:>14.3}",
            block.block, block.norm, share, block.split_half_cos, block.auroc, block.letter_cos
        );
        debug_assert!(line.is_ok(), "writing to a string succeeds");
    }
    text.push_str("* recommended\n");
    text
}
