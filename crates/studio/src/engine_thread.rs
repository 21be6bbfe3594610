//! The thread that owns the model and does one job at a time.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::SystemTime;

use crossbeam_channel::Receiver;
use tiller_engine::Edit;
use tiller_engine::sae::Precision;
use tiller_protocol::message::{Command, Event, JobId};
use tiller_protocol::model::{LoadOptions, ModelSource};
use tiller_protocol::problem::Problem;
use tiller_protocol::steering::{Steering, SteeringRow};

use crate::clock::stamp;
use crate::features::open::slug;
use crate::features::self_test::self_test;
use crate::features::shelf::{OpenSae, counted};
use crate::jobs::material::Shelf;
use crate::jobs::{EventSink, Sink as _, chat, discover, evaluate, extract, features, train_sae};
use crate::models::{self, Held, Loaded};
use crate::steering::Maker;
use crate::studio::{Current, Shared};
use crate::{io_thread, problem, steering};

/// Stack of the thread: deep models and reverse passes recurse.
const STACK_BYTES: usize = 32 << 20;

/// Starts the thread; it ends when the sender of `orders` is gone.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(shared: Arc<Shared>, orders: Receiver<Command>) -> Result<JoinHandle<()>, Problem> {
    Builder::new()
        .name("engine".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let mut engine = Engine { shared, loaded: None };
            for command in orders {
                match (engine.shared.current(), command) {
                    (None, Command::UnloadModel) => engine.unload(),
                    (Some(current), command) => {
                        engine.run(&current, command);
                        while let Some((current, command)) = engine.shared.begin_waiting() {
                            engine.run(&current, command);
                        }
                    }
                    // A command without a job is never queued here.
                    (None, _) => {}
                }
            }
        })
        .map_err(|error| problem::no_thread(&error))
}

struct Engine {
    shared: Arc<Shared>,
    loaded: Option<Loaded>,
}

impl Engine {
    fn unload(&mut self) {
        self.shared.features.set_model(None);
        self.loaded = None;
        self.shared.set_held(Held::default());
        self.shared.outbox.post(Event::ModelUnloaded);
    }

    fn run(&mut self, current: &Current, command: Command) {
        let shared = Arc::clone(&self.shared);
        let end = run_job(&shared, current, |sink| self.carry_out(current.job, command, sink));
        if matches!(end, Event::VectorReady { .. } | Event::DiscoveryDone { .. }) {
            io_thread::post_vectors(&shared);
        }
        if matches!(end, Event::DiscoveryDone { .. }) {
            io_thread::post_runs(&shared);
        }
        if matches!(end, Event::ModelReady { .. }) {
            // Its hash and the time of its last use are news.
            shared.ask_for_assets();
        }
    }

    fn carry_out(&mut self, job: JobId, command: Command, sink: &mut EventSink<'_>) -> Result<Event, Problem> {
        let shared = Arc::clone(&self.shared);
        match command {
            Command::LoadModel { source, options, .. } => self.load((job, &source), options, sink),
            Command::Say { turns, sampling, side_by_side, plain_turns, .. } => {
                let ask = chat::Ask { turns, sampling, side_by_side, plain_turns };
                let neutral = shared.neutral().unwrap_or_default();
                chat::say(self.loaded()?, &ask, &shared.live, (&shared.workspace, &neutral), sink)?;
                Ok(Event::ChatDone { job })
            }
            Command::Extract { persona, method, .. } => {
                let (loaded, persona) = (self.loaded()?, shared.library.load(&persona)?);
                let neutral = extract::neutral_prompts(&shared.neutral()?);
                let vector = extract::extract(loaded, &persona, method, &neutral, sink)?;
                Ok(Event::VectorReady { job, info: Box::new(shared.workspace.save_vector(&vector)?) })
            }
            Command::StartDiscovery { settings, .. } => {
                let (loaded, neutral) = (self.loaded()?, shared.neutral()?);
                let shelf = Shelf {
                    library: &shared.library,
                    neutral: &neutral,
                    workspace: Some(&shared.workspace),
                    max_select: None,
                };
                let folder = shared.workspace.new_run(&stamp(SystemTime::now()), &settings);
                let run = discover::run(loaded, &shelf, &settings, (&folder, false), sink)?;
                Ok(Event::DiscoveryDone { job, run: Box::new(run) })
            }
            Command::Evaluate { persona, placement, prompts, steering, .. } => {
                let loaded = self.loaded()?;
                let persona = &shared.library.load(&persona)?;
                let steering = edits(loaded, &shared, steering)?;
                let (items, prompts, steering) = (&*persona.report, &*prompts, &*steering);
                let ask = evaluate::Ask { persona, items, placement, prompts, steering };
                Ok(Event::Evaluated { job, conditions: evaluate::evaluate(loaded, &ask, sink)? })
            }
            Command::TestSae { sae, .. } => {
                let open = OpenSae::new(&shared.workspace, &sae)?;
                let info = self_test(self.loaded()?, (&open.info, &open.file), &shared.neutral()?, sink)?;
                // It may have been moved to another block meanwhile.
                if shared.workspace.sae(&sae)?.site == info.site {
                    shared.workspace.save_sae(&info)?;
                }
                Ok(Event::SaeTested { job, info: Box::new(counted(info, &open.index)) })
            }
            Command::SearchFeatures { .. }
            | Command::ProbeFeature { .. }
            | Command::ScanFeatures { .. }
            | Command::LabelFeatures { .. } => features::answer(self.loaded()?, &shared, (job, command), sink),
            Command::TrainSae { settings, .. } => {
                let out = shared.workspace.training(&slug(&settings.name), settings.resume);
                let ask = train_sae::Ask {
                    settings: &settings,
                    precision: Precision::F32,
                    out: &out,
                    assets: &shared.assets,
                };
                let trained = train_sae::train(self.loaded()?, &ask, sink)?;
                if trained.is_stopped { Err(problem::stopped()) } else { Ok(Event::SaeTrained { job, path: out }) }
            }
            other => Err(problem::bad_input(&format!("{other:?} is not a job"), "Report this.")),
        }
    }

