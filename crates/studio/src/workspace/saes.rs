//! SAEs that were opened: each a folder with its converted file, the index of its features, and a document.
//!
//! A folder gets its name only when everything in it is whole: it is made beside under a hidden name, which is swept away
//! the next time should the work be cut short.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, Weak};

use serde::{Deserialize, Serialize};
use tiller_engine::sae::SaeFile;
use tiller_index::Index;
use tiller_protocol::feature::{SaeId, SaeInfo, SelfTest};
use tiller_protocol::problem::Problem;
use tiller_protocol::site::Site;

use super::document::{self, Envelope};
use super::vectors::sub_folders;
use super::{Workspace, check_name};
use crate::problem;

/// The document of an opened SAE.
const DOCUMENT: &str = "sae.toml";
/// Its converted file.
const FILE: &str = "sae.safetensors";
/// The index of its features.
const INDEX: &str = "features.db";
/// Beginning of the name of a folder that an SAE is made in.
const UNFINISHED: &str = ".opening-";

/// What is kept of an SAE beside its weights and its index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Lasting {
    name: String,
    path: PathBuf,
    /// Whose form the published file had.
    published_as: String,
    architecture: String,
    k: Option<usize>,
    site: Site,
    d_model: usize,
    d_sae: usize,
    reads: Option<String>,
    resid_norm: Option<f64>,
    self_test: Option<SelfTest>,
}

impl From<&SaeInfo> for Lasting {
    fn from(info: &SaeInfo) -> Self {
        Self {
            name: info.name.clone(),
            path: info.path.clone(),
            published_as: info.format.clone(),
            architecture: info.architecture.clone(),
            k: info.k,
            site: info.site,
            d_model: info.d_model,
            d_sae: info.d_sae,
            reads: info.reads.clone(),
            resid_norm: info.resid_norm,
            self_test: info.self_test.clone(),
        }
    }
}

impl Workspace {
    /// The SAEs that were opened, by name, and what could not be read. Counts that only the index knows are 0.
    pub(crate) fn saes(&self) -> (Vec<SaeInfo>, Vec<Problem>) {
        let mut found = Vec::new();
        let mut problems = Vec::new();
        for dir in sub_folders(&self.saes_dir()) {
            match read(&dir) {
                Ok(info) => found.push(info),
                Err(problem) => problems.push(problem),
            }
        }
        found.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        (found, problems)
    }

    /// What is kept of one of them. Counts that only the index knows are 0.
    ///
    /// # Errors
    /// An SAE that was not opened, a document that cannot be read.
    pub(crate) fn sae(&self, id: &SaeId) -> Result<SaeInfo, Problem> {
        read(&self.sae_dir(id)?)
    }

    /// Path of the converted file.
    ///
    /// # Errors
    /// An SAE that was not opened.
    pub(crate) fn sae_file(&self, id: &SaeId) -> Result<PathBuf, Problem> {
        Ok(self.sae_dir(id)?.join(FILE))
    }

    /// The converted file, opened, at the block that the user has chosen.
    ///
    /// # Errors
    /// An SAE that was not opened, a damaged file.
    pub(crate) fn open_sae(&self, id: &SaeId) -> Result<SaeFile, Problem> {
        let (info, path) = (self.sae(id)?, self.sae_file(id)?);
        let file = SaeFile::open(&path).map_err(|error| problem::converted_sae(&info.name, &error))?;
        if (file.description().d_model, file.description().d_sae) != (info.d_model, info.d_sae) {
            return Err(problem::unreadable(&path, "its sizes are not those of its document"));
        }
        Ok(file.moved_to(info.site))
    }

    /// The index of its features; the same one for all who ask while anybody holds it.
    ///
    /// # Errors
    /// An SAE that was not opened, an index that is damaged or of a newer version.
    pub(crate) fn sae_index(&self, id: &SaeId) -> Result<Arc<Index>, Problem> {
        let info = self.sae(id)?;
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = indexes.get(id).and_then(Weak::upgrade) {
            // The command line may have written to it meanwhile.
            index.refresh().map_err(|error| problem::index(&info.name, &error))?;
            return Ok(index);
        }
        let index = Index::open(&self.sae_dir(id)?.join(INDEX), info.d_sae);
        let index = Arc::new(index.map_err(|error| problem::index(&info.name, &error))?);
        indexes.retain(|_, kept| kept.strong_count() > 0);
        indexes.insert(id.clone(), Arc::downgrade(&index));
        Ok(index)
    }

    /// Replaces what is kept of an SAE.
    ///
    /// # Errors
    /// An SAE that was not opened, a folder that cannot be written.
    pub(crate) fn save_sae(&self, info: &SaeInfo) -> Result<(), Problem> {
        write(&self.sae_dir(&info.id)?, info)
    }

