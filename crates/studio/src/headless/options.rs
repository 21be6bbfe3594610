//! What the commands without a window are asked for.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tiller_hub::reference;
use tiller_protocol::asset::RepoRef;
use tiller_protocol::chat::{Sampling, Turn};
use tiller_protocol::model::{DeviceChoice, DtypeChoice, LoadOptions, ModelSource};
use tiller_protocol::persona::Placement;
use tiller_protocol::steering::{ExtractMethod, Positions};

use crate::net::HubOptions;

/// Options that every command shares.
#[derive(Clone, Default)]
pub struct Global {
    /// Workspace folder; the platform's data folder when absent.
    pub workspace: Option<PathBuf>,
    /// Where the model runs.
    pub device: DeviceChoice,
    /// Number format of the weights.
    pub dtype: DtypeChoice,
    /// How a model is loaded otherwise.
    pub load: LoadOptions,
    /// How the hub is reached.
    pub hub: HubOptions,
    /// Progress and stop.
    pub watch: Watch,
}

impl std::fmt::Debug for Global {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Global")
            .field("workspace", &self.workspace)
            .field("device", &self.device)
            .field("dtype", &self.dtype)
            .field("load", &self.load)
            .field("hub", &self.hub)
            .finish_non_exhaustive()
    }
}

/// How far a command is.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is being done, for people.
    pub title: String,
    /// Done, in `unit`s.
    pub done: u64,
    /// Total, in `unit`s; 0 when unknown.
    pub total: u64,
    /// What is counted.
    pub unit: String,
    /// Seconds since this part began.
    pub elapsed_secs: f64,
    /// Units a second now, where that says more than the time since the beginning: part of it may be from earlier.
    pub rate: Option<f64>,
    /// More about it, for people; may be empty.
    pub detail: String,
}

/// Receives progress; called from the working thread, at most 30 times a second.
pub type OnStep = Arc<dyn Fn(&Step) + Send + Sync>;

/// How a command tells its progress and learns that it is to stop.
#[derive(Clone, Default)]
pub struct Watch {
    /// Receives progress, when anybody listens.
    pub on_step: Option<OnStep>,
    /// Set to true to stop after the present step; what there is so far is kept.
    pub stop: Arc<AtomicBool>,
}

impl Watch {
    /// Whether the command is to stop.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// `demo`, an existing folder, a GGUF file, or a hub id.
pub fn model_source(text: &str) -> ModelSource {
    let path = PathBuf::from(text);
    let is_gguf = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    if text == "demo" {
        ModelSource::Demo
    } else if path.is_dir() || is_gguf || path.is_absolute() || text.starts_with('.') {
        ModelSource::Folder(path)
    } else {
        ModelSource::Hub(text.to_owned())
    }
}

/// A repository of the hub from `OWNER/NAME`, `OWNER/NAME@REVISION` or the address of its page.
///
/// # Errors
/// What is wrong with it, in words for people.
pub fn repo_ref(text: &str) -> Result<RepoRef, String> {
    reference::parse(text).map_err(|error| error.to_string())
}

/// The tokens a trace runs over.
#[derive(Clone, Debug, PartialEq)]
pub enum TraceInput {
    /// Token ids as they are.
    Ids(Vec<u32>),
    /// Text; special tokens may be written out, nothing is added.
    Text(String),
    /// Turns rendered by the chat template, reply header included.
    Chat(Vec<Turn>),
}

/// `tiller grad`.
#[derive(Clone, Debug, PartialEq)]
pub struct GradOptions {
    /// Model.
    pub model: ModelSource,
    /// Tokens of the whole sequence.
    pub ids: Vec<u32>,
    /// Safetensors file whose tensor `direction` `[d_model]` is used as it is.
    pub vector: PathBuf,
    /// Block (0-based) whose `resid_post` is read at the last position.
    pub block: usize,
    /// Weight of the cross-entropy.
    pub lambda: f64,
    /// Target file.
    pub out: PathBuf,
}

/// `tiller extract`.
#[derive(Clone, Debug, PartialEq)]
pub struct ExtractOptions {
    /// Model.
    pub model: ModelSource,
    /// Persona by id, or the path of its `ID.toml`.
    pub persona: String,
    /// How.
    pub method: ExtractMethod,
    /// Target file.
    pub out: PathBuf,
}

/// `tiller discover`.
#[derive(Clone, Debug, PartialEq)]
pub struct DiscoverOptions {
    /// Model.
    pub model: ModelSource,
    /// Settings as TOML ([`tiller_protocol::discovery::DiscoverySettings`]); missing fields take the desktop preset.
    pub config: PathBuf,
    /// Target folder.
    pub out: PathBuf,
    /// Go on from the candidates that `out` already holds.
    pub resume: bool,
}

/// A direction from a file and how it is added.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorOption {
    /// Safetensors file with `direction.{block}` (of `tiller extract`) or `direction`.
    pub path: PathBuf,
    /// Block (0-based) whose output is edited; the file's recommended block when absent.
    pub block: Option<usize>,
    /// Length of the added vector as a share of the median residual norm; the sign is the direction.
    pub strength: f64,
    /// Where it is added.
    pub positions: Positions,
}

/// `tiller evaluate`.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluateOptions {
    /// Model.
    pub model: ModelSource,
    /// Items, one JSON object a line.
    pub items: PathBuf,
    /// Prompts to measure, besides no prompt.
    pub prompts: Vec<String>,
    /// Where they stand.
    pub placement: Placement,
    /// Vectors to measure, each by itself.
    pub vectors: Vec<VectorOption>,
}

/// `tiller generate`.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateOptions {
    /// Model.
    pub model: ModelSource,
    /// System text.
    pub system: Option<String>,
    /// User text.
    pub user: String,
    /// Vectors added together.
    pub vectors: Vec<VectorOption>,
    /// How tokens are drawn.
    pub sampling: Sampling,
}

/// Parts of `tiller bench`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Suite {
    /// Everything.
    #[default]
    All,
    /// The demo model.
    Demo,
    /// A model of the shapes of Qwen2.5-0.5B with random weights.
    Qwen05,
    /// An SAE of made-up rows and labels.
    Sae,
}

/// Sizes of the SAE that `tiller bench` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaeSize {
    /// Number of latents.
    pub latents: usize,
    /// Width of its rows.
    pub width: usize,
}

impl Default for SaeSize {
    /// 600 MB on the disk; large enough for all that large ones need.
    fn default() -> Self {
        Self { latents: 65_536, width: 2304 }
    }
}

impl std::str::FromStr for Suite {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "demo" => Ok(Self::Demo),
            "qwen2.5-0.5b" => Ok(Self::Qwen05),
            "sae" => Ok(Self::Sae),
            other => Err(format!("\u{201c}{other}\u{201d} is not a suite; there are all, demo, qwen2.5-0.5b, sae")),
        }
    }
}

/// `tiller demo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoOptions {
    /// Target folder.
    pub out: PathBuf,
    /// Fewer personas, shorter searches: under three minutes on two cores.
    pub quick: bool,
    /// First seed.
    pub seed: u64,
}
