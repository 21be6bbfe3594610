//! Opening an SAE: from a published file in any form to a folder of the workspace that can be searched.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tiller_engine::EngineError;
use tiller_engine::sae::{self, Description, Format, Hints, Precision, Rows, SaeFile};
use tiller_index::Index;
use tiller_protocol::asset::AssetKind;
use tiller_protocol::feature::{LabelSource, OpenOptions, SaeId, SaeInfo};
use tiller_protocol::problem::Problem;
use tiller_protocol::site::Site;

use super::import;
use super::shelf::counted;
use crate::installed::{self, Installed, Stamp};
use crate::jobs::{Report, Sink};
use crate::problem;
use crate::workspace::{UnfinishedSae, Workspace};

/// Room that is left on the disk, bytes.
const RESERVE: u64 = 64 << 20;
/// Bytes that the index takes for a feature at first, and the sketch that searches by vector use, roughly.
const INDEX_BYTES: u64 = 64 + 272;
/// Published files up to this size are known by their content, larger ones by names, sizes and times of change.
const READ_WHOLE: u64 = 64 << 20;
/// Longest first part of a folder's name.
const MAX_SLUG: usize = 48;
/// What comes with some SAEs and tells about their features.
const SHIPPED: [&str; 3] = ["labels.jsonl", "sparsity.safetensors", "examples.safetensors"];

/// A published SAE that can be opened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Published {
    /// Its file or folder.
    pub(crate) path: PathBuf,
    /// What is known of it without its weights.
    pub(crate) about: Description,
    /// It has the converted form already.
    pub(crate) is_converted: bool,
}

