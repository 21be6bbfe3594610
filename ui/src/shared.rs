//! What every page can see and ask for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tiller_protocol::feature::FeatureRef;
use tiller_protocol::message::{Command, JobId, RunSummary};
use tiller_protocol::model::{LoadOptions, ModelCheck, ModelInfo, ModelSource};
use tiller_protocol::persona::{PersonaSummary, Placement};
use tiller_protocol::problem::Problem;
use tiller_protocol::settings::AppSettings;
use tiller_protocol::steering::{ExtractMethod, VectorId, VectorInfo};

use crate::assets::Assets;
use crate::face::{Machine, Output, Request, Ticket};
use crate::features::{Features, PathFor};
use crate::jobs::{Job, Purpose};
use crate::page::Page;
use crate::pages::models::Section;
use crate::widgets::toast::Toasts;

/// Facts about a model that is not loaded, or why it cannot be.
pub(crate) type Check = Result<Box<ModelCheck>, Problem>;

/// Models whose checks are kept.
const KEPT_CHECKS: usize = 8;

/// What was asked of a dialog that is open.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Pending {
    /// A model folder.
    ModelFolder,
    /// A folder to keep models in.
    StorageFolder,
    /// Where the asset that was here is now.
    Moved(PathBuf),
    /// Where to write a text.
    Text(String),
    /// Where to copy a vector.
    Vector(VectorId),
    /// Where to write a feature's decoder row.
    Feature(FeatureRef),
    /// A file or folder for the page Features.
    Features(PathFor),
}

/// A thing that one page hands to another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Handoff {
    /// Steer with this vector in the chat.
    Steer(VectorId),
    /// Put this prompt in its place in the chat.
    Prompt {
        /// Exact text.
        text: String,
        /// Where it stands.
        placement: Placement,
        /// Persona it was found for.
        persona: String,
    },
    /// Set a discovery up for this persona and, if there is one, this vector.
    Discover {
        /// Persona by id.
        persona: String,
        /// Vector of the library.
        vector: Option<VectorId>,
    },
    /// Show a saved run.
    Run(String),
    /// Show a part of the page Models.
    Models(Section),
    /// Steer with these features, all of one SAE, in the chat.
    PinFeatures(Vec<FeatureRef>),
    /// Let a discovery climb these features, all of one SAE.
    ClimbFeatures(Vec<FeatureRef>),
    /// Show a feature's card.
    Feature(FeatureRef),
    /// Open the SAE in this file or folder and show its features.
    OpenSae(PathBuf),
}

/// What the application has reported, and what is to be asked of it.
pub(crate) struct Shared {
    /// Facts about this computer.
    pub(crate) machine: Machine,
    /// The persona library; `None` until it was read.
    pub(crate) personas: Option<Vec<PersonaSummary>>,
    /// The vector library.
    pub(crate) vectors: Vec<VectorInfo>,
    /// Saved runs, newest first.
    pub(crate) runs: Vec<RunSummary>,
    /// Settings of the application.
    pub(crate) settings: AppSettings,
    /// Models and SAEs as files.
    pub(crate) assets: Assets,
    /// Opened SAEs and their features.
    pub(crate) features: Features,
    /// The loaded model.
    pub(crate) model: Option<ModelInfo>,
    /// What is known of models that are not loaded, the last asked for at the end.
    checks: Vec<(ModelSource, Check)>,
    /// Speed of the last reply.
    pub(crate) tokens_per_sec: Option<f64>,
    /// Whether a reply was steered in this session.
    pub(crate) steered: bool,
    /// The running job.
    pub(crate) job: Option<Job>,
    /// The last failure of each sort of job, until it is dismissed or tried again.
    pub(crate) problems: Vec<(Purpose, Problem)>,
    /// A failure that belongs to no job.
    pub(crate) loose_problem: Option<Problem>,
    /// Outcomes in one line.
    pub(crate) toasts: Toasts,
    /// The page in sight.
    pub(crate) page: Page,
    /// What the page in sight hands to another.
    pub(crate) handoff: Option<Handoff>,
    pending: BTreeMap<u64, Pending>,
    output: Output,
    next_number: u64,
}

impl Shared {
    /// Nothing known yet.
    pub(crate) fn new(machine: Machine) -> Self {
        Self {
            machine,
            personas: None,
            vectors: Vec::new(),
            runs: Vec::new(),
            settings: AppSettings::default(),
            assets: Assets::default(),
            features: Features::default(),
            model: None,
            checks: Vec::new(),
            tokens_per_sec: None,
            steered: false,
            job: None,
            problems: Vec::new(),
            loose_problem: None,
            toasts: Toasts::default(),
            page: Page::Home,
            handoff: None,
            pending: BTreeMap::new(),
            output: Output::default(),
            next_number: 0,
        }
    }

    /// A number that was not given before.
    pub(crate) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Asks the application for something.
    pub(crate) fn send(&mut self, command: Command) {
        self.output.commands.push(command);
    }

