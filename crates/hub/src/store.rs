//! The cache on disk that the hub's own tools and Tiller share, in the layout of Python's `huggingface_hub` and of the
//! crate `hf-hub`, which names its folders here.
//!
//! ```text
//! ROOT/.locks/models--owner--name/SUM.lock
//! ROOT/models--owner--name/blobs/SUM                     a whole file, named by its checksum
//!                         /blobs/SUM.tiller-part         a file on its way, with SUM.tiller-part.json beside it
//!                         /refs/main                     the commit that a branch stood for
//!                         /snapshots/COMMIT/config.json  a relative link to its blob
//!                         /.tiller/COMMIT.json           what Tiller was asked to download
//! ```
//!
//! What is whole here is used as it is, whoever put it here. Other tools neither see nor disturb the two names of our
//! own. Where links are not allowed, a snapshot holds hard links or copies, as it does with those tools.

mod link;
mod lock;
mod order;
mod remove;
mod scan;

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use hf_hub::{Cache, Repo};
use tiller_protocol::asset::RepoRef;

pub(crate) use self::link::{replace_with, write_whole};
pub(crate) use self::lock::Lock;
pub(crate) use self::order::{Order, known_to_others};
pub use self::scan::{CachedFile, CachedRepo, CachedRevision, MissingFile};
use crate::error::HubError;
use crate::fetch::journal;
use crate::home;
use crate::listing::{RemoteFile, Sum};

/// Beginning of the name of a model repository's folder.
const MODELS: &str = "models--";

/// The branch that is meant when none is named.
const MAIN: &str = "main";

/// What a file of our own is called while it comes in, after the checksum.
const PART: &str = ".tiller-part";

/// A cache at one place; any number of them may exist for the same place, in any number of programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// A cache in a folder, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder that the hub's own tools use: `HF_HUB_CACHE`, else `HUGGINGFACE_HUB_CACHE`, else `$HF_HOME/hub`, else
    /// `huggingface/hub` in `XDG_CACHE_HOME` or `~/.cache`. Absent when there is no home folder either.
    ///
    /// `var` reads an environment variable.
    pub fn usual_root(var: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
        let cache = home::read(var, "HF_HUB_CACHE").or_else(|| home::read(var, "HUGGINGFACE_HUB_CACHE"));
        match cache {
            Some(cache) => home::expand(var, &cache),
            None => home::folder(var).map(|folder| folder.join("hub")),
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a repository; absent for an id that could lead elsewhere.
    pub fn repo_folder(&self, id: &str) -> Option<PathBuf> {
        let is_plain =
            |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0', ':']);
        let parts: Vec<&str> = id.split('/').collect();
        let is_good = parts.len() <= 2 && parts.iter().all(|part| is_plain(part));
        is_good.then(|| self.root.join(Repo::model(id.to_owned()).folder_name()))
    }

    /// The folder of a repository's files at the commit that a revision stands for on this machine: asked of the branch
    /// names kept here, not of the hub. A revision that is a commit is itself. Absent when nothing of it is here.
    ///
    /// The folder may hold a part of the repository's files only.
    pub fn snapshot(&self, repo: &RepoRef) -> Option<PathBuf> {
        let folder = self.repo_folder(&repo.id)?;
        let revision = repo.revision.as_deref().unwrap_or(MAIN);
        let commit = match ref_path(&folder, revision).and_then(|path| fs::read_to_string(path).ok()) {
            Some(commit) => commit.trim().to_owned(),
            None => revision.to_owned(),
        };
        // Only a commit that leads nowhere else is asked for.
        inside(&folder, &commit)?;
        let snapshot = Cache::new(self.root.clone()).repo(Repo::model(repo.id.clone())).pointer_path(&commit);
        snapshot.is_dir().then_some(snapshot)
    }

    /// Bytes of a commit's file that are on this machine, whole or in part.
    pub fn present_bytes(&self, id: &str, commit: &str, file: &RemoteFile) -> u64 {
        let Some(folder) = self.repo_folder(id) else { return 0 };
        let on_its_way = || journal::present(&Blobs::new(&folder, &file.sum), file.bytes).total();
        if has(&folder, commit, file) { file.bytes } else { on_its_way() }
    }

    /// Whether all of a file is on this machine and was checked when it came.
    pub fn is_whole(&self, id: &str, file: &RemoteFile) -> bool {
        self.repo_folder(id).is_some_and(|folder| Blobs::new(&folder, &file.sum).is_whole(file.bytes))
    }

    /// Makes the root, marked as a cache for backup programs (see bford.info/cachedir).
    pub(crate) fn make_root(&self) -> Result<(), HubError> {
        make_folder(&self.root)?;
        let tag = self.root.join("CACHEDIR.TAG");
        if !tag.exists() {
            let text = "Signature: 8a477f597d28d172789f06886806bc55\n# Files from the Hugging Face hub, kept to be used again.\n";
            write_whole(&tag, text.as_bytes(), &self.root).map_err(|error| disk(&tag, &error))?;
        }
        Ok(())
    }
}

/// Whether a file stands in a snapshot, or could without another byte from the network.
///
/// On systems without links other tools leave no blob but only the snapshot's file.
pub(crate) fn has(folder: &Path, commit: &str, file: &RemoteFile) -> bool {
    let blobs = Blobs::new(folder, &file.sum);
    let stands = || pointer(folder, commit, &file.path).is_some_and(|path| has_size(&path, file.bytes));
    blobs.is_whole(file.bytes) || (!blobs.spoilt().exists() && stands())
}

/// Lets a branch or tag stand for a commit. A revision that is itself the commit needs no such note.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write_ref(folder: &Path, revision: Option<&str>, commit: &str) -> Result<(), HubError> {
    let revision = revision.unwrap_or(MAIN);
    let Some(path) = ref_path(folder, revision).filter(|_| revision != commit) else { return Ok(()) };
    if fs::read_to_string(&path).is_ok_and(|known| known == commit) {
        return Ok(());
    }
    make_folder(path.parent().unwrap_or(folder))?;
    write_whole(&path, commit.as_bytes(), &Order::folder(folder)).map_err(|error| disk(&path, &error))
}

