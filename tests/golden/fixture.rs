//! A tiny checkpoint and what transformers computed with it.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use tiller_engine::{DType, Device, Model, Node, Output, Parent, Request, Tensor, TokenTree, load};
use tiller_tests::CHECKPOINTS;

/// Sequences in each golden file.
pub(crate) const N_SEQUENCES: usize = 3;

/// A loaded checkpoint with its goldens.
#[derive(Debug)]
pub(crate) struct Golden {
    /// Folder name, for messages.
    pub(crate) name: &'static str,
    /// The checkpoint in f32 on the processor.
    pub(crate) model: Model,
    /// Contents of `golden.json`.
    pub(crate) facts: serde_json::Value,
    tensors: HashMap<String, Tensor>,
}

/// Where the fixtures are.
pub(crate) fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

impl Golden {
    /// Loads `checkpoint` with the goldens of `goldens`.
    pub(crate) fn load(checkpoint: &'static str, goldens: &str) -> Result<Self> {
        Self::load_in(DType::F32, checkpoint, goldens)
    }

    /// The same with weights kept in a number format.
    pub(crate) fn load_in(dtype: DType, checkpoint: &'static str, goldens: &str) -> Result<Self> {
        let model = load::model(&folder(checkpoint), &Device::Cpu, dtype, &mut |_, _| true)
            .with_context(|| format!("loading {checkpoint}"))?;
        let facts = serde_json::from_str(&std::fs::read_to_string(folder(goldens).join("golden.json"))?)?;
        let tensors = candle_core::safetensors::load(folder(goldens).join("golden.safetensors"), &Device::Cpu)?;
        Ok(Self { name: checkpoint, model, facts, tensors })
    }

    /// All checkpoints.
    pub(crate) fn all() -> Result<Vec<Self>> {
        CHECKPOINTS.iter().map(|(checkpoint, goldens)| Self::load(checkpoint, goldens)).collect()
    }

    /// A golden tensor.
    pub(crate) fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name).with_context(|| format!("{} has no golden {name}", self.name))
    }

    /// Golden token ids.
    pub(crate) fn ids(&self, name: &str) -> Result<Vec<u32>> {
        Ok(self.tensor(name)?.to_dtype(DType::U32)?.to_vec1()?)
    }

    /// Golden sequence `index`.
    pub(crate) fn sequence(&self, index: usize) -> Result<Vec<u32>> {
        self.ids(&format!("{index}.input_ids"))
    }

    /// All blocks of the model.
    pub(crate) fn blocks(&self) -> Vec<usize> {
        (0..self.model.config().n_layers).collect()
    }

    /// One forward of `tree` through all blocks, capturing all of them.
    pub(crate) fn run(&self, tree: &TokenTree) -> Result<Output> {
        let blocks = self.blocks();
        Ok(self.model.forward(&Request { capture: &blocks, ..Request::new(tree) })?)
    }

    /// Fails unless `found` is within `bound` of the golden rows `rows` of tensor `name`.
    pub(crate) fn assert_rows(
        &self,
        found: &Tensor,
        name: &str,
        rows: std::ops::Range<usize>,
        bound: f64,
    ) -> Result<()> {
        let expected = self.tensor(name)?.narrow(0, rows.start, rows.len())?;
        assert_near(found, &expected, bound, &format!("{}: {name} {rows:?}", self.name))
    }
}

/// A node of plain prompt tokens.
pub(crate) fn node(parent: Parent, ids: &[u32]) -> Node {
    Node { parent, ids: ids.to_vec(), ends_prompt: false, is_reply: false }
}

/// Largest absolute difference over the largest absolute entry of `expected`.
pub(crate) fn relative_error(found: &Tensor, expected: &Tensor) -> Result<f64> {
    let numbers =
        |tensor: &Tensor| -> Result<Vec<f64>> { Ok(tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?) };
    let (found, expected) = (numbers(found)?, numbers(expected)?);
    anyhow::ensure!(found.iter().all(|x| x.is_finite()), "a number is not finite");
    let scale = expected.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    let worst = found.iter().zip(&expected).fold(0.0_f64, |most, (a, b)| most.max((a - b).abs()));
    Ok(if scale > 0.0 { worst / scale } else { worst })
}

/// Fails unless shapes agree and the relative error is within `bound`.
pub(crate) fn assert_near(found: &Tensor, expected: &Tensor, bound: f64, what: &str) -> Result<()> {
    anyhow::ensure!(found.dims() == expected.dims(), "{what}: {:?} instead of {:?}", found.dims(), expected.dims());
    let error = relative_error(found, expected)?;
    anyhow::ensure!(error <= bound, "{what}: relative error {error:.2e}, at most {bound:.0e}");
    Ok(())
}
