//! A hub, a repository in it, and a cache to bring it to.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tiller_hub::endpoint::Endpoint;
use tiller_hub::error::HubError;
use tiller_hub::fetch::{Control, Phase, Progress, Settings, fetch};
use tiller_hub::http::{Hub, HubSettings};
use tiller_hub::listing::{Listing, RemoteFile, Sum};
use tiller_hub::retry::Retry;
use tiller_hub::stop::Stop;
use tiller_hub::store::Store;
use tiller_hub_server::{HubServer, Repo};
use tiller_protocol::asset::{Gate, RepoRef};

pub(crate) const ID: &str = "acme/tiny";

/// A large file in several pieces, a second one, and small ones, one of them empty and two the same.
pub(crate) const LARGE: &str = "model.safetensors";
pub(crate) const LARGE_BYTES: usize = 1_000_003;

/// Bytes of a piece.
pub(crate) const PIECE: u64 = 1 << 16;

pub(crate) struct Place {
    pub(crate) server: HubServer,
    pub(crate) repo: Repo,
    pub(crate) listing: Listing,
    pub(crate) root: TempDir,
}

/// Bytes that differ from place to place, the same each time.
pub(crate) fn bytes(n: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(n).collect()
}

pub(crate) fn contents() -> Vec<(&'static str, Vec<u8>, bool)> {
    vec![
        ("config.json", b"{\"hidden_size\": 8}".to_vec(), false),
        (LARGE, bytes(LARGE_BYTES, 1), true),
        ("second.safetensors", bytes(200_000, 2), true),
        ("sub/copy.json", b"{\"hidden_size\": 8}".to_vec(), false),
        ("sub/empty.txt", Vec::new(), false),
    ]
}

pub(crate) fn repo() -> Repo {
    contents().into_iter().fold(Repo::new(), |repo, (path, content, is_large)| {
        if is_large { repo.large(path, content) } else { repo.file(path, content) }
    })
}

pub(crate) fn listing(repo: &Repo) -> Listing {
    let file = |(path, bytes, sum): (&str, u64, &str)| RemoteFile {
        path: path.to_owned(),
        bytes,
        sum: Sum::from_hex(sum).unwrap(),
    };
    Listing {
        repo: RepoRef { id: ID.to_owned(), revision: None },
        commit: repo.commit(),
        gate: Gate::Open,
        is_private: false,
        licence: None,
        page: "https://hub.example/acme/tiny".to_owned(),
        files: repo.listed().map(file).collect(),
    }
}

/// A hub that is not waited for.
pub(crate) fn hub(endpoint: &str) -> Hub {
    Hub::new(HubSettings {
        stall: Duration::from_millis(600),
        retry: Retry::at_once(3),
        ..HubSettings::at(Endpoint::parse(endpoint).unwrap())
    })
}

pub(crate) fn settings() -> Settings {
    Settings {
        connections: 3,
        fast_bytes_per_sec: u64::MAX,
        piece_bytes: PIECE,
        reserve_bytes: 0,
        patience: Duration::from_mins(1),
        note_every: Duration::from_millis(10),
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::with(repo())
    }

    pub(crate) fn with(repo: Repo) -> Self {
        let server = HubServer::start();
        server.add_repo(ID, repo.clone());
        let listing = listing(&repo);
        Self { server, repo, listing, root: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn store(&self) -> Store {
        Store::new(self.root.path())
    }

    pub(crate) fn control() -> Control {
        Control { stop: Stop::new(), settings: settings() }
    }

    pub(crate) fn fetch(&self) -> Result<PathBuf, HubError> {
        self.fetch_as(&Self::control(), &mut |_| {})
    }

    /// Gives up at the first failure that lasts.
    pub(crate) fn fetch_impatiently(&self) -> Result<PathBuf, HubError> {
        let settings = Settings { patience: Duration::ZERO, ..settings() };
        self.fetch_as(&Control { stop: Stop::new(), settings }, &mut |_| {})
    }

    pub(crate) fn fetch_as(&self, control: &Control, observer: &mut dyn FnMut(&Progress)) -> Result<PathBuf, HubError> {
        let hub = hub(&self.server.endpoint());
        fetch(&hub, &self.store(), &self.listing, &self.listing.files, control, observer)
    }

    /// Everything is there, as it should be, and nothing is left over.
    pub(crate) fn assert_whole(&self, snapshot: &Path) {
        for (path, content, _) in contents() {
            assert!(fs::read(snapshot.join(path)).unwrap() == content, "{path} differs");
        }
        assert_eq!(self.leftovers(), Vec::<String>::new());
        assert_eq!(self.store().snapshot(&self.listing.repo).as_deref(), Some(snapshot));
    }

    /// A file that is not right does not appear under any name that stands for a whole file.
    pub(crate) fn assert_absent(&self, path: &str) {
        let sum = self.repo.sum(path).unwrap();
        assert!(!self.blobs().join(sum).exists(), "{path} appeared as a blob");
        let snapshot = self.store().repo_folder(ID).unwrap().join("snapshots").join(&self.listing.commit);
        assert!(!snapshot.join(path).exists(), "{path} appeared in the snapshot");
        assert!(!self.store().repo_folder(ID).unwrap().join("refs/main").exists());
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.store().repo_folder(ID).unwrap().join("blobs")
    }

    /// Names in `blobs` that are no whole file's.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let names = fs::read_dir(self.blobs()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| Sum::from_hex(name).is_none()).collect()
    }

    /// Bytes of files that were asked for since the requests were last forgotten.
    pub(crate) fn asked_bytes(&self) -> u64 {
        let requests = self.server.requests();
        let asked = requests.iter().filter_map(|request| {
            let file = self.listing.files.iter().find(|file| request.path.ends_with(&format!("/{}", file.path)))?;
            let is_small = matches!(file.sum, Sum::GitBlob(_));
            let range = request.header("range").map(|range| {
                let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
                last.parse::<u64>().unwrap() + 1 - first.parse::<u64>().unwrap()
            });
            (is_small || request.to_storage).then(|| range.unwrap_or(file.bytes))
        });
        asked.sum()
    }

    pub(crate) fn large(&self) -> &RemoteFile {
        self.listing.files.iter().find(|file| file.path == LARGE).unwrap()
    }
}

pub(crate) fn done_bytes(progress: &Progress) -> u64 {
    progress.files.iter().map(|file| file.done_bytes).sum()
}

pub(crate) fn is_retrying(progress: &Progress) -> bool {
    matches!(progress.phase, Phase::Retrying { .. })
}
