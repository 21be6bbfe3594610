//! `config.json`, checked: what differs between checkpoints, in one struct.
//!
//! Reads both spellings of the rotary settings (`rope_theta` + `rope_scaling`, and the newer `rope_parameters`).
//! Knows nothing about files or tensors. Source: `configuration_llama.py` of Hugging Face transformers.

use serde_json::Value;

use crate::error::{EngineError, Result};

/// Architecture of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// First entry of `architectures`.
    pub architecture: String,
    /// Residual width.
    pub d_model: usize,
    /// Blocks.
    pub n_layers: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key/value heads.
    pub n_kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Width of the MLP.
    pub d_mlp: usize,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Longest sequence.
    pub context_len: usize,
    /// Head shares the embedding matrix.
    pub tied: bool,
    /// Added to the mean square inside each norm.
    pub norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How the rotary frequencies are stretched.
    pub rope_scaling: RopeScaling,
    /// What differs between architectures.
    pub arch: ArchParams,
    /// `eos_token_id`, one or several.
    pub eos_ids: Vec<u32>,
}

/// What differs between decoder families; a Llama has the values of [`ArchParams::LLAMA`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArchParams {
    /// The query, key and value projections have a bias.
    pub qkv_bias: bool,
    /// The attention's output projection has a bias.
    pub o_bias: bool,
    /// Added to every norm weight at load (1 where the checkpoint stores `weight − 1`).
    pub norm_offset: f64,
    /// Embedding rows are multiplied by this.
    pub embed_scale: f64,
}

impl ArchParams {
    /// Llama 2 and 3.
    pub const LLAMA: Self = Self { qkv_bias: false, o_bias: false, norm_offset: 0.0, embed_scale: 1.0 };
}

/// How the rotary frequencies are stretched for a longer context.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All frequencies divided by `factor`.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3.1: long waves divided by `factor`, short ones kept, a blend between.
    Llama3 {
        /// The divisor of long waves.
        factor: f64,
        /// Waves longer than the original context over this are divided.
        low_freq_factor: f64,
        /// Waves shorter than the original context over this are kept.
        high_freq_factor: f64,
        /// Context length before stretching, tokens.
        original_context: f64,
    },
}

impl ModelConfig {
    /// Parses and checks the text of a `config.json`.
    ///
    /// # Errors
    /// [`EngineError::UnknownArchitecture`] for a family without an implementation, [`EngineError::BadRequest`] with
    /// the reason for anything malformed.
    pub fn from_json(text: &str) -> Result<Self> {
        let json: Value = serde_json::from_str(text).map_err(|error| bad(&format!("it is not JSON: {error}")))?;
        let architecture =
            json["architectures"][0].as_str().ok_or_else(|| bad("`architectures` names no architecture"))?.to_owned();
        let arch = match architecture.as_str() {
            "LlamaForCausalLM" => {
                let bias = flag(&json, "attention_bias", false)?;
                if flag(&json, "mlp_bias", false)? {
                    return Err(bad("`mlp_bias` is not supported"));
                }
                ArchParams { qkv_bias: bias, o_bias: bias, ..ArchParams::LLAMA }
            }
            _ => return Err(EngineError::UnknownArchitecture(architecture)),
        };
        if let Some(act) = json["hidden_act"].as_str().filter(|act| !matches!(*act, "silu" | "swish")) {
            return Err(bad(&format!("activation `{act}` is not supported")));
        }
        let d_model = positive(&json, "hidden_size")?;
        let n_heads = positive(&json, "num_attention_heads")?;
        let config = Self {
            architecture,
            d_model,
            n_layers: positive(&json, "num_hidden_layers")?,
            n_heads,
            n_kv_heads: optional(&json, "num_key_value_heads")?.unwrap_or(n_heads),
            head_dim: optional(&json, "head_dim")?.unwrap_or(d_model / n_heads),
            d_mlp: positive(&json, "intermediate_size")?,
            vocab_size: positive(&json, "vocab_size")?,
            context_len: optional(&json, "max_position_embeddings")?.unwrap_or(2048),
            tied: flag(&json, "tie_word_embeddings", false)?,
            norm_eps: number(&json, "rms_norm_eps")?.unwrap_or(1e-6),
            rope_theta: rope_theta(&json)?,
            rope_scaling: rope_scaling(&json)?,
            arch,
            eos_ids: token_ids(&json["eos_token_id"]),
        };
        config.check()?;
        Ok(config)
    }

    /// Width of the keys (and of the values) of one token.
    pub fn kv_dim(&self) -> usize {
        self.n_kv_heads * self.head_dim
    }

    /// Width of the fused query, key and value projection.
    pub fn qkv_dim(&self) -> usize {
        (self.n_heads + 2 * self.n_kv_heads) * self.head_dim
    }