    /// Asks the shell for something.
    pub(crate) fn request(&mut self, request: Request) {
        self.output.requests.push(request);
    }

    /// What was asked for since the last call.
    pub(crate) fn take_output(&mut self) -> Output {
        std::mem::take(&mut self.output)
    }

    /// Why no job can be started now; `None` when one can.
    pub(crate) fn busy(&self) -> Option<String> {
        self.job.as_ref().map(|job| format!("{} is running. Wait for it or stop it.", job.title))
    }

    /// Why a job that needs a model cannot be started now.
    pub(crate) fn needs_model(&self) -> Option<String> {
        match &self.model {
            Some(_) => self.busy(),
            None => Some("Open a model first.".to_owned()),
        }
    }

    /// Starts a job; `command` is built from its number.
    pub(crate) fn start(&mut self, purpose: Purpose, title: &str, command: impl FnOnce(JobId) -> Command) -> JobId {
        self.toasts.clear();
        self.start_quietly(purpose, title, command)
    }

    /// Starts a job that follows by itself from what is typed: messages in sight stay.
    pub(crate) fn start_quietly(
        &mut self,
        purpose: Purpose,
        title: &str,
        command: impl FnOnce(JobId) -> Command,
    ) -> JobId {
        let id = JobId(self.number());
        self.clear_problem(&purpose);
        self.job = Some(Job::new(id, purpose, title));
        self.send(command(id));
        id
    }

    /// Stops the running job.
    pub(crate) fn stop(&mut self) {
        if let Some(job) = &mut self.job
            && !job.stopping
        {
            job.stopping = true;
            let id = job.id;
            self.send(Command::Cancel(id));
        }
    }

    /// Whether events of `job` are to be taken in.
    pub(crate) fn is_current(&self, job: JobId) -> bool {
        self.job.as_ref().is_some_and(|current| current.id == job)
    }

    /// The running job with this number, the engine's or one beside it.
    pub(crate) fn job_mut(&mut self, job: JobId) -> Option<&mut Job> {
        match &mut self.job {
            Some(current) if current.id == job => Some(current),
            _ => self.assets.job_mut(job),
        }
    }

    /// Takes the running job away when it is `job`.
    pub(crate) fn finish(&mut self, job: JobId) -> Option<Job> {
        if self.is_current(job) { self.job.take() } else { None }
    }

    /// The failure of the last job of this sort.
    pub(crate) fn problem(&self, matches: impl Fn(&Purpose) -> bool) -> Option<&(Purpose, Problem)> {
        self.problems.iter().find(|(purpose, _)| matches(purpose))
    }

    /// Forgets the failure of this sort of job.
    pub(crate) fn clear_problem(&mut self, purpose: &Purpose) {
        let sort = std::mem::discriminant(purpose);
        self.problems.retain(|(other, _)| std::mem::discriminant(other) != sort);
    }

    /// Loads a model if it fits the memory that is free.
    pub(crate) fn load(&mut self, source: ModelSource) {
        self.load_with(source, LoadOptions::default());
    }

    /// Loads a model.
    pub(crate) fn load_with(&mut self, source: ModelSource, options: LoadOptions) {
        let title = match &source {
            ModelSource::Demo => "Opening the demo model".to_owned(),
            ModelSource::Folder(path) => format!("Opening {}", last_part(&path.display().to_string())),
            ModelSource::Hub(id) => format!("Opening {id}"),
        };
        self.start(Purpose::Load(source.clone()), &title, |job| Command::LoadModel { job, source, options });
    }

    /// Takes in what is known about a model that is not loaded.
    pub(crate) fn checked(&mut self, source: ModelSource, check: Check) {
        self.checks.retain(|(known, _)| *known != source);
        self.checks.push((source, check));
        let surplus = self.checks.len().saturating_sub(KEPT_CHECKS);
        self.checks.drain(..surplus);
    }

    /// What is known about a model that is not loaded.
    pub(crate) fn check_of(&self, source: &ModelSource) -> Option<&Check> {
        self.checks.iter().find(|(known, _)| known == source).map(|(_, check)| check)
    }

    /// Whether a model is known not to fit the memory that is free.
    pub(crate) fn is_too_large(&self, source: &ModelSource) -> bool {
        matches!(self.check_of(source), Some(Ok(check)) if !check.fits())
    }

    /// Extracts a persona's vector.
    pub(crate) fn extract(&mut self, persona: &str) {
        let title = format!("Extracting {}", self.persona_name(persona));
        let persona = persona.to_owned();
        self.start(Purpose::Extract(persona.clone()), &title, |job| Command::Extract {
            job,
            persona,
            method: ExtractMethod::MeanDifference,
        });
    }

    /// Deletes a vector and offers to bring it back.
    pub(crate) fn delete_vector(&mut self, id: &VectorId) {
        let name = self.vector(id).map_or_else(|| id.0.clone(), |vector| vector.name.clone());
        self.send(Command::DeleteVector(id.clone()));
        let offer = crate::widgets::toast::Offer::RestoreVector(id.clone());
        self.toasts.offer(format!("Deleted vector {name}"), "Undo", offer);
    }