impl Published {
    /// Finds the SAE that a path stands for: a file or folder in any published form, or a folder with one below it.
    ///
    /// # Errors
    /// No SAE, several, or one that cannot be opened, with the reason.
    pub(crate) fn find(path: &Path, options: &OpenOptions) -> Result<Self, Problem> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if !path.exists() {
            return Err(problem::nothing_at(&path));
        }
        let hints = hints(options);
        let told = |path: PathBuf, error| problem::sae(&path, &error);
        let error = match sae::describe(&path, hints) {
            Ok(about) => return Ok(Self::new(path, about)),
            Err(error) => error,
        };
        if !path.is_dir() {
            return Err(told(path, error));
        }
        let below = match installed::only(&path) {
            Ok(thing) if thing.kind == AssetKind::Model => return Err(problem::a_model(&path)),
            Ok(thing) if thing.path != path => thing.path,
            Err(several) if several.title != problem::nothing_in(&path).title => return Err(several),
            _ => return Err(told(path, error)),
        };
        match sae::describe(&below, hints) {
            Ok(about) => Ok(Self::new(below, about)),
            Err(error) => Err(told(below, error)),
        }
    }

    fn new(path: PathBuf, about: Description) -> Self {
        Self { is_converted: SaeFile::is_one(&path), path, about }
    }

    /// Name for people: that of the library where it is listed, else that of its file or folder.
    fn name(&self, installed: &Installed) -> String {
        let listed =
            installed.list().library.assets.into_iter().find(|asset| installed::is_same(&asset.path, &self.path));
        if let Some(asset) = listed {
            return asset.name;
        }
        let parts: Vec<String> = self
            .path
            .components()
            .filter_map(|part| match part {
                Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
                _ => None,
            })
            .collect();
        // What a Gemma Scope SAE is, is in its last three folders.
        let n = if self.about.format == Format::GemmaScope && self.path.is_dir() { 3 } else { 1 };
        let name = parts[parts.len().saturating_sub(n)..].join(" ");
        let endings = [".safetensors", ".npz", ".sae.pt", ".pth", ".pt"];
        let plain = endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
        if plain.is_empty() { "SAE".to_owned() } else { plain.to_owned() }
    }

    /// Name of its folder in the workspace: the same for the same files, and another one where what they mean differs.
    ///
    /// # Errors
    /// Files that cannot be read.
    fn id(&self, name: &str, options: &OpenOptions) -> Result<SaeId, Problem> {
        let files = files(&self.path);
        let mut hasher = Sha256::new();
        let bytes: u64 = files.iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum();
        if bytes <= READ_WHOLE {
            for file in &files {
                hasher.update(fs::read(file).map_err(|error| problem::read_failed(file, &error))?);
            }
        } else {
            hasher.update(format!("{:?}", Stamp::of(&files)));
        }
        hasher.update(format!("{:?} {:?}", options.k, options.mean_norm));
        let [a, b, c, d, ..] = <[u8; 32]>::from(hasher.finalize());
        Ok(SaeId(format!("{}-{:08x}", slug(name), u32::from_be_bytes([a, b, c, d]))))
    }

    /// Bytes of the converted file, and what is needed beside it while it is made.
    ///
    /// # Errors
    /// Sizes beyond all bounds.
    fn room(&self, precision: Precision) -> Result<u64, Problem> {
        let told = |error| problem::sae(&self.path, &error);
        let converted = sae::converted_bytes(&self.about, precision).map_err(told)?;
        // Members of an archive are unpacked first.
        let is_packed = self.about.format == Format::GemmaScope;
        let unpacked = if is_packed { sae::converted_bytes(&self.about, Precision::F32).map_err(told)? } else { 0 };
        let index = INDEX_BYTES * self.about.d_sae as u64;
        Ok(converted.saturating_add(unpacked).saturating_add(index).saturating_add(RESERVE))
    }

    /// Writes the converted file.
    ///
    /// # Errors
    /// A disk without room, weights that cannot be used, or a stop.
    pub(crate) fn convert(&self, options: &OpenOptions, target: &Path, sink: &mut dyn Sink) -> Result<(), Problem> {
        match self.convert_in(Precision::F16, options, target, sink) {
            // Some makers' values are beyond the 16 bits.
            Err(EngineError::BadTensor { expected, .. }) if expected.contains("range of f16") => {
                self.convert_in(Precision::F32, options, target, sink)
            }
            converted => converted,
        }
        .map_err(|error| problem::sae(&self.path, &error))
    }

    fn convert_in(
        &self,
        precision: Precision,
        options: &OpenOptions,
        target: &Path,
        sink: &mut dyn Sink,
    ) -> tiller_engine::Result<()> {
        let mut progress = |done: u64, total: u64| {
            sink.step(done as usize, total as usize, "bytes");
            !sink.is_stopped()
        };
        if self.is_converted {
            copy(&self.path, target, &mut progress)?;
            return SaeFile::open(target)?.prepare(&mut |_, _| !sink.is_stopped());
        }
        sae::convert(&self.path, hints(options), target, precision, &mut progress).map(drop)
    }

    /// Refuses a disk that has no room for the converted file.
    ///
    /// # Errors
    /// Such a disk.
    pub(crate) fn check_room(&self, folder: &Path) -> Result<(), Problem> {
        let needed = self.room(Precision::F16)?;
        match tiller_hub::disk::free_bytes(folder) {
            Ok(free) if free < needed => Err(problem::no_room_to_convert(folder, needed, free)),
            // A disk that does not tell is tried.
            _ => Ok(()),
        }
    }
}

