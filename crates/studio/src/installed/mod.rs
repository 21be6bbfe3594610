//! What is installed: the models and SAEs on this machine, and the places they lie in.
//!
//! Places are the hub's cache, folders that the user has added (in the cache's layout or any other), the imports folder
//! for copies, and links to what the user keeps elsewhere. Nothing here opens a network connection.
//!
//! ```text
//! library.toml     folders, links and copies: what the user has decided
//! installed.json   what is known about each asset, so that a list costs no reading; made anew when it is lost
//! imports/NAME/…   copies
//! ```
//!
//! Reading order: `forms` and `recognise` (what a folder is), `scan` (what the places hold), `records` (what is remembered),
//! then what changes something: `import`, `verify`, `remove`, `places`.

mod describe;
mod forms;
mod import;
mod places;
mod recognise;
mod records;
mod remove;
mod resolve;
mod scan;
mod sums;
mod verify;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tiller_hub::store::Store;
use tiller_protocol::asset::{Asset, AssetLibrary, AssetOrigin, AssetState, FolderKind, StorageFolder};
use tiller_protocol::message::Event;
use tiller_protocol::problem::Problem;

use crate::assets::Assets;
use crate::problem;
use crate::studio::Shared;
use crate::workspace::{Workspace, atomic, document};

pub(crate) use import::Imported;
pub(crate) use recognise::{is_same, model_in, only};
pub(crate) use sums::{Stamp, WeightSum};

use places::{Folder, Places};
use records::Records;

/// The installed assets as one workspace knows them. Holds nothing of what it knows: every question reads the documents, so
/// that a window and a command may work side by side.
#[derive(Debug)]
pub(crate) struct Installed {
    workspace: PathBuf,
    /// Root of the cache that the hub's own tools use.
    cache: PathBuf,
    shipped: Option<Assets>,
    /// Lists are sent in the order in which they are made.
    posting: Mutex<()>,
}

/// A list with what could not be read while it was made.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// The assets.
    pub(crate) library: AssetLibrary,
    /// What could not be read.
    pub(crate) troubles: Vec<Problem>,
}

impl Installed {
    /// The assets of a workspace; `cache` replaces the place where the hub's tools keep their files.
    pub(crate) fn new(workspace: &Workspace, cache: Option<PathBuf>, shipped: Option<&Assets>) -> Self {
        let usual = || Store::usual_root(&|name| std::env::var(name).ok());
        // Without a home folder there is no such cache; downloads then lie beside the imports.
        let cache = cache.or_else(usual).unwrap_or_else(|| workspace.root().join("hub"));
        Self { workspace: workspace.root().to_owned(), cache, shipped: shipped.cloned(), posting: Mutex::default() }
    }

    /// No workspace and no cache.
    #[cfg(test)]
    pub(crate) fn nothing() -> Self {
        let (workspace, cache) = ("/no/such/workspace".into(), "/no/such/cache".into());
        Self { workspace, cache, shipped: None, posting: Mutex::default() }
    }

    /// Everything that is installed. One broken asset never hides the others.
    pub(crate) fn list(&self) -> Listed {
        let (places, mut troubles) = self.places();
        let before = self.records();
        let mut records = Records::default();
        let mut library = AssetLibrary::default();
        let found = scan::everything(self, &places);
        for folder in self.folders(&places) {
            let is_present = folder.is_present(&before);
            library.folders.push(StorageFolder {
                is_chosen: *self.chosen(&places) == folder.path,
                is_present,
                free_bytes: tiller_hub::disk::free_bytes(&folder.path).ok(),
                used_bytes: 0,
                kind: folder.kind,
                path: folder.path,
            });
        }
        for found in found {
            let record = describe::describe(&found, before.get(&found.thing.path));
            library.assets.push(record.asset.clone());
            records.put(record);
        }
        let absent: Vec<_> = before.absent(&places, &library).cloned().collect();
        for record in absent {
            library.assets.push(Asset { state: AssetState::Missing, ..record.asset.clone() });
            records.put(record);
        }
        for folder in &mut library.folders {
            let inside = library.assets.iter().filter(|asset| asset.folder.as_ref() == Some(&folder.path));
            let there = inside.filter(|asset| asset.state != AssetState::Missing);
            folder.used_bytes = there.map(|asset| asset.bytes).sum();
        }
        library.folders.sort_by_key(|folder| !folder.is_chosen);
        library.assets.sort_by_cached_key(|asset| {
            let is_shipped = asset.origin == AssetOrigin::Shipped;
            (!is_shipped, asset.kind, asset.name.to_lowercase(), asset.path.clone())
        });
        // A workspace that is not there yet is not made for the sake of a list.
        if self.workspace.is_dir() && records != before {
            let kept = self.update_records(|now| now.take_over(records));
            troubles.extend(kept.err());
        }
        Listed { library, troubles }
    }

