//! What all commands begin with: a model, the personas, a sink.

use std::time::{Duration, Instant};

use tiller_protocol::model::ModelSource;
use tiller_protocol::problem::Problem;

use super::options::{Global, Step};
use crate::assets::Assets;
use crate::installed::Installed;
use crate::jobs::{Report, Sink};
use crate::library::Library;
use crate::models::{self, Held, Loaded, Sources};
use crate::workspace::Workspace;

/// Least time between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_millis(34);

/// A loaded model with the personas.
pub(super) struct Session {
    /// The model.
    pub(super) loaded: Loaded,
    /// Personas, shipped and the user's own.
    pub(super) library: Library,
    /// Neutral user texts.
    pub(super) neutral: Vec<String>,
    /// The workspace, read only.
    pub(super) workspace: Workspace,
}

impl Session {
    /// Loads a model.
    ///
    /// # Errors
    /// A model that cannot be loaded, or a stop.
    pub(super) fn open(global: &Global, model: &ModelSource) -> Result<Self, Problem> {
        let assets = Assets::find();
        let workspace = Workspace::read_only(global.workspace.as_deref())?;
        let mut sink = WatchSink::new(global, "Loading the model");
        let installed = Installed::new(&workspace, global.hub.cache.clone(), assets.as_ref().ok());
        let sources = Sources { assets: &assets, installed: &installed };
        let plan = models::plan(model, sources, (global.device, global.dtype), &Held::default())?;
        if let Some(note) = &plan.check.note {
            log::warn!("{note}");
        }
        let loaded = models::load(&plan, sources, global.load, &mut sink)?;
        let assets = assets?;
        let library = Library::new(vec![assets.personas(), workspace.personas()]);
        Ok(Self { loaded, library, neutral: assets.neutral()?, workspace })
    }
}

/// Passes progress on to the command's watch.
pub(super) struct WatchSink<'a> {
    global: &'a Global,
    title: String,
    began: Instant,
    last: Option<(Instant, &'static str)>,
    /// More about the step, for people.
    detail: String,
    /// What went wrong without ending the job.
    pub(super) troubles: Vec<Problem>,
}

impl<'a> WatchSink<'a> {
    /// A sink for a part of the work.
    pub(super) fn new(global: &'a Global, title: impl Into<String>) -> Self {
        Self {
            global,
            title: title.into(),
            began: Instant::now(),
            last: None,
            detail: String::new(),
            troubles: Vec::new(),
        }
    }
}

impl Sink for WatchSink<'_> {
    fn report(&mut self, report: Report) {
        match report {
            Report::Step { done, total, unit } => {
                let Some(on_step) = &self.global.watch.on_step else { return };
                let now = Instant::now();
                let is_last = done == total;
                let is_early = self.last.is_some_and(|(at, of)| of == unit && now - at < REPORT_EVERY);
                if is_early && !is_last {
                    return;
                }
                self.last = Some((now, unit));
                on_step(&Step {
                    title: self.title.clone(),
                    done,
                    total,
                    unit: unit.to_owned(),
                    elapsed_secs: self.began.elapsed().as_secs_f64(),
                    rate: None,
                    detail: self.detail.clone(),
                });
            }
            Report::Trouble(problem) => self.troubles.push(problem),
            Report::Discovery(_)
            | Report::Baselines { .. }
            | Report::Text { .. }
            | Report::SideDone { .. }
            | Report::FeaturesChanged(_) => {}
            Report::Training(point) => {
                let dead = 100.0 * point.dead;
                self.detail = format!("FVU {:.4}, L0 {:.1}, dead {dead:.1} %", point.fvu, point.l0);
            }
        }
    }

    fn part(&mut self, title: &str) {
        title.clone_into(&mut self.title);
        self.began = Instant::now();
        self.last = None;
    }

    fn is_stopped(&self) -> bool {
        self.global.watch.is_stopped()
    }
}