/// Opens the SAE at `path`, or finds it opened already. Its facts have the counts of the index.
///
/// # Errors
/// No SAE or one that cannot be opened, a disk without room, or a stop: then nothing is left behind.
pub(crate) fn open(
    (workspace, installed): (&Workspace, &Installed),
    path: &Path,
    options: &OpenOptions,
    sink: &mut dyn Sink,
) -> Result<SaeInfo, Problem> {
    let published = Published::find(path, options)?;
    sink.check()?;
    let name = published.name(installed);
    let id = published.id(&name, options)?;
    if workspace.has_sae(&id) {
        return again(workspace, &published, (&id, options), sink);
    }
    published.check_room(workspace.root())?;
    let unfinished = workspace.begin_sae()?;
    published.convert(options, &unfinished.file(), sink)?;
    let about = &published.about;
    let info = SaeInfo {
        id,
        name,
        path: published.path.clone(),
        format: about.format.to_string(),
        architecture: about.architecture.name().to_owned(),
        k: about.k,
        site: about.site,
        d_model: about.d_model,
        d_sae: about.d_sae,
        reads: about.reads.clone(),
        bytes: 0,
        self_test: None,
        resid_norm: None,
        n_labelled: 0,
        n_bookmarked: 0,
        scanned_tokens: 0,
    };
    make_index(&unfinished, &info, sink)?;
    sink.check()?;
    let info = unfinished.finish(&info)?;
    Ok(counted(info.clone(), &*workspace.sae_index(&info.id)?))
}

/// An SAE that was opened before: at the block that is wanted now, and converted again if its file is damaged.
fn again(
    workspace: &Workspace,
    published: &Published,
    (id, options): (&SaeId, &OpenOptions),
    sink: &mut dyn Sink,
) -> Result<SaeInfo, Problem> {
    if workspace.open_sae(id).is_err() {
        published.check_room(workspace.root())?;
        published.convert(options, &workspace.sae_file(id)?, sink)?;
        workspace.open_sae(id)?;
    }
    let info = match options.block {
        Some(block) => move_to(workspace, id, block)?,
        None => workspace.sae(id)?,
    };
    Ok(counted(info, &*workspace.sae_index(id)?))
}

/// Lets an SAE read another block; what was measured at the old one is forgotten.
///
/// # Errors
/// An SAE that was not opened, a folder that cannot be written.
pub(crate) fn move_to(workspace: &Workspace, id: &SaeId, block: usize) -> Result<SaeInfo, Problem> {
    let info = workspace.sae(id)?;
    let site = Site::ResidPost(block);
    if info.site == site {
        return Ok(info);
    }
    let info = SaeInfo { site, self_test: None, resid_norm: None, ..info };
    workspace.save_sae(&info)?;
    Ok(info)
}

/// Makes the index with what comes with the SAE. Labels that cannot be read are told and cost no SAE.
fn make_index(unfinished: &UnfinishedSae, info: &SaeInfo, sink: &mut dyn Sink) -> Result<(), Problem> {
    let told = |error| problem::index(&info.name, &error);
    let index = Index::open(&unfinished.index(), info.d_sae).map_err(told)?;
    let file = SaeFile::open(&unfinished.file()).map_err(|error| problem::converted_sae(&info.name, &error))?;
    index.set_rowless(&rowless(&file)).map_err(told)?;
    let folder = if info.path.is_dir() { Some(info.path.as_path()) } else { info.path.parent() };
    for path in
        folder.into_iter().flat_map(|folder| SHIPPED.map(|name| folder.join(name))).filter(|path| path.is_file())
    {
        sink.part("Reading what comes with the SAE");
        // It lies beside the SAE, so it is about this one whatever names it gives.
        if let Err(problem) = import::read(&index, (info, &file), &path, LabelSource::Shipped, true, sink) {
            sink.check()?;
            sink.report(Report::Trouble(problem));
        }
    }
    Ok(())
}

/// Features without a decoder row.
fn rowless(file: &SaeFile) -> Vec<bool> {
    (0..file.description().d_sae).map(|latent| file.decoder_norm(latent).is_none_or(|norm| norm <= 0.0)).collect()
}

fn hints(options: &OpenOptions) -> Hints {
    Hints { site: options.block.map(Site::ResidPost), k: options.k, mean_norm: options.mean_norm }
}

/// The files that decide what an SAE is.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let counts = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let is_weight = [".safetensors", ".npz", ".pt", ".pth", "cfg.json", "config.json", "hyperparams.json"];
        is_weight.iter().any(|ending| name.ends_with(ending)) && !SHIPPED.contains(&name.as_str())
    };
    let mut files: Vec<PathBuf> = [path.to_owned(), path.join("checkpoints")]
        .iter()
        .flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()))
        .filter(|path| path.is_file() && counts(path))
        .collect();
    files.sort();
    files
}

