//! How well an SAE rebuilds what it is given: the test that tells whether it is used at the place it was trained on.

use candle_core::Tensor;

use super::file::SaeFile;
use super::{Description, checked};
use crate::error::{EngineError, Result};

/// Rows longer than this many median lengths are left out: the first token of a text and its like are no measure.
pub(super) const OUTLIER: f32 = 10.0;

/// Of some rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Share of the variance that is not explained, `Σ‖x − x̂‖² / Σ‖x − mean‖²`: 0 is perfect, 1 is no better than the
    /// mean.
    pub fvu: f64,
    /// Mean number of latents that pass for a row.
    pub l0: f64,
    /// Rows that were counted.
    pub n_rows: usize,
}

impl SaeFile {
    /// How well it rebuilds `resid` `[n, d_model]`. Rows of outlying length are left out; the first token of each text is
    /// for the caller to leave out.
    ///
    /// # Errors
    /// Rows of another width, fewer than two of them, a failure to read, [`EngineError::Stopped`].
    pub fn fit(&self, resid: &Tensor, progress: &mut dyn FnMut(usize, usize) -> bool) -> Result<Fit> {
        let resid = usual(resid, self.description())?;
        let active = self.encode(&resid, progress)?;
        let rebuilt = self.decode(&active, &resid)?;
        let n_rows = active.len();
        let l0 = active.iter().map(Vec::len).sum::<usize>() as f64 / n_rows as f64;
        let size = |rows: &Tensor| -> Result<f64> {
            Ok(rows.to_vec2::<f32>()?.iter().flatten().map(|value| f64::from(*value).powi(2)).sum())
        };
        let spread = size(&resid.broadcast_sub(&resid.mean_keepdim(0)?)?)?;
        Ok(Fit { fvu: size(&(&resid - &rebuilt)?)? / spread, l0, n_rows })
    }
}

/// The rows that are not outlying, on the processor.
fn usual(resid: &Tensor, about: &Description) -> Result<Tensor> {
    let resid = checked(&resid.to_device(&candle_core::Device::Cpu)?, about.d_model)?;
    let lengths = resid.sqr()?.sum(1)?.sqrt()?.to_vec1::<f32>()?;
    let mut sorted = lengths.clone();
    sorted.sort_unstable_by(f32::total_cmp);
    let limit = sorted.get(sorted.len() / 2).map_or(0.0, |median| OUTLIER * median);
    let kept: Vec<u32> = (0_u32..).zip(&lengths).filter(|(_, length)| **length <= limit).map(|(i, _)| i).collect();
    if kept.len() < 2 {
        return Err(EngineError::BadRequest(format!("{} rows are too few to judge by", lengths.len())));
    }
    let n = kept.len();
    Ok(resid.index_select(&Tensor::from_vec(kept, n, resid.device())?, 0)?)
}
