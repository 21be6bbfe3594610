//! `tiller grad`: the gradient with respect to one-hot tokens.

use tiller_engine::gradient::{Member, Problem as Ascent, token_gradients};
use tiller_engine::{Tensor, TokenTree, score};
use tiller_protocol::problem::Problem;

use super::options::{Global, GradOptions};
use super::results::GradResult;
use super::session::Session;
use super::trace::named;
use crate::models::Loaded;
use crate::vector_file::{NamedTensor, read_direction, write_tensors};
use crate::{memory, problem};

/// Writes the gradient of −target + λ·cross-entropy for one-hot tokens (methods.md eq. 7) to a safetensors file.
///
/// # Errors
/// A model or vector that cannot be used, tokens that do not fit, a file that cannot be written.
pub fn grad(global: &Global, options: &GradOptions) -> Result<GradResult, Problem> {
    let Session { loaded, .. } = Session::open(global, &options.model)?;
    let direction = read_direction(&options.vector)?;
    let name = options.vector.display().to_string();
    if direction.len() != loaded.info.d_model {
        let reason = format!("its width is {}, the model's is {}", direction.len(), loaded.info.d_model);
        return Err(problem::unfit_vector(&name, &reason));
    }
    if options.block >= loaded.info.n_layers {
        let reason = format!("block {} is not one of 0 to {}", options.block, loaded.info.n_layers - 1);
        return Err(problem::unfit_vector(&name, &reason));
    }
    if options.ids.is_empty() {
        return Err(problem::bad_input("there are no tokens", "Give at least two token ids."));
    }
    memory::check_gradient(&loaded, options.ids.len())?;
    let (gradient, target, xent) = gradient(&loaded, options, direction).map_err(|error| problem::engine(&error))?;
    let one = |name: &str, value: f64| NamedTensor::f32(name, &[1], &[value as f32]);
    write_tensors(&options.out, &[gradient, one("target", target), one("xent", xent)], None)?;
    Ok(GradResult { out: options.out.clone(), target, xent })
}

fn gradient(
    loaded: &Loaded,
    options: &GradOptions,
    direction: Vec<f32>,
) -> tiller_engine::Result<(NamedTensor, f64, f64)> {
    let model = &loaded.model;
    let tree = TokenTree::sequence(&options.ids);
    let members = [Member { slots: vec![0], reads: vec![0], lambda: options.lambda }];
    let column = Tensor::from_vec(direction, (loaded.info.d_model, 1), model.device())?;
    let ascent = Ascent { tree: &tree, caches: &[], members: &members, block: options.block, edits: &[] };
    let objective = |rows: &Tensor| -> tiller_engine::Result<Tensor> {
        Ok(rows.to_dtype(tiller_engine::DType::F32)?.matmul(&column)?.squeeze(1)?)
    };
    let found = token_gradients(model, &ascent, &objective)?;
    // Without a weight the search does not need the cross-entropy; a reader of the file does.
    let xent = match found.xents[0] {
        xent if xent.is_nan() && options.ids.len() > 1 => score::cross_entropy(model, &options.ids, 1)?,
        xent => xent,
    };
    Ok((named("token_grad".to_owned(), &found.dense(0)?)?, found.targets[0], xent))
}
