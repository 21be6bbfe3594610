//! Forms whose matrices are those of linear layers: `dictionary_learning`, Goodfire, sparsify, Qwen-Scope, and plain
//! ones.

use std::path::Path;

use tiller_protocol::site::Site;

use super::super::description::{Architecture, Format};
use super::super::recipe::{Recipe, Threshold};
use super::{Case, place};
use crate::error::Result;

/// `ae.pt` with `config.json` (source: `dictionary.py` and `trainers/` of 0.1.0). Its classes are told apart by their
/// tensors; `BatchTopK` is used with the threshold that its training found.
///
/// # Errors
/// A class that is not computed, or no place.
pub(super) fn dictionary_learning(case: &Case<'_>) -> Result<Recipe> {
    let trainer = &case.config()["trainer"];
    let class = trainer["dict_class"].as_str().unwrap_or_default();
    let path = case.container().path();
    let site = case.site(dictionary_site(case, path))?;
    let is_bare = case.has("W_enc");
    let (enc, dec) = if is_bare {
        (("W_enc", true), ("W_dec", false))
    } else {
        (("encoder.weight", false), ("decoder.weight", true))
    };
    let dims = case.dims_by(enc.0, enc.1)?;
    let described = |architecture| case.described(Format::DictionaryLearning, architecture, site, dims, enc.0);
    let threshold = case.container().shape("threshold").map(|shape| shape.iter().product::<usize>());
    let mut recipe;
    if case.has("r_mag") {
        recipe = Recipe::new(described(Architecture::Gated), enc, dec);
        recipe.b_enc = Some("mag_bias".to_owned());
        recipe.b_dec = Some("decoder_bias".to_owned());
        recipe.threshold = Some(Threshold::Gate { bias: "gate_bias".to_owned(), scale: "r_mag".to_owned() });
        recipe.subtracts_b_dec = true;
    } else if case.has("bias") {
        recipe = Recipe::new(described(Architecture::Standard), enc, dec);
        recipe.b_enc = Some("encoder.bias".to_owned());
        recipe.b_dec = Some("bias".to_owned());
        recipe.subtracts_b_dec = true;
    } else if is_bare && threshold == Some(dims.d_sae) && !class.contains("Matryoshka") {
        recipe = Recipe::new(described(Architecture::JumpRelu), enc, dec);
        recipe.b_enc = Some("b_enc".to_owned());
        recipe.b_dec = Some("b_dec".to_owned());
        recipe.threshold = Some(Threshold::Each("threshold".to_owned()));
    } else {
        let by_token = class == "AutoEncoderTopK";
        let theta = case.container().scalar("threshold").filter(|_| !by_token);
        let k = case.container().scalar("k").map(|k| k as usize).or(trainer["k"].as_u64().map(|k| k as usize));
        recipe = match (theta, k.or(case.hints.k)) {
            (Some(theta), _) => {
                let mut recipe = Recipe::new(described(Architecture::JumpRelu), enc, dec);
                recipe.threshold = Some(Threshold::All(theta as f32));
                recipe
            }
            (None, Some(k)) => {
                let mut description = described(Architecture::TopK);
                description.k = Some(k);
                Recipe::new(description, enc, dec)
            }
            (None, None) => return Err(case.bad("it holds neither a threshold nor `k`")),
        };
        recipe.b_enc = Some(if is_bare { "b_enc" } else { "encoder.bias" }.to_owned());
        recipe.b_dec = Some("b_dec".to_owned());
        recipe.subtracts_b_dec = true;
    }
    recipe.description.reads = trainer["lm_name"].as_str().map(str::to_owned);
    Ok(recipe)
}

fn dictionary_site(case: &Case<'_>, path: &Path) -> std::result::Result<Site, String> {
    let trainer = &case.config()["trainer"];
    let module = trainer["submodule_name"].as_str().unwrap_or_default();
    for (part, what) in [("mlp", "a place inside the MLP"), ("attn", "what the attention adds")] {
        if module.contains(part) {
            return Err(format!(
                "it reads {what} (`{module}`); only SAEs of the residual stream after a block are read"
            ));
        }
    }
    let block = trainer["layer"].as_u64().map(|block| block as usize);
    let in_module = || place::number_in(Path::new(module), "layer_");
    let block = block.or_else(in_module).or_else(|| place::number_in(path, "layer_"));
    block.map(Site::ResidPost).ok_or_else(|| place::UNKNOWN.to_owned())
}

/// `encoder_linear` and `decoder_linear`: `ReLU`, and nothing taken from the input.
///
/// # Errors
/// No place.
pub(super) fn goodfire(case: &Case<'_>) -> Result<Recipe> {
    layers(case, Format::Goodfire, "encoder_linear", "decoder_linear")
}

