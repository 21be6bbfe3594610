//! Reading the keys of a `config.json`: own values before the family's defaults, and nothing ignored that would change
//! the numbers.

use serde_json::{Map, Value};

use super::family::{COMMON, Family};
use super::{Activation, MAX_SIZE};
use crate::error::{EngineError, Result};

/// The keys of a language model.
pub(super) struct Keys {
    /// As the file has them.
    own: Map<String, Value>,
    /// What the family reads, with defaults.
    known: Map<String, Value>,
    /// `eos_token_id` of the file and of its nested part.
    eos: [Value; 2],
}

/// Keys that change the numbers where a family reads them, and mean trouble where it does not.
const FEATURES: [&str; 5] = [
    "attention_bias",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "query_pre_attn_scalar",
    "use_sliding_window",
];

/// Keys that no family here can honour once they are set.
const UNSUPPORTED: [&str; 8] = [
    "mlp_bias",
    "use_bidirectional_attention",
    "quantization_config",
    "num_experts",
    "num_local_experts",
    "n_routed_experts",
    "moe_intermediate_size",
    "attention_chunk_size",
];

impl Keys {
    /// # Errors
    /// When the language model's part is missing, or not an object.
    pub(super) fn new(json: &Value, family: &Family) -> Result<Self> {
        let part = if family.nested { &json["text_config"] } else { json };
        let mut own =
            part.as_object().ok_or_else(|| bad("`text_config` holds no settings of a language model"))?.clone();
        let eos = [json["eos_token_id"].clone(), part["eos_token_id"].clone()];
        for key in ["tie_word_embeddings", "quantization_config"] {
            // A wrapper says for the whole model whether the head is its own and how weights are stored.
            if let Some(value) = json.get(key).filter(|value| !value.is_null()) {
                own.insert(key.to_owned(), value.clone());
            }
        }
        let mut known = object(COMMON)?;
        known.extend(object(family.keys)?);
        Ok(Self { own, known, eos })
    }

    /// A key's own value, else its default; null for a key that the family does not read.
    pub(super) fn get(&self, key: &str) -> &Value {
        match self.known.get(key) {
            Some(default) => self.own.get(key).unwrap_or(default),
            None => &Value::Null,
        }
    }

    /// Whether the family reads this key.
    pub(super) fn knows(&self, key: &str) -> bool {
        self.known.contains_key(key)
    }

    /// A number above 0, if there is one.
    pub(super) fn optional(&self, key: &str) -> Result<Option<usize>> {
        match self.get(key) {
            Value::Null => Ok(None),
            value => match value.as_u64() {
                Some(number) if number > 0 => Ok(Some(number as usize)),
                _ => Err(bad(&format!("`{key}` is {value}, not a whole number above 0"))),
            },
        }
    }

    /// A size, which must be there.
    pub(super) fn size(&self, key: &str) -> Result<usize> {
        let size = self.optional(key)?.ok_or_else(|| bad(&format!("`{key}` is missing")))?;
        if size > MAX_SIZE {
            return Err(bad(&format!("`{key}` is {size}, above {MAX_SIZE}")));
        }
        Ok(size)
    }