    /// Deletes an SAE's folder: converted file, labels, notes, bookmarks, examples.
    ///
    /// # Errors
    /// An SAE that was not opened or that somebody works with, a folder that cannot be deleted.
    pub(crate) fn remove_sae(&self, id: &SaeId) -> Result<(), Problem> {
        let dir = self.sae_dir(id)?;
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        if indexes.get(id).is_some_and(|index| index.strong_count() > 0) {
            return Err(problem::sae_in_use(&id.0));
        }
        indexes.remove(id);
        // Out of sight first: what is cut short leaves nothing that looks whole.
        let aside = self.saes_dir().join(format!("{UNFINISHED}{}", id.0));
        let attempt = || -> std::io::Result<()> {
            if aside.exists() {
                fs::remove_dir_all(&aside)?;
            }
            fs::rename(&dir, &aside)?;
            fs::remove_dir_all(&aside)
        };
        attempt().map_err(|error| problem::write_failed(&dir, &error))
    }

    /// Whether an SAE of this name was opened.
    pub(crate) fn has_sae(&self, id: &SaeId) -> bool {
        self.sae_dir(id).is_ok()
    }

    /// A folder to make an SAE in. What was cut short before is deleted.
    ///
    /// # Errors
    /// Another opening under way, a folder that cannot be made.
    pub(crate) fn begin_sae(&self) -> Result<UnfinishedSae, Problem> {
        let saes = self.saes_dir();
        fs::create_dir_all(&saes).map_err(|error| problem::write_failed(&saes, &error))?;
        let path = saes.join(".lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(|error| problem::write_failed(&path, &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(problem::another_opening()),
            // Some disks know no locks.
            Err(TryLockError::Error(error)) => log::debug!("{}: {error}", path.display()),
        }
        sweep(&saes);
        let dir = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&saes);
        let dir = dir.map_err(|error| problem::write_failed(&saes, &error))?;
        Ok(UnfinishedSae { dir, saes, _lock: lock })
    }

    fn saes_dir(&self) -> PathBuf {
        self.root.join("saes")
    }

    fn sae_dir(&self, id: &SaeId) -> Result<PathBuf, Problem> {
        check_name(&id.0)?;
        let dir = self.saes_dir().join(&id.0);
        if dir.join(DOCUMENT).is_file() { Ok(dir) } else { Err(problem::unknown_sae(&id.0)) }
    }
}

/// An SAE that is being made; gone with this value unless it is finished.
#[derive(Debug)]
pub(crate) struct UnfinishedSae {
    dir: tempfile::TempDir,
    saes: PathBuf,
    _lock: File,
}

impl UnfinishedSae {
    /// Where its converted file is to be.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join(FILE)
    }

    /// Where the index of its features is to be.
    pub(crate) fn index(&self) -> PathBuf {
        self.dir.path().join(INDEX)
    }

    /// Gives it its name; what lies there without being whole goes.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub(crate) fn finish(self, info: &SaeInfo) -> Result<SaeInfo, Problem> {
        check_name(&info.id.0)?;
        write(self.dir.path(), info)?;
        let target = self.saes.join(&info.id.0);
        let attempt = || -> std::io::Result<()> {
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                // Temporary folders are private to the user.
                fs::set_permissions(self.dir.path(), fs::Permissions::from_mode(0o755))?;
            }
            if target.exists() {
                fs::remove_dir_all(&target)?;
            }
            fs::rename(self.dir.path(), &target)
        };
        attempt().map_err(|error| problem::write_failed(&target, &error))?;
        // Its name is gone, so there is nothing left to delete.
        drop(self.dir.keep());
        read(&target)
    }
}

/// Deletes what was cut short.
fn sweep(saes: &Path) {
    for entry in fs::read_dir(saes).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_left = entry.file_name().to_string_lossy().starts_with(UNFINISHED) && path.is_dir();
        if is_left && let Err(error) = fs::remove_dir_all(&path) {
            log::warn!("{}: {error}", path.display());
        }
    }
}

fn read(dir: &Path) -> Result<SaeInfo, Problem> {
    let kept = document::read_toml::<Envelope<Lasting>>(&dir.join(DOCUMENT))?.body;
    let id = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(SaeInfo {
        id: SaeId(id),
        name: kept.name,
        path: kept.path,
        format: kept.published_as,
        architecture: kept.architecture,
        k: kept.k,
        site: kept.site,
        d_model: kept.d_model,
        d_sae: kept.d_sae,
        reads: kept.reads,
        bytes: bytes(dir),
        self_test: kept.self_test,
        resid_norm: kept.resid_norm,
        n_labelled: 0,
        n_bookmarked: 0,
        scanned_tokens: 0,
    })
}

fn write(dir: &Path, info: &SaeInfo) -> Result<(), Problem> {
    document::write_toml(&dir.join(DOCUMENT), &Envelope::new(Lasting::from(info)))
}

fn bytes(dir: &Path) -> u64 {
    // What a database notes beside itself while it is open comes and goes.
    let is_kept = |entry: &fs::DirEntry| !entry.file_name().to_string_lossy().ends_with("-shm");
    let files = fs::read_dir(dir).into_iter().flatten().flatten().filter(is_kept);
    files.filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_file).map(|file| file.len()).sum()
}
