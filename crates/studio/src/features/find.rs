//! Searches among features that need no model to run, and the order of what those that do have found.

use std::sync::Arc;
use std::time::Instant;

use tiller_engine::sae::{By, Rows, SaeFile};
use tiller_index::Index;
use tiller_protocol::feature::{FeatureQuery, FeatureResults, FeatureSearch, FeatureSort, ScoreKind, TokenFires};
use tiller_protocol::problem::Problem;
use tiller_protocol::steering::VectorId;

use super::ModelLens;
use super::open::decoder_row;
use super::shelf::OpenSae;
use super::token::{self, Meant};
use crate::problem;
use crate::workspace::Workspace;

/// Most features that a ranked search shows.
pub(crate) const BEST: usize = 1_000;
/// Values of a decoder that is read as a whole for each search: 2 GB, a moment where the system keeps it in memory.
const READ_WHOLE: usize = 1 << 30;
/// Features of a larger one that are looked at.
const CLOSEST: usize = 4_000;
/// Most labels that are ranked.
const LABELS: usize = 5_000;

/// What a search has found before it is filtered and ordered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// What the scores are.
    pub(crate) kind: Option<ScoreKind>,
    /// A score for every feature; NaN leaves one out.
    pub(crate) scores: Vec<f32>,
    /// The tokens of the text that was searched.
    pub(crate) tokens: Vec<TokenFires>,
    /// What the user should know.
    pub(crate) notes: Vec<String>,
}

/// Answers a search that needs no model to run.
///
/// # Errors
/// A feature or vector that is not there, a vector of another width, a file that cannot be read.
pub(crate) fn find(
    workspace: &Workspace,
    open: &OpenSae,
    lens: Option<&ModelLens>,
    search: &FeatureSearch,
) -> Result<FeatureResults, Problem> {
    let began = Instant::now();
    let results = match &search.query {
        FeatureQuery::All => unranked(open, None, search, None),
        FeatureQuery::Label(text) if text.trim().is_empty() => unranked(open, None, search, None),
        FeatureQuery::Label(text) => labelled(open, text, search, Vec::new()),
        FeatureQuery::Token(text) => by_token(open, lens, text, search),
        FeatureQuery::Similar(latent) => {
            open.check(*latent)?;
            let row = decoder_row(&open.info.name, &open.file, *latent)?;
            if row.iter().all(|value| *value == 0.0) {
                return Err(problem::dead_feature(*latent));
            }
            let mut found = along(open, &row, ScoreKind::Cosine, search)?;
            found.scores[*latent as usize] = f32::NAN;
            ranked(&open.index, &open.info.name, search, found)
        }
        FeatureQuery::Vector(vector) => by_vector(workspace, open, vector, search),
        FeatureQuery::Text { .. } | FeatureQuery::Contrast { .. } => Err(problem::no_model()),
    }?;
    Ok(FeatureResults { secs: began.elapsed().as_secs_f64(), ..results })
}

/// Filters and orders what has a score for every feature: the best, best first, unless another order is asked for.
///
/// # Errors
/// An index that fails.
pub(crate) fn ranked(
    index: &Index,
    name: &str,
    search: &FeatureSearch,
    found: Found,
) -> Result<FeatureResults, Problem> {
    let Found { kind, mut scores, tokens, mut notes } = found;
    let columns = index.columns();
    let is_upside_down = is_upside_down(search);
    if is_upside_down {
        for score in &mut scores {
            *score = -*score;
        }
    }
    let mut order = columns.best(&scores, BEST, &search.filter);
    if order.len() == BEST {
        notes.push(format!("The best {BEST} are shown."));
    }
    if search.sort != FeatureSort::Rank {
        let told = |error| problem::index(name, &error);
        order = index.arrange(Some(&order), &search.filter, search.sort, search.reversed).map_err(told)?;
    }
    let sign = if is_upside_down { -1.0 } else { 1.0 };
    let of_order = order.iter().map(|latent| sign * scores[*latent as usize]).collect();
    Ok(FeatureResults {
        search: search.clone(),
        order: Arc::new(order),
        scores: kind.map(|kind| (kind, Arc::new(of_order))),
        tokens,
        note: note(&notes),
        secs: 0.0,
    })
}

/// Features without scores: all, or those that were found, in their order.
fn unranked(
    open: &OpenSae,
    among: Option<&[u32]>,
    search: &FeatureSearch,
    note: Option<String>,
) -> Result<FeatureResults, Problem> {
    let order = open.index.arrange(among, &search.filter, search.sort, search.reversed);
    let order = order.map_err(|error| problem::index(&open.info.name, &error))?;
    let search = search.clone();
    Ok(FeatureResults { search, order: Arc::new(order), scores: None, tokens: Vec::new(), note, secs: 0.0 })
}

