//! Sparse autoencoders.
use crate::error::Result;
use candle_core::{Device, Tensor};
use std::path::Path;
use tiller_protocol::site::Site;
/// A sparse autoencoder in the internal form (unit decoder rows).
#[derive(Clone, Debug)]
pub struct Sae {
    _private: (),
}
impl Sae {
    /// Reads a folder in the SAELens layout (`cfg.json`, `sae_weights.safetensors`).
    pub fn load(_dir: &Path, _device: &Device) -> Result<Self> {
        todo!()
    }
    /// Where it reads.
    pub fn site(&self) -> Site {
        todo!()
    }
    /// Number of latents.
    pub fn d_sae(&self) -> usize {
        todo!()
    }
    /// True activations `[n, d_sae]` of `resid` `[n, d_model]`.
    pub fn encode(&self, _resid: &Tensor) -> Result<Tensor> {
        todo!()
    }
    /// Pre-activations `[n, latents.len()]`; gradients flow to `resid` also where a latent is off.
    pub fn pre_activations(&self, _resid: &Tensor, _latents: &[usize]) -> Result<Tensor> {
        todo!()
    }
    /// Reconstruction `[n, d_model]` of activations `[n, d_sae]`.
    pub fn decode(&self, _latents: &Tensor) -> Result<Tensor> {
        todo!()
    }
    /// Decoder row `[d_model]` of one latent.
    pub fn decoder_row(&self, _latent: usize) -> Result<Tensor> {
        todo!()
    }
}
