//! What the commands without a window return.

use std::path::PathBuf;

use serde::Serialize;
use tiller_protocol::asset::CatalogueEntry;
use tiller_protocol::chat::{EndReason, Role};
use tiller_protocol::discovery::RunResult;
use tiller_protocol::evaluation::Condition;
use tiller_protocol::model::ModelInfo;
use tiller_protocol::problem::Problem;
use tiller_protocol::steering::VectorInfo;

/// The tokens that hold a turn's own text, without the template's words around it. A token that reaches over an edge
/// is counted. A template that repeats a text has it several times, one that drops it never.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TurnTokens {
    /// Place of the turn in the chat, from 0.
    pub turn: usize,
    /// Who speaks.
    pub role: Role,
    /// First token, from 0.
    pub start: usize,
    /// One behind the last token.
    pub end: usize,
}

/// Result of [`super::trace`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TraceResult {
    /// File with `input_ids` i64 `[seq]`, `resid_post.{b}` f32 `[seq, d_model]` for every block, `logits` f32
    /// `[seq, vocab]`.
    pub out: PathBuf,
    /// The tokens.
    pub input_ids: Vec<u32>,
    /// Which of the tokens are whose, for a chat.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<TurnTokens>,
    /// The model.
    pub model: ModelInfo,
}

/// Result of [`super::model_list`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelList {
    /// Memory that is free now for the processor, where the system tells.
    pub free_bytes: Option<u64>,
    /// Published models.
    pub models: Vec<CatalogueEntry>,
    /// SAEs that read them.
    pub saes: Vec<CatalogueEntry>,
    /// What is wrong with the user's own list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// Result of [`super::grad`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GradResult {
    /// File with `token_grad` f32 `[seq, vocab]`, `target` f32 `[1]`, `xent` f32 `[1]`.
    pub out: PathBuf,
    /// ⟨`resid_post` at the last position, direction⟩.
    pub target: f64,
    /// Mean cross-entropy of the tokens after the first, nats.
    pub xent: f64,
}

/// Result of [`super::extract`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExtractResult {
    /// The file.
    pub out: PathBuf,
    /// The vector and its diagnostics.
    pub vector: VectorInfo,
    /// Whether it was stopped before the end (then there is no file).
    pub stopped: bool,
}

/// Result of [`super::discover`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DiscoverResult {
    /// Folder with `candidates.jsonl`, `front.json`, `front.png`, `result.json`, `run.toml`.
    pub out: PathBuf,
    /// The run.
    pub run: RunResult,
}

/// Result of [`super::evaluate`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvaluateResult {
    /// No prompt first, then prompts, then vectors, as given. Their `report` is filled in.
    pub conditions: Vec<Condition>,
    /// The model.
    pub model: ModelInfo,
    /// Whether it was stopped before the end.
    pub stopped: bool,
}

/// Result of [`super::generate`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GenerateResult {
    /// The reply.
    pub text: String,
    /// Why it ended.
    pub reason: EndReason,
    /// Tokens written.
    pub n_tokens: usize,
    /// Tokens a second.
    pub tokens_per_sec: f64,
    /// The chat template has no place for instructions, so they were put in front of the user's text.
    pub folded_system: bool,
}

/// One measured speed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured, e.g. `demo.generate`.
    pub name: String,
    /// The value (median of the repeats).
    pub value: f64,
    /// Its unit, e.g. `tokens/s`, `s`.
    pub unit: String,
    /// Shapes, repeats, spread.
    pub detail: String,
}

/// Result of [`super::bench`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchResult {
    /// Device for people.
    pub device: String,
    /// Figures in the order measured.
    pub figures: Vec<Figure>,
}

/// Result of [`super::demo`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DemoResult {
    /// `results.json`.
    pub results: PathBuf,
    /// `report.html`.
    pub report: PathBuf,
    /// One line for each finding.
    pub findings: Vec<String>,
    /// Seconds it took.
    pub seconds: f64,
    /// Whether it was stopped before the end.
    pub stopped: bool,
}

impl BenchResult {
    /// A table for people.
    pub fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!("Device: {}\n", self.device);
        for figure in &self.figures {
            let line =
                writeln!(text, "{:<28} {:>12.3} {:<10} {}", figure.name, figure.value, figure.unit, figure.detail);
            debug_assert!(line.is_ok(), "writing to a string succeeds");
        }
        text
    }
}
