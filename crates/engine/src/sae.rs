//! Sparse autoencoders, in one internal form whatever the file's: decoder rows of unit length, so that a latent's
//! activation is the length of what it writes into the residual stream (reference: `SAELens` 6, `saes/*.py`).
//!
//! `pre = x·encᵀ + b_enc`, `f = gate(pre)`, `x̂ = f·dec + b_dec`. With n the length of a stored decoder row, `enc`,
//! `b_enc` and the threshold of a latent are multiplied by its n and the decoder row divided; a pre-encoder bias is
//! folded into `b_enc`. `TopK` chooses by the unfolded value `pre / n` unless the file says otherwise.

mod facts;

use std::path::Path;

use candle_core::{D, DType, Device, Tensor};
use serde_json::Value;
use tiller_protocol::site::Site;

use crate::error::{EngineError, Result};
use crate::load::text;
use crate::ops::linear::{Linear, Orientation};
use crate::safetensors::TensorFile;

pub use facts::{SaeFacts, facts};

/// A sparse autoencoder in the internal form (unit decoder rows).
#[derive(Clone, Debug)]
pub struct Sae {
    site: Site,
    gate: Gate,
    /// `[d_sae, d_model]`.
    enc: Tensor,
    /// `[d_sae]`.
    b_enc: Tensor,
    /// `[d_sae, d_model]`, unit rows (zero where the stored row is zero).
    dec: Tensor,
    /// `[d_model]`.
    b_dec: Tensor,
    /// Length of each stored decoder row, `[d_sae]`.
    dec_norms: Vec<f32>,
}

/// Which pre-activations pass.
#[derive(Clone, Debug)]
enum Gate {
    /// Those above 0.
    Relu,
    /// Those above a threshold, `[1, d_sae]`.
    Jump(Tensor),
    /// The `k` largest of `pre · rank_scale` (`[1, d_sae]`) that are above 0.
    TopK { k: usize, rank_scale: Tensor },
}

impl Sae {
    /// Reads a folder in the `SAELens` layout: `cfg.json` (either the flat or the newer form) and
    /// `sae_weights.safetensors` with `W_enc` `[d_in, d_sae]`, `b_enc`, `W_dec` `[d_sae, d_in]`, `b_dec`, and
    /// `threshold` for `JumpReLU`.
    ///
    /// # Errors
    /// A missing or broken file, tensors that do not fit, or an architecture, normalisation or site without an
    /// implementation.
    pub fn load(dir: &Path, device: &Device) -> Result<Self> {
        let path = dir.join("cfg.json");
        let cfg = config(&path)?;
        let bad = |reason: String| EngineError::BadFile { path: path.clone(), reason };
        let site = site(&cfg).map_err(&bad)?;
        let kind = kind(&cfg).map_err(&bad)?;
        let (mut file, d_in, d_sae) = open_weights(dir)?;
        let mut read = |name: &str, shape: &[usize]| -> Result<Vec<f32>> { file.read(name, shape)?.1.widened() };
        let stored = Stored {
            enc: crate::weights::transposed(&read("W_enc", &[d_in, d_sae])?, d_sae),
            b_enc: read("b_enc", &[d_sae])?,
            dec: read("W_dec", &[d_sae, d_in])?,
            b_dec: read("b_dec", &[d_in])?,
            threshold: if matches!(kind, Kind::Jump) { read("threshold", &[d_sae])? } else { Vec::new() },
        };
        let subtract = cfg["apply_b_dec_to_input"].as_bool().unwrap_or(true);
        stored.folded(&kind, subtract, site, device)
    }

    /// Where it reads.
    pub fn site(&self) -> Site {
        self.site
    }

    /// Number of latents.
    pub fn d_sae(&self) -> usize {
        self.dec_norms.len()
    }

    /// Width of the activations it reads.
    pub fn d_model(&self) -> usize {
        self.b_dec.elem_count()
    }

    /// True activations `[n, d_sae]` of `resid` `[n, d_model]`, f32; for reading, not for gradients (see
    /// [`Self::pre_activations`]).
    ///
    /// # Errors
    /// Rows of another width.
    pub fn encode(&self, resid: &Tensor) -> Result<Tensor> {
        let resid = self.checked(resid)?.detach();
        let bias = Some(self.b_enc.clone());
        let pre = Linear::new(self.enc.clone(), bias, Orientation::OutIn).forward(&resid)?;
        let positive = pre.relu()?;
        let passes = match &self.gate {
            Gate::Relu => return Ok(positive),
            Gate::Jump(threshold) => pre.broadcast_gt(threshold)?,
            Gate::TopK { k, rank_scale } => top_k(&pre.broadcast_mul(rank_scale)?, *k)?,
        };
        Ok((positive * passes.to_dtype(DType::F32)?)?)
    }

