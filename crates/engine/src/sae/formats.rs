//! One loader for each published form, chosen by what the file holds.

mod gemma_scope;
mod linear;
mod llama_scope;
mod place;
mod saelens;

use std::collections::BTreeSet;

use tiller_protocol::site::Site;

use super::description::{Architecture, Description, Format, Hints, Norm};
use super::find::Found;
use super::recipe::Recipe;
use super::source::{Container, Kind};
use crate::error::{EngineError, Result};

/// Why a transcoder is of no use here.
pub(super) const TRANSCODER: &str = "a transcoder turns the input of a layer into its output, and does not rebuild what \
     it reads; only SAEs of the residual stream are read";

/// What there is to know before a format is chosen.
struct Case<'a> {
    found: &'a Found,
    hints: Hints,
}

/// The way of a file to the internal form; its tensors are checked to be there.
///
/// # Errors
/// What the file is that cannot be used, or what it lacks.
pub(super) fn recipe(found: &Found, hints: Hints) -> Result<Recipe> {
    let case = Case { found, hints };
    case.refuse_others()?;
    let recipe = match case.format()? {
        Format::SaeLens => saelens::recipe(&case),
        Format::GemmaScope => gemma_scope::first(&case),
        Format::GemmaScope2 => gemma_scope::second(&case),
        Format::LlamaScope => llama_scope::first(&case),
        Format::LlamaScopeR1 | Format::Llamascopium => llama_scope::later(&case),
        Format::DictionaryLearning => linear::dictionary_learning(&case),
        Format::Goodfire => linear::goodfire(&case),
        Format::Sparsify => linear::sparsify(&case),
        Format::QwenScope => linear::qwen_scope(&case),
        Format::Linear => linear::plain(&case),
    }?;
    recipe.check(&found.container)?;
    Ok(recipe)
}

