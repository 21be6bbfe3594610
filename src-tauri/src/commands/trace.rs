//! `tiller trace`: residuals and logits of a token sequence.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use tiller_protocol::chat::Turn;
use tiller_protocol::model::ModelSource;
use tiller_protocol::problem::Problem;
use tiller_studio::headless::{self, TraceInput};

use super::{Context, Failure};
use crate::cli;
use crate::output::Ended;

/// Options of `tiller trace`.
#[derive(Args, Debug)]
pub(crate) struct TraceArgs {
    /// `demo`, a checkpoint folder, a GGUF file, or a hub id.
    #[arg(long, value_parser = cli::model)]
    model: ModelSource,
    #[command(flatten)]
    input: InputArgs,
    /// Safetensors file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// What the model reads: exactly one of three.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct InputArgs {
    /// Token ids, with commas between.
    #[arg(long, value_delimiter = ',', value_name = "IDS")]
    ids: Option<Vec<u32>>,
    /// Text as it is; special tokens may be written out, nothing is added.
    #[arg(long)]
    text: Option<String>,
    /// JSON file with chat turns (`[{"role":"user","content":"…"}]`), rendered by the chat template.
    #[arg(long, value_name = "FILE")]
    chat: Option<PathBuf>,
}

impl InputArgs {
    /// What was given.
    pub(crate) fn input(&self) -> Result<TraceInput, Failure> {
        match self {
            Self { ids: Some(ids), .. } => Ok(TraceInput::Ids(ids.clone())),
            Self { text: Some(text), .. } => Ok(TraceInput::Text(text.clone())),
            Self { chat: Some(path), .. } => Ok(TraceInput::Chat(turns(path)?)),
            Self { ids: None, text: None, chat: None } => {
                Err(Failure::Usage("give one of --ids, --text or --chat".to_owned()))
            }
        }
    }
}

/// Runs the trace.
pub(crate) fn run(args: &TraceArgs, context: &Context) -> Result<Ended, Failure> {
    let input = args.input.input()?;
    let result = headless::trace(&context.studio, &args.model, &input, &args.out)?;
    let text = format!(
        "Wrote input_ids, resid_post of {} blocks and logits for {} tokens: {}\n",
        result.model.n_layers,
        result.input_ids.len(),
        result.out.display()
    );
    context.print(&result, &text)?;
    Ok(Ended::Done)
}

/// A chat file: the turns alone, or under `messages`.
#[derive(Deserialize)]
#[serde(untagged)]
enum ChatFile {
    Turns(Vec<Turn>),
    Messages { messages: Vec<Turn> },
}

fn turns(path: &Path) -> Result<Vec<Turn>, Problem> {
    let problem = |cause: String| {
        Problem::new(
            "The chat could not be read",
            cause,
            "Give a JSON file such as [{\"role\":\"user\",\"content\":\"Hello\"}].",
        )
    };
    let text = fs::read_to_string(path).map_err(|error| problem(format!("{error}: {}.", path.display())))?;
    match serde_json::from_str(&text) {
        Ok(ChatFile::Turns(turns) | ChatFile::Messages { messages: turns }) => Ok(turns),
        Err(error) => {
            Err(problem(format!("It is not a list of turns with role and content ({error}): {}.", path.display())))
        }
    }
}
