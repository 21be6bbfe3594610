//! Opened SAEs and their features, as the application has reported them, and what the page Features has asked for.

mod ask;
mod rows;
mod selection;

use std::path::PathBuf;
use std::sync::Arc;

use tiller_protocol::feature::{
    FeatureCard, FeatureProbe, FeatureRef, FeatureResults, FeatureRow, FeatureSearch, FeatureTrouble, ImportReport,
    SaeId, SaeInfo, TrainPoint,
};
use tiller_protocol::message::JobId;
use tiller_protocol::problem::Problem;

pub(crate) use ask::Fit;
pub(crate) use rows::Rows;
pub(crate) use selection::Selection;

/// What a dialog for a path on the page Features is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathFor {
    /// An SAE to open.
    Sae,
    /// Labels, statistics or examples to import.
    Import,
    /// Texts for a scan.
    Scan,
    /// Texts to train on.
    Train,
}

/// All that is known.
#[derive(Default)]
pub(crate) struct Features {
    saes: Option<Vec<SaeInfo>>,
    current: Option<SaeId>,
    /// What is to be in the table.
    pub(crate) search: FeatureSearch,
    /// The search that is under way: the one whose answer is awaited.
    pub(crate) awaited: Option<JobId>,
    results: Option<Arc<FeatureResults>>,
    /// Counts up with every answer.
    answers: u64,
    /// Rows of the table that were in sight.
    pub(crate) rows: Rows,
    /// What is marked in the table.
    pub(crate) selection: Selection,
    /// The feature in the card.
    pub(crate) open: Option<FeatureRef>,
    /// What is known of it; `None` while that is awaited. A card of another feature is never kept here.
    pub(crate) card: Option<Result<Box<FeatureCard>, Problem>>,
    /// The open feature on the user's own text.
    pub(crate) probe: Option<Box<FeatureProbe>>,
    /// What the last import has done.
    pub(crate) report: Option<(SaeId, Box<ImportReport>)>,
    /// Plots of the running or last training.
    pub(crate) training: Vec<TrainPoint>,
    /// Where the last training has put its SAE.
    pub(crate) trained: Option<PathBuf>,
    /// Features similar to this one are to be searched for.
    pub(crate) similar_to: Option<u32>,
    /// SAE to try on the loaded model once the engine is idle.
    untried: Option<SaeId>,
    /// SAE that is being moved to a block, to be tried there once it has arrived.
    moving: Option<(SaeId, usize)>,
    paths: Vec<(PathFor, PathBuf)>,
}

impl Features {
    /// The opened SAEs; `None` until they were reported.
    pub(crate) fn saes(&self) -> Option<&[SaeInfo]> {
        self.saes.as_deref()
    }

    /// An opened SAE.
    pub(crate) fn sae(&self, id: &SaeId) -> Option<&SaeInfo> {
        self.saes.as_ref()?.iter().find(|info| info.id == *id)
    }

    /// The SAE whose features are shown.
    pub(crate) fn current(&self) -> Option<&SaeInfo> {
        self.sae(self.current.as_ref()?)
    }

    /// The last answer to a search in the SAE that is shown.
    pub(crate) fn results(&self) -> Option<&Arc<FeatureResults>> {
        self.results.as_ref()
    }

    /// Counts up with every answer to a search.
    pub(crate) fn answers(&self) -> u64 {
        self.answers
    }

    /// Takes in the list of opened SAEs.
    pub(crate) fn set_saes(&mut self, saes: Vec<SaeInfo>) {
        self.saes = Some(saes);
        let arrived = |(id, block): &(SaeId, usize)| self.sae(id).is_some_and(|sae| sae.site.block() == *block);
        if self.moving.as_ref().is_some_and(arrived) {
            self.untried = self.moving.take().map(|(id, _)| id);
        }
        if self.current().is_none() {
            self.leave_sae();
        }
    }

