//! Models and sparse autoencoders as files: on this machine, on the hub, and on their way between the two.
//!
//! An asset is whatever can be opened by itself: a checkpoint folder, a GGUF file (all its parts), or the folder of one
//! SAE. It is known by its absolute path.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::MemoryNeed;
use crate::problem::Problem;

/// What an asset is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AssetKind {
    /// A language model.
    #[default]
    Model,
    /// A sparse autoencoder.
    Sae,
}

/// A repository of the hub.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RepoRef {
    /// `owner/name`, or a bare name of the hub's early days.
    pub id: String,
    /// Branch, tag or commit; the main branch when absent.
    #[serde(default)]
    pub revision: Option<String>,
}

/// Who may download a repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// Everybody.
    #[default]
    Open,
    /// Who has accepted its licence while signed in; granted at once.
    Automatic,
    /// Who has asked its owners and was granted access.
    Manual,
}

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubFile {
    /// Path inside the repository, with `/`.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// How much of it is on this machine, whole or in part.
    pub present_bytes: u64,
}

/// Something in a repository that can be downloaded and opened by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubChoice {
    /// Its name within the repository: `safetensors`, the (first) GGUF file's path, or an SAE's folder (`.` for the
    /// repository itself).
    pub id: String,
    /// What it is.
    pub kind: AssetKind,
    /// The same for people: `safetensors, bf16`, `Q4_K_M`, `layer_20/width_16k/average_l0_71`.
    pub label: String,
    /// The files it needs, and no others.
    pub files: Vec<HubFile>,
}

impl HubChoice {
    /// Bytes of all its files.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Bytes that are still to be downloaded.
    pub fn missing_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes.saturating_sub(file.present_bytes)).sum()
    }
}

/// Memory of a model's weights in one number format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightsIn {
    /// Its name: `f32`, `bf16`, `Q8_0`, `Q4_K_M`.
    pub format: String,
    /// Bytes in memory.
    pub bytes: u64,
}

/// What a model of some shape takes in memory, worked out from its `config.json` alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShapeNeed {
    /// Architecture string of its `config.json`.
    pub architecture: String,
    /// Number of parameters; of a wrapper that also sees pictures, the language part's.
    pub n_params: u64,
    /// Number of blocks.
    pub n_layers: usize,
    /// Residual width.
    pub d_model: usize,
    /// Longest sequence, tokens.
    pub context_len: usize,
    /// Weights by number format, largest first.
    pub weights: Vec<WeightsIn>,
    /// What comes on top of the weights, on the processor; its own `weights_bytes` is 0.
    pub work: MemoryNeed,
}

impl ShapeNeed {
    /// Keys, values and activations of a conversation.
    pub fn conversation_bytes(&self) -> u64 {
        self.work.cache_bytes.saturating_add(self.work.chat_bytes)
    }

    /// The largest number format in which the model and a conversation fit into `free` bytes.
    pub fn best_fit(&self, free: u64) -> Option<&WeightsIn> {
        self.weights.iter().find(|weights| weights.bytes.saturating_add(self.conversation_bytes()) <= free)
    }
}

/// What a repository offers, and what getting it would cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HubListing {
    /// The repository as it was asked for.
    pub repo: RepoRef,
    /// Commit that its revision stands for now, 40 hex digits.
    pub commit: String,
    /// Its page, where licences are read and accepted.
    pub page: String,
    /// Who may download it.
    pub gate: Gate,
    /// Its licence's usual name.
    pub licence: Option<String>,
    /// What can be downloaded.
    pub choices: Vec<HubChoice>,
    /// Files left out because nothing here needs them: other formats of the same weights, pictures, papers.
    pub left_out_files: usize,
    /// Their bytes.
    pub left_out_bytes: u64,
    /// Folder that a download would go to.
    pub folder: PathBuf,
    /// Room on that folder's disk.
    pub free_disk_bytes: Option<u64>,
    /// Memory it would take; absent for SAEs.
    pub shape: Option<ShapeNeed>,
    /// Memory that is free now on the processor.
    pub free_memory_bytes: Option<u64>,
    /// Why its files are not handed out to this user now: nobody is signed in, or its licence is not accepted yet.
    pub locked: Option<Problem>,
    /// Why Tiller could not open it although it can be downloaded, such as a family it does not run.
    pub obstacle: Option<Problem>,
}

/// Why it is not known what a repository offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubRefusal {
    /// The same for people.
    pub problem: Problem,
    /// Signing in, or another account, may change the answer.
    pub may_sign_in: bool,
    /// The repository's page, where there is something to do on it.
    pub page: Option<String>,
}

