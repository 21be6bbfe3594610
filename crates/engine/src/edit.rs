//! Additions to the residual stream.

use candle_core::Tensor;
use tiller_protocol::steering::Positions;

/// Adds `delta` to `resid_post[block]` at some positions (methods.md eq. 8).
#[derive(Clone, Debug)]
pub struct Edit {
    /// Block, 0-based.
    pub block: usize,
    /// What is added, `[d_model]`, f32: coefficient and vector already multiplied.
    pub delta: Tensor,
    /// Where it is added. Position 0 is never touched.
    pub positions: Positions,
}
