//! `tiller trace`: residuals and logits of a token sequence.

use std::path::Path;

use safetensors::Dtype;
use tiller_engine::{DType, Request, Tensor, TokenTree};
use tiller_protocol::model::ModelSource;
use tiller_protocol::problem::Problem;

use super::options::{Global, TraceInput};
use super::results::TraceResult;
use super::session::Session;
use crate::problem;
use crate::vector_file::{NamedTensor, write_tensors};

/// Writes residuals and logits of a token sequence to a safetensors file.
///
/// # Errors
/// A model that cannot be loaded, tokens that do not fit, a file that cannot be written.
pub fn trace(global: &Global, model: &ModelSource, input: &TraceInput, out: &Path) -> Result<TraceResult, Problem> {
    let Session { loaded, .. } = Session::open(global, model)?;
    let ids = match input {
        TraceInput::Ids(ids) => ids.clone(),
        TraceInput::Text(text) => loaded.model.tokenizer().encode(text).map_err(|error| problem::engine(&error))?,
        TraceInput::Chat(turns) => loaded.prompt(turns)?,
    };
    if ids.is_empty() {
        return Err(problem::bad_input("there are no tokens", "Give at least one token id or a text."));
    }
    let mut tensors =
        vec![NamedTensor::i64("input_ids", &[ids.len()], &ids.iter().map(|id| i64::from(*id)).collect::<Vec<_>>())];
    let run = || -> tiller_engine::Result<Vec<NamedTensor>> {
        let blocks: Vec<usize> = (0..loaded.model.config().n_layers).collect();
        let tree = TokenTree::sequence(&ids);
        let output = loaded.model.forward(&Request { capture: &blocks, ..Request::new(&tree) })?;
        let mut found = Vec::new();
        for (block, resid) in &output.resid_post {
            found.push(named(format!("resid_post.{block}"), resid)?);
        }
        found.push(named("logits".to_owned(), &loaded.model.logits(&output.last)?)?);
        Ok(found)
    };
    tensors.extend(run().map_err(|error| problem::engine(&error))?);
    write_tensors(out, &tensors, None)?;
    Ok(TraceResult { out: out.to_owned(), input_ids: ids, model: loaded.info })
}

/// A tensor `[rows, columns]` as f32 under a name.
pub(super) fn named(name: String, tensor: &Tensor) -> tiller_engine::Result<NamedTensor> {
    let shape = tensor.dims().to_vec();
    let values: Vec<f32> = tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
    let named = NamedTensor::f32(name, &shape, &values);
    debug_assert_eq!(named.dtype, Dtype::F32);
    Ok(named)
}
