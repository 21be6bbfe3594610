//! Commands in, events out.
//!
//! Five threads stand behind [`Studio`]: `engine` owns the model and does one job at a time, `io` reads and writes the
//! workspace, `files` compares and copies models and converts SAEs, `features` answers questions about features, `net`
//! hands out what is to be asked of the hub. [`Studio::send`] never waits for any of them. Stop and live steering do not queue: they are set at once on handles that the running job
//! reads before each step or token. A second job of the engine is refused with the name of the first.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::Sender;
use tiller_protocol::chat::TemplateOptions;
use tiller_protocol::message::{Command, Event, JobId};
use tiller_protocol::model::{DeviceChoice, DtypeChoice};
use tiller_protocol::problem::Problem;
use tiller_protocol::settings::AppSettings;

use crate::assets::Assets;
use crate::features::Features;
use crate::files_thread::FileJobs;
use crate::installed::{Installed, is_same};
use crate::library::Library;
use crate::live::LiveSteering;
use crate::models::{Held, Sources};
use crate::net::{self, HubOptions, Net, Order};
use crate::outbox::{Outbox, Wake};
use crate::workspace::Workspace;
use crate::{engine_thread, features_thread, files_thread, io_thread, problem};

/// Commands that may wait for the io thread.
const IO_QUEUE: usize = 1024;

/// How the application is started.
#[derive(Clone, Debug, Default)]
pub struct StudioOptions {
    /// Workspace folder; the platform's data folder when absent.
    pub workspace: Option<PathBuf>,
    /// Device for models, in place of the one in the settings.
    pub device: Option<DeviceChoice>,
    /// Number format of the weights, in place of the one in the settings.
    pub dtype: Option<DtypeChoice>,
    /// What chat templates are told; what it leaves open, the settings say.
    pub template: TemplateOptions,
    /// How the hub is reached and where its files are kept.
    pub hub: HubOptions,
}

/// The application without a window.
pub struct Studio {
    shared: Arc<Shared>,
    engine: Option<Sender<Command>>,
    io: Option<Sender<Command>>,
    files: Option<Sender<Command>>,
    features: Option<Sender<Command>>,
    net: Option<Sender<Order>>,
    threads: Vec<JoinHandle<()>>,
}

/// What window, engine and io share.
pub(crate) struct Shared {
    /// Events on their way to the window.
    pub(crate) outbox: Outbox,
    /// The user's files.
    pub(crate) workspace: Workspace,
    /// Shipped files, or why there are none.
    pub(crate) assets: Result<Assets, Problem>,
    /// Models and SAEs on this machine.
    pub(crate) installed: Installed,
    /// Work on their files.
    pub(crate) file_jobs: FileJobs,
    /// Searches among features, and the logit lens of the loaded model.
    pub(crate) features: Features,
    /// The hub.
    pub(crate) net: Net,
    /// Personas.
    pub(crate) library: Library,
    /// Steering of replies.
    pub(crate) live: LiveSteering,
    /// Settings as last saved.
    pub(crate) settings: Mutex<AppSettings>,
    /// Device and number format asked for at the start, before the settings.
    choice: (Option<DeviceChoice>, Option<DtypeChoice>),
    /// What chat templates were asked to be told at the start.
    template: TemplateOptions,
    current: Mutex<Option<Current>>,
    /// A search that is to run once the older one has ended.
    waiting: Mutex<Option<Command>>,
    held: Mutex<Held>,
    /// Files of the model that is being loaded.
    opening: Mutex<Option<PathBuf>>,
    /// Asks the io thread for the list of assets; gone when Tiller ends, so that the thread does.
    io: Mutex<Option<Sender<Command>>>,
}

