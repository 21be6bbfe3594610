//! Some latents of an SAE, read for the price of a few products a row: for live values while a reply is written, and
//! for edits of them ([`super::operate`]).
//!
//! Where each latent is judged by itself (`ReLU`, thresholds, gates) the encoder rows of the pinned latents are all that
//! is needed, and they are read once. Where latents compete for a place (`TopK`), whether one passes depends on all
//! others: then every row is encoded as a whole, or ([`Ranking::Skipped`]) what would pass without the others is given.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use tiller_protocol::site::Site;

use super::description::{Architecture, Norm};
use super::file::{Active, Rows, SaeFile};
use super::{Gate, Sae, checked, no_latent};
use crate::error::{EngineError, Result};
use crate::ops::linear::{Linear, Orientation};

/// Rows of the residual stream that are encoded as a whole at once.
const ROWS_AT_ONCE: usize = 512;
/// Pre-activations that are in memory at once while rows are encoded as a whole.
const VALUES_AT_ONCE: usize = 1 << 22;

/// An SAE from which single latents are taken.
#[derive(Clone, Debug)]
pub enum Dictionary {
    /// In memory.
    Memory(Arc<Sae>),
    /// A converted file, of which the rows asked for are read.
    File(Arc<SaeFile>),
}

impl Dictionary {
    /// Where it reads and writes.
    pub fn site(&self) -> Site {
        match self {
            Self::Memory(sae) => sae.site(),
            Self::File(file) => file.description().site,
        }
    }

    /// Number of latents.
    pub fn d_sae(&self) -> usize {
        match self {
            Self::Memory(sae) => sae.d_sae(),
            Self::File(file) => file.description().d_sae,
        }
    }

    /// Width of the activations it reads.
    pub fn d_model(&self) -> usize {
        match self {
            Self::Memory(sae) => sae.d_model(),
            Self::File(file) => file.description().d_model,
        }
    }

    /// What is done to each row before it is encoded.
    pub fn norm(&self) -> Norm {
        match self {
            Self::Memory(sae) => sae.norm(),
            Self::File(file) => file.description().norm,
        }
    }

    /// Length of a latent's decoder row as its maker stored it; 0 marks a dead latent.
    pub fn decoder_norm(&self, latent: usize) -> Option<f32> {
        match self {
            Self::Memory(sae) => sae.decoder_norm(latent),
            Self::File(file) => file.decoder_norm(latent),
        }
    }

    /// Rows `[latents.len(), d_model]` of one of its matrices, f32.
    ///
    /// # Errors
    /// A latent out of range, a failure to read.
    pub(super) fn rows(&self, rows: Rows, latents: &[usize], device: &Device) -> Result<Tensor> {
        if let Some(&latent) = latents.iter().find(|&&latent| latent >= self.d_sae()) {
            return Err(no_latent(latent, self.d_sae()));
        }
        match self {
            Self::Memory(sae) => {
                let matrix = if rows == Rows::Encoder { &sae.enc } else { &sae.dec };
                Ok(matrix.index_select(&index(latents, matrix.device())?, 0)?.to_device(device)?)
            }
            Self::File(file) => {
                let mut values = vec![0.0; latents.len() * self.d_model()];
                for (out, &latent) in values.chunks_exact_mut(self.d_model()).zip(latents) {
                    file.fill(rows, latent, out)?;
                }
                Ok(Tensor::from_vec(values, (latents.len(), self.d_model()), device)?)
            }
        }
    }

    /// Biases of the encoder, `[latents.len()]`.
    fn biases(&self, latents: &[usize], device: &Device) -> Result<Tensor> {
        match self {
            Self::Memory(sae) => {
                Ok(sae.b_enc.index_select(&index(latents, sae.b_enc.device())?, 0)?.to_device(device)?)
            }
            Self::File(file) => {
                let values: Vec<f32> = latents.iter().map(|&latent| file.vectors().b_enc[latent]).collect();
                Ok(Tensor::from_vec(values, latents.len(), device)?)
            }
        }
    }

