//! From any published form to the one file that is browsed: a few latents at a time, so that the memory it takes does
//! not grow with the SAE.

use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use half::f16;
use half::slice::HalfFloatSliceExt as _;
use serde::{Deserialize, Serialize};

use super::description::{Description, Hints};
use super::file::SaeFile;
use super::fold::{Folder, Vectors};
use super::layout::{DEC, ENC, Layout};
use super::sketch::{self, Sketch};
use super::source::Room;
use super::{find, formats};
use crate::error::{EngineError, Result};

/// Number format of the two matrices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 16 bits: half the room, and activations within a thousandth or so.
    #[default]
    F16,
    /// 32 bits.
    F32,
}

impl Precision {
    /// Bytes of a value.
    pub(super) fn width(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }
}

/// Values of each matrix that are in memory at once: 16 MB; in tests a few rows, so that they take several turns.
const VALUES: usize = if cfg!(test) { 40 } else { 1 << 22 };

/// Latents of this width that are folded at once.
pub(super) fn latents_at_once(d_model: usize) -> usize {
    (VALUES / d_model.max(1)).max(1)
}

/// Bytes of a converted SAE, with those of what is kept beside it.
///
/// # Errors
/// Sizes beyond all bounds.
pub fn converted_bytes(about: &Description, precision: Precision) -> Result<u64> {
    let layout = Layout::new(about, precision)?;
    Ok(layout.header().len() as u64 + layout.len() + sketch::bytes(about.d_model, about.d_sae))
}

/// Converts the SAE at `source` and puts the result at `target`, at once and only when it is whole; what lies there
/// before is replaced. `progress(done_bytes, total_bytes)` returns `false` to stop.
///
/// Files beside `target` whose names begin with its name hold what is unfinished; they are removed again.
///
/// # Errors
/// As [`super::Sae::load`], values beyond the range of the number format, no room, or [`EngineError::Stopped`].
pub fn convert(
    source: &Path,
    hints: Hints,
    target: &Path,
    precision: Precision,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Description> {
    let mut found = find::find(source)?;
    let recipe = formats::recipe(&found, hints)?;
    let names = recipe.names();
    let part = beside(target, "part");
    let sizes = Writer::sizes(&recipe.description, precision)?;
    let total = found.container.packed_bytes(&names) + sizes;
    let mut done = 0;
    let mut step = |bytes: u64| {
        done += bytes;
        progress(done, total)
    };
    found.container.unpack(&names, Room::File(&part), &mut step)?;
    let mut writer = Writer::new(target, &recipe.description, precision)?;
    let (d, n) = (recipe.description.d_model, recipe.description.d_sae);
    let block = latents_at_once(d).min(n);
    let (mut enc, mut dec) = (vec![0.0; block * d], vec![0.0; block * d]);
    let mut folder = Folder::new(&recipe, &found.container)?;
    for first in (0..n).step_by(block) {
        let n_values = block.min(n - first) * d;
        let (enc, dec) = (&mut enc[..n_values], &mut dec[..n_values]);
        folder.rows(first, enc, dec)?;
        writer.rows(first, enc, dec, &mut step)?;
    }
    writer.finish(&folder.vectors, &mut step)?;
    progress(total, total);
    Ok(recipe.description)
}

/// A converted file that is being written. It gets its name when it is whole.
pub(super) struct Writer<'a> {
    file: File,
    unfinished: Unfinished,
    target: &'a Path,
    layout: Layout,
    precision: Precision,
    d_model: usize,
    /// Bytes of the decoder if it is read once more in the end, and 0 if not.
    to_sketch: u64,
}

impl<'a> Writer<'a> {
    /// What its steps count together, bytes: of the file, and of the decoder if it is read once more in the end.
    ///
    /// # Errors
    /// Sizes beyond all bounds.
    pub(super) fn sizes(about: &Description, precision: Precision) -> Result<u64> {
        Ok(Layout::new(about, precision)?.len() + to_sketch(about, precision))
    }

    /// # Errors
    /// Sizes beyond all bounds, a folder that cannot be written to.
    pub(super) fn new(target: &'a Path, about: &Description, precision: Precision) -> Result<Self> {
        let layout = Layout::new(about, precision)?;
        let unfinished = Unfinished { path: beside(target, "part") };
        let io = |source| EngineError::Io { path: unfinished.path.clone(), source };
        let mut file = File::create(&unfinished.path).map_err(io)?;
        file.write_all(layout.header()).map_err(io)?;
        let to_sketch = to_sketch(about, precision);
        Ok(Self { file, unfinished, target, layout, precision, d_model: about.d_model, to_sketch })
    }

