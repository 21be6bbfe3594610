//! One function for each command without a window.
//!
//! Each takes [`Global`] and its own options, does the work on the calling thread, and returns a serialisable result
//! (what `--json` prints) or a [`Problem`]. A command that was stopped through [`Watch::stop`] returns what it has with
//! `stopped: true`. Nothing here prints.

mod options;

use std::path::{Path, PathBuf};

use serde::Serialize;
use tiller_protocol::chat::EndReason;
use tiller_protocol::discovery::RunResult;
use tiller_protocol::evaluation::Condition;
use tiller_protocol::model::{ModelInfo, ModelSource};
use tiller_protocol::problem::Problem;
use tiller_protocol::steering::VectorInfo;

pub use options::{
    DemoOptions, DiscoverOptions, EvaluateOptions, ExtractOptions, GenerateOptions, Global, GradOptions, OnStep, Step,
    Suite, TraceInput, VectorOption, Watch, model_source,
};

/// Result of [`trace`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TraceResult {
    /// File with `input_ids` i64 `[seq]`, `resid_post.{b}` f32 `[seq, d_model]` for every block, `logits` f32
    /// `[seq, vocab]`.
    pub out: PathBuf,
    /// The tokens.
    pub input_ids: Vec<u32>,
    /// The model.
    pub model: ModelInfo,
}

/// Result of [`grad`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GradResult {
    /// File with `token_grad` f32 `[seq, vocab]`, `target` f32 `[1]`, `xent` f32 `[1]`.
    pub out: PathBuf,
    /// ⟨resid_post at the last position, direction⟩.
    pub target: f64,
    /// Mean cross-entropy of the tokens after the first, nats.
    pub xent: f64,
}

/// Result of [`extract`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExtractResult {
    /// The file.
    pub out: PathBuf,
    /// The vector and its diagnostics.
    pub vector: VectorInfo,
    /// Whether it was stopped before the end (then there is no file).
    pub stopped: bool,
}

/// Result of [`discover`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DiscoverResult {
    /// Folder with `candidates.jsonl`, `front.json`, `front.png`, `result.json`, `run.toml`.
    pub out: PathBuf,
    /// The run.
    pub run: RunResult,
}

/// Result of [`evaluate`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvaluateResult {
    /// No prompt first, then prompts, then vectors, as given. Their `report` is filled in.
    pub conditions: Vec<Condition>,
    /// The model.
    pub model: ModelInfo,
    /// Whether it was stopped before the end.
    pub stopped: bool,
}

/// Result of [`generate`].
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

/// Result of [`bench`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BenchResult {
    /// Device for people.
    pub device: String,
    /// Figures in the order measured.
    pub figures: Vec<Figure>,
}

/// Result of [`demo`].
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

/// Writes residuals and logits of a token sequence to a safetensors file.
///
/// # Errors
/// A model that cannot be loaded, tokens that do not fit, a file that cannot be written.
pub fn trace(global: &Global, model: &ModelSource, input: &TraceInput, out: &Path) -> Result<TraceResult, Problem> {
    todo!("body follows")
}

/// Writes the gradient of −target + λ·cross-entropy for one-hot tokens (methods.md eq. 7) to a safetensors file.
///
/// # Errors
/// As [`trace`], and a vector that does not fit the model.
pub fn grad(global: &Global, options: &GradOptions) -> Result<GradResult, Problem> {
    todo!("body follows")
}

/// Extracts a persona's direction for every block and writes it to a safetensors file.
///
/// The file holds `direction.{b}` f32 `[d_model]` (the raw mean difference) for every block, and metadata: `format`,
/// `hook` (`resid_post`), `method`, `persona`, `model_hash`, `model_name`, `recommended_block`, `info` (the whole
/// [`VectorInfo`] as JSON).
///
/// # Errors
/// A model or persona that cannot be loaded, a file that cannot be written.
pub fn extract(global: &Global, options: &ExtractOptions) -> Result<ExtractResult, Problem> {
    todo!("body follows")
}

/// Runs a prompt discovery and writes its folder.
///
/// # Errors
/// A model, persona or configuration that cannot be used, a folder that cannot be written.
pub fn discover(global: &Global, options: &DiscoverOptions) -> Result<DiscoverResult, Problem> {
    todo!("body follows")
}

/// Measures prompts and vectors on items.
///
/// # Errors
/// A model, item file or vector that cannot be used.
pub fn evaluate(global: &Global, options: &EvaluateOptions) -> Result<EvaluateResult, Problem> {
    todo!("body follows")
}

/// Writes one reply; `on_text` receives it piece by piece. Deterministic for a seed on one device.
///
/// # Errors
/// A model or vector that cannot be used, a prompt longer than the context.
pub fn generate(
    global: &Global,
    options: &GenerateOptions,
    on_text: &mut dyn FnMut(&str),
) -> Result<GenerateResult, Problem> {
    todo!("body follows")
}

/// Measures the project's own speed figures.
///
/// # Errors
/// A demo model that cannot be loaded.
pub fn bench(global: &Global, suite: Suite) -> Result<BenchResult, Problem> {
    todo!("body follows")
}

/// Does the whole job on the demo model and writes `report.html`, `results.json` and PNG plots.
///
/// # Errors
/// Assets that cannot be loaded, a folder that cannot be written.
pub fn demo(global: &Global, options: &DemoOptions) -> Result<DemoResult, Problem> {
    todo!("body follows")
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