impl<'a> Case<'a> {
    fn container(&self) -> &'a Container {
        &self.found.container
    }

    fn has(&self, name: &str) -> bool {
        self.container().entry(name).is_some()
    }

    fn bad(&self, reason: impl Into<String>) -> EngineError {
        self.container().bad(reason)
    }

    /// The configuration, or a null.
    fn config(&self) -> &'a serde_json::Value {
        static NONE: serde_json::Value = serde_json::Value::Null;
        self.found.config.as_ref().map_or(&NONE, |config| &config.value)
    }

    /// The error of what the configuration says, or of the file where there is none.
    fn bad_config(&self, reason: impl Into<String>) -> EngineError {
        match &self.found.config {
            Some(config) => config.bad(reason),
            None => self.bad(reason),
        }
    }

    /// Things that look like SAEs.
    fn refuse_others(&self) -> Result<()> {
        let config = self.config();
        let names: BTreeSet<&str> = self.container().names().collect();
        if names.iter().any(|name| name.starts_with("attn_layers.")) {
            return Err(self.bad("it is a temporal SAE, which looks back at earlier tokens; these are not read"));
        }
        let matrices = ["W_enc", "w_enc", "W_dec", "w_dec", "W_E", "W_D", "encoder.weight", "decoder.weight"];
        if let Some(name) = matrices.into_iter().find(|name| self.container().shape(name).is_some_and(|s| s.len() > 2))
        {
            let reason = format!(
                "{name} has three axes: it is a cross-layer transcoder or a crosscoder, which reads or writes several \
                 layers at once; these are not read"
            );
            return Err(self.bad(reason));
        }
        let skips = ["W_skip", "affine_skip_connection", "activation_function.threshold"];
        let skip = skips.into_iter().find(|name| names.contains(name));
        let told = ["architecture", "type", "model_kind"].into_iter().filter_map(|key| config[key].as_str());
        let mut told = told.filter(|text| text.contains("transcoder")).map(|text| format!("it says `{text}`"));
        let pair = |a: &str, b: &str| match (config[a].as_str(), config[b].as_str()) {
            (Some(from), Some(to)) if from != to => Some(format!("it reads {from} and writes {to}")),
            _ => None,
        };
        let sign = skip
            .map(|name| format!("it holds {name}"))
            .or_else(|| told.next())
            .or_else(|| pair("hook_point_in", "hook_point_out"))
            .or_else(|| pair("hf_hook_point_in", "hf_hook_point_out"))
            .or_else(|| (config["transcode"] == true).then(|| "it says `transcode`".to_owned()));
        match sign {
            Some(sign) => Err(self.bad(format!("it is a transcoder ({sign}): {TRANSCODER}"))),
            None => Ok(()),
        }
    }

    /// Whose form it has, by its tensors and its configuration.
    fn format(&self) -> Result<Format> {
        let has = |name: &str| self.has(name);
        let config = self.config();
        let is_torch = self.container().kind == Kind::Torch;
        let says_saelens =
            ["d_sae", "d_in", "hook_name", "hook_point", "metadata"].iter().any(|key| !config[*key].is_null());
        if has("W_E") && has("W_D") {
            return Ok(Format::Llamascopium);
        }
        if has("encoder_linear.weight") {
            return Ok(Format::Goodfire);
        }
        if has("encoder.weight") {
            return match () {
                () if has("log_jumprelu_threshold") => Ok(Format::LlamaScopeR1),
                () if has("W_dec") => Ok(Format::Sparsify),
                () if !config["jump_relu_threshold"].is_null() => Ok(Format::LlamaScope),
                () if has("b_dec") || has("bias") || has("decoder_bias") => Ok(Format::DictionaryLearning),
                () if has("decoder.weight") => Ok(Format::Linear),
                () => Err(self.bad("it holds an encoder and no decoder")),
            };
        }
        if has("W_enc") || has("w_enc") {
            return match () {
                () if self.container().kind == Kind::Npz => Ok(Format::GemmaScope),
                () if has("w_enc") => Ok(Format::GemmaScope2),
                () if config["trainer"].is_object() || is_torch && has("threshold") => Ok(Format::DictionaryLearning),
                () if is_torch && !says_saelens => Ok(Format::QwenScope),
                () if self.found.config.is_some() => Ok(Format::SaeLens),
                () => {
                    let path = self.container().path().with_file_name("cfg.json");
                    Err(EngineError::MissingFile { what: "the SAE's configuration", path })
                }
            };
        }
        Err(self.bad("its tensors are not those of an SAE that is known"))
    }

    /// A description with nothing unusual.
    fn described(&self, format: Format, architecture: Architecture, site: Site, dims: Dims, enc: &str) -> Description {
        let stored_as = self.container().entry(enc).map_or("", |entry| entry.number.name()).to_owned();
        let Dims { d_model, d_sae } = dims;
        Description { format, architecture, k: None, site, d_model, d_sae, norm: Norm::None, reads: None, stored_as }
    }

    /// Where it reads: what a person says goes first.
    fn site(&self, told: std::result::Result<Site, String>) -> Result<Site> {
        match self.hints.site {
            Some(site) => Ok(site),
            None => told.map_err(|reason| self.bad_config(reason)),
        }
    }

    /// Lengths of the biases: they decide which axis is which.
    fn dims_of(&self, b_enc: &str, b_dec: &str) -> Result<Dims> {
        let length = |name: &str| match self.container().shape(name) {
            Some([n]) => Ok(*n),
            Some(_) => Err(self.bad(format!("its tensor {name} is no vector"))),
            None => Err(self.bad(format!("it holds no tensor {name}"))),
        };
        Ok(Dims { d_model: length(b_dec)?, d_sae: length(b_enc)? })
    }

    /// Width and number of latents by a matrix `[d_sae, d_model]`, or turned.
    fn dims_by(&self, name: &str, is_turned: bool) -> Result<Dims> {
        match (self.container().shape(name), is_turned) {
            (Some(&[d_sae, d_model]), false) | (Some(&[d_model, d_sae]), true) => Ok(Dims { d_model, d_sae }),
            (Some(_), _) => Err(self.bad(format!("its tensor {name} is no matrix"))),
            (None, _) => Err(self.bad(format!("it holds no tensor {name}"))),
        }
    }

    /// Whether a matrix has a column for each latent: by its shape, and by the format's habit where it is square.
    fn is_turned(&self, name: &str, dims: Dims, habit: bool) -> bool {
        let Dims { d_model, d_sae } = dims;
        match self.container().shape(name) {
            Some(shape) if d_model != d_sae && shape == [d_model, d_sae] => true,
            Some(shape) if d_model != d_sae && shape == [d_sae, d_model] => false,
            _ => habit,
        }
    }
}

#[derive(Clone, Copy)]
struct Dims {
    d_model: usize,
    d_sae: usize,
}
