//! The application as a test drives it: commands in, events out, with a deadline on every wait.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tiller_hub::endpoint::Endpoint;
use tiller_hub::http::HubSettings;
use tiller_protocol::message::{Command, Event, JobId};
use tiller_protocol::model::{LoadOptions, ModelInfo, ModelSource};
use tiller_protocol::problem::Problem;
use tiller_studio::{HubOptions, Studio, StudioOptions};

/// Longest wait for one event. Generous: the tests may share a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(5);

/// An open application.
pub struct Desk {
    /// The application.
    pub studio: Studio,
    next_job: u64,
}

impl Desk {
    /// Opens the application on a workspace folder; there is no network.
    pub fn open(workspace: &Path) -> Result<Self> {
        // What the person at this computer has downloaded is no part of a test.
        let nowhere = HubSettings { is_offline: true, ..HubSettings::at(Endpoint::default()) };
        let hub = HubOptions { settings: Some(nowhere), cache: Some(workspace.join("hub")), ..HubOptions::default() };
        let options = StudioOptions { workspace: Some(workspace.to_path_buf()), hub, ..StudioOptions::default() };
        Ok(Self { studio: Studio::open(&options, Arc::new(|| ()))?, next_job: 1 })
    }

    /// Sends a command.
    pub fn send(&self, command: Command) {
        self.studio.send(command);
    }

    /// Starts a job made by `command` and returns its number.
    pub fn start(&mut self, command: impl FnOnce(JobId) -> Command) -> JobId {
        let job = JobId(self.next_job);
        self.next_job += 1;
        self.send(command(job));
        job
    }

    /// The first event that `wanted` takes; those before it are dropped.
    pub fn wait<T>(&self, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while Instant::now() < deadline {
            match self.studio.try_event() {
                Some(event) => match wanted(&event) {
                    Some(found) => return Ok(found),
                    None => seen.push(event),
                },
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        let last: Vec<&Event> = seen.iter().rev().take(3).collect();
        bail!("{what} did not come; of {} events the last were {last:?}", seen.len())
    }

    /// As [`Self::wait`], but a failure of `job` ends the wait with its problem.
    pub fn wait_job<T>(&self, job: JobId, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> Result<T> {
        self.wait(what, |event| match event {
            Event::Failed { job: Some(failed), problem } if *failed == job => Some(Err(problem.clone().into())),
            other => wanted(other).map(Ok),
        })?
    }

    /// The problem that `job` fails with.
    pub fn wait_failure(&self, job: JobId) -> Result<Problem> {
        self.wait("a failure", |event| match event {
            Event::Failed { job: Some(failed), problem } if *failed == job => Some(Ok(problem.clone())),
            other if ends(other, job) => Some(Err(anyhow::anyhow!("the job ended with {other:?}"))),
            _ => None,
        })?
    }

    /// Loads a model and waits until it is there.
    pub fn load(&mut self, source: ModelSource) -> Result<ModelInfo> {
        let job = self.start(|job| Command::LoadModel { job, source, options: LoadOptions::default() });
        self.wait_job(job, "the model", |event| match event {
            Event::ModelReady { job: ready, info } if *ready == job => Some(info.as_ref().clone()),
            _ => None,
        })
    }
}

/// Whether an event ends `job` in another way than by failing.
pub fn ends(event: &Event, job: JobId) -> bool {
    match event {
        Event::ModelReady { job: ended, .. }
        | Event::VectorReady { job: ended, .. }
        | Event::DiscoveryDone { job: ended, .. }
        | Event::Evaluated { job: ended, .. }
        | Event::ChatDone { job: ended }
        | Event::Stopped { job: ended } => *ended == job,
        _ => false,
    }
}