impl From<Problem> for HubRefusal {
    /// A failure that no signing in changes.
    fn from(problem: Problem) -> Self {
        Self { problem, may_sign_in: false, page: None }
    }
}

/// Something the catalogue recommends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CatalogueEntry {
    /// Name for people.
    pub name: String,
    /// What it is.
    pub kind: AssetKind,
    /// Where it is published.
    pub repo: RepoRef,
    /// Which of the repository's choices is meant, where it has several ([`HubChoice::id`]).
    #[serde(default)]
    pub choice: Option<String>,
    /// Its licence's usual name.
    pub licence: String,
    /// Who may download it.
    pub gate: Gate,
    /// Bytes of the download as published when the catalogue was written; the exact figure comes from the hub.
    pub download_bytes: Option<u64>,
    /// Memory it takes; absent for SAEs.
    pub shape: Option<ShapeNeed>,
    /// For an SAE: hub ids of the models it reads.
    #[serde(default)]
    pub reads: Vec<String>,
    /// One sentence about what it is good for.
    #[serde(default)]
    pub note: String,
    /// Whether it comes from the user's own list.
    #[serde(default)]
    pub is_own: bool,
}

/// A download, numbered by whoever starts it; numbers are kept over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DownloadId(pub u64);

/// What is to be downloaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadOrder {
    /// From where.
    pub repo: RepoRef,
    /// Which of its choices ([`HubChoice::id`]).
    pub choice: String,
    /// Into which storage folder; the chosen one of the settings when absent.
    #[serde(default)]
    pub folder: Option<PathBuf>,
}

/// What a download is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum DownloadPhase {
    /// It waits for its turn or for the hub's answer.
    Waiting,
    /// Bytes are coming in.
    Running,
    /// The network or the hub failed; it tries again by itself.
    Retrying {
        /// Seconds until then, when it last reported.
        in_secs: f64,
        /// What failed.
        cause: String,
    },
    /// All bytes are there; checksums are being compared.
    Checking,
    /// Stopped by the user, or found unfinished at the start; nothing is lost.
    Paused,
    /// It ended without success; what has come in is kept for another try.
    Failed(Problem),
    /// Complete and checked.
    Done {
        /// The asset.
        path: PathBuf,
    },
}

/// One file of a download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadFile {
    /// Path inside the repository, with `/`.
    pub path: String,
    /// Bytes on the disk.
    pub done_bytes: u64,
    /// Its size.
    pub total_bytes: u64,
    /// Its checksum was compared and it stands in its place.
    pub is_complete: bool,
}

/// How far a download is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Download {
    /// Its number.
    pub id: DownloadId,
    /// What was ordered.
    pub order: DownloadOrder,
    /// What it is.
    pub kind: AssetKind,
    /// The choice for people.
    pub label: String,
    /// What it is doing.
    pub phase: DownloadPhase,
    /// Its files; empty until the hub has answered.
    pub files: Vec<DownloadFile>,
    /// Bytes per second over the last seconds; absent while nothing comes in.
    pub bytes_per_sec: Option<f64>,
    /// Seconds left at that rate.
    pub secs_left: Option<f64>,
}

impl Download {
    /// Bytes on the disk.
    pub fn done_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.done_bytes).sum()
    }

    /// Bytes of all its files.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.total_bytes).sum()
    }

    /// Whether it still has something to do by itself.
    pub fn is_active(&self) -> bool {
        matches!(
            self.phase,
            DownloadPhase::Waiting | DownloadPhase::Running | DownloadPhase::Retrying { .. } | DownloadPhase::Checking
        )
    }
}

/// What kind of place a storage folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FolderKind {
    /// The hub cache that other tools on this machine use, too.
    HubCache,
    /// A folder that the user has added, in the same layout.
    Added,
    /// Copies made by import.
    Imports,
}

/// A place where assets are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageFolder {
    /// Where.
    pub path: PathBuf,
    /// What kind of place.
    pub kind: FolderKind,
    /// Downloads go here unless told otherwise.
    pub is_chosen: bool,
    /// It is there: a disk may be unplugged.
    pub is_present: bool,
    /// Room on its disk.
    pub free_bytes: Option<u64>,
    /// Bytes that the assets in it take.
    pub used_bytes: u64,
}

