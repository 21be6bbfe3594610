//! Llama Scope and its later forms (source: `OpenMOSS`'s `Language-Model-SAEs`; He et al. 2024, arXiv 2410.20526).
//!
//! The weights are for activations scaled to the mean length √d: with s = √d / (mean length), `x' = s·x`. The first
//! form gives its threshold in units of the unscaled stream; the later ones give its logarithm in scaled units.

mod r1;

use serde_json::Value;
use tiller_protocol::site::Site;

use super::super::description::{Architecture, Format};
use super::super::recipe::{Recipe, Scale, Threshold};
use super::{Case, place};
use crate::error::Result;

/// `hyperparams.json` and `checkpoints/final.safetensors`.
///
/// # Errors
/// An SAE of another place, or a configuration that is not computed.
pub(super) fn first(case: &Case<'_>) -> Result<Recipe> {
    let config = case.config();
    refuse_glu(case)?;
    let dims = case.dims_by("encoder.weight", false)?;
    let mut description =
        case.described(Format::LlamaScope, Architecture::JumpRelu, site(case)?, dims, "encoder.weight");
    description.reads = reads(config);
    let mut recipe = Recipe::new(description, ("encoder.weight", false), ("decoder.weight", true));
    recipe.b_enc = Some("encoder.bias".to_owned());
    recipe.b_dec = case.has("decoder.bias").then(|| "decoder.bias".to_owned());
    recipe.subtracts_b_dec = config["apply_decoder_bias_to_pre_encoder"] == true;
    recipe.judges_written_length = config["sparsity_include_decoder_norm"].as_bool().unwrap_or(true);
    let theta = config["jump_relu_threshold"].as_f64().filter(|theta| theta.is_finite());
    let theta = theta.ok_or_else(|| case.bad_config("its `jump_relu_threshold` is no number"))?;
    recipe.threshold = Some(Threshold::All(theta as f32));
    let s = scale(case, dims.d_model)?;
    recipe.scale = Scale { enc: 1.0, b_enc: 1.0 / s, dec: 1.0, b_dec: 1.0 / s };
    Ok(recipe)
}

/// `config.json` and `sae_weights.safetensors` with `log_jumprelu_threshold`.
///
/// # Errors
/// As [`first`].
pub(super) fn later(case: &Case<'_>) -> Result<Recipe> {
    let config = case.config();
    refuse_glu(case)?;
    let is_newest = case.has("W_E");
    let (format, enc, dec) = if is_newest {
        (Format::Llamascopium, ("W_E", true), ("W_D", false))
    } else {
        (Format::LlamaScopeR1, ("encoder.weight", false), ("decoder.weight", true))
    };
    let dims = case.dims_by(enc.0, enc.1)?;
    let mut description = case.described(format, Architecture::JumpRelu, site(case)?, dims, enc.0);
    description.reads = reads(config);
    let mut recipe = Recipe::new(description, enc, dec);
    let (b_enc, b_dec) = if is_newest { ("b_E", "b_D") } else { ("encoder.bias", "decoder.bias") };
    recipe.b_enc = case.has(b_enc).then(|| b_enc.to_owned());
    recipe.b_dec = case.has(b_dec).then(|| b_dec.to_owned());
    recipe.subtracts_b_dec = config["apply_decoder_bias_to_pre_encoder"] == true;
    recipe.judges_written_length = config["sparsity_include_decoder_norm"].as_bool().unwrap_or(is_newest);
    recipe.threshold = Some(Threshold::EachLog("log_jumprelu_threshold".to_owned()));
    let s = scale(case, dims.d_model)?;
    recipe.scale = Scale { enc: s, b_enc: 1.0, dec: 1.0 / s, b_dec: 1.0 / s };
    Ok(recipe)
}

/// Width of the model that the scales of [`r1`] are for.
const R1_WIDTH: usize = 4096;

fn refuse_glu(case: &Case<'_>) -> Result<()> {
    if case.config()["use_glu_encoder"] == true {
        return Err(case.bad_config("its encoder is a gated linear unit, which is not supported"));
    }
    Ok(())
}

fn site(case: &Case<'_>) -> Result<Site> {
    case.site(match case.config()["hook_point_in"].as_str() {
        Some(name) => place::of_hook(name),
        None => Err("it does not say where the SAE reads (`hook_point_in`)".to_owned()),
    })
}

fn reads(config: &Value) -> Option<String> {
    ["model_name", "model_from_pretrained_path"].iter().find_map(|key| config[*key].as_str()).map(str::to_owned)
}

/// The factor of its inputs.
fn scale(case: &Case<'_>, d_model: usize) -> Result<f32> {
    let config = case.config();
    let told = config["norm_activation"].as_str().unwrap_or("dataset-wise");
    match told {
        "dataset-wise" => {}
        "inference" | "none" => return Ok(1.0),
        other => return Err(case.bad_config(format!("normalisation {other} is not supported"))),
    }
    let norms = &config["dataset_average_activation_norm"];
    let hook = config["hook_point_in"].as_str().unwrap_or_default();
    let beside = || case.container().scalar(&format!("dataset_average_activation_norm.{hook}"));
    let norm = norms["in"].as_f64().or_else(|| norms[hook].as_f64()).or_else(beside);
    let norm = norm.or(case.hints.mean_norm.map(f64::from)).filter(|norm| norm.is_finite() && *norm > 0.0);
    if norm.is_none()
        && d_model == R1_WIDTH
        && let Ok(block) = place::of_hook(hook).map(Site::block)
        && let Some(scale) = r1::scale(case.container().path(), block)
    {
        return Ok(scale);
    }
    let reason = "it does not give the mean length of the activations it was trained on \
                  (`dataset_average_activation_norm`)";
    let norm = norm.ok_or_else(|| case.bad_config(reason))?;
    Ok(((d_model as f64).sqrt() / norm) as f32)
}
