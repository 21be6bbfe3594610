//! All that is known of one feature.

use tiller_engine::tokenizer::Tokenizer;
use tiller_index::effects::{Effects, Token};
use tiller_index::window::{Tokens, Window};
use tiller_protocol::feature::{Example, FeatureCard, FeatureRef, LogitEffects, TokenEffect};
use tiller_protocol::problem::Problem;

use super::shelf::OpenSae;
use super::{ModelLens, find, open};
use crate::problem;

/// Promoted and suppressed tokens.
const TOKENS: usize = 10;
/// Similar features.
const SIMILAR: usize = 10;

/// The card of a feature.
///
/// # Errors
/// A feature that is not there, an index or a file that cannot be read.
pub(crate) fn card(open: &OpenSae, latent: u32, lens: Option<&ModelLens>) -> Result<FeatureCard, Problem> {
    open.check(latent)?;
    let name = &open.info.name;
    let told = |error| problem::index(name, &error);
    let index = &open.index;
    let row = index.rows(&[latent]).map_err(told)?.pop().ok_or_else(|| problem::no_feature(&open.info, latent))?;
    let decoder_norm = open.file.decoder_norm(latent as usize).unwrap_or_default();
    let found = if decoder_norm > 0.0 { find::similar(&open.file, latent, SIMILAR) } else { Ok(Vec::new()) };
    let found = found.map_err(|error| problem::converted_sae(name, &error))?;
    let numbers: Vec<u32> = found.iter().map(|(latent, _)| *latent).collect();
    let labels = index.first_labels(&numbers).map_err(told)?;
    let similar = found.into_iter().zip(labels).map(|((latent, cosine), label)| (latent, cosine, label)).collect();
    let lens = lens.filter(|lens| lens.fits(&open.info));
    let tokenizer = lens.map(|lens| &lens.tokenizer);
    let effects = match (lens, index.effects(latent).map_err(told)?) {
        (Some(lens), _) if decoder_norm > 0.0 => Some(by_lens(open, latent, lens)?),
        (_, Some(imported)) => Some(imported_effects(&imported, tokenizer)),
        (_, None) => None,
    };
    let windows = index.windows(latent).map_err(told)?;
    Ok(FeatureCard {
        feature: FeatureRef { sae: open.info.id.clone(), latent },
        row,
        labels: index.labels(latent).map_err(told)?,
        note: index.note(latent).map_err(told)?,
        histogram: index.histogram(latent).map_err(told)?,
        effects,
        examples: windows.into_iter().map(|window| example(window, tokenizer)).collect(),
        similar,
        decoder_norm,
    })
}

/// What the loaded model's output weights make of the feature.
///
/// # Errors
/// A file that cannot be read, a failure of the device.
pub(crate) fn by_lens(open: &OpenSae, latent: u32, lens: &ModelLens) -> Result<LogitEffects, Problem> {
    let row = open::decoder_row(&open.info.name, &open.file, latent)?;
    let (promoted, suppressed) = lens.lens.top(&row, TOKENS).map_err(|error| problem::engine(&error))?;
    let told = |effects: Vec<(u32, f32)>| {
        let token = |id| lens.tokenizer.token_text(id).unwrap_or_else(|| format!("#{id}"));
        effects.into_iter().map(|(id, effect)| TokenEffect { token: token(id), effect }).collect()
    };
    Ok(LogitEffects {
        promoted: told(promoted),
        suppressed: told(suppressed),
        low_confidence: lens.is_early(&open.info),
    })
}

/// What an export said; worked out by its maker, so there is nothing to doubt here.
fn imported_effects(effects: &Effects, tokenizer: Option<&Tokenizer>) -> LogitEffects {
    let told = |effects: &[(Token, f32)]| {
        let token = |token: &Token| match token {
            Token::Text(text) => text.clone(),
            Token::Id(id) => text(tokenizer, *id),
        };
        let effects = effects.iter().take(TOKENS);
        effects.map(|(name, effect)| TokenEffect { token: token(name), effect: *effect }).collect()
    };
    LogitEffects { promoted: told(&effects.promoted), suppressed: told(&effects.suppressed), low_confidence: false }
}

fn example(window: Window, tokenizer: Option<&Tokenizer>) -> Example {
    let tokens = match window.tokens {
        Tokens::Texts(texts) => texts,
        Tokens::Ids(ids) => ids.into_iter().map(|id| text(tokenizer, id)).collect(),
    };
    Example { tokens, values: window.values, peak: window.peak, decile: window.decile }
}

/// A token's text; its number while no model is open that could tell it.
fn text(tokenizer: Option<&Tokenizer>, id: u32) -> String {
    tokenizer.and_then(|tokenizer| tokenizer.token_text(id)).unwrap_or_else(|| format!("#{id} "))
}
