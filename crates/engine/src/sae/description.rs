//! What is known of a sparse autoencoder beside its weights, the same for every format.

use std::fmt;

use serde::{Deserialize, Serialize};
use tiller_protocol::site::Site;

/// Who published the file, by the form that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `cfg.json` and `sae_weights.safetensors` of `SAELens`.
    SaeLens,
    /// `params.npz` of Gemma Scope.
    GemmaScope,
    /// `params.safetensors` of Gemma Scope 2.
    GemmaScope2,
    /// `hyperparams.json` and `final.safetensors` of Llama Scope.
    LlamaScope,
    /// The later form of the same makers, with `log_jumprelu_threshold`.
    LlamaScopeR1,
    /// Their newest form, with `W_E` and `W_D`.
    Llamascopium,
    /// `ae.pt` of `dictionary_learning`.
    DictionaryLearning,
    /// A state dictionary with `encoder_linear` of Goodfire.
    Goodfire,
    /// `cfg.json` and `sae.safetensors` of sparsify.
    Sparsify,
    /// `layerN.sae.pt` of Qwen-Scope.
    QwenScope,
    /// Linear layers named `encoder` and `decoder` and nothing more.
    Linear,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SaeLens => "SAELens",
            Self::GemmaScope => "Gemma Scope",
            Self::GemmaScope2 => "Gemma Scope 2",
            Self::LlamaScope => "Llama Scope",
            Self::LlamaScopeR1 => "Llama Scope R1",
            Self::Llamascopium => "Llamascopium",
            Self::DictionaryLearning => "dictionary_learning",
            Self::Goodfire => "Goodfire",
            Self::Sparsify => "sparsify",
            Self::QwenScope => "Qwen-Scope",
            Self::Linear => "linear layers",
        })
    }
}

/// Which pre-activations pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// Those above 0.
    Standard,
    /// Those above a threshold of their own.
    JumpRelu,
    /// Those whose own gate is open; in the internal form a threshold, as with [`Self::JumpRelu`].
    Gated,
    /// The largest few that are above 0.
    TopK,
    /// The few of largest size, with their sign.
    AbsTopK,
}

impl Architecture {
    /// The name that `SAELens` uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::JumpRelu => "jumprelu",
            Self::Gated => "gated",
            Self::TopK => "topk",
            Self::AbsTopK => "abstopk",
        }
    }
}

/// What is done to each row before it is encoded, and undone after it is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Nothing, or a constant that is folded into the weights.
    #[default]
    None,
    /// Scaled to the length √d.
    Length,
    /// Its mean taken away, and divided by its standard deviation (of n − 1) + 1e-5.
    Layer,
}

/// A sparse autoencoder without its weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Whose form the file has.
    pub format: Format,
    /// Which pre-activations pass.
    pub architecture: Architecture,
    /// Latents that may pass at once, for [`Architecture::TopK`] and [`Architecture::AbsTopK`].
    pub k: Option<usize>,
    /// Where it reads and writes.
    pub site: Site,
    /// Width of the activations it reads.
    pub d_model: usize,
    /// Number of latents.
    pub d_sae: usize,
    /// What is done to each row before it is encoded.
    pub norm: Norm,
    /// The model that it says it was trained on.
    pub reads: Option<String>,
    /// Number format of its weights as the maker stored them.
    pub stored_as: String,
}

impl Description {
    /// Why it cannot read a model of this width and number of blocks.
    pub fn misfit(&self, d_model: usize, n_layers: usize) -> Option<String> {
        let block = self.site.block();
        if self.d_model != d_model {
            Some(format!("it reads {} values a token, and the model's residual stream has {d_model}", self.d_model))
        } else if block >= n_layers {
            Some(format!("it reads block {block}, and the model has {n_layers} blocks, counted from 0"))
        } else {
            None
        }
    }
}

/// What a person knows of a file that does not say it itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hints {
    /// Where it reads; goes before what the file says.
    pub site: Option<Site>,
    /// Latents that pass at once, for files that do not give it.
    pub k: Option<usize>,
    /// Mean length of the activations it was trained on, for files that leave it out.
    pub mean_norm: Option<f32>,
}
