//! Which model, where it runs, and what is known about it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::chat::TemplateOptions;

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModelSource {
    /// The small model that ships with Tiller.
    Demo,
    /// A folder holding `config.json`, tokenizer and weights in the Hugging Face layout, or a GGUF file.
    Folder(PathBuf),
    /// A hub id such as `meta-llama/Llama-3.2-1B-Instruct`, taken from the local hub cache.
    Hub(String),
}

/// Which device the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceChoice {
    /// The best device present.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// An NVIDIA card by index.
    Cuda(usize),
    /// The Apple graphics processor.
    Metal,
}

/// Which number format the weights are kept in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DtypeChoice {
    /// f32 on the processor, the checkpoint's own format elsewhere.
    #[default]
    Auto,
    /// 32-bit float.
    F32,
    /// bfloat16.
    Bf16,
    /// 16-bit float.
    F16,
}

/// How a model is loaded, beside device and number format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadOptions {
    /// Load it even if the estimate says that it does not fit the memory that is free.
    pub anyway: bool,
    /// What its chat template is told besides the turns.
    pub template: TemplateOptions,
}

/// Memory that a model takes, worked out before it is loaded; all in bytes unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryNeed {
    /// Weights as they are kept.
    pub weights_bytes: u64,
    /// What reading and turning the weights needs beside them; free again once the model is loaded.
    pub loading_bytes: u64,
    /// Tokens of the conversation that `cache_bytes` and `chat_bytes` are worked out for.
    pub context_tokens: usize,
    /// Keys and values of that conversation.
    pub cache_bytes: u64,
    /// Activations while that conversation is read in one go.
    pub chat_bytes: u64,
    /// Caches and activations of a discovery step with the default settings.
    pub discovery_bytes: u64,
    /// The sparse autoencoder that comes with the model.
    pub sae_bytes: u64,
}

impl MemoryNeed {
    /// To load the model and hold the conversation.
    pub fn to_chat(self) -> u64 {
        let resident = self.weights_bytes.saturating_add(self.sae_bytes);
        resident.saturating_add(self.loading_bytes.max(self.cache_bytes.saturating_add(self.chat_bytes)))
    }

    /// To load the model and search for prompts.
    pub fn to_discover(self) -> u64 {
        let resident = self.weights_bytes.saturating_add(self.sae_bytes);
        resident.saturating_add(self.loading_bytes.max(self.discovery_bytes))
    }
}

/// What is known about a model before it is loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCheck {
    /// Name for people.
    pub name: String,
    /// Where it would be loaded from.
    pub source: ModelSource,
    /// Architecture string of its configuration.
    pub architecture: String,
    /// Number of blocks.
    pub n_layers: usize,
    /// Residual width.
    pub d_model: usize,
    /// Longest sequence in tokens.
    pub context_len: usize,
    /// Number of parameters.
    pub n_params: u64,
    /// Bytes of its weight files.
    pub file_bytes: u64,
    /// Number format the weights would be kept in.
    pub dtype: String,
    /// Whether gradients, and so discovery, work with it: not with quantised blocks.
    pub has_gradients: bool,
    /// Device for people that it would be loaded on.
    pub device: String,
    /// Why it is that device or format, where it is not the first choice.
    pub note: Option<String>,
    /// Memory it takes there.
    pub need: MemoryNeed,
    /// Memory that is free there now, a loaded model's counted as free since it is unloaded first; absent where the
    /// system does not tell.
    pub free_bytes: Option<u64>,
}

impl ModelCheck {
    /// Whether it can be loaded and talked to in the memory that is free; unknown counts as yes.
    pub fn fits(&self) -> bool {
        self.free_bytes.is_none_or(|free| self.need.to_chat() <= free)
    }

    /// Whether prompts can be searched for in the memory that is free; unknown counts as yes.
    pub fn fits_discovery(&self) -> bool {
        self.has_gradients && self.free_bytes.is_none_or(|free| self.need.to_discover() <= free)
    }
}

/// What is known about a loaded model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Name for people ("Tiller demo", or the folder's or hub id's last part).
    pub name: String,
    /// Where it was loaded from.
    pub source: ModelSource,
    /// Architecture string of `config.json`, e.g. `LlamaForCausalLM`.
    pub architecture: String,
    /// Number of blocks.
    pub n_layers: usize,
    /// Residual width.
    pub d_model: usize,
    /// Number of attention heads.
    pub n_heads: usize,
    /// Rows of the embedding matrix.
    pub vocab_size: usize,
    /// Longest sequence in tokens.
    pub context_len: usize,
    /// Number of parameters.
    pub n_params: u64,
    /// Format the weights are kept in, e.g. `f32`.
    pub dtype: String,
    /// Device for people, e.g. `CPU (2 threads)`.
    pub device: String,
    /// Bytes the weights take in memory.
    pub weights_bytes: u64,
    /// Whether prompts can be searched for: not while the weights are quantised.
    pub has_gradients: bool,
    /// SHA-256 of the weight files, hex, first 16 digits.
    pub hash: String,
    /// Whether the tokenizer brings a chat template.
    pub has_chat_template: bool,
    /// The chat template has no place for instructions: they are put in front of the first user text.
    #[serde(default)]
    pub folds_system: bool,
    /// Latents of the SAE that ships with the model, 0 when there is none.
    pub n_sae_latents: usize,
    /// Block (0-based) that the shipped SAE reads.
    pub sae_block: Option<usize>,
}
