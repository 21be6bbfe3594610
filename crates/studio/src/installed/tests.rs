//! A machine with a hub cache, an added folder and a workspace, in a temporary folder.

mod changing;
mod listing;
mod loading;
mod removing;

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tiller_protocol::asset::{Asset, AssetLibrary, AssetState};
use tiller_protocol::problem::Problem;

use super::*;
use crate::jobs::tests::Quiet;

/// A commit as the hub names them.
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

pub(super) struct Machine {
    dir: tempfile::TempDir,
    pub(super) installed: Installed,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["work", "cache", "disk", "outside"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let (workspace, cache) = (dir.path().join("work"), dir.path().join("cache"));
        Self { dir, installed: Installed { workspace, cache, shipped: None, posting: Mutex::default() } }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A repository in the cache, as the hub's tools write it; `files` are names inside and where the bytes come from.
    fn repo(&self, id: &str, commit: &str, files: &[(&str, PathBuf)]) -> PathBuf {
        let repo = self.installed.cache.join(format!("models--{}", id.replace('/', "--")));
        let snapshot = repo.join("snapshots").join(commit);
        fs::create_dir_all(repo.join("blobs")).unwrap();
        fs::create_dir_all(repo.join("refs")).unwrap();
        fs::write(repo.join("refs/main"), commit).unwrap();
        for (name, from) in files {
            let bytes = fs::read(from).unwrap();
            let sum = tiller_hub::listing::Sum::Sha256(Sha256::digest(&bytes).into()).hex();
            fs::write(repo.join("blobs").join(&sum), bytes).unwrap();
            let place = snapshot.join(name);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            if place.is_symlink() {
                fs::remove_file(&place).unwrap();
            }
            let up = "../".repeat(2 + name.matches('/').count());
            link(Path::new(&format!("{up}blobs/{sum}")), &place);
        }
        fs::create_dir_all(&snapshot).unwrap();
        snapshot
    }

    fn library(&self) -> AssetLibrary {
        let Listed { library, troubles } = self.installed.list();
        assert_eq!(troubles, []);
        library
    }

    fn names(&self) -> Vec<String> {
        self.library().assets.into_iter().map(|asset| asset.name).collect()
    }

    fn asset(&self, name: &str) -> Asset {
        let assets = self.library().assets;
        assets.iter().find(|asset| asset.name == name).unwrap_or_else(|| panic!("{name} is not in {assets:#?}")).clone()
    }

    fn import(&self, path: &Path, copy: bool) -> Result<Imported, Problem> {
        self.installed.import(path, copy, &mut Quiet::default())
    }
}

#[cfg(unix)]
fn link(to: &Path, at: &Path) {
    std::os::unix::fs::symlink(to, at).unwrap();
}

#[cfg(not(unix))]
fn link(to: &Path, at: &Path) {
    fs::copy(at.parent().unwrap().join(to), at).unwrap();
}

/// A file or folder among the fixtures.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name)
}

/// The files of a checkpoint for [`Machine::repo`].
fn checkpoint(name: &str) -> Vec<(&'static str, PathBuf)> {
    let files = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];
    files.map(|file| (file, fixture(name).join(file))).into()
}

/// A copy of a checkpoint.
fn copy_checkpoint(name: &str, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (file, from) in checkpoint(name) {
        fs::copy(from, to.join(file)).unwrap();
    }
}

/// The demo model's SAE.
fn demo_sae() -> PathBuf {
    Assets::find().unwrap().demo_sae()
}

/// Changes a byte in the middle of a file without changing its size or time.
fn spoil(path: &Path) {
    let changed = fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(changed).unwrap();
}

fn is_broken(asset: &Asset) -> bool {
    matches!(asset.state, AssetState::Broken(_))
}