    /// Folder that downloads go to unless told otherwise.
    pub(crate) fn download_folder(&self) -> PathBuf {
        self.chosen(&self.places().0).clone()
    }

    /// Roots in the layout of the hub's cache that downloads may lie in, the chosen one first.
    pub(crate) fn download_folders(&self) -> Vec<PathBuf> {
        let (places, _) = self.places();
        let chosen = self.chosen(&places).clone();
        let others = self.folders(&places).into_iter().filter(|folder| folder.kind != FolderKind::Imports);
        let others = others.map(|folder| folder.path).filter(|path| *path != chosen);
        [chosen.clone()].into_iter().chain(others).collect()
    }

    /// Whether it is a storage folder of the user's that is not there now, as on a disk that is not plugged in. Made
    /// anew, it would lie on another disk.
    pub(crate) fn is_away(&self, folder: &Path) -> bool {
        !folder.is_dir() && self.places().0.folders.iter().any(|known| known == folder)
    }

    /// Where copies are kept.
    fn imports(&self) -> PathBuf {
        self.workspace.join("imports")
    }

    fn chosen<'a>(&'a self, places: &'a Places) -> &'a PathBuf {
        places.chosen.as_ref().filter(|chosen| places.folders.contains(chosen)).unwrap_or(&self.cache)
    }

    /// All storage folders: the hub's cache, the user's own, the imports.
    fn folders(&self, places: &Places) -> Vec<Folder> {
        let folder = |path: &Path, kind| Folder { path: path.to_owned(), kind };
        let mut folders = vec![folder(&self.cache, FolderKind::HubCache)];
        folders.extend(places.folders.iter().map(|path| folder(path, FolderKind::Added)));
        folders.push(folder(&self.imports(), FolderKind::Imports));
        folders
    }

    /// What the user has decided; a document that cannot be read counts as empty and is told.
    fn places(&self) -> (Places, Vec<Problem>) {
        let path = self.workspace.join(places::DOCUMENT);
        if !path.exists() {
            return (Places::default(), Vec::new());
        }
        match document::read_toml::<document::Envelope<Places>>(&path) {
            Ok(places) => (places.body, Vec::new()),
            Err(problem) => (Places::default(), vec![problem]),
        }
    }

    /// Changes what the user has decided.
    ///
    /// # Errors
    /// What `change` says, a document that cannot be read (it is not replaced) or not be written.
    fn update_places<T>(&self, change: impl FnOnce(&mut Places) -> Result<T, Problem>) -> Result<T, Problem> {
        let _lock = self.lock()?;
        let path = self.workspace.join(places::DOCUMENT);
        let mut places = if path.exists() {
            document::read_toml::<document::Envelope<Places>>(&path)?.body
        } else {
            Places::default()
        };
        let before = places.clone();
        let result = change(&mut places)?;
        if places != before {
            document::write_toml(&path, &document::Envelope::new(places))?;
        }
        Ok(result)
    }

    fn records(&self) -> Records {
        Records::read(&self.workspace.join(records::DOCUMENT))
    }

    /// Changes what is known about the assets.
    ///
    /// # Errors
    /// A document that cannot be written.
    fn update_records(&self, change: impl FnOnce(&mut Records)) -> Result<(), Problem> {
        let _lock = self.lock()?;
        let mut records = self.records();
        change(&mut records);
        let json = serde_json::to_vec(&document::Envelope::new(&records));
        let path = self.workspace.join(records::DOCUMENT);
        let json = json.map_err(|error| problem::unwritable(&path, &error.to_string()))?;
        atomic::write(&path, &json)
    }

    /// Held while a document is read, changed and written: a command may work beside the window.
    fn lock(&self) -> Result<File, Problem> {
        let path = self.workspace.join("library.lock");
        let open = || {
            fs::create_dir_all(&self.workspace)?;
            File::options().create(true).truncate(false).write(true).open(&path)
        };
        let file = open().map_err(|error| problem::write_failed(&path, &error))?;
        // A disk without locks is used by one program at a time.
        if let Err(error) = file.lock() {
            log::debug!("{}: {error}", path.display());
        }
        Ok(file)
    }
}

/// Sends the list of assets.
pub(crate) fn post(shared: &Shared) {
    let _turn = shared.installed.posting.lock().unwrap_or_else(PoisonError::into_inner);
    let Listed { library, troubles } = shared.installed.list();
    shared.outbox.post(Event::Assets(Box::new(library)));
    for problem in troubles {
        shared.outbox.post(Event::Failed { job: None, problem });
    }
}

#[cfg(test)]
mod tests;
