//! Linear maps with constant weights: the gradient passes to the input, none is computed for the weight.
//!
//! On the processor a weight is kept in one of two ways, and the arithmetic on the activations is f32 with both:
//! [`dense`] f32 values; or [`rows`] of 16 bits or quantised blocks, which are widened where they are used ([`narrow`]).
//! Elsewhere it is a tensor of the device ([`frozen`]).

mod dense;
pub(crate) mod dots;
mod frozen;
mod narrow;
pub(crate) mod rows;
pub(crate) mod widen;

use std::ops::Range;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, bail};

use self::dense::Dense;
use self::frozen::FrozenProduct;
use self::rows::Rows;
use super::{Values, is_fused, values};

/// How a weight lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Orientation {
    /// `[n_in, n_out]`: the faster one for few rows; used inside the blocks.
    InOut,
    /// `[n_out, n_in]`, as in checkpoints; used where the matrix is shared with the embedding.
    OutIn,
}

/// A frozen linear map.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
}

#[derive(Clone, Debug)]
enum Weight {
    Dense(Tensor, Orientation),
    /// One or several parts, one below the other; turned ones are a single part.
    Rows(Arc<[Rows]>, Orientation),
}

impl Linear {
    pub(crate) fn new(weight: Tensor, bias: Option<Tensor>, orientation: Orientation) -> Self {
        Self { weight: Weight::Dense(weight, orientation), bias }
    }

    /// A map whose outputs are those of `parts`, one after the other; at least one part, all of one width, and on the
    /// processor.
    pub(crate) fn of_rows(parts: Vec<Rows>, bias: Option<Tensor>) -> Self {
        Self { weight: Weight::Rows(parts.into(), Orientation::OutIn), bias }
    }

    /// A map of [`Rows::turned`] values.
    pub(crate) fn of_turned(weight: Rows, bias: Option<Tensor>) -> Self {
        Self { weight: Weight::Rows([weight].into(), Orientation::InOut), bias }
    }

    pub(crate) fn n_in(&self) -> usize {
        self.shape(Orientation::InOut)
    }

    pub(crate) fn n_out(&self) -> usize {
        self.shape(Orientation::OutIn)
    }

    /// The first dimension that a weight of this orientation has.
    fn shape(&self, first: Orientation) -> usize {
        match &self.weight {
            Weight::Dense(weight, orientation) => weight.dims()[usize::from(*orientation != first)],
            Weight::Rows(parts, orientation) if *orientation == first => parts.iter().map(Rows::n_out).sum(),
            Weight::Rows(parts, _) => parts.first().map_or(0, Rows::n_in),
        }
    }

    pub(crate) fn n_values(&self) -> usize {
        self.n_in() * self.n_out() + self.bias.as_ref().map_or(0, Tensor::elem_count)
    }

