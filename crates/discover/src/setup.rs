//! What RESGA and SAEGA share: the place, the tokens and the neutral prompts of a run.

use tiller_engine::Model;
use tiller_protocol::discovery::DiscoverySettings;
use tiller_protocol::persona::PromptText;

use crate::epo::EpoSettings;
use crate::error::{DiscoverError, Result};
use crate::measure::Measure;
use crate::place::{Place, choose_contexts};
use crate::prompt_landscape::PromptLandscape;
use crate::tokens::{AllowedTokens, TokenFilter};

/// What a run is made from, besides its settings and its target.
#[derive(Clone, Copy, Debug)]
pub struct RunData<'a> {
    /// User texts from which the fixed contexts are drawn.
    pub contexts: &'a [String],
    /// Prompts that have nothing to do with the persona, which give the objective its unit.
    pub neutral: &'a [PromptText],
    /// Words kept out when the settings ask for it.
    pub banned_words: &'a [String],
}

/// The landscape of a run: contexts drawn by the seed, tokens filtered, the measure in place.
///
/// # Errors
/// No contexts, a model without a chat template, a filter that leaves nothing, or a failure of the model.
pub(crate) fn landscape<'a>(
    model: &'a Model,
    data: &RunData<'_>,
    settings: &DiscoverySettings,
    block: usize,
    measure: Measure,
) -> Result<PromptLandscape<'a>> {
    let users = choose_contexts(model, data.contexts, settings.n_contexts, settings.seed)?;
    let place = Place::new(model, settings.placement, &users)?;
    let banned_words = if settings.ban_persona_words { data.banned_words.to_vec() } else { Vec::new() };
    let filter = TokenFilter { ascii_only: settings.ascii_only, whole_words: settings.whole_words, banned_words };
    let (left, left_ids) = place.left();
    let allowed = AllowedTokens::new(model, left, left_ids, &filter)?;
    PromptLandscape::new(place, block, measure, allowed)
}

/// The search settings of a run, with the starting text as tokens of its place.
///
/// # Errors
/// A starting text whose tokens depend on what stands beside it.
pub fn epo_settings(landscape: &PromptLandscape<'_>, settings: &DiscoverySettings) -> Result<EpoSettings> {
    let warm_start = match settings.warm_start.as_deref().filter(|text| !text.trim().is_empty()) {
        Some(text) => Some(landscape.place().ids(text)?.ok_or_else(|| {
            DiscoverError::BadSettings(format!(
                "the starting text \u{201c}{text}\u{201d} does not keep its tokens in this place"
            ))
        })?),
        None => None,
    };
    Ok(EpoSettings { warm_start, ..EpoSettings::from(settings) })
}
