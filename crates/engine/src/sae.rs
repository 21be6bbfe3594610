//! Sparse autoencoders, in one internal form whatever the file's: decoder rows of unit length, so that a latent's
//! activation is the length of what it writes into the residual stream (reference: `SAELens` 6, `saes/*.py`).
//!
//! `pre = x·encᵀ + b_enc`, `f = gate(pre)`, `x̂ = f·dec + b_dec`. With n the length of a stored decoder row, `enc`,
//! `b_enc` and the threshold of a latent are multiplied by its n and the decoder row divided; a pre-encoder bias is
//! folded into `b_enc`. `TopK` chooses by the unfolded value `pre / n` unless the file says otherwise.
//!
//! [`Sae`] keeps all of it in memory. [`SaeFile`] is the same on disk, made from any published form by [`convert()`],
//! and reads the rows that are asked for. [`Pinned`] and [`LatentEdit`] read and change single latents of either.

mod convert;
mod description;
mod facts;
mod file;
mod find;
mod fit;
mod fold;
mod formats;
mod layout;
mod nearest;
mod operate;
mod pick;
mod pinned;
mod rank;
mod recipe;
mod scan;
mod sketch;
mod source;
mod synthetic;
pub mod train;

use std::path::Path;

use candle_core::{D, DType, Device, Tensor};
use tiller_protocol::site::Site;

use crate::error::{EngineError, Result};
use crate::memory::room_for;
use crate::ops::linear::{Linear, Orientation};

use fold::{Folder, Vectors};
use source::Room;

pub use convert::{Precision, convert, converted_bytes};
pub use description::{Architecture, Description, Format, Hints, Norm};
pub use facts::{SaeFacts, describe, facts};
pub use file::{Active, Rows, SaeFile};
pub use fit::Fit;
pub use nearest::By;
pub use operate::{LatentEdit, Operator};
pub use pinned::{Dictionary, Pinned, Ranking};
pub use synthetic::synthetic;

/// A sparse autoencoder in the internal form (unit decoder rows).
#[derive(Clone, Debug)]
pub struct Sae {
    site: Site,
    gate: Gate,
    norm: Norm,
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
    /// Those above a threshold, `[1, d_sae]`, and above 0.
    Jump(Tensor),
    /// The `k` largest of `pre · rank_scale` (`[1, d_sae]`) that are above 0.
    TopK { k: usize, rank_scale: Tensor },
    /// The `k` of largest size by `pre · rank_scale`, with their sign.
    AbsTopK { k: usize, rank_scale: Tensor },
}

