//! Rotary settings: `rope_theta` with `rope_scaling` (and `rope_local_base_freq`), or `rope_parameters`, plain or keyed
//! by the kind of block. Source: `modeling_rope_utils.py` of Hugging Face transformers.

use serde_json::Value;

use super::keys::{Keys, bad, number};
use crate::error::Result;

/// Rotary settings of some blocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeParams {
    /// Base of the rotary frequencies.
    pub theta: f64,
    /// How the rotary frequencies are stretched.
    pub scaling: RopeScaling,
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

/// The settings of blocks with full attention and, where they differ, of sliding ones.
pub(super) fn read(keys: &Keys) -> Result<Vec<RopeParams>> {
    let (newer, older) = (keys.get("rope_parameters"), keys.get("rope_scaling"));
    let is_set = |value: &Value| value.as_object().is_some_and(|settings| !settings.is_empty());
    // The reference lets one of them go silently, and not the same one in every family.
    if is_set(newer) && is_set(older) && newer != older {
        return Err(bad("`rope_parameters` and `rope_scaling` are both set and differ: keep the one that is meant"));
    }
    let of_kind = |kind: &str| newer.get(kind).filter(|settings| !settings.is_null());
    let theta = keys.number("rope_theta")?.unwrap_or(10_000.0);
    let two = keys.knows("rope_local_base_freq");
    let local_theta = if two { keys.number("rope_local_base_freq")?.unwrap_or(10_000.0) } else { theta };
    let keyed = of_kind("full_attention").is_some() || of_kind("sliding_attention").is_some();
    if keyed && !keys.knows("layer_types") {
        return Err(bad("`rope_parameters` is keyed by kinds of block, of which this family has one"));
    }
    if two && !keyed && newer["rope_type"].as_str().is_some_and(|kind| kind != "default") {
        return Err(bad("`rope_parameters` does not say which kind of block it is for (`full_attention`, …)"));
    }
    let full = match newer {
        Value::Object(_) if keyed => of_kind("full_attention"),
        Value::Object(_) => Some(newer),
        _ => Some(older),
    };
    let full = settings(full.unwrap_or(&Value::Null), theta, keys)?;
    // Unless it is told of its own, a sliding block's frequencies are not stretched where the family has two bases.
    let local = match of_kind("sliding_attention") {
        Some(own) => settings(own, local_theta, keys)?,
        None if two => RopeParams { theta: local_theta, scaling: RopeScaling::None },
        None => full,
    };
    Ok(if local == full { vec![full] } else { vec![full, local] })
}

fn settings(rope: &Value, theta: f64, keys: &Keys) -> Result<RopeParams> {
    if !(rope.is_null() || rope.is_object()) {
        return Err(bad(&format!("the rotary settings are {rope}, not an object")));
    }
    if number(&rope["partial_rotary_factor"], "partial_rotary_factor")?.is_some_and(|share| share != 1.0) {
        return Err(bad("`partial_rotary_factor` is not supported"));
    }
    let theta = number(&rope["rope_theta"], "rope_theta")?.unwrap_or(theta);
    let kind = rope["rope_type"].as_str().or_else(|| rope["type"].as_str()).unwrap_or("default");
    let need = |key: &str| match number(&rope[key], key)? {
        Some(value) if value > 0.0 => Ok(value),
        Some(value) => Err(bad(&format!("rotary setting `{key}` is {value}, not above 0"))),
        None => Err(bad(&format!("rotary setting `{key}` is missing"))),
    };
    let scaling = match kind {
        "default" => RopeScaling::None,
        "linear" => RopeScaling::Linear { factor: need("factor")? },
        "llama3" => {
            let (low_freq_factor, high_freq_factor) = (need("low_freq_factor")?, need("high_freq_factor")?);
            if high_freq_factor <= low_freq_factor {
                return Err(bad("rotary setting `high_freq_factor` is not above `low_freq_factor`"));
            }
            // The model's own key goes first and its longest sequence is the last resort, as in the reference.
            let original_context = match keys.number("original_max_position_embeddings")? {
                Some(length) => length,
                None if rope["original_max_position_embeddings"].is_null() => {
                    keys.size("max_position_embeddings")? as f64
                }
                None => need("original_max_position_embeddings")?,
            };
            RopeScaling::Llama3 { factor: need("factor")?, low_freq_factor, high_freq_factor, original_context }
        }
        other => return Err(bad(&format!("rotary scaling `{other}` (`rope_type`) is not supported"))),
    };
    Ok(RopeParams { theta, scaling })
}