    /// Pre-activations `[n, latents.len()]`, f32; gradients flow to `resid` also where a latent is off.
    ///
    /// # Errors
    /// A latent out of range, or rows of another width.
    pub fn pre_activations(&self, resid: &Tensor, latents: &[usize]) -> Result<Tensor> {
        let resid = self.checked(resid)?;
        if let Some(latent) = latents.iter().find(|&&latent| latent >= self.d_sae()) {
            return Err(self.no_latent(*latent));
        }
        let index: Vec<u32> = latents.iter().map(|&latent| latent as u32).collect();
        let index = Tensor::new(index, self.enc.device())?;
        let bias = Some(self.b_enc.index_select(&index, 0)?);
        Ok(Linear::new(self.enc.index_select(&index, 0)?, bias, Orientation::OutIn).forward(&resid)?)
    }

    /// Reconstruction `[n, d_model]` of activations `[n, d_sae]`; gradients flow to `latents`.
    ///
    /// # Errors
    /// Rows of another width.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        if latents.dim(D::Minus1)? != self.d_sae() {
            return Err(EngineError::BadRequest(format!("{:?} are not {} latents", latents.dims(), self.d_sae())));
        }
        let bias = Some(self.b_dec.clone());
        Ok(Linear::new(self.dec.clone(), bias, Orientation::InOut).forward(latents)?)
    }

    /// Decoder row `[d_model]` of one latent, of unit length.
    ///
    /// # Errors
    /// A latent out of range.
    pub fn decoder_row(&self, latent: usize) -> Result<Tensor> {
        if latent >= self.d_sae() {
            return Err(self.no_latent(latent));
        }
        Ok(self.dec.get(latent)?)
    }

    /// Length of a latent's decoder row as stored in the file; 0 marks a dead latent.
    pub fn decoder_norm(&self, latent: usize) -> Option<f32> {
        self.dec_norms.get(latent).copied()
    }

    fn checked(&self, resid: &Tensor) -> Result<Tensor> {
        if resid.dims().len() != 2 || resid.dim(1)? != self.d_model() {
            let (found, d) = (resid.dims(), self.d_model());
            return Err(EngineError::BadRequest(format!("activations of shape {found:?}, not [n, {d}]")));
        }
        Ok(resid.to_dtype(DType::F32)?)
    }

    fn no_latent(&self, latent: usize) -> EngineError {
        EngineError::BadRequest(format!("latent {latent} is not among {}", self.d_sae()))
    }
}

/// 1 for the `k` largest values of each row (the first of equal ones), 0 elsewhere.
fn top_k(rank: &Tensor, k: usize) -> Result<Tensor> {
    let mut rows = rank.to_vec2::<f32>()?;
    for row in &mut rows {
        let mut order: Vec<usize> = (0..row.len()).collect();
        let k = k.min(order.len());
        if k > 0 && k < order.len() {
            order.select_nth_unstable_by(k - 1, |&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
        }
        row.fill(0.0);
        order[..k].iter().for_each(|&latent| row[latent] = 1.0);
    }
    Ok(Tensor::new(rows, rank.device())?)
}

/// Name of the weight file.
const WEIGHTS: &str = "sae_weights.safetensors";

/// `cfg.json` as it is.
fn config(path: &Path) -> Result<Value> {
    let bad = |reason: String| EngineError::BadFile { path: path.to_owned(), reason };
    serde_json::from_str(&text(path, "the SAE's configuration")?)
        .map_err(|error| bad(format!("it is not JSON: {error}")))
}

/// The weight file with `d_in` and `d_sae`.
fn open_weights(dir: &Path) -> Result<(TensorFile, usize, usize)> {
    let path = dir.join(WEIGHTS);
    if !path.is_file() {
        return Err(EngineError::MissingFile { what: "the SAE's weights", path });
    }
    let file = TensorFile::open(&path)?;
    let shape = file.shape("W_enc").and_then(|shape| <[usize; 2]>::try_from(shape).ok());
    match shape {
        Some([d_in, d_sae]) => Ok((file, d_in, d_sae)),
        None => Err(EngineError::BadFile { path, reason: "it holds no matrix W_enc".to_owned() }),
    }
}

enum Kind {
    Relu,
    Jump,
    TopK { k: usize, by_written_length: bool },
}

/// A key in either form of `cfg.json`: newer files nest some under `metadata`.
fn field<'a>(cfg: &'a Value, key: &str) -> &'a Value {
    if cfg[key].is_null() { &cfg["metadata"][key] } else { &cfg[key] }
}

