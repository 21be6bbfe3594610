//! `tiller trace`: residuals and logits of a token sequence.

use std::path::Path;

use safetensors::Dtype;
use tiller_engine::template::TokenPart;
use tiller_engine::{DType, Request, Tensor, TokenTree};
use tiller_protocol::chat::{Role, Turn};
use tiller_protocol::model::ModelSource;
use tiller_protocol::problem::Problem;

use super::options::{Global, TraceInput};
use super::results::{TraceResult, TurnTokens};
use super::session::Session;
use crate::models::Loaded;
use crate::vector_file::{NamedTensor, write_tensors};
use crate::{memory, problem};

/// Writes residuals and logits of a token sequence to a safetensors file.
///
/// # Errors
/// A model that cannot be loaded, tokens that do not fit, a file that cannot be written.
pub fn trace(global: &Global, model: &ModelSource, input: &TraceInput, out: &Path) -> Result<TraceResult, Problem> {
    let Session { loaded, .. } = Session::open(global, model)?;
    let (ids, parts) = tokens(&loaded, input)?;
    memory::check_table(&loaded, ids.len())?;
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
    Ok(TraceResult { out: out.to_owned(), input_ids: ids, parts, model: loaded.info })
}

/// The ids of an input, at least one; of a chat also which of them are whose.
pub(super) fn tokens(loaded: &Loaded, input: &TraceInput) -> Result<(Vec<u32>, Vec<TurnTokens>), Problem> {
    let (ids, parts) = match input {
        TraceInput::Ids(ids) => (ids.clone(), Vec::new()),
        TraceInput::Text(text) => {
            (loaded.model.tokenizer().encode(text).map_err(|error| problem::engine(&error))?, Vec::new())
        }
        TraceInput::Chat(turns) => chat(loaded, turns)?,
    };
    if ids.is_empty() {
        return Err(problem::bad_input("there are no tokens", "Give at least one token id or a text."));
    }
    Ok((ids, parts))
}

/// The ids of a chat, and which of them are whose; with the reply opened, unless the model has the last word.
fn chat(loaded: &Loaded, turns: &[Turn]) -> Result<(Vec<u32>, Vec<TurnTokens>), Problem> {
    let template = loaded.model.template().ok_or_else(|| problem::no_template(&loaded.info.name))?;
    let rendered = template.render_parts(turns, opens_reply(turns)).map_err(|error| problem::engine(&error))?;
    let tokens = rendered.tokens(loaded.model.tokenizer()).map_err(|error| problem::engine(&error))?;
    let part = |part: TokenPart| TurnTokens {
        turn: part.turn,
        role: part.role,
        start: part.tokens.start,
        end: part.tokens.end,
    };
    Ok((tokens.ids, tokens.parts.into_iter().map(part).collect()))
}

fn opens_reply(turns: &[Turn]) -> bool {
    turns.last().is_none_or(|turn| turn.role != Role::Assistant)
}

/// A tensor `[rows, columns]` as f32 under a name.
pub(super) fn named(name: String, tensor: &Tensor) -> tiller_engine::Result<NamedTensor> {
    let shape = tensor.dims().to_vec();
    let values: Vec<f32> = tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
    let named = NamedTensor::f32(name, &shape, &values);
    debug_assert_eq!(named.dtype, Dtype::F32);
    Ok(named)
}

#[cfg(test)]
mod tests {
    use tiller_protocol::chat::Role;

    use super::*;

    #[test]
    fn a_chat_is_traced_with_the_place_of_every_turn() {
        let dir = tempfile::tempdir().unwrap();
        let turn = |role, content: &str| Turn { role, content: content.to_owned() };
        let turns = vec![turn(Role::System, "Be brief."), turn(Role::User, " Hello there! ")];
        let (global, input) = (Global::default(), TraceInput::Chat(turns));
        let result = trace(&global, &ModelSource::Demo, &input, &dir.path().join("out.safetensors")).unwrap();
        let tokenizer = Session::open(&global, &ModelSource::Demo).unwrap().loaded.model.tokenizer().clone();
        let text = |part: &TurnTokens| tokenizer.decode(&result.input_ids[part.start..part.end]).unwrap();
        let found: Vec<(usize, Role, String)> =
            result.parts.iter().map(|part| (part.turn, part.role, text(part).trim().to_owned())).collect();
        let wanted = [(0, Role::System, "Be brief.".to_owned()), (1, Role::User, "Hello there!".to_owned())];
        assert_eq!(found, wanted);
    }
}