fn labelled(
    open: &OpenSae,
    text: &str,
    search: &FeatureSearch,
    mut notes: Vec<String>,
) -> Result<FeatureResults, Problem> {
    let found = open.index.search_labels(text, LABELS).map_err(|error| problem::index(&open.info.name, &error))?;
    if found.len() == LABELS {
        notes.push(format!("The best {LABELS} are shown."));
    }
    let order: Vec<u32> = found.into_iter().map(|(latent, _)| latent).collect();
    unranked(open, Some(&order), search, note(&notes))
}

/// By effect on a token's logit; without a model that fits, by the promoted tokens that were imported.
fn by_token(
    open: &OpenSae,
    lens: Option<&ModelLens>,
    text: &str,
    search: &FeatureSearch,
) -> Result<FeatureResults, Problem> {
    let Some(lens) = lens.filter(|lens| lens.fits(&open.info)) else {
        let note = "No model that this SAE fits is open: these are the features whose labels or imported tokens have this \
                    text. Open the model to rank by effect.";
        return labelled(open, text.trim(), search, vec![note.to_owned()]);
    };
    let Meant { id, text, is_part } = token::meant(&lens.tokenizer, text)?;
    let direction = lens.lens.direction(id).map_err(|error| problem::engine(&error))?;
    let mut found = along(open, &direction, ScoreKind::LogitEffect, search)?;
    let part = if is_part { ", the first token of the text" } else { "" };
    found.notes.push(format!("Token \u{201c}{text}\u{201d} of {}{part}.", lens.name));
    if lens.is_early(&open.info) {
        found.notes.push("The SAE sits early in the model: later blocks may turn these effects round.".to_owned());
    }
    ranked(&open.index, &open.info.name, search, found)
}

fn by_vector(
    workspace: &Workspace,
    open: &OpenSae,
    id: &VectorId,
    search: &FeatureSearch,
) -> Result<FeatureResults, Problem> {
    let vector = workspace.vector(id)?;
    let (name, block) = (&vector.info.name, open.info.site.block());
    let unfit = |reason: String| problem::unfit_vector(name, &reason);
    let row = vector.directions.get(block).ok_or_else(|| unfit(format!("it has no direction for block {block}")))?;
    if row.len() != open.info.d_model {
        return Err(unfit(format!("it has {} values, and the SAE reads {}", row.len(), open.info.d_model)));
    }
    let unit = unit(row).ok_or_else(|| unfit("it is zero".to_owned()))?;
    let mut found = along(open, &unit, ScoreKind::Cosine, search)?;
    found.notes.push(format!("{name} at block {block}."));
    ranked(&open.index, &open.info.name, search, found)
}

/// The product of every decoder row, of unit length, with a vector; of a very large decoder only the largest.
fn along(open: &OpenSae, vector: &[f32], kind: ScoreKind, search: &FeatureSearch) -> Result<Found, Problem> {
    let told = |error| problem::converted_sae(&open.info.name, &error);
    let about = open.file.description();
    if about.d_sae * about.d_model > READ_WHOLE && open.file.is_prepared() {
        let sign = if is_upside_down(search) { -1.0 } else { 1.0 };
        let vector: Vec<f32> = vector.iter().map(|value| sign * value).collect();
        let closest = open.file.nearest(Rows::Decoder, &vector, CLOSEST, By::Dot, None).map_err(told)?;
        let mut scores = vec![f32::NAN; about.d_sae];
        for (latent, score) in closest {
            scores[latent as usize] = sign * score;
        }
        let notes = vec![format!("Among the {CLOSEST} that are closest.")];
        return Ok(Found { kind: Some(kind), scores, notes, ..Found::default() });
    }
    let mut scores = open.file.dots(Rows::Decoder, vector).map_err(told)?;
    // A feature without a row is similar to nothing.
    for (latent, score) in scores.iter_mut().enumerate() {
        if open.file.decoder_norm(latent).is_none_or(|norm| norm <= 0.0) {
            *score = f32::NAN;
        }
    }
    Ok(Found { kind: Some(kind), scores, ..Found::default() })
}

/// Whether those with the smallest scores come first, and not the last of the best.
fn is_upside_down(search: &FeatureSearch) -> bool {
    search.reversed && search.sort == FeatureSort::Rank
}

/// The features whose decoder rows are most similar to that of `latent`, with their cosines.
///
/// # Errors
/// A failure to read.
pub(crate) fn similar(file: &SaeFile, latent: u32, n: usize) -> tiller_engine::Result<Vec<(u32, f32)>> {
    let row = file.row(Rows::Decoder, latent as usize)?;
    let mut found = file.nearest(Rows::Decoder, &row, n, By::Cosine, Some(latent))?;
    found.retain(|(_, cosine)| *cosine > 0.0);
    Ok(found)
}

fn unit(vector: &[f32]) -> Option<Vec<f32>> {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    (length > 0.0 && length.is_finite())
        .then(|| vector.iter().map(|value| (f64::from(*value) / length) as f32).collect())
}

fn note(notes: &[String]) -> Option<String> {
    if notes.is_empty() { None } else { Some(notes.join(" ")) }
}
