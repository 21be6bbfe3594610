//! `tiller features search|show|import-labels`: what is known of the features of an SAE.

use std::path::Path;

use serde::Serialize;
use tiller_protocol::feature::{
    FeatureCard, FeatureQuery, FeatureResults, FeatureRow, FeatureSearch, ImportOptions, ImportReport, OpenOptions,
    SaeId, ScoreKind, TokenFires,
};
use tiller_protocol::model::ModelSource;
use tiller_protocol::problem::Problem;

use super::options::Global;
use super::sae::Bench;
use super::session::{Session, WatchSink};
use crate::features::find::{self, ranked};
use crate::features::shelf::OpenSae;
use crate::features::{ModelLens, card, import};
use crate::jobs::features::{Coder, find as by_model};
use crate::problem;

/// Result of [`features_search`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeaturesFound {
    /// What was asked, with the name of the SAE in the workspace.
    pub search: FeatureSearch,
    /// Features that were found in all.
    pub n_found: usize,
    /// What the scores are.
    pub score: Option<ScoreKind>,
    /// The first of them.
    pub features: Vec<FoundFeature>,
    /// The tokens of the text that was searched, with what fires on each.
    pub tokens: Vec<TokenFires>,
    /// What one should know.
    pub note: Option<String>,
}

/// A feature that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FoundFeature {
    /// What is known of it.
    #[serde(flatten)]
    pub row: FeatureRow,
    /// Its score.
    pub score: Option<f32>,
}

/// Result of [`features_import`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeaturesImported {
    /// Into which SAE.
    pub sae: SaeId,
    /// What came of it.
    #[serde(flatten)]
    pub report: ImportReport,
}

/// Searches the features of an SAE; the first `limit` are told in full. A search by text or contrast needs a model; one by
/// token ranks by effect when there is one.
///
/// # Errors
/// What cannot be loaded or opened, what does not fit together, or a stop.
pub fn features_search(
    global: &Global,
    sae: &str,
    search: &FeatureSearch,
    model: Option<&ModelSource>,
    limit: usize,
) -> Result<FeaturesFound, Problem> {
    let bench = Bench::new(global)?;
    let open = bench.open(global, sae, &OpenOptions::default())?;
    let search = FeatureSearch { sae: open.info.id.clone(), ..search.clone() };
    if search.query.needs_model() && model.is_none() {
        return Err(problem::bad_input("this search runs a model over the texts", "Give --model."));
    }
    let is_read_by_lens = matches!(search.query, FeatureQuery::Token(_));
    let wanted = model.filter(|_| search.query.needs_model() || is_read_by_lens);
    let session = wanted.map(|model| Session::open(global, model)).transpose()?;
    let index = std::sync::Arc::clone(&open.index);
    let name = open.info.name.clone();
    let results = match &session {
        Some(Session { loaded, .. }) if search.query.needs_model() => {
            let mut sink = WatchSink::new(global, "Looking for what fires");
            let (coder, index) = Coder::of(open);
            let found = by_model::find(loaded, &coder, &search.query, &mut sink)?.unwrap_or_default();
            ranked(&index, &coder.name, &search, found)?
        }
        session => {
            let lens = session.as_ref().and_then(|session| ModelLens::of(&session.loaded));
            find::find(&bench.workspace, &open, lens.as_ref(), &search)?
        }
    };
    let FeatureResults { search, order, scores, tokens, note, .. } = results;
    let rows = index.rows(&order[..order.len().min(limit)]).map_err(|error| problem::index(&name, &error))?;
    let score_of = |idx: usize| scores.as_ref().and_then(|(_, scores)| scores.get(idx).copied());
    let features = rows.into_iter().enumerate().map(|(idx, row)| FoundFeature { row, score: score_of(idx) }).collect();
    let score = scores.as_ref().map(|(kind, _)| *kind);
    Ok(FeaturesFound { search, n_found: order.len(), score, features, tokens, note })
}

/// All that is known of a feature; with a model also what it promotes and suppresses.
///
/// # Errors
/// What cannot be loaded or opened, or a feature that is not there.
pub fn features_show(
    global: &Global,
    sae: &str,
    latent: u32,
    model: Option<&ModelSource>,
) -> Result<FeatureCard, Problem> {
    let bench = Bench::new(global)?;
    let open = bench.open(global, sae, &OpenOptions::default())?;
    open.check(latent)?;
    let session = model.map(|model| Session::open(global, model)).transpose()?;
    let lens = session.as_ref().and_then(|session| ModelLens::of(&session.loaded));
    card::card(&open, latent, lens.as_ref())
}

/// Reads labels, statistics or examples into the index of an SAE.
///
/// # Errors
/// An SAE that cannot be opened, a file that cannot be read or is of another SAE, or a stop.
pub fn features_import(
    global: &Global,
    sae: &str,
    path: &Path,
    options: &ImportOptions,
) -> Result<FeaturesImported, Problem> {
    let bench = Bench::new(global)?;
    let OpenSae { info, .. } = bench.open(global, sae, &OpenOptions::default())?;
    let mut sink = WatchSink::new(global, "Importing");
    let report = import::import(&bench.workspace, &info.id, path, options, &mut sink)?;
    Ok(FeaturesImported { sae: info.id, report })
}