    /// Writes rows from latent `first` on and calls `step` with their bytes.
    ///
    /// # Errors
    /// No room, values beyond the range of the number format, [`EngineError::Stopped`].
    pub(super) fn rows(
        &mut self,
        first: usize,
        enc: &[f32],
        dec: &[f32],
        step: &mut dyn FnMut(u64) -> bool,
    ) -> Result<()> {
        let width = self.precision.width();
        for (name, values) in [(ENC, enc), (DEC, dec)] {
            self.file
                .seek(SeekFrom::Start(self.layout.at(name) + (first * self.d_model * width) as u64))
                .map_err(|source| EngineError::Io { path: self.unfinished.path.clone(), source })?;
            write(&mut self.file, values, self.precision).map_err(|fault| fault.named(&self.unfinished.path, name))?;
        }
        if step((2 * enc.len() * width) as u64) { Ok(()) } else { Err(EngineError::Stopped) }
    }

    /// Writes the vectors and gives the file its name; beside a large one goes what similar rows are found by.
    ///
    /// # Errors
    /// No room, a failure to read, [`EngineError::Stopped`].
    pub(super) fn finish(self, vectors: &Vectors, step: &mut dyn FnMut(u64) -> bool) -> Result<()> {
        let io = |source| EngineError::Io { path: self.unfinished.path.clone(), source };
        let mut file = BufWriter::new(self.file);
        for (name, values) in Layout::vectors(vectors) {
            file.seek(SeekFrom::Start(self.layout.at(name))).map_err(io)?;
            write(&mut file, values, Precision::F32).map_err(|fault| fault.named(&self.unfinished.path, name))?;
        }
        let file = file.into_inner().map_err(|error| io(error.into_error()))?;
        file.sync_all().map_err(io)?;
        drop(file);
        if self.to_sketch > 0 {
            let mut seen = 0;
            Sketch::make(&SaeFile::open(&self.unfinished.path)?, self.target, &mut |rows, of| {
                let now = self.to_sketch * rows as u64 / of as u64;
                step(now - std::mem::replace(&mut seen, now))
            })?;
        }
        std::fs::rename(&self.unfinished.path, self.target)
            .map_err(|source| EngineError::Io { path: self.target.to_owned(), source })
    }
}

fn to_sketch(about: &Description, precision: Precision) -> u64 {
    let (d, n) = (about.d_model, about.d_sae);
    if sketch::pays(d, n) { (d * precision.width()) as u64 * n as u64 } else { 0 }
}

/// A file whose name begins with that of `target`.
pub(super) fn beside(target: &Path, ending: &str) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    target.with_file_name(name)
}

/// A file that goes unless it was renamed.
pub(super) struct Unfinished {
    pub(super) path: PathBuf,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It is not there when all went well, and nothing is lost when it stays.
        drop(std::fs::remove_file(&self.path));
    }
}

enum Fault {
    Io(std::io::Error),
    /// This value does not fit.
    Range(f32),
}

impl Fault {
    fn named(self, path: &Path, name: &str) -> EngineError {
        let path = path.to_owned();
        match self {
            Self::Io(source) => EngineError::Io { path, source },
            Self::Range(value) => EngineError::BadTensor {
                path,
                name: name.to_owned(),
                expected: "values within the range of f16".to_owned(),
                found: format!("{value}; keep it in f32"),
            },
        }
    }
}

fn write(file: &mut impl std::io::Write, values: &[f32], precision: Precision) -> std::result::Result<(), Fault> {
    match precision {
        Precision::F32 => file.write_all(bytemuck::cast_slice(values)).map_err(Fault::Io),
        Precision::F16 => {
            let mut narrow = vec![f16::ZERO; values.len()];
            narrow.convert_from_f32_slice(values);
            if let Some(at) = narrow.iter().position(|value| !value.is_finite()) {
                return Err(Fault::Range(values[at]));
            }
            file.write_all(bytemuck::cast_slice(&narrow)).map_err(Fault::Io)
        }
    }
}
