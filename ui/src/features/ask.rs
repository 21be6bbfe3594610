//! What the pages ask of the application about features.

use std::path::PathBuf;

use tiller_protocol::feature::{FeatureQuery, FeatureRef, FeatureSearch, OpenOptions, SaeId, SaeInfo};
use tiller_protocol::message::Command;

use super::PathFor;
use crate::face::Request;
use crate::jobs::Purpose;
use crate::shared::{Pending, Shared, last_part};

/// What an SAE is to the model that is loaded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fit {
    /// No model is loaded.
    NoModel,
    /// It reads activations of another width.
    OtherWidth {
        /// The model's width.
        width: usize,
    },
    /// It was not tried on this model.
    Untried,
    /// It was tried on this model.
    Tried,
}

impl Shared {
    /// What an SAE is to the model that is loaded.
    pub(crate) fn fit_of(&self, sae: &SaeInfo) -> Fit {
        let Some(model) = &self.model else { return Fit::NoModel };
        if model.d_model != sae.d_model {
            return Fit::OtherWidth { width: model.d_model };
        }
        match &sae.self_test {
            Some(test) if test.model_hash == model.hash => Fit::Tried,
            _ => Fit::Untried,
        }
    }

    /// A feature's name for people: `#12 on “arr”`, or `#12` where it has no label that is known here.
    pub(crate) fn feature_name(&self, feature: &FeatureRef) -> String {
        let features = &self.features;
        let shown = || features.rows.get(feature.latent).filter(|_| features.current.as_ref() == Some(&feature.sae));
        let row = features.rows.pinned(feature).or_else(shown);
        match row.and_then(|row| row.label.as_ref()) {
            Some(label) => format!("#{} {label}", feature.latent),
            None => format!("#{}", feature.latent),
        }
    }

    /// Opens an SAE from a file or folder.
    pub(crate) fn open_sae(&mut self, path: PathBuf, options: OpenOptions) {
        self.clear_problem(&Purpose::OpenSae(PathBuf::new()));
        let title = format!("Opening {}", last_part(&path.display().to_string()));
        self.start_beside(Purpose::OpenSae(path.clone()), title, |job| Command::OpenSae { job, path, options });
    }

    /// Takes in an SAE that was opened, and shows it.
    pub(crate) fn sae_opened(&mut self, info: SaeInfo) {
        let id = info.id.clone();
        self.features.set_sae(info);
        self.features.untried = Some(id.clone());
        self.show_sae(&id);
    }

    /// Shows the features of an SAE.
    pub(crate) fn show_sae(&mut self, id: &SaeId) {
        if self.features.current.as_ref() == Some(id) || self.features.sae(id).is_none() {
            return;
        }
        self.clear_problem(&Purpose::Search);
        self.clear_problem(&Purpose::ModelSearch);
        self.features.enter(id.clone());
        self.search_features();
    }

    /// Shows an SAE that was opened before, one that fits the loaded model if there is one.
    pub(crate) fn show_some_sae(&mut self) {
        let saes = self.features.saes().unwrap_or_default();
        let fits = |info: &&SaeInfo| matches!(self.fit_of(info), Fit::Tried | Fit::Untried);
        if let Some(id) = saes.iter().find(fits).or_else(|| saes.first()).map(|info| info.id.clone()) {
            self.show_sae(&id);
        }
    }

    /// Tries an SAE on the loaded model.
    pub(crate) fn try_sae(&mut self, id: &SaeId) {
        let name = self.features.sae(id).map_or_else(|| id.0.clone(), |info| info.name.clone());
        let sae = id.clone();
        self.start(Purpose::TrySae(id.clone()), &format!("Trying {name} on the model"), |job| Command::TestSae {
            job,
            sae,
        });
    }

    /// Tries the SAE that was opened last, once, as soon as a model of its width is loaded and idle.
    pub(crate) fn try_new_sae(&mut self) {
        if self.job.is_some() {
            return;
        }
        let Some(info) = self.features.untried.as_ref().and_then(|id| self.features.sae(id)) else { return };
        let id = info.id.clone();
        match self.fit_of(info) {
            Fit::Untried => {
                self.features.untried = None;
                self.try_sae(&id);
            }
            Fit::Tried => self.features.untried = None,
            Fit::NoModel | Fit::OtherWidth { .. } => {}
        }
    }

    /// Lets an SAE read another block, and tries it there.
    pub(crate) fn move_sae(&mut self, id: &SaeId, block: usize) {
        self.send(Command::MoveSae { sae: id.clone(), block });
        self.features.moving = Some((id.clone(), block));
    }

    /// Deletes an opened SAE with all that is known of its features.
    pub(crate) fn remove_sae(&mut self, id: &SaeId) {
        self.send(Command::RemoveSae(id.clone()));
        if self.features.current.as_ref() == Some(id) {
            self.features.leave_sae();
        }
        if let Some(saes) = &mut self.features.saes {
            saes.retain(|info| info.id != *id);
        }
    }