    fn load(
        &mut self,
        (job, source): (JobId, &ModelSource),
        options: LoadOptions,
        sink: &mut EventSink<'_>,
    ) -> Result<Event, Problem> {
        let shared = Arc::clone(&self.shared);
        let plan = models::plan(source, shared.sources(), shared.choice(), &shared.held())?;
        let _opening = shared.open_files(&plan.dir);
        if !options.anyway && !plan.check.fits() {
            // The window learns why, so that it can offer to load it anyway.
            shared.outbox.post(Event::ModelChecked { source: source.clone(), check: Ok(Box::new(plan.check.clone())) });
        } else if plan.unload_first || !plan.check.fits() {
            self.unload_for_room();
        }
        let options = LoadOptions { template: shared.template_options(options.template), ..options };
        let loaded = models::load(&plan, shared.sources(), options, sink)?;
        let info = Box::new(loaded.info.clone());
        shared.set_held(Held { device: info.device.clone(), bytes: info.weights_bytes, path: plan.dir.clone() });
        // Only now: a model that cannot be loaded does not cost the one that is there, if both fit.
        self.loaded = Some(loaded);
        shared.features.set_model(self.loaded.as_ref());
        Ok(Event::ModelReady { job, info })
    }

    fn unload_for_room(&mut self) {
        if self.loaded.is_some() {
            self.unload();
        }
    }

    fn loaded(&self) -> Result<&Loaded, Problem> {
        self.loaded.as_ref().ok_or_else(problem::no_model)
    }
}

/// Does a job, whatever happens in it, and ends it with exactly one event, which is also returned.
fn run_job(
    shared: &Shared,
    current: &Current,
    work: impl FnOnce(&mut EventSink<'_>) -> Result<Event, Problem>,
) -> Event {
    let Current { job, title, stop, .. } = current.clone();
    shared.outbox.post(Event::Started { job, title: title.clone() });
    let mut sink = EventSink::new(job, &shared.outbox, stop);
    let outcome = catch_unwind(AssertUnwindSafe(|| work(&mut sink)));
    sink.flush();
    let end = match outcome {
        Ok(Ok(event)) => event,
        Ok(Err(_)) if sink.is_stopped() => Event::Stopped { job },
        Ok(Err(problem)) => Event::Failed { job: Some(job), problem },
        Err(panic) => Event::Failed { job: Some(job), problem: problem::panicked(&title, &panic_text(&*panic)) },
    };
    shared.end_job(end.clone());
    end
}

/// The edits of the rows that act, under one name; none when no row does.
fn edits(loaded: &Loaded, shared: &Shared, steering: Option<Steering>) -> Result<Vec<(String, Vec<Edit>)>, Problem> {
    let rows: Vec<SteeringRow> = steering.unwrap_or_default().rows.into_iter().filter(steering::acts).collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let neutral = shared.neutral()?;
    let norm = |block| loaded.resid_norm(block, &neutral);
    let made = Maker::new(&shared.workspace, &loaded.info, loaded.device(), &norm).make(&rows);
    if let Some(problem) = made.problems.into_iter().next() {
        return Err(problem);
    }
    let names: Vec<String> = rows.iter().map(steering::words).collect();
    Ok(vec![(names.join(", "), made.edits)])
}

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no reason given".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::studio::tests_support::shared;

    #[test]
    fn a_panic_becomes_a_failure_and_the_next_job_runs() {
        let (shared, current) = shared("Extracting Warmth");
        let end = run_job(&shared, &current, |_| std::panic::panic_any("index out of bounds"));
        match end {
            Event::Failed { job: Some(JobId(1)), problem } => {
                assert!(problem.cause.contains("Extracting Warmth") && problem.cause.contains("index out of bounds"));
            }
            other => panic!("{other:?}"),
        }
        assert!(shared.current().is_none(), "the engine is free again");
        let end = run_job(&shared, &current, |_| Ok(Event::ChatDone { job: JobId(1) }));
        assert_eq!(end, Event::ChatDone { job: JobId(1) });
        let events: Vec<Event> = std::iter::from_fn(|| shared.outbox.take()).collect();
        assert_eq!(events.len(), 4, "a beginning and an end each: {events:?}");
    }

    #[test]
    fn a_stop_without_a_result_is_told_as_stopped() {
        let (shared, current) = shared("Extracting Warmth");
        current.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let end = run_job(&shared, &current, |sink| sink.check().map(|()| Event::ChatDone { job: JobId(1) }));
        assert_eq!(end, Event::Stopped { job: JobId(1) });
    }
}
