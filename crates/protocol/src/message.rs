//! Commands to the application and events from it.
//!
//! Job ids are chosen by the sender. Events of a job that is no longer current are ignored by the receiver. A job
//! always ends with exactly one of its `…Ready` / `…Done` events, [`Event::Failed`] or [`Event::Stopped`].

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::asset::{
    AssetKind, AssetLibrary, CatalogueEntry, Download, DownloadId, DownloadOrder, HubListing, HubRefusal, RepoRef,
    Secret, TokenState, Verdict,
};
use crate::chat::{EndReason, Sampling, Side, Turn};
use crate::discovery::{DiscoveryProgress, DiscoverySettings, RunResult};
use crate::evaluation::Condition;
use crate::feature::{
    FeatureCard, FeatureProbe, FeatureRef, FeatureResults, FeatureRow, FeatureSearch, FeatureTrouble, ImportOptions,
    ImportReport, OpenOptions, SaeId, SaeInfo, ScanSettings, TrainPoint, TrainSettings,
};
use crate::model::{LoadOptions, ModelCheck, ModelInfo, ModelSource};
use crate::persona::{PersonaSummary, Placement};
use crate::problem::Problem;
use crate::settings::AppSettings;
use crate::steering::{ExtractMethod, Steering, VectorId, VectorInfo};

/// A job, numbered by whoever starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(pub u64);

