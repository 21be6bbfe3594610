//! Reads what others know of features: labels, statistics, promoted tokens, examples.
//!
//! Read are Neuronpedia's exports of explanations, features and activations (a folder, `.jsonl`, `.jsonl.gz`, a JSON
//! array, the JSON of one feature), tables with `index` and `label`, Tiller's own `labels.jsonl`, `SAELens`'
//! `sparsity.safetensors` and Gemma Scope 2's `examples.safetensors`; all told by their content. Files are streamed, in
//! one transaction each (`examples.safetensors`: one for every thousand features), and importing the same twice adds
//! nothing. A row that makes no sense is left out and counted.

mod bytes;
mod examples;
mod find;
mod fit;
mod record;
mod sink;
mod sparsity;
mod split;
mod table;
mod tensors;
mod token;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use tiller_protocol::feature::{ImportReport, LabelSource};

use self::bytes::{Broken, Bytes};
use self::record::Record;
use self::sink::{Sink, Tally};
use self::split::{Shape, next_row};
use self::table::Table;
use self::tensors::Tensors;
use crate::error::{IndexError, Result};
use crate::store::Index;

/// Rows, and bytes of rows, that are parsed side by side.
const BATCH_ROWS: usize = 1024;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Memory for pages of the database while an import runs, and otherwise (`SQLite`'s own default).
const IMPORT_CACHE_KIB: i64 = 128 * 1024;
const USUAL_CACHE_KIB: i64 = 2000;

/// Rows at the start of a file that are looked at before anything is written.
const SURVEYED: usize = 8;

/// What the file is to fit, and how it is read.
#[derive(Clone, Copy)]
pub struct ImportSettings<'a> {
    /// Import although the file names another model, block, source or features that are not there.
    pub anyway: bool,
    /// The model that the SAE says it was trained on, by whatever name.
    pub model: Option<&'a str>,
    /// The block that it reads.
    pub block: Option<usize>,
    /// Its name at Neuronpedia, if that is known.
    pub source: Option<&'a str>,
    /// Width of the activations it reads, to tell when it was taken for the number of features.
    pub d_model: Option<usize>,
    /// What labels from this file count as.
    pub label_source: LabelSource,
    /// Length of each decoder row as its maker stored it: activations in files are in units of those rows, and are
    /// multiplied by it.
    pub decoder_norms: Option<&'a [f32]>,
    /// Text of a token of the model, so that promoted tokens that come as numbers can be searched.
    pub token_text: Option<&'a (dyn Fn(u32) -> Option<String> + Sync)>,
}

impl Default for ImportSettings<'_> {
    fn default() -> Self {
        Self {
            anyway: false,
            model: None,
            block: None,
            source: None,
            d_model: None,
            label_source: LabelSource::Imported,
            decoder_norms: None,
            token_text: None,
        }
    }
}

/// How far an import has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportProgress {
    /// Bytes that were read.
    pub done_bytes: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
}

/// Is told how far it has come; `Break` stops it.
type Progress<'a> = dyn FnMut(ImportProgress) -> ControlFlow<()> + 'a;

impl Index {
    /// Imports a file, or all in a folder.
    ///
    /// # Errors
    /// Nothing that can be read; a file that was made for another model, block, source or width, or that names features
    /// that are not there (unless `anyway` is set); a compression bomb; a stop; a disk or database that fails. Of a file
    /// that fails nothing is written; of a folder, what the files before it said stays, and importing the folder again
    /// goes on from there.
    pub fn import(
        &self,
        path: &Path,
        settings: &ImportSettings<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<ImportReport> {
        let files = find::files(path)?;
        if files.len() > 1 && !settings.anyway {
            files.iter().try_for_each(|file| survey(file, settings, self.d_sae()))?;
        }
        let mut import = Import { index: self, settings, tally: Tally::default(), done: 0, total: 0, progress };
        import.total = files.iter().filter_map(|file| fs::metadata(file).ok()).map(|about| about.len()).sum();
        self.set_cache(IMPORT_CACHE_KIB)?;
        let result = import.all(&files);
        let tally = import.tally;
        self.set_cache(USUAL_CACHE_KIB)?;
        self.reload()?;
        result?;
        if tally.forms.is_empty() {
            let reasons = tally.report.reasons.join("; ");
            let reason = format!("nothing in it can be used{}{reasons}", if reasons.is_empty() { "" } else { ": " });
            return Err(IndexError::Unrecognised { reason, path: path.to_owned() });
        }
        Ok(tally.into_report())
    }
}

/// An import that is running.
struct Import<'a> {
    index: &'a Index,
    settings: &'a ImportSettings<'a>,
    tally: Tally,
    /// Bytes of the files before this one.
    done: u64,
    total: u64,
    progress: &'a mut Progress<'a>,
}

