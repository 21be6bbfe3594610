//! Vectors from files as edits.

use tiller_engine::direction::median;
use tiller_engine::{Edit, Node, Parent, Request, TokenTree};
use tiller_protocol::problem::Problem;

use super::options::VectorOption;
use super::session::Session;
use crate::jobs::extract::neutral_prompts;
use crate::problem;
use crate::steering::{Place, scaled};
use crate::vector_file;

/// Neutral prompts that the residual norm is taken from when the file does not say it.
const N_NORM: usize = 32;

/// The edits of vectors; those of strength 0 make none.
///
/// # Errors
/// A file that cannot be read or does not fit the model.
pub(super) fn edits(session: &Session, options: &[VectorOption]) -> Result<Vec<Edit>, Problem> {
    let mut edits = Vec::new();
    for option in options {
        if let Some(edit) = edit(session, option)? {
            edits.push(edit);
        }
    }
    Ok(edits)
}

/// The edit of one vector; `None` at strength 0.
///
/// # Errors
/// As [`edits`].
pub(super) fn edit(session: &Session, option: &VectorOption) -> Result<Option<Edit>, Problem> {
    let (model, name) = (&session.loaded.info, option.path.display().to_string());
    let info = vector_file::read_info(&option.path)?;
    if let Some(info) = info.as_ref().filter(|info| info.model_hash != model.hash) {
        return Err(problem::foreign_vector(&name, &info.model_name, &model.name));
    }
    let block = option.block.or(info.as_ref().map(|info| info.recommended_block)).ok_or_else(|| {
        problem::bad_input(&format!("{name} does not say for which block it is"), "Name the block, counted from 0.")
    })?;
    if block >= model.n_layers {
        return Err(problem::unfit_vector(&name, &format!("block {block} is not one of 0 to {}", model.n_layers - 1)));
    }
    let direction = vector_file::read_block(&option.path, block)?;
    let known = info.as_ref().and_then(|info| info.blocks.get(block)).map(|facts| facts.resid_norm);
    let resid_norm = match known {
        Some(norm) => norm,
        None => resid_norm(session, block)?,
    };
    let place = Place { block, positions: option.positions, resid_norm };
    let edit = scaled(&name, &direction, option.strength, place, (model.d_model, session.loaded.device()))?;
    Ok((option.strength != 0.0).then_some(edit))
}

/// Median residual norm at a block over neutral prompts, position 0 left out.
fn resid_norm(session: &Session, block: usize) -> Result<f64, Problem> {
    let model = &session.loaded.model;
    let prompts = neutral_prompts(&session.neutral[..session.neutral.len().min(N_NORM)]);
    let run = || -> tiller_engine::Result<Vec<f64>> {
        let mut norms = Vec::new();
        for prompt in &prompts {
            let turns =
                [tiller_protocol::chat::Turn { role: tiller_protocol::chat::Role::User, content: prompt.user.clone() }];
            let ids = match model.template() {
                Some(template) => model.tokenizer().encode(&template.render(&turns, true)?)?,
                None => model.tokenizer().encode_whole(&prompt.user)?,
            };
            let mut tree = TokenTree::new();
            tree.push(Node { parent: Parent::Root, ids, ends_prompt: true, is_reply: false });
            let request = Request { capture: &[block], last_block: Some(block), ..Request::new(&tree) };
            for (_, resid) in model.forward(&request)?.resid_post {
                let lengths: Vec<f32> = resid.to_dtype(tiller_engine::DType::F32)?.sqr()?.sum(1)?.sqrt()?.to_vec1()?;
                norms.extend(lengths.into_iter().skip(1).map(f64::from));
            }
        }
        Ok(norms)
    };
    run().map(|norms| median(&norms)).map_err(|error| problem::engine(&error))
}
