//! The product with a constant matrix on any device, in that device's own matrix product.
//!
//! candle's `matmul` would compute and keep the gradient of both factors; here there is one for the input alone.

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, Layout, MetalStorage, Result, Shape, Storage, StorageRef, Tensor, bail,
};

/// `x·W` for a constant `W` `[n_in, n_out]` of any strides.
pub(super) struct FrozenProduct {
    weight: Tensor,
}

impl FrozenProduct {
    pub(super) fn new(weight: Tensor) -> Self {
        Self { weight }
    }

    fn shape(&self, layout: &Layout) -> Result<(usize, usize, usize)> {
        let ((n, n_in), (rows, n_out)) = (layout.shape().dims2()?, self.weight.dims2()?);
        if n_in != rows {
            bail!("rows of {n_in} values meet a weight for {rows}");
        }
        Ok((n, n_out, n_in))
    }

    fn product<S: BackendStorage>(
        &self,
        x: &S,
        x_layout: &Layout,
        weight: &S,
        weight_layout: &Layout,
    ) -> Result<(S, Shape)> {
        let (n, n_out, n_in) = self.shape(x_layout)?;
        Ok((x.matmul(weight, (1, n, n_out, n_in), x_layout, weight_layout)?, Shape::from((n, n_out))))
    }
}

fn elsewhere<T>(_storage: &StorageRef<'_>) -> Result<T> {
    bail!("the weight and what it is applied to are on different devices")
}

impl CustomOp1 for FrozenProduct {
    fn name(&self) -> &'static str {
        "tiller-frozen-product"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (storage, weight_layout) = self.weight.storage_and_layout();
        match &*storage {
            Storage::Cpu(weight) => self.product(x, layout, weight, weight_layout),
            _ => elsewhere(&storage),
        }
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (storage, weight_layout) = self.weight.storage_and_layout();
        match &*storage {
            Storage::Cuda(weight) => self.product(x, layout, weight, weight_layout),
            _ => elsewhere(&storage),
        }
    }

    fn metal_fwd(&self, x: &MetalStorage, layout: &Layout) -> Result<(MetalStorage, Shape)> {
        let (storage, weight_layout) = self.weight.storage_and_layout();
        match &*storage {
            Storage::Metal(weight) => self.product(x, layout, weight, weight_layout),
            _ => elsewhere(&storage),
        }
    }

    fn bwd(&self, _arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        grad.contiguous()?.apply_op1_no_bwd(&Self::new(self.weight.t()?)).map(Some)
    }
}
