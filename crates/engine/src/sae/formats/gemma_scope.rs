//! Gemma Scope (`params.npz`, where the folders are all the configuration) and Gemma Scope 2 (`params.safetensors`).
//! `JumpReLU`; the output bias is not taken from the input, and nothing is normalised.

use super::super::description::{Architecture, Format};
use super::super::recipe::{Recipe, Threshold};
use super::{Case, place};
use crate::error::Result;

/// Of Gemma 2.
///
/// # Errors
/// An SAE of another place than the residual stream, or none in the names of the folders.
pub(super) fn first(case: &Case<'_>) -> Result<Recipe> {
    let path = case.container().path();
    let part = [
        ("-pt-mlp", "what the MLP adds"),
        ("-pt-att", "the heads of the attention"),
        ("-transcoders", "the MLP's input, as a transcoder"),
        ("embedding", "the embeddings"),
    ];
    let other = part.into_iter().find(|(name, _)| place::contains(path, name));
    let site = match other {
        Some((_, what)) => Err(format!("it reads {what}; only SAEs of the residual stream after a block are read")),
        None => place::number_in(path, "layer_")
            .map(tiller_protocol::site::Site::ResidPost)
            .ok_or_else(|| format!("{} (`layer_N`)", place::UNKNOWN)),
    };
    let mut recipe = params(case, Format::GemmaScope, case.site(site)?)?;
    recipe.description.reads = place::between(path, "gemma-scope-", &["-pt", "-it"]).map(|size| {
        let tuned = if place::contains(path, &format!("{size}-it")) { "-it" } else { "" };
        format!("google/gemma-2-{size}{tuned}")
    });
    Ok(recipe)
}

/// Of Gemma 3.
///
/// # Errors
/// As [`first`], and an activation that is not `jump_relu`.
pub(super) fn second(case: &Case<'_>) -> Result<Recipe> {
    let (config, path) = (case.config(), case.container().path());
    if let Some(other) = config["architecture"].as_str().filter(|name| !matches!(*name, "jump_relu" | "jumprelu")) {
        return Err(case.bad_config(format!("architecture `{other}` is not supported")));
    }
    let site = match config["hf_hook_point_in"].as_str() {
        Some(name) => place::of_module(name),
        // Some folders lack their configuration.
        None if place::contains(path, "resid_post") => place::number_in(path, "layer_")
            .map(tiller_protocol::site::Site::ResidPost)
            .ok_or_else(|| place::UNKNOWN.to_owned()),
        None => Err(place::UNKNOWN.to_owned()),
    };
    let mut recipe = params(case, Format::GemmaScope2, case.site(site)?)?;
    recipe.description.reads = config["model_name"].as_str().map(str::to_owned);
    Ok(recipe)
}

fn params(case: &Case<'_>, format: Format, site: tiller_protocol::site::Site) -> Result<Recipe> {
    let name = |upper: &'static str, lower: &'static str| if case.has(upper) { upper } else { lower };
    let (enc, dec) = (name("W_enc", "w_enc"), name("W_dec", "w_dec"));
    let dims = case.dims_of("b_enc", "b_dec")?;
    let description = case.described(format, Architecture::JumpRelu, site, dims, enc);
    let is_turned = (case.is_turned(enc, dims, true), case.is_turned(dec, dims, false));
    let mut recipe = Recipe::new(description, (enc, is_turned.0), (dec, is_turned.1));
    recipe.b_enc = Some("b_enc".to_owned());
    recipe.b_dec = Some("b_dec".to_owned());
    recipe.threshold = Some(Threshold::Each("threshold".to_owned()));
    Ok(recipe)
}
