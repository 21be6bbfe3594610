//! What differs between decoder families: one entry each.
//!
//! A new family is an entry of [`FAMILIES`] and a golden checkpoint. An entry lists the keys of `config.json` that the
//! family reads besides those of [`COMMON`], with the values that hold where a file leaves them out; a key that is
//! not listed is not read.

use super::keys::Keys;
use super::{Activation, ArchParams};
use crate::error::Result;

/// A decoder family.
#[expect(clippy::struct_excessive_bools, reason = "independent properties of an architecture")]
pub(super) struct Family {
    /// As `architectures` of a `config.json` names it.
    architecture: &'static str,
    /// Keys and their defaults, a JSON object.
    pub(super) keys: &'static str,
    /// The language model's keys lie in `text_config`.
    pub(super) nested: bool,
    /// Queries, keys and values have a bias, whatever `attention_bias` says.
    qkv_bias: bool,
    /// See [`ArchParams::qk_norm`].
    qk_norm: bool,
    /// See [`ArchParams::post_norms`].
    post_norms: bool,
    /// Norms store `weight − 1` and embedding rows are multiplied by the root of their width.
    gemma: bool,
}

/// Keys that every family reads; `null` where there is no default.
pub(super) const COMMON: &str = r#"{"hidden_size": null, "num_hidden_layers": null, "num_attention_heads": null,
    "num_key_value_heads": null, "head_dim": null, "intermediate_size": null, "vocab_size": null,
    "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "tie_word_embeddings": false, "rope_theta": 10000.0,
    "rope_scaling": null, "rope_parameters": null, "original_max_position_embeddings": null, "eos_token_id": null}"#;

/// Source: `configuration_llama.py`.
const LLAMA: Family = Family {
    architecture: "LlamaForCausalLM",
    keys: r#"{"hidden_act": "silu", "attention_bias": false}"#,
    nested: false,
    qkv_bias: false,
    qk_norm: false,
    post_norms: false,
    gemma: false,
};

/// Source: `configuration_gemma2.py`, `modeling_gemma2.py`.
const GEMMA2: Family = Family {
    architecture: "Gemma2ForCausalLM",
    keys: r#"{"hidden_activation": "gelu_pytorch_tanh", "attention_bias": false, "num_attention_heads": 8,
        "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 256000, "max_position_embeddings": 8192,
        "tie_word_embeddings": true, "query_pre_attn_scalar": 256, "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0, "sliding_window": 4096, "sliding_window_pattern": 2, "layer_types": null}"#,
    post_norms: true,
    gemma: true,
    ..LLAMA
};

/// Source: `configuration_gemma3.py`, `modeling_gemma3.py`.
const GEMMA3: Family = Family {
    architecture: "Gemma3ForCausalLM",
    keys: r#"{"hidden_activation": "gelu_pytorch_tanh", "attention_bias": false, "num_attention_heads": 8,
        "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 262208, "max_position_embeddings": 131072,
        "tie_word_embeddings": true, "query_pre_attn_scalar": 256, "final_logit_softcapping": null,
        "sliding_window": 4096, "sliding_window_pattern": 6, "layer_types": null, "rope_theta": 1000000.0,
        "rope_local_base_freq": 10000.0}"#,
    qk_norm: true,
    ..GEMMA2
};

/// All families.
const FAMILIES: [Family; 7] = [
    LLAMA,
    // `configuration_mistral.py`
    Family {
        architecture: "MistralForCausalLM",
        keys: r#"{"hidden_act": "silu", "num_key_value_heads": 8, "max_position_embeddings": 131072,
            "sliding_window": 4096}"#,
        ..LLAMA
    },
    // `configuration_qwen2.py`; Qwen2.5 has the same architecture
    Family {
        architecture: "Qwen2ForCausalLM",
        keys: r#"{"hidden_act": "silu", "num_key_value_heads": 32, "max_position_embeddings": 32768,
            "use_sliding_window": false, "sliding_window": 4096, "max_window_layers": 28, "layer_types": null}"#,
        qkv_bias: true,
        ..LLAMA
    },
    // `configuration_qwen3.py`
    Family {
        architecture: "Qwen3ForCausalLM",
        keys: r#"{"hidden_act": "silu", "attention_bias": false, "num_key_value_heads": 32, "head_dim": 128,
            "max_position_embeddings": 32768, "use_sliding_window": false, "sliding_window": 4096,
            "max_window_layers": 28, "layer_types": null}"#,
        qk_norm: true,
        ..LLAMA
    },
    GEMMA2,
    GEMMA3,
    Family { architecture: "Gemma3ForConditionalGeneration", nested: true, ..GEMMA3 },
];

impl Family {
    /// The family of an architecture.
    pub(super) fn of(architecture: &str) -> Option<&'static Self> {
        FAMILIES.iter().find(|family| family.architecture == architecture)
    }

    /// The architecture's parameters with a config's own settings.
    pub(super) fn arch(&self, keys: &Keys, d_model: usize) -> Result<ArchParams> {
        let bias = keys.flag("attention_bias", false)?;
        Ok(ArchParams {
            qkv_bias: self.qkv_bias || bias,
            o_bias: bias,
            qk_norm: self.qk_norm,
            post_norms: self.post_norms,
            norm_offset: if self.gemma { 1.0 } else { 0.0 },
            embed_scale: if self.gemma { (d_model as f64).sqrt() } else { 1.0 },
            activation: keys.activation()?.unwrap_or(Activation::Silu),
            attn_scalar: keys.number("query_pre_attn_scalar")?,
            attn_softcap: keys.number("attn_logit_softcapping")?,
            final_softcap: keys.number("final_logit_softcapping")?,
        })
    }
}