/// What the window or the command line asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// List personas, vectors, runs and settings (answered by one event each). Needs no job.
    Refresh,
    /// Load a model; it replaces the one that is loaded.
    LoadModel {
        /// Job.
        job: JobId,
        /// Which one.
        source: ModelSource,
        /// How.
        #[serde(default)]
        options: LoadOptions,
    },
    /// Say what a model is and whether it fits, without loading it (answered by [`Event::ModelChecked`]). Needs no job.
    CheckModel(ModelSource),
    /// Free the loaded model.
    UnloadModel,
    /// Extract a persona's direction for every block.
    Extract {
        /// Job.
        job: JobId,
        /// Persona by id.
        persona: String,
        /// How.
        method: ExtractMethod,
    },
    /// Run a prompt discovery.
    StartDiscovery {
        /// Job.
        job: JobId,
        /// Settings.
        settings: Box<DiscoverySettings>,
    },
    /// Measure conditions on the held-out items of a persona.
    Evaluate {
        /// Job.
        job: JobId,
        /// Persona by id.
        persona: String,
        /// Where prompts stand.
        placement: Placement,
        /// Prompts to measure, besides no prompt.
        prompts: Vec<String>,
        /// Steering to measure, besides none.
        steering: Option<Steering>,
    },
    /// Answer the last user turn, streaming.
    Say {
        /// Job.
        job: JobId,
        /// The conversation; the last turn is the user's.
        turns: Vec<Turn>,
        /// How tokens are drawn.
        sampling: Sampling,
        /// Also stream the plain model's reply, same seed.
        side_by_side: bool,
        /// What the plain model is asked when it differs, e.g. without the discovered prompt; `turns` when absent.
        #[serde(default)]
        plain_turns: Option<Vec<Turn>>,
    },
    /// Replace the steering that replies use; acts from the next token of a reply in flight.
    SetSteering(Steering),
    /// Stop a job; what it has so far is kept.
    Cancel(JobId),
    /// Load the saved result of a run (answered by [`Event::RunLoaded`]).
    OpenRun {
        /// Name of the run.
        id: String,
    },
    /// Save application settings.
    SaveSettings(AppSettings),
    /// Write text to a file chosen by the user.
    ExportText {
        /// Target file.
        path: PathBuf,
        /// Its whole content.
        text: String,
    },
    /// Copy a vector's file to a place chosen by the user.
    ExportVector {
        /// Which one.
        vector: VectorId,
        /// Target file.
        path: PathBuf,
    },
    /// Remove a vector from the library (kept aside for undo by [`Command::RestoreVector`]).
    DeleteVector(VectorId),
    /// Bring back the vector deleted last under this name.
    RestoreVector(VectorId),
    /// List what is installed and where (answered by [`Event::Assets`]). Needs no job.
    ListAssets,
    /// List what the catalogue recommends (answered by [`Event::Catalogue`]). Needs no job.
    ListCatalogue,
    /// Ask the hub what a repository offers (answered by [`Event::HubAnswer`]). Needs no job.
    AskHub(RepoRef),
    /// Begin a download (told by [`Event::Downloads`]).
    StartDownload {
        /// Its number.
        id: DownloadId,
        /// What.
        order: DownloadOrder,
    },
    /// Stop a download, keeping what has come in.
    PauseDownload(DownloadId),
    /// Go on with a paused or failed download.
    ResumeDownload(DownloadId),
    /// Stop a download and forget it; what has come in of unfinished files is deleted.
    CancelDownload(DownloadId),
    /// Take a finished or failed download off the list.
    DismissDownload(DownloadId),
    /// Make a folder or GGUF file known, linked where it is or copied into the imports folder (answered by
    /// [`Event::Imported`]). Runs beside the engine's jobs.
    ImportAsset {
        /// Job.
        job: JobId,
        /// A checkpoint folder, a GGUF file, or an SAE folder.
        path: PathBuf,
        /// Copy it.
        copy: bool,
    },
    /// Compare an asset's files with their checksums (answered by [`Event::Verified`]). Runs beside the engine's jobs.
    VerifyAsset {
        /// Job.
        job: JobId,
        /// Which one.
        path: PathBuf,
    },
    /// Delete an asset's files, or forget it when it is linked (answered by [`Event::AssetRemoved`]).
    RemoveAsset(PathBuf),
    /// Say that a linked or moved asset is now elsewhere.
    MoveAsset {
        /// Where it was.
        from: PathBuf,
        /// Where it is.
        to: PathBuf,
    },
    /// Keep assets in this folder, too.
    AddFolder(PathBuf),
    /// Stop looking into this folder; nothing in it is touched.
    ForgetFolder(PathBuf),
    /// Let downloads go to this folder from now on.
    ChooseFolder(PathBuf),
    /// Keep this token in the keyring and use it; an empty one forgets what is kept (answered by [`Event::Token`]).
    SetToken(Secret),
    /// List the SAEs that were opened (answered by [`Event::Saes`]). Needs no job.
    ListSaes,
    /// Convert an SAE, if that was not done yet, and make its features known (answered by [`Event::SaeOpened`]). Runs
    /// beside the engine's jobs.
    OpenSae {
        /// Job.
        job: JobId,
        /// A file or folder in any published form.
        path: PathBuf,
        /// How.
        options: OpenOptions,
    },
    /// Delete an opened SAE's converted file with its index: labels, notes, bookmarks, examples. The published file stays.
    RemoveSae(SaeId),
    /// Let an opened SAE read another block from now on.
    MoveSae {
        /// Which one.
        sae: SaeId,
        /// Block, 0-based.
        block: usize,
    },
    /// Try an opened SAE on the loaded model (answered by [`Event::SaeTested`]).
    TestSae {
        /// Job.
        job: JobId,
        /// Which one.
        sae: SaeId,
    },
    /// Search features (answered by [`Event::FeaturesFound`]). Runs beside the engine's jobs, unless the query needs the
    /// model ([`crate::feature::FeatureQuery::needs_model`]). A newer search stops an older one.
    SearchFeatures {
        /// Job.
        job: JobId,
        /// For what.
        search: Box<FeatureSearch>,
    },
    /// Rows of the table that are in sight (answered by [`Event::FeatureRows`]). Needs no job.
    FeatureRows {
        /// Which SAE.
        sae: SaeId,
        /// Which features.
        latents: Vec<u32>,
    },
    /// All that is known of a feature (answered by [`Event::FeatureCard`]). Needs no job.
    OpenFeature(FeatureRef),
    /// A feature on a text (answered by [`Event::FeatureProbed`]).
    ProbeFeature {
        /// Job.
        job: JobId,
        /// Which feature.
        feature: FeatureRef,
        /// The text.
        text: String,
    },
    /// Bookmark features, or take their bookmarks away (answered by [`Event::FeaturesChanged`]).
    SetBookmark {
        /// Which SAE.
        sae: SaeId,
        /// Which features.
        latents: Vec<u32>,
        /// Whether they are to be bookmarked.
        on: bool,
    },
    /// Replace the note on a feature; an empty one is none (answered by [`Event::FeaturesChanged`]).
    SetNote {
        /// Which feature.
        feature: FeatureRef,
        /// The whole note.
        text: String,
    },
    /// Give a feature a label of the user's own (answered by [`Event::FeaturesChanged`]).
    AddLabel {
        /// Which feature.
        feature: FeatureRef,
        /// Its text.
        text: String,
    },
    /// Take a label away (answered by [`Event::FeaturesChanged`]).
    RemoveLabel {
        /// Which feature.
        feature: FeatureRef,
        /// Number of the label.
        label: i64,
    },
    /// Read labels, statistics or examples from a file or folder (answered by [`Event::FeaturesImported`]). Runs beside
    /// the engine's jobs.
    ImportFeatures {
        /// Job.
        job: JobId,
        /// Which SAE.
        sae: SaeId,
        /// What to read.
        path: PathBuf,
        /// How.
        options: ImportOptions,
    },
    /// Run the model over texts and note what each feature fires on (answered by [`Event::FeaturesScanned`], partial
    /// results by [`Event::FeaturesChanged`]).
    ScanFeatures {
        /// Job.
        job: JobId,
        /// Which SAE.
        sae: SaeId,
        /// Over what.
        settings: ScanSettings,
    },
    /// Let the loaded model write labels from the examples (answered by [`Event::FeaturesLabelled`]).
    LabelFeatures {
        /// Job.
        job: JobId,
        /// Which SAE.
        sae: SaeId,
        /// Which features.
        latents: Vec<u32>,
    },
    /// Train an SAE on the loaded model (told by [`Event::Training`], answered by [`Event::SaeTrained`]). A stopped
    /// training can be gone on with.
    TrainSae {
        /// Job.
        job: JobId,
        /// How.
        settings: Box<TrainSettings>,
    },
    /// Write a feature's decoder row as a vector to a file chosen by the user.
    ExportFeature {
        /// Which feature.
        feature: FeatureRef,
        /// Target file.
        path: PathBuf,
    },
}