    /// Takes in what is known of one SAE now.
    pub(crate) fn set_sae(&mut self, info: SaeInfo) {
        let saes = self.saes.get_or_insert_default();
        saes.retain(|known| known.id != info.id);
        saes.push(info);
        saes.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Shows another SAE, of which nothing is known yet.
    fn enter(&mut self, id: SaeId) {
        self.leave_sae();
        self.search = FeatureSearch { sae: id.clone(), ..FeatureSearch::default() };
        self.current = Some(id);
    }

    /// Forgets what belongs to the SAE that was shown.
    fn leave_sae(&mut self) {
        self.current = None;
        self.search = FeatureSearch::default();
        self.awaited = None;
        self.results = None;
        self.answers += 1;
        self.rows.forget();
        self.selection.clear();
        self.open = None;
        self.card = None;
        self.probe = None;
    }

    /// Takes in the answer to a search, if it is the one that is awaited.
    pub(crate) fn found(&mut self, job: JobId, results: FeatureResults) {
        if self.awaited != Some(job) {
            return;
        }
        self.awaited = None;
        if self.results.as_ref().is_none_or(|before| before.search.query != results.search.query) {
            self.selection.clear();
        }
        self.results = Some(Arc::new(results));
        self.answers += 1;
    }

    /// Takes in rows that were asked for.
    pub(crate) fn take_rows(&mut self, sae: &SaeId, rows: Vec<FeatureRow>) {
        let is_shown = self.current.as_ref() == Some(sae);
        self.rows.take(sae, rows, is_shown);
    }

    /// A search came to no answer.
    pub(crate) fn not_found(&mut self, job: JobId) {
        if self.awaited == Some(job) {
            self.awaited = None;
        }
    }

    /// Takes in a card, or why there is none, if it is of the feature that is open.
    pub(crate) fn set_card(&mut self, card: Result<Box<FeatureCard>, FeatureTrouble>) {
        match card {
            Ok(card) if self.open.as_ref() == Some(&card.feature) => {
                let (sae, row) = (card.feature.sae.clone(), card.row.clone());
                self.rows.learn(&sae, row);
                self.card = Some(Ok(card));
            }
            Err(trouble) if self.open.as_ref().is_some_and(|open| open.sae == trouble.sae) => {
                self.card = Some(Err(trouble.problem));
            }
            _ => {}
        }
    }

    /// Takes in a feature on the user's own text, if it is the one that is open.
    pub(crate) fn set_probe(&mut self, probe: Box<FeatureProbe>) {
        if self.open.as_ref() == Some(&probe.feature) {
            self.probe = Some(probe);
        }
    }

    /// The feature `steps` rows further in the table than the open one; none beyond its ends.
    pub(crate) fn neighbour(&self, steps: isize) -> Option<u32> {
        let results = self.results.as_ref()?;
        let open = self.open.as_ref()?.latent;
        let at = results.order.iter().position(|latent| *latent == open)?;
        results.order.get(at.checked_add_signed(steps)?).copied()
    }

    /// Takes in new points of a training's plots; of a long training every second point is kept, again and again.
    pub(crate) fn learn_points(&mut self, points: Vec<TrainPoint>) {
        const MOST: usize = 8192;
        self.training.extend(points);
        if self.training.len() > MOST {
            let mut at = 0;
            self.training.retain(|_| {
                at += 1;
                at % 2 == 0
            });
        }
    }

    /// Keeps a path that was chosen in a dialog.
    pub(crate) fn choose_path(&mut self, wanted: PathFor, path: PathBuf) {
        self.paths.retain(|(other, _)| *other != wanted);
        self.paths.push((wanted, path));
    }

    /// Hands a chosen path out, once.
    pub(crate) fn take_path(&mut self, wanted: PathFor) -> Option<PathBuf> {
        let at = self.paths.iter().position(|(other, _)| *other == wanted)?;
        Some(self.paths.remove(at).1)
    }
}