impl Sae {
    /// Reads the SAE at `path` into memory: a file or folder in any of the published forms ([`Format`]), or a converted
    /// file.
    ///
    /// # Errors
    /// A missing or broken file, tensors that do not fit, or something that is not computed; it says what.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        if SaeFile::is_one(path) {
            return SaeFile::open(path)?.load(device);
        }
        Self::load_with(path, Hints::default(), device)
    }

    /// The same for a published form that leaves out some of what is needed.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_with(path: &Path, hints: Hints, device: &Device) -> Result<Self> {
        let mut found = find::find(path)?;
        let recipe = formats::recipe(&found, hints)?;
        found.container.unpack(&recipe.names(), Room::Memory, &mut |_| true)?;
        let (d, n) = (recipe.description.d_model, recipe.description.d_sae);
        let n_values = n.saturating_mul(d);
        room_for::<[f32; 2]>(n_values)?;
        let (mut enc, mut dec) = (vec![0.0; n_values], vec![0.0; n_values]);
        let mut folder = Folder::new(&recipe, &found.container)?;
        let block = d * convert::latents_at_once(d);
        for (idx, (enc, dec)) in enc.chunks_mut(block).zip(dec.chunks_mut(block)).enumerate() {
            folder.rows(idx * block / d, enc, dec)?;
        }
        let vectors = folder.vectors;
        Self::of_parts(&recipe.description, enc, dec, vectors, device)
    }

    /// Puts its parts on a device.
    fn of_parts(about: &Description, enc: Vec<f32>, dec: Vec<f32>, vectors: Vectors, device: &Device) -> Result<Self> {
        let (d, n) = (about.d_model, about.d_sae);
        let row = |values: Vec<f32>| Tensor::from_vec(values, (1, n), device);
        let k = about.k.unwrap_or(n);
        let gate = match about.architecture {
            Architecture::Standard => Gate::Relu,
            Architecture::JumpRelu | Architecture::Gated => Gate::Jump(row(vectors.theta)?),
            Architecture::TopK => Gate::TopK { k, rank_scale: row(vectors.rank_scale)? },
            Architecture::AbsTopK => Gate::AbsTopK { k, rank_scale: row(vectors.rank_scale)? },
        };
        Ok(Self {
            site: about.site,
            gate,
            norm: about.norm,
            enc: Tensor::from_vec(enc, (n, d), device)?,
            b_enc: Tensor::from_vec(vectors.b_enc, n, device)?,
            dec: Tensor::from_vec(dec, (n, d), device)?,
            b_dec: Tensor::from_vec(vectors.b_dec, d, device)?,
            dec_norms: vectors.dec_norms,
        })
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

    /// What is done to each row before it is encoded.
    pub fn norm(&self) -> Norm {
        self.norm
    }

    /// True activations `[n, d_sae]` of `resid` `[n, d_model]`, f32; for reading, not for gradients (see
    /// [`Self::pre_activations`]).
    ///
    /// # Errors
    /// Rows of another width.
    pub fn encode(&self, resid: &Tensor) -> Result<Tensor> {
        let resid = self.norm.apply(&self.checked(resid)?.detach())?;
        let bias = Some(self.b_enc.clone());
        let pre = Linear::new(self.enc.clone(), bias, Orientation::OutIn).forward(&resid)?;
        let positive = pre.relu()?;
        let (values, passes) = match &self.gate {
            Gate::Relu => return Ok(positive),
            Gate::Jump(threshold) => (positive, pre.broadcast_gt(threshold)?),
            Gate::TopK { k, rank_scale } => (positive, top_k(&pre.broadcast_mul(rank_scale)?, *k)?),
            Gate::AbsTopK { k, rank_scale } => {
                let passes = top_k(&pre.broadcast_mul(rank_scale)?.abs()?, *k)?;
                (pre, passes)
            }
        };
        Ok((values * passes.to_dtype(DType::F32)?)?)
    }

    /// Pre-activations `[n, latents.len()]`, f32; gradients flow to `resid` also where a latent is off.
    ///
    /// # Errors
    /// A latent out of range, or rows of another width.
    pub fn pre_activations(&self, resid: &Tensor, latents: &[usize]) -> Result<Tensor> {
        let resid = self.norm.apply(&self.checked(resid)?)?;
        if let Some(latent) = latents.iter().find(|&&latent| latent >= self.d_sae()) {
            return Err(self.no_latent(*latent));
        }
        let index: Vec<u32> = latents.iter().map(|&latent| latent as u32).collect();
        let index = Tensor::new(index, self.enc.device())?;
        let bias = Some(self.b_enc.index_select(&index, 0)?);
        Ok(Linear::new(self.enc.index_select(&index, 0)?, bias, Orientation::OutIn).forward(&resid)?)
    }

    /// Reconstruction `[n, d_model]` of activations `[n, d_sae]`; gradients flow to `latents`. Where rows are
    /// normalised one by one ([`Self::norm`]), it is that of the normalised rows: see [`Self::reconstruct`].
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

    /// What it makes of `resid` `[n, d_model]`: encoded, decoded, and its normalisation undone.
    ///
    /// # Errors
    /// Rows of another width.
    pub fn reconstruct(&self, resid: &Tensor) -> Result<Tensor> {
        self.norm.undo(&self.decode(&self.encode(resid)?)?, &self.checked(resid)?.detach())
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
        checked(resid, self.d_model())
    }

    fn no_latent(&self, latent: usize) -> EngineError {
        no_latent(latent, self.d_sae())
    }
}

impl Norm {
    /// Rows `[n, d]` as the encoder takes them; gradients pass.
    fn apply(self, rows: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::None => rows.clone(),
            Self::Length => rows.broadcast_div(&self.spread(rows)?)?,
            Self::Layer => rows.broadcast_sub(&rows.mean_keepdim(1)?)?.broadcast_div(&self.spread(rows)?)?,
        })
    }

    /// Decoded rows in the scale of the rows that were encoded.
    fn undo(self, decoded: &Tensor, rows: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::None => decoded.clone(),
            Self::Length => decoded.broadcast_mul(&self.spread(rows)?)?,
            // Without the small number that keeps the division from failing, as the library does it.
            Self::Layer => {
                let spread = (self.spread(rows)? - LAYER_NORM_EPS)?;
                decoded.broadcast_mul(&spread)?.broadcast_add(&rows.mean_keepdim(1)?)?
            }
        })
    }

    /// What each row is divided by, `[n, 1]`.
    fn spread(self, rows: &Tensor) -> Result<Tensor> {
        let d = rows.dim(1)?;
        let size = |rows: &Tensor| rows.sqr()?.sum_keepdim(1);
        Ok(match self {
            Self::None => Tensor::ones((rows.dim(0)?, 1), rows.dtype(), rows.device())?,
            Self::Length => (size(rows)? / d as f64)?.sqrt()?,
            Self::Layer => {
                let centred = rows.broadcast_sub(&rows.mean_keepdim(1)?)?;
                ((size(&centred)? / d.saturating_sub(1).max(1) as f64)?.sqrt()? + LAYER_NORM_EPS)?
            }
        })
    }
}

/// Added to the standard deviation.
const LAYER_NORM_EPS: f64 = 1e-5;

fn checked(resid: &Tensor, d_model: usize) -> Result<Tensor> {
    if resid.dims().len() != 2 || resid.dim(1)? != d_model {
        let found = resid.dims();
        return Err(EngineError::BadRequest(format!("activations of shape {found:?}, not [n, {d_model}]")));
    }
    Ok(resid.to_dtype(DType::F32)?)
}

fn no_latent(latent: usize, d_sae: usize) -> EngineError {
    EngineError::BadRequest(format!("latent {latent} is not among {d_sae}"))
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

#[cfg(test)]
pub(crate) mod tests;
