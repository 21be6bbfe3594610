//! Which model, where it runs, and what is known about it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModelSource {
    /// The small model that ships with Tiller.
    Demo,
    /// A folder holding `config.json`, tokenizer and weights in the Hugging Face layout.
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
    /// SHA-256 of the weight files, hex, first 16 digits.
    pub hash: String,
    /// Whether the tokenizer brings a chat template.
    pub has_chat_template: bool,
    /// Latents of the SAE that ships with the model, 0 when there is none.
    pub n_sae_latents: usize,
    /// Block (0-based) that the shipped SAE reads.
    pub sae_block: Option<usize>,
}