    /// What tells whether each of `latents` passes.
    fn passing(&self, latents: &[usize], ranking: Ranking, device: &Device) -> Result<Passing> {
        let ranked = |is_signed| match ranking {
            Ranking::Whole => Passing::Ranked { whole: self.clone(), is_signed },
            Ranking::Skipped => Passing::Unranked { is_signed },
        };
        let above = |thresholds: Vec<f32>| -> Result<Passing> {
            // What passes is also above 0.
            let thresholds: Vec<f32> = thresholds.into_iter().map(|theta| theta.max(0.0)).collect();
            Ok(Passing::Above(Tensor::from_vec(thresholds, (1, latents.len()), device)?))
        };
        let zeros = || vec![0.0; latents.len()];
        match self {
            Self::Memory(sae) => match &sae.gate {
                Gate::Relu => above(zeros()),
                Gate::Jump(theta) => {
                    above(theta.index_select(&index(latents, theta.device())?, 1)?.flatten_all()?.to_vec1::<f32>()?)
                }
                Gate::TopK { .. } => Ok(ranked(false)),
                Gate::AbsTopK { .. } => Ok(ranked(true)),
            },
            Self::File(file) => match file.description().architecture {
                Architecture::Standard => above(zeros()),
                Architecture::JumpRelu | Architecture::Gated => {
                    above(latents.iter().map(|&latent| file.vectors().theta[latent]).collect())
                }
                Architecture::TopK => Ok(ranked(false)),
                Architecture::AbsTopK => Ok(ranked(true)),
            },
        }
    }

    /// Whether `latents`, which compete with all others, pass: for each row of `resid` `[n, d_model]`, of the pre-activations
    /// `pre` `[n, latents.len()]`. Rows on which none of them can pass are not encoded; the others are, as a whole.
    fn passes(&self, resid: &Tensor, latents: &[usize], pre: &[f32], is_signed: bool) -> Result<Vec<bool>> {
        let mut passes = vec![false; pre.len()];
        let may_pass = |pre: &f32| *pre > 0.0 || is_signed && *pre != 0.0;
        let rows = pre.chunks_exact(latents.len());
        let rows: Vec<usize> = rows.enumerate().filter(|(_, pre)| pre.iter().any(may_pass)).map(|(i, _)| i).collect();
        let some = match self {
            Self::Memory(sae) => (VALUES_AT_ONCE / sae.d_sae().max(1)).clamp(1, ROWS_AT_ONCE),
            Self::File(_) => ROWS_AT_ONCE,
        };
        for rows in rows.chunks(some) {
            let resid = resid.index_select(&index(rows, resid.device())?, 0)?;
            let found = match self {
                Self::Memory(sae) => {
                    let pre: Vec<f32> =
                        rows.iter().flat_map(|i| &pre[i * latents.len()..][..latents.len()]).copied().collect();
                    sae.passes(&resid.to_device(sae.enc.device())?, latents, &pre)?
                }
                Self::File(file) => {
                    let active = file.encode(&resid, &mut |_, _| true)?;
                    let is_active = |active: &Active, latent: usize| {
                        active.binary_search_by_key(&(latent as u32), |&(latent, _)| latent).is_ok()
                    };
                    active.iter().flat_map(|row| latents.iter().map(move |&latent| is_active(row, latent))).collect()
                }
            };
            for (i, found) in rows.iter().zip(found.chunks_exact(latents.len())) {
                passes[i * latents.len()..][..latents.len()].copy_from_slice(found);
            }
        }
        Ok(passes)
    }
}

/// What is done about latents that compete for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranking {
    /// Each row is encoded as a whole: exact, for the price of the whole encoder.
    Whole,
    /// The others are left out of account: what is above 0 counts, at the price of the pinned latents alone.
    Skipped,
}

