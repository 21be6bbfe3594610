//! Models and sparse autoencoders on this machine, on the hub and on their way, as the application has reported them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tiller_protocol::asset::{
    Asset, AssetKind, AssetLibrary, AssetOrigin, CatalogueEntry, Download, DownloadId, DownloadOrder, HubListing,
    HubRefusal, RepoRef, TokenState, Verdict,
};
use tiller_protocol::message::{Command, JobId};
use tiller_protocol::model::{LoadOptions, ModelSource};
use tiller_protocol::problem::Problem;

use crate::jobs::{Job, Purpose};
use crate::shared::{Shared, last_part};

/// What a repository offers, or why that is not known.
pub(crate) type HubAnswer = Result<Arc<HubListing>, Arc<HubRefusal>>;

/// Answers of the hub that are kept.
const KEPT_ANSWERS: usize = 16;

/// What has become of looking at an asset's files.
pub(crate) type Outcome = Result<Verdict, Problem>;

/// All that is known.
#[derive(Default)]
pub(crate) struct Assets {
    library: Option<AssetLibrary>,
    catalogue: Option<Vec<CatalogueEntry>>,
    /// Memory that is free for a model; absent where the system does not tell.
    pub(crate) free_memory_bytes: Option<u64>,
    /// Downloads under way or ended.
    pub(crate) downloads: Vec<Download>,
    /// Whether Tiller can sign in.
    pub(crate) token: TokenState,
    /// Imports and comparisons that run beside the engine's job.
    pub(crate) jobs: Vec<Job>,
    answers: Vec<(RepoRef, HubAnswer)>,
    outcomes: Vec<(PathBuf, Outcome)>,
    version: u64,
    last_download: u64,
}

impl Assets {
    /// Counts up whenever library or catalogue change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// What is installed; `None` until it was reported.
    pub(crate) fn library(&self) -> Option<&AssetLibrary> {
        self.library.as_ref()
    }

    /// What the catalogue recommends; `None` until it was reported.
    pub(crate) fn catalogue(&self) -> Option<&[CatalogueEntry]> {
        self.catalogue.as_deref()
    }

    /// Takes in what is installed.
    pub(crate) fn set_library(&mut self, library: AssetLibrary) {
        self.library = Some(library);
        self.version += 1;
    }

    /// Takes in what the catalogue recommends.
    pub(crate) fn set_catalogue(&mut self, entries: Vec<CatalogueEntry>) {
        self.catalogue = Some(entries);
        self.version += 1;
    }

    /// An installed asset by its path.
    pub(crate) fn asset(&self, path: &Path) -> Option<&Asset> {
        self.library.as_ref()?.assets.iter().find(|asset| asset.path == path)
    }

    /// Takes an asset off the list: its files are gone.
    pub(crate) fn removed(&mut self, path: &Path) {
        if let Some(library) = &mut self.library {
            library.assets.retain(|asset| asset.path != path);
            self.version += 1;
        }
        self.outcomes.retain(|(other, _)| other != path);
    }

    /// The asset that was downloaded from a repository; of several SAEs the one in the folder `choice`.
    pub(crate) fn installed(&self, repo: &RepoRef, kind: AssetKind, choice: Option<&str>) -> Option<&Asset> {
        let from = |asset: &&Asset| match &asset.origin {
            AssetOrigin::Hub { repo: found, .. } => found.id.eq_ignore_ascii_case(&repo.id) && asset.kind == kind,
            _ => false,
        };
        let mut found = self.library.as_ref()?.assets.iter().filter(from);
        match choice {
            // `.` is the repository itself, and a model's safetensors lie there, too.
            None | Some("." | "safetensors") => found.find(|asset| !is_file(&asset.path)),
            Some(choice) => found.find(|asset| asset.path.ends_with(choice)),
        }
    }

    /// The download of an order that has not ended well.
    pub(crate) fn download_of(&self, repo: &RepoRef, choice: &str) -> Option<&Download> {
        self.downloads.iter().find(|download| {
            download.order.repo.id.eq_ignore_ascii_case(&repo.id)
                && download.order.choice == choice
                && !matches!(download.phase, tiller_protocol::asset::DownloadPhase::Done { .. })
        })
    }

    /// Takes in an answer of the hub.
    pub(crate) fn answered(&mut self, repo: RepoRef, answer: Result<Box<HubListing>, HubRefusal>) {
        self.answers.retain(|(known, _)| *known != repo);
        // Shared, since a listing may hold hundreds of files and is drawn in every frame.
        self.answers.push((repo, answer.map(Arc::from).map_err(Arc::new)));
        let surplus = self.answers.len().saturating_sub(KEPT_ANSWERS);
        self.answers.drain(..surplus);
    }

    /// The hub's last answer about a repository; `None` while it is awaited.
    pub(crate) fn answer_of(&self, repo: &RepoRef) -> Option<&HubAnswer> {
        self.answers.iter().find(|(known, _)| known == repo).map(|(_, answer)| answer)
    }

    /// The running comparison of an asset's files.
    pub(crate) fn verification(&self, path: &Path) -> Option<&Job> {
        self.jobs.iter().find(|job| matches!(&job.purpose, Purpose::Verify(other) if other == path))
    }

    /// The running import.
    pub(crate) fn import(&self) -> Option<&Job> {
        self.jobs.iter().find(|job| job.purpose == Purpose::Import)
    }