fn site(cfg: &Value) -> std::result::Result<Site, String> {
    let name = match field(cfg, "hook_name") {
        Value::Null => field(cfg, "hook_point"),
        name => name,
    };
    let name = name.as_str().ok_or("it does not say where the SAE reads (`hook_name`)")?;
    let parse = |name: &str| name.parse::<Site>().map_err(|error| error.to_string());
    // The input of block b + 1 is the output of block b.
    let before = name.strip_prefix("blocks.").and_then(|rest| rest.strip_suffix(".hook_resid_pre"));
    match before.and_then(|block| block.parse::<usize>().ok()) {
        Some(block) if block > 0 => Ok(Site::ResidPost(block - 1)),
        _ => parse(name),
    }
}

fn kind(cfg: &Value) -> std::result::Result<Kind, String> {
    match &cfg["normalize_activations"] {
        Value::Null | Value::Bool(false) => {}
        // The constant of the second is folded into the weights when an SAE is saved for use.
        Value::String(name) if name == "none" || name == "expected_average_only_in" => {}
        other => return Err(format!("normalisation {other} is not supported")),
    }
    let activation = cfg["activation_fn_str"].as_str().or_else(|| cfg["activation_fn"].as_str()).unwrap_or("relu");
    let architecture = match cfg["architecture"].as_str().unwrap_or("standard") {
        "standard" if activation == "topk" => "topk",
        "standard" if activation != "relu" => return Err(format!("activation `{activation}` is not supported")),
        name => name,
    };
    match architecture {
        "standard" => Ok(Kind::Relu),
        "jumprelu" => Ok(Kind::Jump),
        "topk" => {
            let k = cfg["k"].as_u64().or_else(|| cfg["activation_fn_kwargs"]["k"].as_u64());
            let by_written_length = cfg["rescale_acts_by_decoder_norm"].as_bool().unwrap_or(false);
            Ok(Kind::TopK { k: k.ok_or("it does not give `k`")? as usize, by_written_length })
        }
        other => Err(format!("architecture `{other}` is not supported")),
    }
}

/// The file's own numbers; `enc` already turned to `[d_sae, d_in]`.
struct Stored {
    enc: Vec<f32>,
    b_enc: Vec<f32>,
    dec: Vec<f32>,
    b_dec: Vec<f32>,
    threshold: Vec<f32>,
}

impl Stored {
    fn folded(mut self, kind: &Kind, subtract_b_dec: bool, site: Site, device: &Device) -> Result<Sae> {
        let (d_in, d_sae) = (self.b_dec.len(), self.b_enc.len());
        let mut dec_norms = Vec::with_capacity(d_sae);
        for latent in 0..d_sae {
            let (enc, dec) = (&mut self.enc[latent * d_in..][..d_in], &mut self.dec[latent * d_in..][..d_in]);
            if subtract_b_dec {
                let fold = |(w, b): (&f32, &f32)| f64::from(*w) * f64::from(*b);
                self.b_enc[latent] -= enc.iter().zip(&self.b_dec).map(fold).sum::<f64>() as f32;
            }
            let norm = dec.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt() as f32;
            dec_norms.push(norm);
            if norm > 0.0 {
                for w in dec {
                    *w /= norm;
                }
            }
            for w in enc {
                *w *= norm;
            }
            self.b_enc[latent] *= norm;
            if let Some(threshold) = self.threshold.get_mut(latent) {
                *threshold *= norm;
            }
        }
        let gate = match *kind {
            Kind::Relu => Gate::Relu,
            Kind::Jump => Gate::Jump(Tensor::from_vec(self.threshold, (1, d_sae), device)?),
            Kind::TopK { k, by_written_length } => {
                let scale = |&norm: &f32| if by_written_length || norm == 0.0 { 1.0 } else { 1.0 / norm };
                let rank_scale: Vec<f32> = dec_norms.iter().map(scale).collect();
                Gate::TopK { k, rank_scale: Tensor::from_vec(rank_scale, (1, d_sae), device)? }
            }
        };
        Ok(Sae {
            site,
            gate,
            enc: Tensor::from_vec(self.enc, (d_sae, d_in), device)?,
            b_enc: Tensor::from_vec(self.b_enc, d_sae, device)?,
            dec: Tensor::from_vec(self.dec, (d_sae, d_in), device)?,
            b_dec: Tensor::from_vec(self.b_dec, d_in, device)?,
            dec_norms,
        })
    }
}

#[cfg(test)]
mod tests;