/// While it lives, the files of a model are known to be read.
pub(crate) struct Opening<'a>(&'a Mutex<Option<PathBuf>>);

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The job that runs or is about to.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    /// Its number.
    pub(crate) job: JobId,
    /// What it does, for people.
    pub(crate) title: String,
    /// Set to stop it.
    pub(crate) stop: Arc<AtomicBool>,
    /// It is a search, which a newer one may stop.
    pub(crate) is_search: bool,
}

/// When a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It has the engine.
    Now,
    /// Once the older search that is being stopped has ended.
    AfterTheOlder,
}

impl Shared {
    /// The job that runs, if any.
    pub(crate) fn current(&self) -> Option<Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Marks the engine as free and tells how the job ended. In this order, so that the window may start the next job
    /// as soon as it hears of the end.
    pub(crate) fn end_job(&self, event: Event) {
        let ended = self.current.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended {
            log::info!("Job ended: {}", ended.title);
        }
        self.outbox.post(event);
    }

    /// Takes the engine for a job. A search, given as `search`, waits for an older one, which has been told to stop.
    ///
    /// # Errors
    /// When another job has it.
    fn begin_job(&self, job: JobId, title: String, search: Option<&Command>) -> Result<Turn, Problem> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match (current.as_ref(), search) {
            (Some(running), Some(search)) if running.is_search => {
                *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(search.clone());
                Ok(Turn::AfterTheOlder)
            }
            (Some(running), _) => Err(problem::busy(&running.title)),
            (None, _) => {
                *current = Some(Current { job, title, stop: Arc::default(), is_search: search.is_some() });
                Ok(Turn::Now)
            }
        }
    }

    /// The search that waited for an older one, if there is one and the engine is free; it has the engine now.
    pub(crate) fn begin_waiting(&self) -> Option<(Current, Command)> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.is_some() {
            return None;
        }
        let command = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let (job, title) = Studio::job(&command)?;
        let began = Current { job, title, stop: Arc::default(), is_search: true };
        *current = Some(began.clone());
        Some((began, command))
    }

    /// Device and number format for the next model.
    pub(crate) fn choice(&self) -> (DeviceChoice, DtypeChoice) {
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        (self.choice.0.unwrap_or(settings.device), self.choice.1.unwrap_or(settings.dtype))
    }

    /// What the chat template of the next model is told, where `asked` leaves it open.
    pub(crate) fn template_options(&self, asked: TemplateOptions) -> TemplateOptions {
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        TemplateOptions {
            thinking: asked.thinking.or(self.template.thinking).or(settings.thinking),
            date: asked.date.or(self.template.date),
        }
    }

    /// Memory that the loaded model would give back.
    pub(crate) fn held(&self) -> Held {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes how much the loaded model takes; nothing by default.
    pub(crate) fn set_held(&self, held: Held) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }

    /// Notes that a model's files are being read.
    pub(crate) fn open_files(&self, path: &Path) -> Opening<'_> {
        *self.opening.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.to_owned());
        Opening(&self.opening)
    }

    /// Whether a model's files belong to the loaded model, or to the one that is being loaded.
    pub(crate) fn is_in_use(&self, path: &Path) -> bool {
        let opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // A GGUF file may have been opened by its folder.
        let is_meant = |used: &Path| [Some(path), path.parent()].into_iter().flatten().any(|path| is_same(path, used));
        is_meant(&self.held().path) || opening.is_some_and(|used| is_meant(&used))
    }

    /// Where models are looked for.
    pub(crate) fn sources(&self) -> Sources<'_> {
        Sources { assets: &self.assets, installed: &self.installed }
    }

    /// Lets the list of assets be sent soon.
    pub(crate) fn ask_for_assets(&self) {
        // A full queue holds such an order already, or one after which the window asks itself.
        let io = self.io.lock().unwrap_or_else(PoisonError::into_inner);
        if io.as_ref().is_some_and(|io| io.try_send(Command::ListAssets).is_err()) {
            log::debug!("the list of assets is not sent: too many commands wait");
        }
    }

    /// Neutral user texts.
    ///
    /// # Errors
    /// When the shipped files are missing.
    pub(crate) fn neutral(&self) -> Result<Vec<String>, Problem> {
        self.assets.as_ref().map_err(Clone::clone)?.neutral()
    }

    fn fail(&self, job: Option<JobId>, problem: Problem) {
        self.outbox.post(Event::Failed { job, problem });
    }
}

