//! What a list says about a sparse autoencoder: from `cfg.json` and the table of its weight file.

use std::path::Path;

use candle_core::DType;
use tiller_protocol::site::Site;

use super::{Kind, WEIGHTS, config, field, kind, open_weights, site};
use crate::error::{EngineError, Result};

/// Facts about an SAE that is not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaeFacts {
    /// `standard`, `jumprelu` or `topk`.
    pub architecture: &'static str,
    /// Where it reads.
    pub site: Site,
    /// Width of the activations it reads.
    pub d_model: usize,
    /// Number of latents.
    pub d_sae: usize,
    /// Number format of its weights as they are stored.
    pub format: String,
    /// The model that it says it was trained on.
    pub reads: Option<String>,
}

/// Reads them from a folder in the `SAELens` layout, and checks that its tensors are there in the shapes that `cfg.json`
/// gives; no weight is read.
///
/// # Errors
/// As [`super::Sae::load`].
pub fn facts(dir: &Path) -> Result<SaeFacts> {
    let path = dir.join("cfg.json");
    let cfg = config(&path)?;
    let bad = |reason: String| EngineError::BadFile { path: path.clone(), reason };
    let (site, kind) = (site(&cfg).map_err(bad)?, kind(&cfg).map_err(bad)?);
    let (file, d_model, d_sae) = open_weights(dir)?;
    for (key, found) in [("d_in", d_model), ("d_sae", d_sae)] {
        if let Some(told) = cfg[key].as_u64().filter(|told| *told != found as u64) {
            return Err(bad(format!("its `{key}` is {told}, but W_enc in {WEIGHTS} is [{d_model}, {d_sae}]")));
        }
    }
    let vector: &[usize] = &[d_sae];
    let mut expected: Vec<(&str, &[usize])> = vec![("b_enc", vector)];
    let (dec, bias) = ([d_sae, d_model], [d_model]);
    expected.extend([("W_dec", &dec[..]), ("b_dec", &bias[..])]);
    let architecture = match kind {
        Kind::Relu => "standard",
        Kind::Jump => "jumprelu",
        Kind::TopK { .. } => "topk",
    };
    if matches!(kind, Kind::Jump) {
        expected.push(("threshold", vector));
    }
    for (name, shape) in expected {
        if file.shape(name).is_none() {
            let reason = format!("it holds no tensor {name}");
            return Err(EngineError::BadFile { path: file.path().to_owned(), reason });
        }
        file.check(name, shape)?;
    }
    file.check("W_enc", &[d_model, d_sae])?;
    let bytes = |dtype: &DType| file.bytes_of(*dtype);
    let stored = [DType::F32, DType::BF16, DType::F16].into_iter().max_by_key(bytes).unwrap_or(DType::F32);
    let reads = field(&cfg, "model_name").as_str().map(str::to_owned);
    Ok(SaeFacts { architecture, site, d_model, d_sae, format: stored.as_str().to_owned(), reads })
}