/// The names of one file in a repository's `blobs`.
#[derive(Clone, Debug)]
pub(crate) struct Blobs {
    /// The folder of all of them.
    pub(crate) folder: PathBuf,
    /// Its checksum.
    pub(crate) name: String,
}

impl Blobs {
    pub(crate) fn new(repo_folder: &Path, sum: &Sum) -> Self {
        Self { folder: Self::folder(repo_folder), name: sum.hex() }
    }

    /// Where a repository's blobs are.
    pub(crate) fn folder(repo_folder: &Path) -> PathBuf {
        repo_folder.join("blobs")
    }

    /// The file itself, once it is whole.
    pub(crate) fn whole(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// The file on its way.
    pub(crate) fn part(&self) -> PathBuf {
        self.folder.join(format!("{}{PART}", self.name))
    }

    /// Which bytes of it are there.
    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.join(format!("{}{PART}.json", self.name))
    }

    /// Where documents are made before they get their name.
    pub(crate) fn scratch(&self) -> PathBuf {
        Order::folder(self.folder.parent().unwrap_or(&self.folder))
    }

    /// Says, by being there, that the whole file was found to differ from its checksum. It is then fetched again, and
    /// put over the spoilt one, which whoever uses it keeps until then.
    pub(crate) fn spoilt(&self) -> PathBuf {
        self.scratch().join(format!("{}.spoilt", self.name))
    }

    /// Says, by being there, that the whole file may not have reached the disk yet. It holds a name of the start of the
    /// system that the file was written under, empty where the system has none.
    pub(crate) fn unsynced(&self) -> PathBuf {
        self.scratch().join(format!("{}.unsynced", self.name))
    }

    /// Whether the system may have ended before the whole file had reached the disk.
    pub(crate) fn is_doubtful(&self) -> bool {
        // Cut short itself, it is no name either.
        fs::read_to_string(self.unsynced())
            .is_ok_and(|start| start.is_empty() || start != crate::disk::start_of_system())
    }