/// How an asset came to be known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AssetOrigin {
    /// It ships with Tiller.
    Shipped,
    /// Downloaded from the hub, by Tiller or by another tool.
    Hub {
        /// From where.
        repo: RepoRef,
        /// At this commit.
        commit: String,
    },
    /// Put into a storage folder in no layout of the hub's: copied there by an import, or by the user.
    Copied,
    /// Left where the user keeps it.
    Linked,
}

/// Whether an asset can be used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AssetState {
    /// All of it is there.
    Ready,
    /// Files are missing or only partly there.
    Incomplete {
        /// Bytes that are there.
        done_bytes: u64,
        /// Bytes it should have, when that is known.
        total_bytes: Option<u64>,
    },
    /// Its path is gone: the disk is not plugged in, or it was moved or deleted elsewhere.
    Missing,
    /// It is there and cannot be opened.
    Broken(Problem),
}

/// What is known about an asset without loading it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asset {
    /// The checkpoint folder, GGUF file (its first part) or SAE folder; what it is known by.
    pub path: PathBuf,
    /// What it is.
    pub kind: AssetKind,
    /// Name for people.
    pub name: String,
    /// How it came to be known.
    pub origin: AssetOrigin,
    /// Storage folder that it lies in; absent when it is linked or ships with Tiller.
    pub folder: Option<PathBuf>,
    /// Whether it can be used.
    pub state: AssetState,
    /// Bytes of its files.
    pub bytes: u64,
    /// Number format of its weights as stored: `bf16`, `Q4_K_M`.
    pub dtype: Option<String>,
    /// Architecture string, or an SAE's (`jumprelu`).
    pub architecture: Option<String>,
    /// Number of blocks; for an SAE the 0-based block it reads.
    pub n_layers: Option<usize>,
    /// Residual width.
    pub d_model: Option<usize>,
    /// Latents of an SAE.
    pub d_sae: Option<usize>,
    /// Longest sequence, tokens.
    pub context_len: Option<usize>,
    /// Whether it brings a chat template.
    pub has_chat_template: Option<bool>,
    /// For an SAE: the model it says it was trained on.
    pub reads: Option<String>,
    /// SHA-256 of the weight files, hex, first 16 digits; absent until it was loaded or verified once.
    pub hash: Option<String>,
    /// Seconds since 1970 of its last loading.
    pub last_used: Option<u64>,
}

impl Asset {
    /// Whether Tiller may delete its files: only what lies in a storage folder.
    pub fn is_deletable(&self) -> bool {
        self.folder.is_some() && !matches!(self.origin, AssetOrigin::Shipped | AssetOrigin::Linked)
    }
}

/// All assets and the places they lie in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AssetLibrary {
    /// The places, the chosen one first.
    pub folders: Vec<StorageFolder>,
    /// Models and SAEs, by name.
    pub assets: Vec<Asset>,
}

/// The outcome of comparing an asset's files with what they should be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Which asset.
    pub path: PathBuf,
    /// Files whose checksum is known and agrees.
    pub good: Vec<String>,
    /// Files that differ from their checksum, with what is wrong.
    pub bad: Vec<(String, String)>,
    /// Files that nobody has published a checksum for; they were read and are sound in form.
    pub unknown: Vec<String>,
}

/// Where the hub's access token comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenSource {
    /// There is none.
    #[default]
    None,
    /// The environment (`HF_TOKEN`).
    Environment,
    /// The operating system's keyring.
    Keyring,
    /// The file that the hub's own tools write on signing in.
    File,
    /// Typed in, and kept until Tiller ends since this system has no keyring.
    Session,
}

/// Whether Tiller can sign in to the hub.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenState {
    /// Where the token comes from.
    pub source: TokenSource,
    /// Whose it is, once the hub has been asked.
    pub user: Option<String>,
    /// What the user should know, such as that there is no keyring.
    pub note: Option<String>,
}

/// An access token. It is never printed: `Debug` shows dots.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(\u{2026})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_printed() {
        assert!(!format!("{:?}", Secret("hf_abc".to_owned())).contains("hf_abc"));
    }

    #[test]
    fn only_what_is_missing_is_to_be_downloaded() {
        let file = |bytes, present_bytes| HubFile { path: "model.safetensors".to_owned(), bytes, present_bytes };
        let choice = HubChoice {
            id: "safetensors".to_owned(),
            kind: AssetKind::Model,
            label: String::new(),
            files: vec![file(10, 10), file(7, 3), file(5, 0)],
        };
        assert_eq!((choice.total_bytes(), choice.missing_bytes()), (22, 9));
    }
}