    /// The running job with this number, when it runs beside the engine's.
    pub(crate) fn job_mut(&mut self, id: JobId) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.id == id)
    }

    /// Takes a job off the list.
    pub(crate) fn finish(&mut self, id: JobId) -> Option<Job> {
        let position = self.jobs.iter().position(|job| job.id == id)?;
        Some(self.jobs.remove(position))
    }

    /// Keeps what a comparison has found.
    pub(crate) fn set_outcome(&mut self, path: PathBuf, outcome: Outcome) {
        self.outcomes.retain(|(other, _)| *other != path);
        self.outcomes.push((path, outcome));
    }

    /// What the last comparison of an asset's files has found.
    pub(crate) fn outcome_of(&self, path: &Path) -> Option<&Outcome> {
        self.outcomes.iter().find(|(other, _)| other == path).map(|(_, outcome)| outcome)
    }

    /// Downloads that have something to do by themselves.
    pub(crate) fn n_active(&self) -> usize {
        self.downloads.iter().filter(|download| download.is_active()).count()
    }

    /// Bytes on the disk and bytes in all of the downloads that are active.
    pub(crate) fn active_bytes(&self) -> (u64, u64) {
        let active = self.downloads.iter().filter(|download| download.is_active());
        active.fold((0, 0), |(done, total), download| (done + download.done_bytes(), total + download.total_bytes()))
    }
}

/// A path that names a GGUF file.
pub(crate) fn is_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

impl Shared {
    /// Asks the hub what a repository offers.
    pub(crate) fn ask_hub(&mut self, repo: &RepoRef) {
        self.assets.answers.retain(|(known, _)| known != repo);
        self.send(Command::AskHub(repo.clone()));
    }

    /// Starts a download under a number that is free.
    pub(crate) fn start_download(&mut self, order: DownloadOrder) {
        let assets = &mut self.assets;
        let known = assets.downloads.iter().map(|download| download.id.0).max().unwrap_or(0);
        assets.last_download = known.max(assets.last_download) + 1;
        let id = DownloadId(assets.last_download);
        self.send(Command::StartDownload { id, order });
    }

    /// Pauses every download that is active.
    pub(crate) fn pause_downloads(&mut self) {
        let active: Vec<_> = self.assets.downloads.iter().filter(|d| d.is_active()).map(|d| d.id).collect();
        for id in active {
            self.send(Command::PauseDownload(id));
        }
    }

    /// Makes a folder or file known, linked where it is or copied.
    pub(crate) fn import(&mut self, path: PathBuf, copy: bool) {
        let title = format!("Adding {}", last_part(&path.display().to_string()));
        self.start_beside(Purpose::Import, title, |job| Command::ImportAsset { job, path, copy });
    }

    /// An asset was deleted or forgotten, which freed so many bytes.
    pub(crate) fn asset_removed(&mut self, path: &Path, freed_bytes: u64) {
        let name = self.assets.asset(path).map(|asset| asset.name.clone());
        let name = name.unwrap_or_else(|| last_part(&path.display().to_string()).to_owned());
        self.assets.removed(path);
        self.toasts.good(match freed_bytes {
            0 => format!("{name} is forgotten; no file was touched"),
            freed => format!("{name} is deleted; {} are free again", crate::number::bytes(freed)),
        });
    }

    /// Compares an asset's files with their checksums.
    pub(crate) fn verify(&mut self, asset: &Asset) {
        let path = asset.path.clone();
        self.assets.outcomes.retain(|(other, _)| *other != path);
        let title = format!("Verifying {}", asset.name);
        self.start_beside(Purpose::Verify(path.clone()), title, |job| Command::VerifyAsset { job, path });
    }

    /// Starts a job that leaves the engine alone.
    pub(crate) fn start_beside(
        &mut self,
        purpose: Purpose,
        title: String,
        command: impl FnOnce(JobId) -> Command,
    ) -> JobId {
        let id = JobId(self.number());
        self.assets.jobs.push(Job::new(id, purpose, title));
        self.send(command(id));
        id
    }

    /// The running job beside the engine's that this holds for.
    pub(crate) fn beside(&self, matches: impl Fn(&Purpose) -> bool) -> Option<&Job> {
        self.assets.jobs.iter().find(|job| matches(&job.purpose))
    }

    /// Stops a job that runs beside the engine's.
    pub(crate) fn stop_beside(&mut self, id: JobId) {
        if let Some(job) = self.assets.job_mut(id).filter(|job| !job.stopping) {
            job.stopping = true;
            self.send(Command::Cancel(id));
        }
    }

    /// What to load for an asset. Of a repository with one checkpoint that is its id, which also names the model.
    pub(crate) fn source_of(&self, asset: &Asset) -> ModelSource {
        match &asset.origin {
            AssetOrigin::Shipped => ModelSource::Demo,
            AssetOrigin::Hub { repo, .. } if !is_file(&asset.path) => {
                let same = |other: &&Asset| {
                    let is_same = matches!(&other.origin, AssetOrigin::Hub { repo: found, .. } if found.id == repo.id);
                    is_same && other.kind == AssetKind::Model && !is_file(&other.path)
                };
                let n_same = self.assets.library().map_or(0, |library| library.assets.iter().filter(same).count());
                if n_same == 1 { ModelSource::Hub(repo.id.clone()) } else { ModelSource::Folder(asset.path.clone()) }
            }
            _ => ModelSource::Folder(asset.path.clone()),
        }
    }

    /// Loads an asset, even if it does not fit where the button has said so.
    pub(crate) fn open_asset(&mut self, asset: &Asset) {
        let source = self.source_of(asset);
        let anyway = self.is_too_large(&source);
        self.load_with(source, LoadOptions { anyway, ..LoadOptions::default() });
    }

    /// Whether an asset is the loaded model.
    pub(crate) fn is_open(&self, asset: &Asset) -> bool {
        let Some(model) = self.model.as_ref().filter(|_| asset.kind == AssetKind::Model) else { return false };
        match &model.source {
            ModelSource::Folder(path) => *path == asset.path,
            source => *source == self.source_of(asset),
        }
    }
}