    /// Lets the user choose a model folder.
    pub(crate) fn pick_model_folder(&mut self) {
        let ticket = self.ticket(Pending::ModelFolder);
        self.request(Request::PickFolder { ticket, title: "Choose a model folder".to_owned() });
    }

    /// Lets the user choose a GGUF file.
    pub(crate) fn pick_model_file(&mut self) {
        let ticket = self.ticket(Pending::ModelFolder);
        let (title, extension) = ("Choose a GGUF file".to_owned(), "gguf".to_owned());
        self.request(Request::PickFile { ticket, title, extension });
    }

    /// Lets the user choose a folder to keep models in.
    pub(crate) fn pick_storage_folder(&mut self) {
        let ticket = self.ticket(Pending::StorageFolder);
        self.request(Request::PickFolder { ticket, title: "Choose a folder to keep models in".to_owned() });
    }

    /// Lets the user show where an asset is now.
    pub(crate) fn pick_moved(&mut self, from: &std::path::Path) {
        let ticket = self.ticket(Pending::Moved(from.to_path_buf()));
        let title = format!("Where is {} now?", last_part(&from.display().to_string()));
        self.request(if crate::assets::is_file(from) {
            Request::PickFile { ticket, title, extension: "gguf".to_owned() }
        } else {
            Request::PickFolder { ticket, title }
        });
    }

    /// Seconds since 1970, where the shell has told when the window was opened.
    pub(crate) fn now(&self, ui: &egui::Ui) -> Option<u64> {
        let opened = self.machine.opened_secs;
        (opened > 0).then(|| opened + ui.input(|input| input.time) as u64)
    }

    /// Lets the user choose where `text` is written.
    pub(crate) fn export_text(&mut self, title: &str, file_name: &str, text: String) {
        let ticket = self.ticket(Pending::Text(text));
        let (title, file_name) = (title.to_owned(), file_name.to_owned());
        self.request(Request::PickSavePath { ticket, title, file_name });
    }

    /// Lets the user choose where a vector is copied.
    pub(crate) fn export_vector(&mut self, id: &VectorId) {
        let ticket = self.ticket(Pending::Vector(id.clone()));
        let file_name = format!("{}.safetensors", id.0);
        self.request(Request::PickSavePath { ticket, title: "Export vector".to_owned(), file_name });
    }

    /// Keeps in mind what a dialog about to be opened is for.
    pub(crate) fn ticket(&mut self, pending: Pending) -> Ticket {
        let number = self.number();
        self.pending.insert(number, pending);
        Ticket(number)
    }

    /// Takes in the answer to a dialog; a chosen model folder or file is returned.
    pub(crate) fn answer(&mut self, ticket: Ticket, path: Option<PathBuf>) -> Option<PathBuf> {
        let pending = self.pending.remove(&ticket.0)?;
        let path = path?;
        match pending {
            Pending::ModelFolder => return Some(path),
            Pending::StorageFolder => self.send(Command::AddFolder(path)),
            Pending::Moved(from) => self.send(Command::MoveAsset { from, to: path }),
            Pending::Text(text) => self.send(Command::ExportText { path, text }),
            Pending::Vector(vector) => self.send(Command::ExportVector { vector, path }),
            Pending::Feature(feature) => self.send(Command::ExportFeature { feature, path }),
            Pending::Features(wanted) => self.features.choose_path(wanted, path),
        }
        None
    }

    /// A persona by id.
    pub(crate) fn persona(&self, id: &str) -> Option<&PersonaSummary> {
        self.personas.as_ref()?.iter().find(|persona| persona.card.id == id)
    }

    /// A persona's name for people.
    pub(crate) fn persona_name(&self, id: &str) -> String {
        self.persona(id).map_or_else(|| id.to_owned(), |persona| persona.card.name.clone())
    }

    /// A vector by id.
    pub(crate) fn vector(&self, id: &VectorId) -> Option<&VectorInfo> {
        self.vectors.iter().find(|vector| vector.id == *id)
    }

    /// Whether a vector was made on the loaded model.
    pub(crate) fn fits(&self, vector: &VectorInfo) -> bool {
        self.model.as_ref().is_some_and(|model| model.hash == vector.model_hash)
    }

    /// The newest vector of a persona that fits the loaded model, or else any of the persona.
    pub(crate) fn vector_of(&self, persona: &str) -> Option<&VectorInfo> {
        let of_persona = || self.vectors.iter().filter(|vector| vector.persona.as_deref() == Some(persona));
        of_persona().rfind(|vector| self.fits(vector)).or_else(|| of_persona().next_back())
    }

    /// Saves the settings.
    pub(crate) fn save_settings(&mut self) {
        let settings = self.settings.clone();
        self.send(Command::SaveSettings(settings));
    }
}

/// The last part of a path written with either separator.
pub(crate) fn last_part(path: &str) -> &str {
    path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or(path)
}
