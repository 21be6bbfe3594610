//! A GGUF file's metadata as the `config.json` that the same model has as a checkpoint folder.
//!
//! One spelling for both formats means one place that checks it and knows what each family needs. What llama.cpp
//! derives from other values, because its files do not hold it, is derived here in the same way.

use serde_json::{Map, Value as Json, json};

use super::value::{Metadata, Value};
use crate::error::{EngineError, Result};

/// Facts that stand in the table of tensors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tensors {
    /// Rows of the embedding.
    pub(crate) vocab_size: usize,
    /// There is no head of its own.
    pub(crate) tied: bool,
    /// The query projection has a bias.
    pub(crate) qkv_bias: bool,
}

/// Translates the metadata of one of the architectures `llama`, `qwen2`, `qwen3`, `gemma2` and `gemma3`.
///
/// # Errors
/// [`EngineError::UnknownArchitecture`] for any other, [`EngineError::BadRequest`] naming a key that is missing or
/// malformed, or a setting that is not supported.
pub(crate) fn config_json(metadata: &Metadata, tensors: Tensors) -> Result<Json> {
    let arch = metadata.need_text("general.architecture")?;
    let keys = Keys { metadata, arch };
    let architecture = match arch {
        "llama" if keys.size("attention.sliding_window")?.is_some() => "MistralForCausalLM",
        "llama" => "LlamaForCausalLM",
        "qwen2" => "Qwen2ForCausalLM",
        "qwen3" => "Qwen3ForCausalLM",
        "gemma2" => "Gemma2ForCausalLM",
        "gemma3" => "Gemma3ForCausalLM",
        other => return Err(EngineError::UnknownArchitecture { name: other.to_owned(), path: None }),
    };
    if keys.size("expert_count")?.is_some() {
        return Err(EngineError::UnknownArchitecture { name: format!("{arch} with several experts"), path: None });
    }
    let d_model = keys.need("embedding_length")?;
    let n_heads = keys.need("attention.head_count")?;
    let head_dim = keys.size("attention.key_length")?.unwrap_or(d_model / n_heads);
    keys.same("attention.value_length", head_dim)?;
    keys.same("rope.dimension_count", head_dim)?;
    let mut config = json!({
        "architectures": [architecture],
        "hidden_size": d_model,
        "num_hidden_layers": keys.need("block_count")?,
        "num_attention_heads": n_heads,
        "num_key_value_heads": keys.size("attention.head_count_kv")?.unwrap_or(n_heads),
        "head_dim": head_dim,
        "intermediate_size": keys.need("feed_forward_length")?,
        "vocab_size": tensors.vocab_size,
        "max_position_embeddings": keys.need("context_length")?,
        "tie_word_embeddings": tensors.tied,
        "rms_norm_eps": keys.need_number("attention.layer_norm_rms_epsilon")?,
        "eos_token_id": end_ids(metadata)?,
    });
    if let Some(config) = config.as_object_mut() {
        match arch {
            "gemma2" => gemma2(&keys, config)?,
            "gemma3" => gemma3(&keys, config)?,
            _ => plain(&keys, config, tensors.qkv_bias)?,
        }
    }
    Ok(config)
}

/// Metadata under the architecture's prefix.
struct Keys<'a> {
    metadata: &'a Metadata,
    arch: &'a str,
}

impl Keys<'_> {
    fn size(&self, key: &str) -> Result<Option<usize>> {
        let key = format!("{}.{key}", self.arch);
        // Zero experts, or a window of zero, is how some writers say that there is none.
        if self.metadata.number(&key)? == Some(0.0) { Ok(None) } else { self.metadata.size(&key) }
    }

    fn need(&self, key: &str) -> Result<usize> {
        self.metadata.need_size(&format!("{}.{key}", self.arch))
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        self.metadata.number(&format!("{}.{key}", self.arch))
    }

    fn need_number(&self, key: &str) -> Result<f64> {
        let missing = || EngineError::BadRequest(format!("its metadata lacks `{}.{key}`", self.arch));
        self.number(key)?.ok_or_else(missing)
    }

    /// An optional key that must have this value where it is there.
    fn same(&self, key: &str, expected: usize) -> Result<()> {
        match self.size(key)? {
            Some(found) if found != expected => Err(EngineError::BadRequest(format!(
                "its metadata `{}.{key}` is {found}; only the head width {expected} is supported",
                self.arch
            ))),
            _ => Ok(()),
        }
    }

    /// Which blocks have a window, where the file says so: one number (every n-th has none), or a sign for each block.
    fn windows(&self, config: &mut Map<String, Json>) -> Result<()> {
        let key = format!("{}.attention.sliding_window_pattern", self.arch);
        if let Some(Value::Ints(slides)) = self.metadata.0.get(&key) {
            let kind = |slides: &i64| if *slides == 0 { "full_attention" } else { "sliding_attention" };
            let kinds: Vec<&str> = slides.iter().map(kind).collect();
            config.insert("layer_types".to_owned(), json!(kinds));
        } else if let Some(n) = self.metadata.size(&key)? {
            config.insert("sliding_window_pattern".to_owned(), json!(n));
        }
        Ok(())
    }

    /// Rotary scaling in the words of `config.json`; `null` for none.
    fn scaling(&self) -> Result<Json> {
        let kind = self.metadata.text(&format!("{}.rope.scaling.type", self.arch))?;
        // Older files hold the factor alone.
        let older = self.number("rope.scale_linear")?;
        match kind {
            Some("none") => Ok(Json::Null),
            Some("linear") => Ok(json!({"rope_type": "linear", "factor": self.need_number("rope.scaling.factor")?})),
            Some(other) => Err(EngineError::BadRequest(format!("rotary scaling `{other}` is not supported"))),
            None => Ok(older
                .filter(|factor| *factor != 1.0)
                .map_or(Json::Null, |factor| json!({"rope_type": "linear", "factor": factor}))),
        }
    }
}

