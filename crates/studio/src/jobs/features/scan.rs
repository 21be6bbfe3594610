//! A scan: the model over a corpus, and what every feature fires on.
//!
//! What is found is kept in the feature index, in one transaction every few seconds together with the place where the
//! scan is, so that a process that is killed loses no more than that. Sequences go through the model in groups that
//! depend on the corpus alone: a scan that was stopped and gone on with finds what an uninterrupted one finds.
//!
//! Memory: 24 bytes a feature, and what was gathered since the last save, which the index bounds: two million windows of
//! some 70 bytes each, about 150 MB, whatever the number of features. A save comes long before, unless hundreds of
//! thousands of features fire at once.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tiller_index::Index;
use tiller_index::scan::{Fire, Scan};
use tiller_protocol::feature::{Corpus, SaeId, ScanSettings};
use tiller_protocol::problem::Problem;

use super::activations::{together, tokens_at_once};
use super::{Coder, Tokens};
use crate::assets::Assets;
use crate::jobs::corpus::{self, Sequence, Sequences, Texts};
use crate::jobs::{Report, Sink};
use crate::models::Loaded;
use crate::{memory, problem};

/// First save, so that there is soon something to see.
const FIRST_SAVE: Duration = Duration::from_millis(500);
/// Least time between two saves.
const SAVE_EVERY: Duration = Duration::from_secs(2);
/// Saves take at most about one part in so many of the time.
const SAVE_SHARE: u32 = 10;

/// What is scanned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    /// The SAE's name, for reports.
    pub(crate) sae: &'a SaeId,
    /// Over what.
    pub(crate) settings: &'a ScanSettings,
    /// Shipped files.
    pub(crate) assets: &'a Result<Assets, Problem>,
}

/// How a scan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// Tokens that were counted, those before a resumption included.
    pub(crate) tokens: u64,
    /// Features that were active on one of them.
    pub(crate) n_active: usize,
    /// It was stopped; what it found is kept, and it can be gone on with.
    pub(crate) is_stopped: bool,
}

/// Scans until the texts end, the tokens are enough, or it is stopped. Tokens that count are those of the texts
/// themselves: neither position 0, nor special tokens, nor those of a chat template, nor outlying ones.
///
/// # Errors
/// An SAE that does not fit, texts that cannot be read, a failure of the model or of the index. What was found before is
/// kept.
pub(crate) fn scan(
    loaded: &Loaded,
    coder: &Coder,
    index: &Index,
    ask: &Ask<'_>,
    sink: &mut dyn Sink,
) -> Result<Scanned, Problem> {
    coder.check(loaded)?;
    memory::check_reading(loaded)?;
    let ScanSettings { corpus, max_tokens, context_len, resume } = ask.settings;
    let mut sequences = Sequences::new(&loaded.model, Texts::open(corpus, ask.assets)?, *context_len).peekable();
    // Before anything is replaced.
    match sequences.peek() {
        None => return Err(problem::no_texts(&corpus::place(corpus))),
        Some(Err(problem)) => return Err(problem.clone()),
        Some(Ok(_)) => {}
    }
    let key = key(loaded, coder, ask.settings)?;
    let told = |error| problem::index(&coder.name, &error);
    let mut runs = Running {
        loaded,
        coder,
        index,
        sae: ask.sae,
        scan: index.start_scan(&key, *resume).map_err(told)?,
        max_tokens: *max_tokens,
        next_save: Instant::now() + FIRST_SAVE,
    };
    for _ in 0..runs.scan.state().sequences {
        sink.check()?;
        sequences.next().transpose()?;
    }
    let end = runs.run(&mut sequences, sink);
    let is_stopped = sink.is_stopped();
    let is_done = end.is_ok() && !is_stopped;
    runs.save(is_done, sink)?;
    let (tokens, n_active) = (runs.scan.state().tokens, runs.scan.n_active());
    match end {
        Err(problem) if !is_stopped => Err(problem),
        _ => Ok(Scanned { tokens, n_active, is_stopped }),
    }
}