    /// Why this cannot be searched for now.
    pub(crate) fn search_obstacle(&self, query: &FeatureQuery) -> Option<String> {
        if !query.needs_model() {
            return None;
        }
        if self.features.current().is_some_and(|info| matches!(self.fit_of(info), Fit::OtherWidth { .. })) {
            return Some(
                "This SAE reads another width than the loaded model has. Open the model it was made for.".to_owned(),
            );
        }
        // A newer search by the model takes the place of an older one.
        let is_search = self.job.as_ref().is_some_and(|job| job.purpose == Purpose::ModelSearch);
        if is_search { None } else { self.needs_model() }
    }

    /// Searches for what `features.search` says; an older search is given up.
    pub(crate) fn search_features(&mut self) {
        let search = Box::new(self.features.search.clone());
        if search.sae == SaeId::default() || self.search_obstacle(&search.query).is_some() {
            return;
        }
        let job = if search.query.needs_model() {
            self.stop();
            self.start(Purpose::ModelSearch, "Searching features", |job| Command::SearchFeatures { job, search })
        } else {
            self.clear_problem(&Purpose::Search);
            let title = "Searching features".to_owned();
            self.start_beside(Purpose::Search, title, |job| Command::SearchFeatures { job, search })
        };
        self.features.awaited = Some(job);
    }

    /// Labels, bookmarks or statistics of an SAE have changed.
    pub(crate) fn features_changed(&mut self, sae: &SaeId) {
        let features = &mut self.features;
        features.rows.outdate(sae);
        let (is_shown, open) = (features.current.as_ref() == Some(sae), features.open.clone());
        let depends = features.results.as_ref().is_some_and(|results| depends_on_facts(&results.search));
        self.send(Command::ListSaes);
        if is_shown && depends && self.features.awaited.is_none() && !self.features.search.query.needs_model() {
            self.search_features();
        }
        if let Some(open) = open.filter(|open| open.sae == *sae) {
            self.send(Command::OpenFeature(open));
        }
    }

    /// Opens the card of a feature.
    pub(crate) fn open_feature(&mut self, feature: FeatureRef) {
        self.show_sae(&feature.sae);
        let features = &mut self.features;
        if features.open.as_ref() != Some(&feature) {
            features.open = Some(feature.clone());
            (features.card, features.probe) = (None, None);
        }
        self.send(Command::OpenFeature(feature));
    }

    /// Opens the card of a feature of the SAE that is shown.
    pub(crate) fn open_latent(&mut self, latent: u32) {
        if let Some(sae) = self.features.current.clone() {
            self.open_feature(FeatureRef { sae, latent });
        }
    }

    /// Bookmarks features of the SAE that is shown, or takes their bookmarks away.
    pub(crate) fn bookmark(&mut self, latents: Vec<u32>, on: bool) {
        let Some(sae) = self.features.current.clone() else { return };
        self.features.rows.change(&latents, |row| row.bookmarked = on);
        self.send(Command::SetBookmark { sae, latents, on });
    }

    /// Asks for the row of a feature that stands outside of the table, once.
    pub(crate) fn know_feature(&mut self, feature: &FeatureRef) {
        let features = &mut self.features;
        let is_shown = features.current.as_ref() == Some(&feature.sae);
        let known = features.rows.get(feature.latent).filter(|_| is_shown).cloned();
        if features.rows.pin(feature, known) {
            self.send(Command::FeatureRows { sae: feature.sae.clone(), latents: vec![feature.latent] });
        }
    }

    /// Lets the loaded model write labels for features.
    pub(crate) fn write_labels(&mut self, sae: &SaeId, latents: Vec<u32>) {
        let title = match latents.as_slice() {
            [latent] => format!("Writing a label for #{latent}"),
            many => format!("Writing labels for {}", crate::number::plural(many.len(), "feature")),
        };
        let sae = sae.clone();
        self.start(Purpose::LabelFeatures, &title, |job| Command::LabelFeatures { job, sae, latents });
    }

    /// Lets the user choose a folder for a part of the page Features.
    pub(crate) fn pick_feature_folder(&mut self, wanted: PathFor, title: &str) {
        let ticket = self.ticket(Pending::Features(wanted));
        self.request(Request::PickFolder { ticket, title: title.to_owned() });
    }

    /// Lets the user choose a file for a part of the page Features.
    pub(crate) fn pick_feature_file(&mut self, wanted: PathFor, title: &str) {
        let ticket = self.ticket(Pending::Features(wanted));
        self.request(Request::PickFile { ticket, title: title.to_owned(), extension: String::new() });
    }

    /// Lets the user choose where a feature's decoder row is written.
    pub(crate) fn export_feature(&mut self, feature: &FeatureRef) {
        let ticket = self.ticket(Pending::Feature(feature.clone()));
        let file_name = format!("{}-{}.safetensors", feature.sae.0, feature.latent);
        self.request(Request::PickSavePath { ticket, title: "Export feature as a vector".to_owned(), file_name });
    }
}

/// Whether a search would be answered otherwise after labels, bookmarks or statistics have changed.
fn depends_on_facts(search: &FeatureSearch) -> bool {
    use tiller_protocol::feature::{FeatureFilter, FeatureSort};
    search.filter != FeatureFilter::default()
        || matches!(search.sort, FeatureSort::Label | FeatureSort::Density | FeatureSort::MaxActivation)
        || matches!(search.query, FeatureQuery::Label(_))
}
