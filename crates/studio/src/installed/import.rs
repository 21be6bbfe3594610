//! Making known what is on this machine already: checked, then linked or copied.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tiller_protocol::asset::AssetKind;
use tiller_protocol::problem::Problem;

use super::forms::{Form, Thing};
use super::places::{Copied, Link};
use super::records::key;
use super::sums::{Adder, Stamp, name, read, total_bytes};
use super::{Installed, describe, is_same, recognise};
use crate::jobs::Sink;
use crate::problem;

/// Beginning of the name of a folder that a copy is made in.
const UNFINISHED: &str = ".importing-";

/// Room that is left on a disk, bytes.
const RESERVE: u64 = 64 << 20;

/// What became of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Imported {
    /// Where it is now.
    pub(crate) path: PathBuf,
    /// What it is.
    pub(crate) kind: AssetKind,
    /// It was known already, and nothing was done.
    pub(crate) was_known: bool,
}

impl Installed {
    /// Makes a checkpoint folder, a GGUF file or an SAE folder known, linked where it is or copied.
    ///
    /// # Errors
    /// What is none of these, what cannot be opened, a disk without room, or a stop; then nothing is left behind.
    pub(crate) fn import(&self, path: &Path, copy: bool, sink: &mut dyn Sink) -> Result<Imported, Problem> {
        self.sweep_imports();
        let thing = recognise::only(&key(path))?;
        let known = self.known(&thing.path, copy);
        let told = |path, was_known| Imported { path, kind: thing.kind, was_known };
        if let Some(path) = known {
            return Ok(told(path, true));
        }
        describe::check(&thing)?;
        sink.check()?;
        if !copy {
            let link = Link { kind: thing.kind, path: thing.path.clone() };
            self.update_places(|places| {
                places.links.push(link);
                Ok(())
            })?;
            return Ok(told(thing.path.clone(), false));
        }
        if thing.form == Form::LikelySae {
            return Err(problem::told_by_its_path(&thing.path));
        }
        let copied = self.copy(&thing, sink)?;
        self.update_places(|places| {
            // The copy takes the link's place.
            places.links.retain(|link| !is_same(&link.path, &thing.path));
            places.copies.retain(|known| known.path.exists());
            places.copies.push(Copied { path: copied.clone(), from: thing.path.clone() });
            Ok(())
        })?;
        Ok(told(copied, false))
    }

    /// Where something is known already: in the library, or, when a copy is wanted, in the imports folder.
    fn known(&self, path: &Path, copy: bool) -> Option<PathBuf> {
        let (places, _) = self.places();
        let copied = places.copies.into_iter().find(|known| is_same(&known.from, path) && known.path.exists());
        if let Some(copied) = copied {
            return Some(copied.path);
        }
        let mut assets = self.list().library.assets.into_iter();
        let asset = assets.find(|asset| is_same(&asset.path, path))?;
        let is_copyable = copy && asset.folder.is_none();
        (!is_copyable).then_some(asset.path)
    }

    /// Copies into a folder beside the final one, which takes its name when all is there.
    fn copy(&self, thing: &Thing, sink: &mut dyn Sink) -> Result<PathBuf, Problem> {
        let imports = self.imports();
        fs::create_dir_all(&imports).map_err(|error| problem::write_failed(&imports, &error))?;
        let lock = self.importing()?;
        let files = with_texts_beside(thing);
        let total = total_bytes(&files);
        if let Ok(free) = tiller_hub::disk::free_bytes(&imports)
            && free < total.saturating_add(RESERVE)
        {
            return Err(problem::no_room_to_copy(&imports, total, free));
        }
        let dir = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&imports);
        let dir = dir.map_err(|error| problem::write_failed(&imports, &error))?;
        let mut adder = Adder::new(thing.n_weights);
        let mut done = 0;
        for (idx, from) in files.iter().enumerate() {
            let to = dir.path().join(name(from));
            let mut file = File::create_new(&to).map_err(|error| problem::write_failed(&to, &error))?;
            let is_weight = idx < thing.n_weights;
            read(from, &mut |bytes| {
                sink.check()?;
                file.write_all(bytes).map_err(|error| problem::write_failed(&to, &error))?;
                if is_weight {
                    adder.add(bytes);
                }
                done += bytes.len() as u64;
                sink.step(done as usize, total as usize, "bytes");
                Ok(())
            })?;
            file.sync_all().map_err(|error| problem::write_failed(&to, &error))?;
            if is_weight {
                adder.end(name(from));
            }
        }
        let folder = self.place_copy(dir, thing)?;
        drop(lock);
        let path = if thing.form == Form::Gguf { folder.join(name(&thing.path)) } else { folder };
        let copied = recognise::at(&path).into_iter().find(|copied| copied.path == path);
        let stamp = copied.map(|copied| Stamp::of(copied.weights())).unwrap_or_default();
        self.remember_sum(&path, &stamp, &adder.total(), None)?;
        Ok(path)
    }

    /// Gives a finished copy its name.
    fn place_copy(&self, dir: tempfile::TempDir, thing: &Thing) -> Result<PathBuf, Problem> {
        let stem = name(&thing.path);
        let stem = if thing.form == Form::Gguf { crate::models::gguf_stem(&stem).to_owned() } else { stem };
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
        let stem: String = stem.chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
        let stem = stem.trim_start_matches('.');
        let target = crate::workspace::free_path(&self.imports(), if stem.is_empty() { "model" } else { stem }, "");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // Temporary folders are private to the user.
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))
                .map_err(|error| problem::write_failed(dir.path(), &error))?;
        }
        fs::rename(dir.path(), &target).map_err(|error| problem::write_failed(&target, &error))?;
        // Its name is gone, so there is nothing left to delete.
        drop(dir.keep());
        Ok(target)
    }

    /// Held while a copy is made.
    fn importing(&self) -> Result<File, Problem> {
        let path = self.imports().join(".lock");
        let open = File::options().create(true).truncate(false).write(true).open(&path);
        let file = open.map_err(|error| problem::write_failed(&path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => Err(problem::another_import()),
            Err(fs::TryLockError::Error(error)) => {
                log::debug!("{}: {error}", path.display());
                Ok(file)
            }
        }
    }

    /// Deletes what an import that was cut short has left, unless one is at work.
    pub(crate) fn sweep_imports(&self) {
        let is_left = |path: &PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with(UNFINISHED) && path.is_dir() && !path.is_symlink()
        };
        let left: Vec<PathBuf> = super::scan::sorted(&self.imports()).into_iter().filter(is_left).collect();
        if left.is_empty() {
            return;
        }
        let Ok(_lock) = self.importing() else { return };
        for path in left {
            if let Err(error) = fs::remove_dir_all(&path) {
                log::warn!("{}: {error}", path.display());
            }
        }
    }
}

/// The files of a thing; to a GGUF file belong a tokenizer and a template beside it, which the engine prefers to its own.
fn with_texts_beside(thing: &Thing) -> Vec<PathBuf> {
    const BESIDE: [&str; 5] = [
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "chat_template.jinja",
        "chat_template.json",
    ];
    let mut files: Vec<PathBuf> = thing.files.iter().filter(|file| file.is_file()).cloned().collect();
    if let (Form::Gguf, Some(dir)) = (thing.form, thing.path.parent()) {
        files.extend(BESIDE.iter().map(|name| dir.join(name)).filter(|file| file.is_file()));
    }
    files
}