impl Studio {
    /// Opens the workspace and starts the threads. `wake` is called, from any thread, whenever there are new events.
    ///
    /// # Errors
    /// A workspace that another window works in or that cannot be made.
    pub fn open(options: &StudioOptions, wake: Wake) -> Result<Self, Problem> {
        let workspace = Workspace::open(options.workspace.as_deref())?;
        let assets = Assets::find();
        let shipped = assets.as_ref().ok().map(Assets::personas);
        let library = Library::new(shipped.into_iter().chain([workspace.personas()]).collect());
        let (settings, notice) = workspace.load_settings();
        let installed = Installed::new(&workspace, options.hub.cache.clone(), assets.as_ref().ok());
        let shared = Arc::new(Shared {
            outbox: Outbox::new(wake),
            workspace,
            assets,
            installed,
            file_jobs: FileJobs::default(),
            features: Features::default(),
            net: Net::new(&options.hub, settings.offline),
            library,
            live: LiveSteering::default(),
            settings: Mutex::new(settings),
            choice: (options.device, options.dtype),
            template: options.template,
            current: Mutex::new(None),
            waiting: Mutex::default(),
            held: Mutex::default(),
            opening: Mutex::default(),
            io: Mutex::default(),
        });
        if let Some(problem) = notice {
            shared.fail(None, problem);
        }
        // One job runs at a time, so a few places are enough for whatever may be sent.
        let (engine, engine_orders) = crossbeam_channel::bounded(4);
        let (io, io_orders) = crossbeam_channel::bounded(IO_QUEUE);
        let (files, file_orders) = crossbeam_channel::bounded(IO_QUEUE);
        let (features, feature_orders) = crossbeam_channel::bounded(IO_QUEUE);
        *shared.io.lock().unwrap_or_else(PoisonError::into_inner) = Some(io.clone());
        let (net, net_thread) = net::start(Arc::clone(&shared))?;
        let threads = vec![
            net_thread,
            engine_thread::start(Arc::clone(&shared), engine_orders)?,
            io_thread::start(Arc::clone(&shared), io_orders)?,
            files_thread::start(Arc::clone(&shared), file_orders)?,
            features_thread::start(Arc::clone(&shared), feature_orders)?,
        ];
        let (engine, io, files, features, net) = (Some(engine), Some(io), Some(files), Some(features), Some(net));
        Ok(Self { shared, engine, io, files, features, net, threads })
    }