/// Linear layers `encoder` and `decoder`, in the same way.
///
/// # Errors
/// No place.
pub(super) fn plain(case: &Case<'_>) -> Result<Recipe> {
    layers(case, Format::Linear, "encoder", "decoder")
}

fn layers(case: &Case<'_>, format: Format, enc: &str, dec: &str) -> Result<Recipe> {
    let (weight, bias) = (|part: &str| format!("{part}.weight"), |part: &str| format!("{part}.bias"));
    let path = case.container().path();
    let block = ["l", "L", "layer_", "layer", "layers."].into_iter().find_map(|before| place::number_in(path, before));
    let site = case.site(block.map(Site::ResidPost).ok_or_else(|| place::UNKNOWN.to_owned()))?;
    let dims = case.dims_by(&weight(enc), false)?;
    let description = case.described(format, Architecture::Standard, site, dims, &weight(enc));
    let mut recipe = Recipe::new(description, (&weight(enc), false), (&weight(dec), true));
    recipe.b_enc = Some(bias(enc)).filter(|name| case.has(name));
    recipe.b_dec = Some(bias(dec)).filter(|name| case.has(name));
    Ok(recipe)
}

/// `cfg.json` and `sae.safetensors` (source: `sparse_coder.py` of 1.3.3): the `k` largest of each token. The folder
/// says where it reads: `layers.N` is the output of block N; `layer_N`, the older name, its input.
///
/// # Errors
/// An activation that is not computed, or another place.
pub(super) fn sparsify(case: &Case<'_>) -> Result<Recipe> {
    let config = case.config();
    if config["activation"].as_str().is_some_and(|name| name != "topk") || config["signed"] == true {
        return Err(case.bad_config("only the activation `topk` of the form sparsify is supported"));
    }
    let folder = case.container().path().parent().and_then(Path::file_name);
    let folder = folder.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let block = |text: Option<&str>| text.and_then(|text| text.parse::<usize>().ok());
    let site = if let Some(block) = block(folder.strip_prefix("layers.")) {
        Ok(Site::ResidPost(block))
    } else if let Some(block) = block(folder.strip_prefix("layer_")) {
        block
            .checked_sub(1)
            .map(Site::ResidPost)
            .ok_or_else(|| "it reads the embeddings, before the first block".to_owned())
    } else if folder.starts_with("layers.") {
        place::of_module(&folder)
    } else {
        Err(format!("{} (its folder is `{folder}`, not `layers.N`)", place::UNKNOWN))
    };
    let dims = case.dims_by("encoder.weight", false)?;
    let mut description =
        case.described(Format::Sparsify, Architecture::TopK, case.site(site)?, dims, "encoder.weight");
    let k = config["k"].as_u64().map(|k| k as usize).or(case.hints.k);
    description.k = Some(k.ok_or_else(|| case.bad_config("it does not give `k`"))?);
    let is_turned = case.is_turned("W_dec", dims, false);
    let mut recipe = Recipe::new(description, ("encoder.weight", false), ("W_dec", is_turned));
    recipe.b_enc = Some("encoder.bias".to_owned());
    recipe.b_dec = Some("b_dec".to_owned());
    recipe.subtracts_b_dec = true;
    Ok(recipe)
}

/// `layerN.sae.pt`: the `k` largest of each token, `k` being part of the repository's name; nothing is taken from the
/// input.
///
/// # Errors
/// No place, or no `k`.
pub(super) fn qwen_scope(case: &Case<'_>) -> Result<Recipe> {
    let path = case.container().path();
    let site = place::number_in(path, "layer").map(Site::ResidPost).ok_or_else(|| place::UNKNOWN.to_owned());
    let dims = case.dims_of("b_enc", "b_dec")?;
    let mut description = case.described(Format::QwenScope, Architecture::TopK, case.site(site)?, dims, "W_enc");
    let k = case.hints.k.or_else(|| place::number_in(path, "L0_"));
    description.k =
        Some(k.ok_or_else(|| case.bad("neither it nor the names of its folders say how many latents pass (`L0_K`)"))?);
    description.reads = place::between(path, "SAE-Res-", &["-W"]).map(|model| format!("Qwen/{model}"));
    let is_turned = (case.is_turned("W_enc", dims, false), case.is_turned("W_dec", dims, true));
    let mut recipe = Recipe::new(description, ("W_enc", is_turned.0), ("W_dec", is_turned.1));
    recipe.b_enc = Some("b_enc".to_owned());
    recipe.b_dec = Some("b_dec".to_owned());
    Ok(recipe)
}