    /// Whether the numbers fit each other.
    ///
    /// # Errors
    /// [`EngineError::BadRequest`] naming the pair that does not.
    pub fn check(&self) -> Result<()> {
        if self.n_kv_heads == 0 || !self.n_heads.is_multiple_of(self.n_kv_heads) {
            return Err(bad(&format!(
                "{} query heads do not divide among {} key heads",
                self.n_heads, self.n_kv_heads
            )));
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(2) {
            return Err(bad(&format!("head width {} is not even", self.head_dim)));
        }
        if !(self.norm_eps > 0.0 && self.rope_theta > 0.0) {
            return Err(bad("`rms_norm_eps` and `rope_theta` must be above 0"));
        }
        Ok(())
    }
}

/// One id or a list of ids; anything else is no id.
pub(crate) fn token_ids(value: &Value) -> Vec<u32> {
    match value {
        Value::Array(list) => list.iter().filter_map(Value::as_u64).map(|id| id as u32).collect(),
        other => other.as_u64().map(|id| id as u32).into_iter().collect(),
    }
}

fn bad(reason: &str) -> EngineError {
    EngineError::BadRequest(reason.to_owned())
}

fn optional(json: &Value, key: &str) -> Result<Option<usize>> {
    match &json[key] {
        Value::Null => Ok(None),
        value => match value.as_u64() {
            Some(number) if number > 0 => Ok(Some(number as usize)),
            _ => Err(bad(&format!("`{key}` is {value}, not a whole number above 0"))),
        },
    }
}

fn positive(json: &Value, key: &str) -> Result<usize> {
    optional(json, key)?.ok_or_else(|| bad(&format!("`{key}` is missing")))
}

fn number(json: &Value, key: &str) -> Result<Option<f64>> {
    match &json[key] {
        Value::Null => Ok(None),
        value => value.as_f64().map(Some).ok_or_else(|| bad(&format!("`{key}` is {value}, not a number"))),
    }
}

fn flag(json: &Value, key: &str, default: bool) -> Result<bool> {
    match &json[key] {
        Value::Null => Ok(default),
        value => value.as_bool().ok_or_else(|| bad(&format!("`{key}` is {value}, not true or false"))),
    }
}

fn rope_theta(json: &Value) -> Result<f64> {
    let newer = number(&json["rope_parameters"], "rope_theta")?;
    Ok(newer.or(number(json, "rope_theta")?).unwrap_or(10_000.0))
}

fn rope_scaling(json: &Value) -> Result<RopeScaling> {
    let rope = if json["rope_parameters"].is_object() { &json["rope_parameters"] } else { &json["rope_scaling"] };
    if rope.is_null() {
        return Ok(RopeScaling::None);
    }
    let kind = rope["rope_type"].as_str().or_else(|| rope["type"].as_str()).unwrap_or("default");
    let need = |key: &str| number(rope, key)?.ok_or_else(|| bad(&format!("rotary setting `{key}` is missing")));
    match kind {
        "default" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear { factor: need("factor")? }),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: need("factor")?,
            low_freq_factor: need("low_freq_factor")?,
            high_freq_factor: need("high_freq_factor")?,
            original_context: need("original_max_position_embeddings")?,
        }),
        other => Err(bad(&format!("rotary scaling `{other}` is not supported"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = r#"{"architectures":["LlamaForCausalLM"],"hidden_size":64,"num_hidden_layers":2,
        "num_attention_heads":4,"num_key_value_heads":2,"intermediate_size":96,"vocab_size":100,
        "max_position_embeddings":128,"rms_norm_eps":1e-5,"eos_token_id":[2,7],"tie_word_embeddings":true"#;

    fn config(more: &str) -> Result<ModelConfig> {
        ModelConfig::from_json(&format!("{PLAIN}{more}}}"))
    }

    #[test]
    fn both_spellings_of_the_rotary_settings_agree() {
        let scaling = r#""rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
            "original_max_position_embeddings":64"#;
        let older = config(&format!(r#","rope_theta":500000.0,"rope_scaling":{{{scaling}}}"#)).unwrap();
        let newer = config(&format!(r#","rope_parameters":{{"rope_theta":500000.0,{scaling}}}"#)).unwrap();
        assert_eq!(older, newer);
        assert_eq!((older.rope_theta, older.head_dim, older.eos_ids), (500_000.0, 16, vec![2, 7]));
    }

    #[test]
    fn mistakes_are_named() {
        for (more, word) in [
            (r#","rope_scaling":{"rope_type":"yarn"}"#, "yarn"),
            (r#","head_dim":0"#, "head_dim"),
            (r#","hidden_act":"gelu""#, "gelu"),
            (r#","rms_norm_eps":"x""#, "rms_norm_eps"),
        ] {
            assert!(config(more).unwrap_err().to_string().contains(word), "{word}");
        }
        assert!(matches!(
            ModelConfig::from_json(r#"{"architectures":["OtherForCausalLM"]}"#),
            Err(EngineError::UnknownArchitecture(_))
        ));
    }
}