    /// Hands in a command; never waits.
    pub fn send(&self, command: Command) {
        match command {
            Command::Cancel(job) => {
                if let Some(current) = self.shared.current().filter(|current| current.job == job) {
                    current.stop.store(true, Ordering::Relaxed);
                }
                self.shared.file_jobs.stop(job);
                self.shared.features.stop(job);
                self.drop_waiting(Some(job));
            }
            Command::AskHub(_)
            | Command::StartDownload { .. }
            | Command::PauseDownload(_)
            | Command::ResumeDownload(_)
            | Command::CancelDownload(_)
            | Command::DismissDownload(_)
            | Command::SetToken(_) => self.queue_net(command),
            Command::Refresh | Command::SaveSettings(_) => {
                if command == Command::Refresh {
                    self.queue(self.features.as_ref(), Command::ListSaes);
                }
                self.queue_net(command.clone());
                self.queue(self.io.as_ref(), command);
            }
            Command::SetSteering(steering) => self.shared.live.set(steering),
            Command::UnloadModel => match self.shared.current() {
                Some(running) => self.shared.fail(None, problem::busy(&running.title)),
                None => self.queue(self.engine.as_ref(), Command::UnloadModel),
            },
            Command::ImportAsset { job, .. }
            | Command::VerifyAsset { job, .. }
            | Command::OpenSae { job, .. }
            | Command::ImportFeatures { job, .. } => {
                self.shared.file_jobs.begin(job);
                self.queue(self.files.as_ref(), command);
            }
            Command::RemoveAsset(_) | Command::MoveAsset { .. } => self.queue(self.files.as_ref(), command),
            Command::SearchFeatures { job, ref search } => {
                let needs_model = search.query.needs_model();
                self.shared.features.begin(job);
                self.drop_waiting(None);
                if let Some(older) = self.shared.current().filter(|current| current.is_search) {
                    older.stop.store(true, Ordering::Relaxed);
                }
                if needs_model { self.begin(command) } else { self.queue(self.features.as_ref(), command) }
            }
            Command::ListSaes
            | Command::RemoveSae(_)
            | Command::MoveSae { .. }
            | Command::FeatureRows { .. }
            | Command::OpenFeature(_)
            | Command::SetBookmark { .. }
            | Command::SetNote { .. }
            | Command::AddLabel { .. }
            | Command::RemoveLabel { .. }
            | Command::ExportFeature { .. } => self.queue(self.features.as_ref(), command),
            command => self.begin(command),
        }
    }

    /// Begins a job of the engine; what is none goes to the io thread.
    fn begin(&self, command: Command) {
        let Some((job, title)) = Self::job(&command) else {
            return self.queue(self.io.as_ref(), command);
        };
        let is_search = matches!(command, Command::SearchFeatures { .. });
        match self.shared.begin_job(job, title, is_search.then_some(&command)) {
            Ok(Turn::Now) => self.queue(self.engine.as_ref(), command),
            Ok(Turn::AfterTheOlder) => {}
            Err(problem) => self.shared.fail(Some(job), problem),
        }
    }

    /// Stops the search that waits for the engine, if it is this one or any is meant.
    fn drop_waiting(&self, meant: Option<JobId>) {
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let job = waiting.as_ref().and_then(Self::job).map(|(job, _)| job);
        if let Some(job) = job.filter(|job| meant.is_none_or(|meant| meant == *job)) {
            *waiting = None;
            self.shared.outbox.post(Event::Stopped { job });
        }
    }

    /// The next event, if there is one.
    pub fn try_event(&self) -> Option<Event> {
        self.shared.outbox.take()
    }

    /// The folder that holds what the user has made.
    pub fn workspace(&self) -> &Path {
        self.shared.workspace.root()
    }

    fn queue(&self, channel: Option<&Sender<Command>>, command: Command) {
        let refused = channel.is_none_or(|channel| channel.try_send(command).is_err());
        if refused {
            self.shared.fail(None, problem::bad_input("too many commands are waiting", "Try again in a moment."));
        }
    }

    fn queue_net(&self, command: Command) {
        let refused = self.net.as_ref().is_none_or(|net| net.try_send(Order::Command(command)).is_err());
        if refused {
            self.shared.fail(None, problem::bad_input("too many commands are waiting", "Try again in a moment."));
        }
    }

