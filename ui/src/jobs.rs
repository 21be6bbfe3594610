//! The running job as the window knows it. One job runs at a time.

use std::path::PathBuf;

use tiller_protocol::feature::SaeId;
use tiller_protocol::message::JobId;
use tiller_protocol::model::ModelSource;

use crate::page::Page;

/// What a job was started for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Purpose {
    /// Load a model.
    Load(ModelSource),
    /// Extract a vector of this persona.
    Extract(String),
    /// Find prompts.
    Discover,
    /// Answer in the chat.
    Chat,
    /// Make a folder or file known; runs beside the engine's job.
    Import,
    /// Compare an asset's files with their checksums; runs beside the engine's job.
    Verify(PathBuf),
    /// Convert an SAE and make its features known; runs beside the engine's job.
    OpenSae(PathBuf),
    /// Try an SAE on the loaded model.
    TrySae(SaeId),
    /// Search features without the model; runs beside the engine's job.
    Search,
    /// Search features by what fires on texts.
    ModelSearch,
    /// Work out a feature on the user's own text.
    Probe,
    /// Read labels, statistics or examples; runs beside the engine's job.
    ImportFeatures,
    /// Run the model over texts and note what each feature fires on.
    ScanFeatures,
    /// Let the model write labels.
    LabelFeatures,
    /// Train an SAE.
    TrainSae,
}

impl Purpose {
    /// Whether this page tells how the job fares.
    pub(crate) fn shown_on(&self, page: Page) -> bool {
        match self {
            Self::Load(_) => matches!(page, Page::Home | Page::Models),
            Self::Extract(_) => page == Page::Personas,
            Self::Discover => page == Page::Discover,
            Self::Chat => page == Page::Chat,
            Self::Import | Self::Verify(_) => page == Page::Models,
            Self::OpenSae(_)
            | Self::TrySae(_)
            | Self::Search
            | Self::ModelSearch
            | Self::Probe
            | Self::ImportFeatures
            | Self::ScanFeatures
            | Self::LabelFeatures
            | Self::TrainSae => page == Page::Features,
        }
    }

    /// Whether nobody needs to hear that it was stopped: a newer search or probe has taken its place.
    pub(crate) fn is_replaced_silently(&self) -> bool {
        matches!(self, Self::Search | Self::Probe)
    }
}

/// A job in progress.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Job {
    /// Its number.
    pub(crate) id: JobId,
    /// What it is for.
    pub(crate) purpose: Purpose,
    /// What it does, for people.
    pub(crate) title: String,
    /// Done, in `unit`s.
    pub(crate) done: u64,
    /// Total, in `unit`s; 0 when unknown.
    pub(crate) total: u64,
    /// What is counted.
    pub(crate) unit: String,
    /// Seconds since it began.
    pub(crate) elapsed_secs: f64,
    /// Done and seconds when the present unit was first counted: a job may count baselines, then iterations.
    phase: (u64, f64),
    /// Stop was asked for.
    pub(crate) stopping: bool,
}

impl Job {
    /// A job that has just been asked for.
    pub(crate) fn new(id: JobId, purpose: Purpose, title: impl Into<String>) -> Self {
        Self {
            id,
            purpose,
            title: title.into(),
            done: 0,
            total: 0,
            unit: String::new(),
            elapsed_secs: 0.0,
            phase: (0, 0.0),
            stopping: false,
        }
    }

    /// Share done, when the total is known.
    pub(crate) fn share(&self) -> Option<f32> {
        (self.total > 0).then(|| self.done as f32 / self.total as f32)
    }

    /// Takes in how far the job is.
    pub(crate) fn progress(&mut self, (done, total): (u64, u64), unit: String, elapsed_secs: f64) {
        if unit != self.unit || done < self.done {
            self.phase = (done.min(1), self.elapsed_secs.max(elapsed_secs - 1.0));
            self.unit = unit;
        }
        (self.done, self.total, self.elapsed_secs) = (done, total, elapsed_secs);
    }

    /// Units per second in the present phase, once it can be told.
    pub(crate) fn rate(&self) -> Option<f64> {
        let (first, began) = self.phase;
        let (done, secs) = (self.done.saturating_sub(first), self.elapsed_secs - began);
        (done > 0 && secs > 0.5).then(|| done as f64 / secs)
    }

    /// Seconds left in the present phase at its speed so far.
    pub(crate) fn secs_left(&self) -> Option<f64> {
        let rate = self.rate()?;
        (self.total > self.done).then(|| (self.total - self.done) as f64 / rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_told_for_each_phase() {
        let mut job = Job::new(JobId(1), Purpose::Discover, "Discovering");
        job.progress((10, 80), "iterations".to_owned(), 5.0);
        job.progress((60, 80), "iterations".to_owned(), 29.0);
        let rate = job.rate().unwrap();
        assert!((2.0..2.7).contains(&rate), "{rate}");
        job.progress((0, 13), "held-out checks".to_owned(), 30.0);
        assert_eq!(job.rate(), None);
        job.progress((4, 13), "held-out checks".to_owned(), 34.0);
        let left = job.secs_left().unwrap();
        assert!((8.0..13.0).contains(&left), "{left}");
    }
}