/// A name in lower case with nothing but letters, digits and `-`.
pub(crate) fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
        if slug.len() >= MAX_SLUG {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "sae".to_owned() } else { slug.to_owned() }
}

/// Copies a converted file; the copy is checked by being opened.
fn copy(from: &Path, to: &Path, progress: &mut dyn FnMut(u64, u64) -> bool) -> tiller_engine::Result<()> {
    let io = |path: &Path| {
        let path = path.to_owned();
        |source| EngineError::Io { path, source }
    };
    let mut reader = fs::File::open(from).map_err(io(from))?;
    let total = reader.metadata().map_err(io(from))?.len();
    let mut writer = fs::File::create(to).map_err(io(to))?;
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        let n = reader.read(&mut buffer).map_err(io(from))?;
        if n == 0 {
            break;
        }
        writer.write_all(&buffer[..n]).map_err(io(to))?;
        done += n as u64;
        if !progress(done, total) {
            return Err(EngineError::Stopped);
        }
    }
    writer.sync_all().map_err(io(to))?;
    SaeFile::open(to).map(drop)
}

/// The decoder row of a feature, `[d_model]`, of unit length.
///
/// # Errors
/// A feature that is not there, a failure to read.
pub(crate) fn decoder_row(name: &str, file: &SaeFile, latent: u32) -> Result<Vec<f32>, Problem> {
    file.row(Rows::Decoder, latent as usize).map_err(|error| problem::converted_sae(name, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(path: &Path) -> Published {
        Published::find(path, &OpenOptions::default()).unwrap()
    }

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name)
    }

    #[test]
    fn a_disk_without_room_is_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let small = published(&fixture("sae-saelens/topk"));
        small.check_room(dir.path()).unwrap();
        let about = Description { d_model: 1 << 12, d_sae: 1 << 30, ..small.about.clone() };
        let refused = Published { about, ..small }.check_room(dir.path()).unwrap_err();
        assert!(refused.title.contains("too full") && refused.next_step.contains("--workspace"), "{refused}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_sae_is_known_by_its_content_and_by_what_is_said_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let copied = dir.path().join("topk");
        fs::create_dir(&copied).unwrap();
        for entry in fs::read_dir(fixture("sae-saelens/topk")).unwrap() {
            let from = entry.unwrap().path();
            fs::copy(&from, copied.join(from.file_name().unwrap())).unwrap();
        }
        let id = |path: &Path, options: &OpenOptions| published(path).id("Top K", options).unwrap();
        let plain = OpenOptions::default();
        let here = id(&fixture("sae-saelens/topk"), &plain);
        assert!(here.0.starts_with("top-k-") && here.0.len() == "top-k-".len() + 8, "{here:?}");
        assert_eq!(id(&copied, &plain), here, "wherever it lies");
        fs::write(copied.join("labels.jsonl"), "{}").unwrap();
        assert_eq!(id(&copied, &plain), here, "labels are no weights");
        assert_eq!(id(&copied, &OpenOptions { block: Some(1), ..plain.clone() }), here, "it can be moved");
        assert_ne!(id(&copied, &OpenOptions { k: Some(2), ..plain.clone() }), here, "other numbers");
        assert_ne!(id(&fixture("sae-saelens/gated"), &plain), here);
    }

    #[test]
    fn names_of_folders_are_plain() {
        for (name, expected) in [
            ("Tiller demo SAE", "tiller-demo-sae"),
            ("layer_20 width_16k/average_l0_71", "layer-20-width-16k-average-l0-71"),
            ("…", "sae"),
            ("../../etc", "etc"),
        ] {
            assert_eq!(slug(name), expected);
        }
        assert!(slug(&"x".repeat(500)).len() <= MAX_SLUG);
    }
}
