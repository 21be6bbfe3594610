//! `SAELens`: `cfg.json`, flat or with `metadata`, and `sae_weights.safetensors` (source: `saes/*.py` of 6.54).

use serde_json::Value;
use tiller_protocol::site::Site;

use super::super::description::{Architecture, Format, Norm};
use super::super::recipe::{Recipe, Threshold};
use super::{Case, place};
use crate::error::Result;

/// The way of such a file.
///
/// # Errors
/// An architecture, normalisation or place that is not computed, or a configuration that its tensors contradict.
pub(super) fn recipe(case: &Case<'_>) -> Result<Recipe> {
    let config = case.config();
    let site = case.site(site(config))?;
    let (architecture, k) = kind(config).map_err(|reason| case.bad_config(reason))?;
    let norm = norm(config).map_err(|reason| case.bad_config(reason))?;
    let dims = case.dims_by("W_enc", true)?;
    for (key, found) in [("d_in", dims.d_model), ("d_sae", dims.d_sae)] {
        if let Some(told) = config[key].as_u64().filter(|told| *told != found as u64) {
            let shape = [dims.d_model, dims.d_sae];
            return Err(case.bad_config(format!("its `{key}` is {told}, but W_enc of its weights is {shape:?}")));
        }
    }
    let mut description = case.described(Format::SaeLens, architecture, site, dims, "W_enc");
    description.k = k;
    description.norm = norm;
    description.reads = field(config, "model_name").as_str().map(str::to_owned);
    let mut recipe = Recipe::new(description, ("W_enc", true), ("W_dec", false));
    let name = |name: &str| Some(name.to_owned());
    recipe.b_enc = name("b_enc");
    recipe.b_dec = name("b_dec");
    recipe.subtracts_b_dec = config["apply_b_dec_to_input"].as_bool().unwrap_or(true);
    match architecture {
        Architecture::JumpRelu => recipe.threshold = Some(Threshold::Each("threshold".to_owned())),
        Architecture::Gated => {
            recipe.b_enc = name("b_mag");
            recipe.threshold = Some(Threshold::Gate { bias: "b_gate".to_owned(), scale: "r_mag".to_owned() });
        }
        Architecture::TopK | Architecture::AbsTopK => {
            recipe.judges_written_length = config["rescale_acts_by_decoder_norm"].as_bool().unwrap_or(false);
        }
        Architecture::Standard => {}
    }
    // Fine-tuned afterwards: a factor for the output of each latent.
    recipe.output_scale = case.has("scaling_factor").then(|| "scaling_factor".to_owned());
    Ok(recipe)
}

/// A key in either form of `cfg.json`: newer files nest some under `metadata`.
fn field<'a>(config: &'a Value, key: &str) -> &'a Value {
    if config[key].is_null() { &config["metadata"][key] } else { &config[key] }
}

fn site(config: &Value) -> std::result::Result<Site, String> {
    let name = match field(config, "hook_name") {
        Value::Null => field(config, "hook_point"),
        name => name,
    };
    place::of_hook(name.as_str().ok_or("it does not say where the SAE reads (`hook_name`)")?)
}

fn norm(config: &Value) -> std::result::Result<Norm, String> {
    match &config["normalize_activations"] {
        Value::Null | Value::Bool(_) => Ok(Norm::None),
        Value::String(name) => match name.as_str() {
            // The constant of the second is folded into the weights when an SAE is saved for use.
            "none" | "expected_average_only_in" => Ok(Norm::None),
            "constant_norm_rescale" => Ok(Norm::Length),
            "layer_norm" => Ok(Norm::Layer),
            other => Err(format!("normalisation {other} is not supported")),
        },
        other => Err(format!("normalisation {other} is not supported")),
    }
}

fn kind(config: &Value) -> std::result::Result<(Architecture, Option<usize>), String> {
    let text = |key: &str| config[key].as_str();
    let activation = text("activation_fn_str").or_else(|| text("activation_fn")).unwrap_or("relu");
    let architecture = match text("architecture").unwrap_or("standard") {
        "standard" if activation == "topk" => "topk",
        "standard" if activation != "relu" => return Err(format!("activation `{activation}` is not supported")),
        name => name,
    };
    let k = || {
        let k = config["k"].as_u64().or_else(|| config["activation_fn_kwargs"]["k"].as_u64());
        k.map(|k| Some(k as usize)).ok_or("it does not give `k`")
    };
    match architecture {
        "standard" => Ok((Architecture::Standard, None)),
        "jumprelu" => Ok((Architecture::JumpRelu, None)),
        "gated" => Ok((Architecture::Gated, None)),
        "topk" => Ok((Architecture::TopK, k()?)),
        "abstopk" => Ok((Architecture::AbsTopK, k()?)),
        other => Err(format!("architecture `{other}` is not supported")),
    }
}
