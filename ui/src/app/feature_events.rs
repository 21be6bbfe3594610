//! Taking in what the application reports about features.

use tiller_protocol::feature::{ImportReport, SaeId, SaeInfo};
use tiller_protocol::message::{Command, Event, JobId};

use super::App;
use crate::action::Action;
use crate::number::{count, plural};
use crate::page::Page;
use crate::shared::last_part;
use crate::widgets::toast::Offer;

impl App {
    /// Takes in a report about features; any other is returned.
    pub(super) fn apply_features(&mut self, event: Event) -> Option<Event> {
        let shared = &mut self.shared;
        match event {
            Event::Saes(list) => {
                shared.features.set_saes(list);
                self.chat.forget_missing(shared);
            }
            Event::SaeOpened { job, info } => self.sae_opened(job, *info),
            Event::SaeTested { job, info } => {
                shared.finish(job);
                shared.features.set_sae(*info);
            }
            Event::FeaturesFound { job, results } => {
                shared.finish(job);
                shared.assets.finish(job);
                shared.features.found(job, *results);
            }
            Event::FeatureRows { sae, rows } => shared.features.take_rows(&sae, rows),
            Event::FeatureCard(card) => shared.features.set_card(card),
            Event::FeatureProbed { job, probe } => {
                shared.finish(job);
                shared.features.set_probe(probe);
            }
            Event::FeaturesChanged(sae) => shared.features_changed(&sae),
            Event::FeaturesImported { job, sae, report } => self.imported_features(job, sae, report),
            Event::FeaturesScanned { job, tokens, .. } => {
                self.ended_well(job, format!("Scanned {} tokens", count(tokens)));
            }
            Event::FeaturesLabelled { job, n_labelled, .. } => {
                self.ended_well(job, format!("The model has labelled {}", plural(n_labelled, "feature")));
            }
            Event::Training { job, points } => {
                if shared.is_current(job) {
                    shared.features.learn_points(points);
                }
            }
            Event::SaeTrained { job, path } => {
                self.ended_well(job, format!("{} is trained", last_part(&path.display().to_string())));
                self.shared.features.trained = Some(path);
                self.shared.send(Command::ListAssets);
            }
            other => return Some(other),
        }
        None
    }

    /// A job of the engine came to its end.
    fn ended_well(&mut self, job: JobId, text: String) {
        if self.shared.finish(job).is_some() {
            self.shared.toasts.good(text);
        }
    }

    fn sae_opened(&mut self, job: JobId, info: SaeInfo) {
        let shared = &mut self.shared;
        if shared.assets.finish(job).is_none() {
            return;
        }
        let text = format!("{} is open", info.name);
        shared.sae_opened(info);
        self.features.opened();
        if shared.page == Page::Features {
            shared.toasts.good(text);
        } else {
            shared.toasts.offer(text, "Show", Offer::Act(Action::Go(Page::Features)));
        }
        shared.send(Command::ListAssets);
    }

    fn imported_features(&mut self, job: JobId, sae: SaeId, report: Box<ImportReport>) {
        let shared = &mut self.shared;
        if shared.assets.finish(job).is_some() {
            let labels = plural(report.n_labels as usize, "label");
            shared.toasts.good(format!("Imported {labels} from {} rows", count(report.n_rows)));
            shared.features.report = Some((sae, report));
        }
    }
}