    /// Memory taken, by number format: the name and the bytes of each piece.
    pub(crate) fn formats(&self) -> Vec<(&'static str, u64)> {
        let tensor =
            |tensor: &Tensor| (tensor.dtype().as_str(), (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64);
        let weight = match &self.weight {
            Weight::Dense(weight, _) => vec![tensor(weight)],
            Weight::Rows(parts, _) => parts.iter().map(|part| (part.format(), part.bytes())).collect(),
        };
        weight.into_iter().chain(self.bias.as_ref().map(tensor)).collect()
    }

    /// Whether [`Self::backward_into`] is the exact gradient of [`Self::forward_into`]: not with quantised blocks,
    /// whose products round the input.
    pub(crate) fn has_gradient(&self) -> bool {
        match &self.weight {
            Weight::Dense(..) => true,
            Weight::Rows(parts, _) => !parts.iter().any(Rows::is_quantised),
        }
    }

    /// `x` `[n, n_in]` to `[n, n_out]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if is_fused(x) {
            return x.contiguous()?.apply_op1(self.clone());
        }
        match &self.weight {
            Weight::Dense(weight, orientation) => {
                let weight = if *orientation == Orientation::InOut { weight.clone() } else { weight.t()? };
                self.biased(x.contiguous()?.apply_op1(FrozenProduct::new(weight))?)
            }
            Weight::Rows(..) => self.composite(x),
        }
    }

    /// [`Self::forward`] by stock operations, with weights widened at once.
    pub(crate) fn composite(&self, x: &Tensor) -> Result<Tensor> {
        self.biased(match &self.weight {
            Weight::Dense(weight, Orientation::InOut) => x.matmul(weight)?,
            Weight::Dense(weight, Orientation::OutIn) => x.matmul(&weight.t()?)?,
            Weight::Rows(parts, orientation) => {
                let wide: Vec<Tensor> = parts.iter().map(Rows::widened).collect::<Result<_>>()?;
                let wide = Tensor::cat(&wide, 0)?.to_device(x.device())?.to_dtype(x.dtype())?;
                x.matmul(&if *orientation == Orientation::InOut { wide } else { wide.t()? })?
            }
        })
    }

    fn biased(&self, y: Tensor) -> Result<Tensor> {
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }

    /// Rows of an [`Orientation::OutIn`] weight, `[ids.len(), n_in]`: a look-up in an embedding. A constant.
    pub(crate) fn look_up(&self, ids: &[u32], device: &Device) -> Result<Tensor> {
        match &self.weight {
            Weight::Dense(weight, Orientation::OutIn) => weight.index_select(&Tensor::new(ids, device)?, 0),
            Weight::Rows(parts, Orientation::OutIn) => {
                let n_in = self.n_in();
                let mut out = vec![0.0; ids.len() * n_in];
                for (out, &id) in out.chunks_exact_mut(n_in).zip(ids) {
                    let mut row = id as usize;
                    for part in parts.iter() {
                        if row < part.n_out() {
                            part.widen(row..row + 1, out)?;
                            break;
                        }
                        row -= part.n_out();
                    }
                }
                Tensor::from_vec(out, (ids.len(), n_in), device)
            }
            Weight::Dense(_, Orientation::InOut) | Weight::Rows(_, Orientation::InOut) => {
                bail!("a turned weight has no rows to look up")
            }
        }
    }

    /// `out = x·W + bias`, or `out += …` with `add`; `x` `[n, n_in]`, `out` `[n, n_out]`.
    pub(crate) fn forward_into(&self, out: &mut [f32], x: &[f32], add: bool) -> Result<()> {
        match &self.weight {
            Weight::Dense(weight, orientation) => {
                let values = Values::of(weight);
                self.dense(values.slice()?, *orientation).forward(out, x, add);
            }
            Weight::Rows(parts, Orientation::OutIn) => narrow::along_rows(out, x, parts, 0..self.n_out(), add)?,
            Weight::Rows(parts, Orientation::InOut) => narrow::across_rows(out, x, parts, 0..self.n_in(), add)?,
        }
        if let Some(bias) = &self.bias {
            let bias = Values::of(bias);
            let bias = bias.slice()?;
            out.chunks_exact_mut(bias.len()).for_each(|row| row.iter_mut().zip(bias).for_each(|(y, b)| *y += b));
        }
        Ok(())
    }

    /// `dx = grad·Wᵀ`, or `dx += …` with `add`; `grad` `[n, n_out]`, `dx` `[n, n_in]`.
    pub(crate) fn backward_into(&self, dx: &mut [f32], grad: &[f32], add: bool) -> Result<()> {
        match &self.weight {
            Weight::Dense(weight, orientation) => {
                let values = Values::of(weight);
                self.dense(values.slice()?, *orientation).backward(dx, grad, add);
                Ok(())
            }
            Weight::Rows(parts, Orientation::OutIn) => narrow::across_rows(dx, grad, parts, 0..self.n_out(), add),
            Weight::Rows(parts, Orientation::InOut) => narrow::along_rows(dx, grad, parts, 0..self.n_in(), add),
        }
    }

    /// Some outputs of an [`Orientation::OutIn`] map without bias: `x` `[n, n_in]` to `[n, outputs.len()]`.
    pub(crate) fn forward_some(&self, out: &mut [f32], x: &[f32], outputs: Range<usize>) -> Result<()> {
        match &self.weight {
            Weight::Dense(weight, orientation) => {
                let values = Values::of(weight);
                self.dense(values.slice()?, *orientation).some(outputs).product(out, x);
                Ok(())
            }
            Weight::Rows(parts, Orientation::OutIn) => narrow::along_rows(out, x, parts, outputs, false),
            Weight::Rows(_, Orientation::InOut) => bail!("a turned weight gives all outputs or none"),
        }
    }

    /// The first `n` outputs of an [`Orientation::OutIn`] map without bias for one row `[n_in]`, with f32 sums of the
    /// stored values whatever the format and the device; no copy of the weight is made. A constant.
    pub(crate) fn exact_row(&self, x: &[f32], n: usize) -> Result<Vec<f32>> {
        let mut out = vec![0.0; n];
        match &self.weight {
            Weight::Dense(weight, Orientation::OutIn) if is_fused(weight) => {
                let values = Values::of(weight);
                self.dense(values.slice()?, Orientation::OutIn).some(0..n).forward(&mut out, x, false);
            }
            Weight::Dense(weight, Orientation::OutIn) => {
                let column = Tensor::from_slice(x, (x.len(), 1), weight.device())?;
                for (first, out) in (0..n).step_by(WIDENED_ROWS).zip(out.chunks_mut(WIDENED_ROWS)) {
                    let rows = weight.narrow(0, first, out.len())?.to_dtype(DType::F32)?;
                    out.copy_from_slice(&rows.matmul(&column)?.flatten_all()?.to_vec1::<f32>()?);
                }
            }
            Weight::Rows(parts, Orientation::OutIn) => narrow::exact_row(&mut out, x, parts, 0..n)?,
            Weight::Dense(_, Orientation::InOut) | Weight::Rows(_, Orientation::InOut) => {
                bail!("a turned weight gives all outputs or none")
            }
        }
        Ok(out)
    }

    /// Adds the input's gradient from that of some outputs: the other way of [`Self::forward_some`].
    pub(crate) fn backward_some(&self, dx: &mut [f32], grad: &[f32], outputs: Range<usize>) -> Result<()> {
        match &self.weight {
            Weight::Dense(weight, orientation) => {
                let values = Values::of(weight);
                self.dense(values.slice()?, *orientation).some(outputs).backward(dx, grad, true);
                Ok(())
            }
            Weight::Rows(parts, Orientation::OutIn) => narrow::across_rows(dx, grad, parts, outputs, true),
            Weight::Rows(_, Orientation::InOut) => bail!("a turned weight gives all outputs or none"),
        }
    }

    fn dense<'a>(&self, values: &'a [f32], orientation: Orientation) -> Dense<'a> {
        Dense { values, orientation, shape: (self.n_in(), self.n_out()) }
    }
}

impl CustomOp1 for Linear {
    fn name(&self) -> &'static str {
        "tiller-linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let n = x.len() / self.n_in();
        let mut out = vec![0.0; n * self.n_out()];
        self.forward_into(&mut out, x, false)?;
        Ok((CpuStorage::F32(out), Shape::from((n, self.n_out()))))
    }

    fn bwd(&self, _arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let n = grad.dim(0)?;
        let mut dx = vec![0.0; n * self.n_in()];
        self.backward_into(&mut dx, Values::of(&grad).slice()?, false)?;
        Tensor::from_vec(dx, (n, self.n_in()), grad.device()).map(Some)
    }
}

/// Products below this many weights run on the calling thread: waking another costs more.
const PARALLEL_FROM: usize = 1 << 19;

/// Rows of a device's weight that are widened at once where exact sums are asked for.
const WIDENED_ROWS: usize = 1 << 12;

/// Outputs per task of a product with few rows.
fn task_width(n_out: usize, n_weights: usize) -> usize {
    if n_weights < PARALLEL_FROM { n_out } else { n_out.div_ceil(rayon::current_num_threads()).next_multiple_of(16) }
}

#[cfg(test)]
mod tests;