    pub(crate) fn is_whole(&self, bytes: u64) -> bool {
        has_size(&self.whole(), bytes) && !self.spoilt().exists()
    }

    /// The longest file that another tool has left unfinished, if it is longer than `least` bytes.
    pub(crate) fn left_by_others(&self, least: u64, most: u64) -> Option<(PathBuf, u64)> {
        let found = self.folder.read_dir().ok()?.filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let rest = name.strip_prefix(&self.name)?.strip_suffix(".incomplete")?;
            let is_theirs = rest.is_empty() || rest.starts_with('.');
            let bytes = entry.metadata().ok().filter(fs::Metadata::is_file)?.len();
            (is_theirs && bytes > least && bytes <= most).then(|| (entry.path(), bytes))
        });
        found.max_by_key(|(_, bytes)| *bytes)
    }
}

fn has_size(path: &Path, bytes: u64) -> bool {
    fs::metadata(path).is_ok_and(|facts| facts.is_file() && facts.len() == bytes)
}

/// Where a file stands in a snapshot; absent for a path or commit that could lead elsewhere.
pub(crate) fn pointer(repo_folder: &Path, commit: &str, path: &str) -> Option<PathBuf> {
    inside(&inside(&repo_folder.join("snapshots"), commit)?, path)
}

fn ref_path(repo_folder: &Path, revision: &str) -> Option<PathBuf> {
    inside(&repo_folder.join("refs"), revision)
}

/// Joins a path that must not lead out.
fn inside(folder: &Path, path: &str) -> Option<PathBuf> {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let is_good = !path.is_empty() && !path.contains(['\\', '\0', ':']) && Path::new(path).components().all(is_plain);
    is_good.then(|| folder.join(path))
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(path: &Path) -> Result<(), HubError> {
    fs::create_dir_all(path).map_err(|error| disk(path, &error))
}

/// What the system said about a path, as an error.
pub(crate) fn disk(path: &Path, error: &io::Error) -> HubError {
    HubError::Disk { path: path.to_owned(), reason: error.to_string() }
}

/// Takes "it is not there" for an answer.
pub(crate) fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_root_is_that_of_the_hubs_own_tools() {
        for (vars, expected) in [
            (&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/h"), ("HOME", "/u")][..], Some("/c")),
            (&[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HOME", "/h")], Some("/old")),
            (&[("HF_HUB_CACHE", ""), ("HF_HOME", "~/hf"), ("HOME", "/u")], Some("/u/hf/hub")),
            (&[("XDG_CACHE_HOME", "/x"), ("HOME", "/u")], Some("/x/huggingface/hub")),
            (&[("HOME", "/u")], Some("/u/.cache/huggingface/hub")),
            (&[("USERPROFILE", "/w")], Some("/w/.cache/huggingface/hub")),
            (&[], None),
        ] {
            let var = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(Store::usual_root(&var), expected.map(PathBuf::from), "{vars:?}");
        }
    }

    #[test]
    fn no_id_commit_or_path_leads_out() {
        let store = Store::new("/cache");
        assert_eq!(store.repo_folder("acme/tiny"), Some(PathBuf::from("/cache/models--acme--tiny")));
        assert_eq!(store.repo_folder("gpt2"), Some(PathBuf::from("/cache/models--gpt2")));
        for bad in ["", "/", "../x", "a/..", "a/b/c", "a\\b", "c:/x", "/etc"] {
            assert_eq!(store.repo_folder(bad), None, "{bad}");
        }
        let folder = Path::new("/cache/models--a--b");
        assert!(pointer(folder, "0123", "a/b.json").is_some());
        for (commit, path) in
            [("..", "a"), ("0", "../a"), ("0", "/a"), ("0", ""), ("", "a"), ("0", "a\\..\\b"), ("0", "c:x")]
        {
            assert_eq!(pointer(folder, commit, path), None, "{commit} {path}");
        }
    }
}
