//! The running job as the window knows it. One job runs at a time.

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
}

impl Purpose {
    /// Whether this page tells how the job fares.
    pub(crate) fn shown_on(&self, page: Page) -> bool {
        match self {
            Self::Load(_) => matches!(page, Page::Home | Page::Models),
            Self::Extract(_) => page == Page::Personas,
            Self::Discover => page == Page::Discover,
            Self::Chat => page == Page::Chat,
        }
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
            stopping: false,
        }
    }

    /// Share done, when the total is known.
    pub(crate) fn share(&self) -> Option<f32> {
        (self.total > 0).then(|| self.done as f32 / self.total as f32)
    }

    /// Seconds left at the average speed so far.
    pub(crate) fn secs_left(&self) -> Option<f64> {
        (self.total > self.done && self.done > 0)
            .then(|| self.elapsed_secs / self.done as f64 * (self.total - self.done) as f64)
    }
}