/// A saved run as the list shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Name of the run's folder.
    pub id: String,
    /// Persona's name for people.
    pub persona: String,
    /// Its settings.
    pub settings: DiscoverySettings,
    /// Points on its front.
    pub n_front: usize,
    /// Candidates evaluated.
    pub evaluations: u64,
    /// Whether it was stopped early.
    pub stopped: bool,
}

/// What the application reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The persona library.
    Personas(Vec<PersonaSummary>),
    /// The vector library.
    Vectors(Vec<VectorInfo>),
    /// Saved runs, newest first.
    Runs(Vec<RunSummary>),
    /// A saved run in full.
    RunLoaded(Box<RunResult>),
    /// Application settings as saved.
    Settings(AppSettings),
    /// A job has begun.
    Started {
        /// Job.
        job: JobId,
        /// What it does, for people: `Extracting Sycophancy`.
        title: String,
    },
    /// How far a job is.
    Progress {
        /// Job.
        job: JobId,
        /// Done, in `unit`s.
        done: u64,
        /// Total, in `unit`s; 0 when unknown.
        total: u64,
        /// What is counted, e.g. `pairs`, `iterations`, `tokens`.
        unit: String,
        /// Seconds since the job began.
        elapsed_secs: f64,
    },
    /// What is known about a model that may be loaded.
    ModelChecked {
        /// Which one.
        source: ModelSource,
        /// The facts, or why it cannot be loaded.
        check: Result<Box<ModelCheck>, Problem>,
    },
    /// A model is loaded.
    ModelReady {
        /// Job.
        job: JobId,
        /// What it is.
        info: Box<ModelInfo>,
    },
    /// No model is loaded any more.
    ModelUnloaded,
    /// A vector was extracted and saved.
    VectorReady {
        /// Job.
        job: JobId,
        /// The vector.
        info: Box<VectorInfo>,
    },
    /// A batch of a run's points.
    Discovery {
        /// Job.
        job: JobId,
        /// State of the run.
        progress: Box<DiscoveryProgress>,
    },
    /// Baselines (no prompt, manual prompts, vector steering) measured on selection items, for reference lines.
    Baselines {
        /// Job.
        job: JobId,
        /// Conditions with `select` filled in; manual prompts also carry their target via `targets`.
        conditions: Vec<Condition>,
        /// (cross-entropy, target) of each condition that has a prompt, in the same order; `None` otherwise.
        targets: Vec<Option<(f64, f64)>>,
    },
    /// A run ended by itself or was stopped; it is saved.
    DiscoveryDone {
        /// Job.
        job: JobId,
        /// The whole result.
        run: Box<RunResult>,
    },
    /// Conditions were measured.
    Evaluated {
        /// Job.
        job: JobId,
        /// In the order asked, no prompt first.
        conditions: Vec<Condition>,
    },
    /// New text of a reply.
    ChatDelta {
        /// Job.
        job: JobId,
        /// Which reply.
        side: Side,
        /// Text since the last delta.
        text: String,
    },
    /// A reply ended.
    ChatSideDone {
        /// Job.
        job: JobId,
        /// Which reply.
        side: Side,
        /// Why.
        reason: EndReason,
        /// Tokens written.
        n_tokens: usize,
        /// Tokens per second.
        tokens_per_sec: f64,
    },
    /// All sides of a reply ended.
    ChatDone {
        /// Job.
        job: JobId,
    },
    /// A job was stopped by the user; partial results were kept where there are any.
    Stopped {
        /// Job.
        job: JobId,
    },
    /// A job failed, or (without a job) something else did.
    Failed {
        /// Job, when it was one.
        job: Option<JobId>,
        /// Title, cause and next step.
        problem: Problem,
    },
    /// What is installed and where.
    Assets(Box<AssetLibrary>),
    /// What the catalogue recommends.
    Catalogue {
        /// Models and SAEs, in the order to show them.
        entries: Vec<CatalogueEntry>,
        /// Memory that is free now on the best device, to tell what fits; absent where the system does not tell.
        free_memory_bytes: Option<u64>,
    },
    /// What a repository offers, or why that is not known.
    HubAnswer {
        /// The repository as it was asked for.
        repo: RepoRef,
        /// What it offers.
        answer: Result<Box<HubListing>, HubRefusal>,
    },
    /// All downloads that are under way or ended since the start.
    Downloads(Vec<Download>),
    /// An asset was made known.
    Imported {
        /// Job.
        job: JobId,
        /// What it is.
        kind: AssetKind,
        /// Where it is now.
        path: PathBuf,
    },
    /// An asset's files were compared with their checksums.
    Verified {
        /// Job.
        job: JobId,
        /// The outcome.
        verdict: Box<Verdict>,
    },
    /// An asset was deleted or forgotten.
    AssetRemoved {
        /// Which one.
        path: PathBuf,
        /// Bytes of disk that this freed.
        freed_bytes: u64,
    },
    /// Whether Tiller can sign in to the hub.
    Token(TokenState),
    /// The SAEs that were opened, by name.
    Saes(Vec<SaeInfo>),
    /// An SAE was converted, or had been before, and can be searched.
    SaeOpened {
        /// Job.
        job: JobId,
        /// What it is.
        info: Box<SaeInfo>,
    },
    /// An SAE was tried on the loaded model.
    SaeTested {
        /// Job.
        job: JobId,
        /// What is known of it now.
        info: Box<SaeInfo>,
    },
    /// The answer to a search.
    FeaturesFound {
        /// Job.
        job: JobId,
        /// What was found.
        results: Box<FeatureResults>,
    },
    /// Rows of the table.
    FeatureRows {
        /// Which SAE.
        sae: SaeId,
        /// The rows that were asked for, as far as there are such features.
        rows: Vec<FeatureRow>,
    },
    /// All that is known of a feature, or why it is not known.
    FeatureCard(Result<Box<FeatureCard>, FeatureTrouble>),
    /// A feature on a text.
    FeatureProbed {
        /// Job.
        job: JobId,
        /// What it does there.
        probe: Box<FeatureProbe>,
    },
    /// Labels, bookmarks, notes, statistics or examples of some features have changed: rows, cards and counts that were
    /// sent before are out of date.
    FeaturesChanged(SaeId),
    /// A file of labels, statistics or examples was read.
    FeaturesImported {
        /// Job.
        job: JobId,
        /// Which SAE.
        sae: SaeId,
        /// What came of it.
        report: Box<ImportReport>,
    },
    /// A scan came to its end.
    FeaturesScanned {
        /// Job.
        job: JobId,
        /// Which SAE.
        sae: SaeId,
        /// Tokens of the scan in all.
        tokens: u64,
    },
    /// The model has written labels.
    FeaturesLabelled {
        /// Job.
        job: JobId,
        /// Which SAE.
        sae: SaeId,
        /// How many features got one.
        n_labelled: usize,
    },
    /// New points of a training's plots.
    Training {
        /// Job.
        job: JobId,
        /// Points since the last report.
        points: Vec<TrainPoint>,
    },
    /// A training came to its end; the SAE is saved and can be opened.
    SaeTrained {
        /// Job.
        job: JobId,
        /// Its folder.
        path: PathBuf,
    },
    /// Something ended well that needs one line, e.g. `Saved prompt.txt`.
    Notice(String),
}