/// Llama, Mistral and both Qwens.
fn plain(keys: &Keys<'_>, config: &mut Map<String, Json>, qkv_bias: bool) -> Result<()> {
    config.insert("rope_theta".to_owned(), json!(keys.number("rope.freq_base")?.unwrap_or(10_000.0)));
    config.insert("rope_scaling".to_owned(), keys.scaling()?);
    if keys.arch == "llama" && qkv_bias {
        config.insert("attention_bias".to_owned(), json!(true));
    }
    if let Some(window) = keys.size("attention.sliding_window")?.filter(|_| keys.arch == "llama") {
        config.insert("sliding_window".to_owned(), json!(window));
    }
    Ok(())
}

/// Windows on every other block; soft caps with the values of all published models where the file has none.
fn gemma2(keys: &Keys<'_>, config: &mut Map<String, Json>) -> Result<()> {
    let scale = query_scale(keys, config, 46)?;
    let more = json!({
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": scale,
        "rope_theta": keys.number("rope.freq_base")?.unwrap_or(10_000.0),
        "sliding_window": keys.size("attention.sliding_window")?.unwrap_or(4096),
        "attn_logit_softcapping": keys.number("attn_logit_softcapping")?.unwrap_or(50.0),
        "final_logit_softcapping": keys.number("final_logit_softcapping")?.unwrap_or(30.0),
    });
    extend(config, more);
    keys.windows(config)
}

/// Windows on five of six blocks, which have a rotary base of their own.
fn gemma3(keys: &Keys<'_>, config: &mut Map<String, Json>) -> Result<()> {
    let scale = query_scale(keys, config, 62)?;
    let more = json!({
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": scale,
        "rope_theta": keys.number("rope.freq_base")?.unwrap_or(1_000_000.0),
        "rope_local_base_freq": keys.number("rope.freq_base_swa")?.unwrap_or(10_000.0),
        "rope_scaling": keys.scaling()?,
        "sliding_window": keys.need("attention.sliding_window")?,
        "attn_logit_softcapping": null,
        "final_logit_softcapping": keys.number("final_logit_softcapping")?.filter(|cap| *cap > 0.0),
    });
    extend(config, more);
    keys.windows(config)
}

fn extend(config: &mut Map<String, Json>, more: Json) {
    if let Json::Object(more) = more {
        config.extend(more);
    }
}

/// What queries are divided by the root of: the head width, but `d_model / n_heads` in the largest model of the
/// family, which is known by its number of blocks.
fn query_scale(keys: &Keys<'_>, config: &Map<String, Json>, n_layers_of_largest: u64) -> Result<f64> {
    let value = |key: &str| config[key].as_u64().unwrap_or(1);
    // A factor in place of a divisor's root.
    if let Some(factor) = keys.number("attention.scale")?.filter(|factor| *factor > 0.0) {
        return Ok(factor.powi(-2));
    }
    Ok(if value("num_hidden_layers") == n_layers_of_largest {
        (value("hidden_size") / value("num_attention_heads")) as f64
    } else {
        value("head_dim") as f64
    })
}

/// Tokens that end a turn in the published models; their files do not always say so.
const ENDS: [&str; 8] =
    ["<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|im_end|>", "<|endoftext|>", "<end_of_turn>", "<eos>", "</s>"];

/// The ids that end a reply: those that the metadata names, and control tokens known as ends.
fn end_ids(metadata: &Metadata) -> Result<Vec<u32>> {
    let mut ids = Vec::new();
    for key in ["eos", "eot", "eom"] {
        ids.extend(metadata.id(&format!("tokenizer.ggml.{key}_token_id"))?);
    }
    if metadata.0.contains_key("tokenizer.ggml.tokens") {
        let tokens = metadata.need_texts("tokenizer.ggml.tokens")?;
        let kinds = metadata.ints("tokenizer.ggml.token_type")?.unwrap_or_default();
        let is_added = |i: usize| kinds.get(i).is_some_and(|kind| matches!(kind, 3 | 4));
        ids.extend(
            tokens
                .iter()
                .enumerate()
                .filter(|(i, token)| ENDS.contains(&token.as_str()) && is_added(*i))
                .map(|(i, _)| i as u32),
        );
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}