impl Import<'_> {
    fn all(&mut self, files: &[PathBuf]) -> Result<()> {
        for file in files {
            match self.file(file) {
                Err(IndexError::Unrecognised { reason, .. }) if files.len() > 1 => {
                    self.tally.remark(|| format!("{}: {reason}", sink::name(file)));
                }
                result => result?,
            }
            self.done += fs::metadata(file).map_or(0, |about| about.len());
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<()> {
        match open(path)? {
            Opened::Tensors(mut tensors) if examples::is_it(&tensors) => self.examples(&mut tensors, path),
            Opened::Tensors(mut tensors) => self.transaction(path, |sink, tell| {
                sparsity::read(&mut tensors, path, sink.d_sae(), sink)?;
                tell(fs::metadata(path).map_or(0, |about| about.len()))
            }),
            Opened::Rows(mut rows) => {
                let label_source = self.settings.label_source;
                self.transaction(path, |sink, tell| {
                    let mut n_rows = 0;
                    loop {
                        let (batch, end) = rows.batch(label_source);
                        for record in batch {
                            n_rows += 1;
                            sink.take(n_rows, record)?;
                        }
                        tell(rows.position())?;
                        match end {
                            None => {}
                            Some(Ok(())) => return Ok(()),
                            Some(Err(Broken::Cut(reason))) => {
                                sink.remark(|| format!("{}: {reason}; what comes before was read", sink::name(path)));
                                return Ok(());
                            }
                            Some(Err(Broken::TooLarge(reason))) => {
                                return Err(IndexError::TooLarge { reason, path: path.to_owned() });
                            }
                            Some(Err(Broken::Io(source))) => {
                                return Err(IndexError::Read { source, path: path.to_owned() });
                            }
                        }
                    }
                })
            }
        }
    }

    fn examples(&mut self, tensors: &mut Tensors, path: &Path) -> Result<()> {
        let d_sae = self.index.d_sae();
        let places = examples::Places::find(tensors, d_sae)?;
        let bytes = fs::metadata(path).map_or(0, |about| about.len());
        for first in (0..d_sae).step_by(examples::CHUNK) {
            let end = (first + examples::CHUNK).min(d_sae);
            self.transaction(path, |sink, tell| {
                places.read(tensors, first..end, sink)?;
                tell((bytes as f64 * end as f64 / d_sae as f64) as u64)
            })?;
        }
        Ok(())
    }

    /// Does `body` in one transaction; it may tell how many bytes of the file are read.
    fn transaction(
        &mut self,
        path: &Path,
        body: impl FnOnce(&mut Sink<'_>, &mut dyn FnMut(u64) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let (d_sae, settings, done, total_bytes) = (self.index.d_sae(), self.settings, self.done, self.total);
        let (tally, progress) = (&mut self.tally, &mut self.progress);
        self.index.write(
            |connection| {
                let mut sink = Sink::new(connection, d_sae, settings, path, tally)?;
                body(&mut sink, &mut |bytes| {
                    let done_bytes = (done + bytes).min(total_bytes);
                    match progress(ImportProgress { done_bytes, total_bytes }) {
                        ControlFlow::Continue(()) => Ok(()),
                        ControlFlow::Break(()) => Err(IndexError::Stopped),
                    }
                })?;
                sink.finish()
            },
            |(), _| (),
        )
    }
}

/// Looks at the first rows of a file, so that a folder that does not fit is refused before any of it is written.
fn survey(path: &Path, settings: &ImportSettings<'_>, d_sae: usize) -> Result<()> {
    let Ok(Opened::Rows(mut rows)) = open(path) else { return Ok(()) };
    for _ in 0..SURVEYED {
        match rows.next_row(settings.label_source) {
            Ok(Some(Ok(record))) => {
                fit::check(&record, settings, d_sae, path)?;
                if record.latent >= d_sae as u64 {
                    return Err(sink::out_of_range(record.latent, d_sae, settings, path));
                }
                return Ok(());
            }
            Ok(Some(Err(_))) => {}
            _ => return Ok(()),
        }
    }
    Ok(())
}

/// A file, told by its content.
enum Opened {
    Rows(Rows),
    Tensors(Tensors),
}

/// Rows of a file.
enum Rows {
    Json { bytes: Bytes, shape: Shape },
    Table(Box<Table>),
}

/// Rows that were parsed, and the end of the file when it was reached.
type Batch = (Vec<Result<Record, String>>, Option<Result<(), Broken>>);

impl Rows {
    fn position(&self) -> u64 {
        match self {
            Self::Json { bytes, .. } => bytes.position(),
            Self::Table(table) => table.position(),
        }
    }

    fn next_row(&mut self, label_source: LabelSource) -> Result<Option<Result<Record, String>>, Broken> {
        match self {
            Self::Json { bytes, shape } => {
                let mut row = Vec::new();
                let has_row = next_row(bytes, *shape, &mut row)?;
                Ok(has_row.then(|| record::parse(&row, label_source)))
            }
            Self::Table(table) => table.next_row(label_source),
        }
    }

    fn batch(&mut self, label_source: LabelSource) -> Batch {
        match self {
            Self::Json { bytes, shape } => {
                let (mut rows, mut n_bytes) = (Vec::new(), 0);
                let end = loop {
                    if rows.len() >= BATCH_ROWS || n_bytes >= BATCH_BYTES {
                        break None;
                    }
                    let mut row = Vec::new();
                    match next_row(bytes, *shape, &mut row) {
                        Ok(true) => {
                            n_bytes += row.len();
                            rows.push(row);
                        }
                        Ok(false) => break Some(Ok(())),
                        Err(error) => break Some(Err(error.into())),
                    }
                };
                (rows.par_iter().map(|row| record::parse(row, label_source)).collect(), end)
            }
            Self::Table(table) => {
                let mut rows = Vec::new();
                while rows.len() < BATCH_ROWS {
                    match table.next_row(label_source) {
                        Ok(Some(row)) => rows.push(row),
                        Ok(None) => return (rows, Some(Ok(()))),
                        Err(broken) => return (rows, Some(Err(broken))),
                    }
                }
                (rows, None)
            }
        }
    }
}

fn open(path: &Path) -> Result<Opened> {
    let refuse = |reason: String| IndexError::Unrecognised { reason, path: path.to_owned() };
    let broken = |broken: Broken| match broken {
        Broken::Cut(reason) => refuse(reason),
        Broken::TooLarge(reason) => IndexError::TooLarge { reason, path: path.to_owned() },
        Broken::Io(source) => IndexError::Read { source, path: path.to_owned() },
    };
    let mut bytes = Bytes::open(path).map_err(IndexError::read(path))?;
    let head = bytes.peek(64 * 1024).map_err(|error| broken(error.into()))?;
    if head.starts_with(b"PK\x03\x04") {
        return Err(refuse("it is a zip archive; unpack it first".to_owned()));
    }
    // The length of a header, then the header; no text has zeros.
    if head.get(8) == Some(&b'{') && head[4..8] == [0; 4] {
        return Ok(Opened::Tensors(Tensors::open(path)?));
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head).trim_ascii_start();
    match text.first() {
        None => Err(refuse("it is empty".to_owned())),
        Some(b'[') => Ok(Opened::Rows(Rows::Json { bytes, shape: Shape::Values })),
        Some(b'{') => Ok(Opened::Rows(Rows::Json { bytes, shape: shape(text) })),
        Some(_) => match Table::open(bytes) {
            Ok(Ok(table)) => Ok(Opened::Rows(Rows::Table(Box::new(table)))),
            Ok(Err(reason)) => Err(refuse(reason)),
            Err(error) => Err(broken(error)),
        },
    }
}

/// Whether a file that begins with an object has one on each line.
fn shape(text: &[u8]) -> Shape {
    let mut lines = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    match (lines.next(), lines.next()) {
        (Some(first), Some(second)) if !first.ends_with(b"}") && !second.starts_with(b"{") => Shape::Values,
        _ => Shape::Lines,
    }
}

#[cfg(test)]
mod tests;