    /// Any number, if there is one.
    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        number(self.get(key), key)
    }

    /// True or false; `default` where nothing is said.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            Value::Null => Ok(self.known.get(key).and_then(Value::as_bool).unwrap_or(default)),
            value => value.as_bool().ok_or_else(|| bad(&format!("`{key}` is {value}, not true or false"))),
        }
    }

    /// The MLP's activation.
    ///
    /// # Errors
    /// For one without an implementation.
    pub(super) fn activation(&self) -> Result<Option<Activation>> {
        let key = if self.knows("hidden_activation") { "hidden_activation" } else { "hidden_act" };
        match self.get(key) {
            Value::Null => Ok(None),
            Value::String(name) if matches!(name.as_str(), "silu" | "swish") => Ok(Some(Activation::Silu)),
            Value::String(name) if matches!(name.as_str(), "gelu_pytorch_tanh" | "gelu_new") => {
                Ok(Some(Activation::GeluTanh))
            }
            other => Err(bad(&format!("`{key}`: activation {other} is not supported"))),
        }
    }

    /// For each block whether it slides: has the window of `sliding_window`, and the second rotary settings if there
    /// are two.
    ///
    /// # Errors
    /// When `layer_types` names a kind that is neither, or does not have as many entries as there are blocks.
    pub(super) fn layer_kinds(&self, n_layers: usize) -> Result<Vec<bool>> {
        if let Value::Array(kinds) = self.get("layer_types") {
            if kinds.len() != n_layers {
                return Err(bad(&format!("`layer_types` has {} entries for {n_layers} blocks", kinds.len())));
            }
            let slides = |kind: &Value| match kind.as_str() {
                Some("sliding_attention") => Ok(true),
                Some("full_attention") => Ok(false),
                _ => Err(bad(&format!("`layer_types`: {kind} is not supported"))),
            };
            return kinds.iter().map(slides).collect();
        }
        let blocks = 0..n_layers;
        Ok(if let Some(pattern) = self.optional("sliding_window_pattern")? {
            blocks.map(|block| (block + 1) % pattern != 0).collect()
        } else if self.knows("max_window_layers") {
            let first = self.number("max_window_layers")?.unwrap_or(0.0);
            blocks.map(|block| block as f64 >= first).collect()
        } else {
            vec![self.knows("sliding_window"); n_layers]
        })
    }

    /// All end tokens named.
    pub(super) fn eos_ids(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = self.eos.iter().flat_map(token_ids).collect();
        let mut seen = std::collections::BTreeSet::new();
        ids.retain(|id| seen.insert(*id));
        ids
    }

    /// # Errors
    /// For a setting that would change the numbers and is not implemented for the architecture.
    pub(super) fn refuse_unsupported(&self, architecture: &str) -> Result<()> {
        let is_set = |key: &str| self.own.get(key).is_some_and(is_set);
        if let Some(key) = UNSUPPORTED.iter().find(|key| is_set(key)) {
            return Err(bad(&format!("`{key}` is not supported")));
        }
        if let Some(key) = FEATURES.iter().find(|key| !self.knows(key) && is_set(key)) {
            return Err(bad(&format!("`{key}` is not supported for {architecture}")));
        }
        let mixed = |kinds: &Value| kinds.as_array().is_some_and(|kinds| kinds.windows(2).any(|two| two[0] != two[1]));
        if !self.knows("layer_types") && self.own.get("layer_types").is_some_and(mixed) {
            return Err(bad(&format!("different `layer_types` are not supported for {architecture}")));
        }
        let rotated = self.own.get("partial_rotary_factor").and_then(Value::as_f64);
        if rotated.is_some_and(|share| share != 1.0) {
            return Err(bad("`partial_rotary_factor` is not supported"));
        }
        Ok(())
    }
}

/// Whether a setting says anything: not null, false, 0 or empty.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(true) | Value::String(_) => true,
    }
}

fn object(text: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(text).map_err(|error| bad(&format!("a family's keys are malformed: {error}")))
}

/// A number, if there is one.
pub(super) fn number(value: &Value, key: &str) -> Result<Option<f64>> {
    match value {
        Value::Null => Ok(None),
        value => match value.as_f64().filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(bad(&format!("`{key}` is {value}, not a number"))),
        },
    }
}

/// One id or a list of ids; anything else is no id.
pub(crate) fn token_ids(value: &Value) -> Vec<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Value::Array(list) => list.iter().filter_map(id).collect(),
        other => id(other).into_iter().collect(),
    }
}

pub(super) fn bad(reason: &str) -> EngineError {
    EngineError::BadRequest(reason.to_owned())
}