/// A scan under way.
struct Running<'a> {
    loaded: &'a Loaded,
    coder: &'a Coder,
    index: &'a Index,
    sae: &'a SaeId,
    scan: Scan,
    max_tokens: u64,
    next_save: Instant,
}

impl Running<'_> {
    fn run(
        &mut self,
        sequences: &mut dyn Iterator<Item = Result<Sequence, Problem>>,
        sink: &mut dyn Sink,
    ) -> Result<(), Problem> {
        loop {
            sink.step(self.scan.state().tokens as usize, self.max_tokens as usize, "tokens");
            sink.check()?;
            let batch = self.batch(sequences)?;
            if batch.is_empty() {
                return Ok(());
            }
            let ids: Vec<Tokens<'_>> = batch.iter().map(|sequence| sequence.ids.as_slice()).collect();
            let fired = together(self.loaded, self.coder, &ids, sink)?;
            for (sequence, fired) in batch.iter().zip(&fired) {
                let counted = (0_u32..).zip(fired).zip(&sequence.counts);
                let counted = counted.filter(|((_, fired), counts)| **counts && fired.is_usual);
                let (mut n_counted, mut fires) = (0, Vec::new());
                for ((pos, fired), _) in counted {
                    n_counted += 1;
                    fires.extend(fired.active.iter().map(|&(latent, value)| Fire { pos, latent, value }));
                }
                self.scan.add(&sequence.ids, n_counted, &fires);
            }
            if self.scan.is_full() || Instant::now() >= self.next_save {
                self.save(false, sink)?;
            }
        }
    }

    /// The sequences that go through the model next; none when the tokens are enough or the texts end.
    fn batch(&self, sequences: &mut dyn Iterator<Item = Result<Sequence, Problem>>) -> Result<Vec<Sequence>, Problem> {
        let (mut batch, mut n_tokens) = (Vec::new(), 0);
        let mut n_counted = self.scan.state().tokens;
        while n_counted < self.max_tokens && n_tokens < tokens_at_once(self.loaded) {
            let Some(sequence) = sequences.next().transpose()? else { break };
            n_tokens += sequence.ids.len();
            n_counted += sequence.n_counted() as u64;
            batch.push(sequence);
        }
        Ok(batch)
    }

    fn save(&mut self, is_done: bool, sink: &mut dyn Sink) -> Result<(), Problem> {
        let began = Instant::now();
        self.index.save_scan(&mut self.scan, is_done).map_err(|error| problem::index(&self.coder.name, &error))?;
        self.next_save = Instant::now() + SAVE_EVERY.max(began.elapsed() * SAVE_SHARE);
        sink.report(Report::FeaturesChanged(self.sae.clone()));
        Ok(())
    }
}

/// What has to be the same for a scan to be gone on with.
#[derive(Serialize)]
struct Key<'a> {
    model: &'a str,
    block: usize,
    context_len: usize,
    corpus: String,
}

fn key(loaded: &Loaded, coder: &Coder, settings: &ScanSettings) -> Result<String, Problem> {
    let corpus = match &settings.corpus {
        // They change with the version alone.
        Corpus::Shipped => concat!("shipped ", env!("CARGO_PKG_VERSION")).to_owned(),
        Corpus::Text(text) => format!("text {:x}", Sha256::digest(text)),
        Corpus::Path(path) => format!("files {:x}", Sha256::digest(stamps(path)?)),
    };
    let key = Key { model: &loaded.info.hash, block: coder.block(), context_len: settings.context_len, corpus };
    serde_json::to_string(&key).map_err(|error| problem::unwritable(Path::new("key"), &error.to_string()))
}

/// Names, sizes and times of the files of a corpus.
fn stamps(path: &Path) -> Result<String, Problem> {
    let files = corpus::files(path)?;
    let mut stamps = Vec::new();
    for file in files {
        let facts = fs::metadata(&file).map_err(|error| problem::read_failed(&file, &error))?;
        let time = facts.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let nanos = time.map_or(0, |time| time.as_nanos());
        stamps.push(format!("{}\t{}\t{nanos}\n", file.display(), facts.len()));
    }
    Ok(stamps.concat())
}