    /// Number and title of a command that is a job of the engine.
    fn job(command: &Command) -> Option<(JobId, String)> {
        match command {
            Command::LoadModel { job, .. } => Some((*job, "Loading the model".to_owned())),
            Command::Extract { job, persona, .. } => Some((*job, format!("Extracting {}", title_case(persona)))),
            Command::StartDiscovery { job, settings } => {
                Some((*job, format!("Discovering prompts for {}", title_case(&settings.persona))))
            }
            Command::Evaluate { job, persona, .. } => Some((*job, format!("Measuring {}", title_case(persona)))),
            Command::Say { job, .. } => Some((*job, "Replying".to_owned())),
            Command::TestSae { job, .. } => Some((*job, "Trying the SAE on the model".to_owned())),
            Command::SearchFeatures { job, search } if search.query.needs_model() => {
                Some((*job, "Looking for what fires".to_owned()))
            }
            Command::ProbeFeature { job, .. } => Some((*job, "Reading the text".to_owned())),
            Command::ScanFeatures { job, .. } => Some((*job, "Scanning texts for features".to_owned())),
            Command::LabelFeatures { job, .. } => Some((*job, "Writing labels".to_owned())),
            Command::TrainSae { job, .. } => Some((*job, "Training an SAE".to_owned())),
            Command::Refresh
            | Command::CheckModel(_)
            | Command::UnloadModel
            | Command::SetSteering(_)
            | Command::Cancel(_)
            | Command::OpenRun { .. }
            | Command::SaveSettings(_)
            | Command::ExportText { .. }
            | Command::ExportVector { .. }
            | Command::DeleteVector(_)
            | Command::RestoreVector(_)
            | Command::ListAssets
            | Command::ListCatalogue
            | Command::AskHub(_)
            | Command::StartDownload { .. }
            | Command::PauseDownload(_)
            | Command::ResumeDownload(_)
            | Command::CancelDownload(_)
            | Command::DismissDownload(_)
            | Command::ImportAsset { .. }
            | Command::VerifyAsset { .. }
            | Command::RemoveAsset(_)
            | Command::MoveAsset { .. }
            | Command::AddFolder(_)
            | Command::ForgetFolder(_)
            | Command::ChooseFolder(_)
            | Command::SetToken(_)
            | Command::ListSaes
            | Command::OpenSae { .. }
            | Command::RemoveSae(_)
            | Command::MoveSae { .. }
            | Command::SearchFeatures { .. }
            | Command::FeatureRows { .. }
            | Command::OpenFeature(_)
            | Command::SetBookmark { .. }
            | Command::SetNote { .. }
            | Command::AddLabel { .. }
            | Command::RemoveLabel { .. }
            | Command::ImportFeatures { .. }
            | Command::ExportFeature { .. } => None,
        }
    }
}

/// A persona's id as a name: looking its real name up would mean to wait for the disk.
fn title_case(id: &str) -> String {
    let mut chars = id.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars.map(|c| if matches!(c, '-' | '_') { ' ' } else { c })).collect()
}

impl Drop for Studio {
    fn drop(&mut self) {
        if let Some(current) = self.shared.current() {
            current.stop.store(true, Ordering::Relaxed);
        }
        self.shared.file_jobs.close();
        *self.shared.io.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.engine = None;
        self.io = None;
        self.files = None;
        self.features = None;
        // The thread hands work out and never waits, so there is room soon.
        if self.net.take().is_some_and(|net| net.send(Order::End).is_err()) {
            log::error!("the thread of the network ended before");
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("a thread of the studio ended with a panic");
            }
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) mod tests_support {
    //! What the threads share, without the threads.

    use super::*;

    /// An idle application with one job begun.
    pub(crate) fn shared(title: &str) -> (Shared, Current) {
        let shared = Shared {
            outbox: Outbox::new(Arc::new(|| ())),
            workspace: Workspace::temp(),
            assets: Assets::find(),
            installed: Installed::nothing(),
            file_jobs: FileJobs::default(),
            features: Features::default(),
            net: Net::new(&HubOptions { offline: true, ..HubOptions::default() }, true),
            library: Library::new(vec![]),
            live: LiveSteering::default(),
            settings: Mutex::default(),
            choice: (None, None),
            template: TemplateOptions::default(),
            current: Mutex::default(),
            waiting: Mutex::default(),
            held: Mutex::default(),
            opening: Mutex::default(),
            io: Mutex::default(),
        };
        shared.begin_job(JobId(1), title.to_owned(), None).expect("nothing else runs");
        let current = shared.current().expect("the job has begun");
        (shared, current)
    }
}