/// Latents with all that their activations are computed from.
#[derive(Clone, Debug)]
pub struct Pinned {
    latents: Vec<usize>,
    d_model: usize,
    norm: Norm,
    /// Their encoder rows and biases.
    enc: Linear,
    passing: Passing,
}

#[derive(Clone, Debug)]
enum Passing {
    /// What is above its threshold, `[1, n]`, none of them below 0.
    Above(Tensor),
    /// What is among the largest of all.
    Ranked { whole: Dictionary, is_signed: bool },
    /// What is above 0, or all: the others are not asked.
    Unranked { is_signed: bool },
}

impl Pinned {
    /// Reads what is needed of `latents`, for rows on `device`.
    ///
    /// # Errors
    /// No latent or one out of range, a failure to read.
    pub fn new(dictionary: &Dictionary, latents: &[usize], ranking: Ranking, device: &Device) -> Result<Self> {
        if latents.is_empty() {
            return Err(EngineError::BadRequest("there are no latents to read".to_owned()));
        }
        let enc = dictionary.rows(Rows::Encoder, latents, device)?;
        let bias = Some(dictionary.biases(latents, device)?);
        Ok(Self {
            latents: latents.to_vec(),
            d_model: dictionary.d_model(),
            norm: dictionary.norm(),
            enc: Linear::new(enc, bias, Orientation::OutIn),
            passing: dictionary.passing(latents, ranking, device)?,
        })
    }

    /// Which latents.
    pub fn latents(&self) -> &[usize] {
        &self.latents
    }

    /// Width of the rows that are read.
    pub fn d_model(&self) -> usize {
        self.d_model
    }

    /// Whether the values are the SAE's own. Otherwise its latents compete, and [`Ranking::Skipped`] gives the
    /// pre-activation also where another latent would have taken the place.
    pub fn is_exact(&self) -> bool {
        !matches!(self.passing, Passing::Unranked { .. })
    }

    /// Activations `[n, latents]` of `resid` `[n, d_model]`, row after row, as [`Sae::encode`] has them.
    ///
    /// # Errors
    /// Rows of another width, a failure to read.
    pub fn read(&self, resid: &Tensor) -> Result<Vec<f32>> {
        Ok(self.activations(&resid.detach())?.flatten_all()?.to_vec1()?)
    }

    /// The same as a tensor, f32. The gradient flows to `resid` where a latent passes, with the gate held fixed.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn activations(&self, resid: &Tensor) -> Result<Tensor> {
        let pre = self.pre_activations(resid)?;
        let passes = match &self.passing {
            Passing::Above(thresholds) => pre.detach().broadcast_gt(thresholds)?.to_dtype(DType::F32)?,
            Passing::Unranked { is_signed: false } => pre.detach().gt(0.0_f32)?.to_dtype(DType::F32)?,
            Passing::Unranked { is_signed: true } => return Ok(pre),
            Passing::Ranked { whole, is_signed } => {
                let known = pre.detach().flatten_all()?.to_vec1::<f32>()?;
                let resid = checked(resid, self.d_model)?.detach();
                let passes = whole.passes(&resid, &self.latents, &known, *is_signed)?;
                let passes: Vec<f32> = passes.into_iter().map(|passes| f32::from(u8::from(passes))).collect();
                Tensor::from_vec(passes, pre.dims(), pre.device())?
            }
        };
        Ok((pre * passes)?)
    }

    /// Pre-activations `[n, latents]` of `resid` `[n, d_model]`, f32; the gradient flows also where a latent is off.
    ///
    /// # Errors
    /// Rows of another width.
    pub fn pre_activations(&self, resid: &Tensor) -> Result<Tensor> {
        Ok(self.enc.forward(&self.norm.apply(&checked(resid, self.d_model)?)?)?)
    }
}

fn index(latents: &[usize], device: &Device) -> Result<Tensor> {
    let latents: Vec<u32> = latents.iter().map(|&latent| latent as u32).collect();
    Ok(Tensor::new(latents, device)?)
}
