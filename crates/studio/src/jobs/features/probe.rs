//! One feature on a text of the user's: where it is active, and what switching it off does to the loss of each token.

use std::sync::Arc;

use tiller_engine::sae::{Dictionary, LatentEdit, Operator};
use tiller_engine::{Edit, Request, TokenTree};
use tiller_protocol::feature::{FeatureProbe, FeatureRef};
use tiller_protocol::problem::Problem;
use tiller_protocol::steering::Positions;

use super::{Coder, Fired, activations};
use crate::jobs::Sink;
use crate::jobs::corpus::{Text, cut};
use crate::models::Loaded;
use crate::{memory, problem};

/// Most tokens that are read: the box is for a sentence or a page.
const MAX_TOKENS: usize = 1024;

/// Reads `text` and reads it again with the feature ablated at every token but the first. A text that is longer than
/// the model or 1,024 tokens is cut there.
///
/// # Errors
/// A text of fewer than two tokens, a feature that the SAE does not have, an SAE that does not fit, a failure of the
/// model, or a stop.
pub(crate) fn probe(
    loaded: &Loaded,
    coder: &Coder,
    (feature, text): (&FeatureRef, &str),
    sink: &mut dyn Sink,
) -> Result<FeatureProbe, Problem> {
    coder.check(loaded)?;
    memory::check_reading(loaded)?;
    let cut = cut(&loaded.model, &Text::Plain(text.to_owned()), MAX_TOKENS.min(loaded.info.context_len))?;
    let Some(sequence) = cut.into_iter().next() else {
        let cause = "the text is too short: it has fewer than two tokens";
        return Err(problem::bad_input(cause, "Write at least two words."));
    };
    let ids = sequence.ids;
    let latent = feature.latent;
    let fired = activations(loaded, coder, &[&ids], sink)?.pop().unwrap_or_default();
    let value =
        |fired: &Fired| fired.active.iter().find(|(number, _)| *number == latent).map_or(0.0, |(_, value)| *value);
    let values: Vec<f32> = fired.iter().map(value).collect();
    sink.check()?;
    let loss_change = loss_change(loaded, coder, latent, &ids).map_err(|error| problem::engine(&error))?;
    let tokenizer = loaded.model.tokenizer();
    let tokens = ids.iter().map(|id| tokenizer.token_text(*id).unwrap_or_default()).collect();
    Ok(FeatureProbe { feature: feature.clone(), tokens, values, loss_change })
}

/// How much more each token costs, in nats, when the feature is ablated before it; 0 for the first token.
fn loss_change(loaded: &Loaded, coder: &Coder, latent: u32, ids: &[u32]) -> tiller_engine::Result<Vec<f32>> {
    let dictionary = Dictionary::File(Arc::clone(&coder.file));
    let ablated = LatentEdit::new(&dictionary, &[(latent as usize, Operator::Ablate)], loaded.device())?;
    let ablated = [Edit::latents(coder.block(), Arc::new(ablated), Positions::All)];
    let tree = TokenTree::sequence(&ids[..ids.len() - 1]);
    let losses = |edits: &[Edit]| -> tiller_engine::Result<Vec<f32>> {
        let out = loaded.model.forward(&Request { edits, ..Request::new(&tree) })?;
        Ok(loaded.model.cross_entropy(&out.last, &ids[1..])?.to_vec1()?)
    };
    let (plain, ablated) = (losses(&[])?, losses(&ablated)?);
    let changes = plain.iter().zip(&ablated).map(|(plain, ablated)| ablated - plain);
    Ok(std::iter::once(0.0).chain(changes).collect())
}
