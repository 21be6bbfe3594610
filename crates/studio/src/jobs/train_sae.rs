//! Training an SAE on the loaded model.
//!
//! Texts are cut into sequences, as many as are needed; the model runs over them some at a time, and what it has after
//! the block fills a store of rows, from which the steps draw in an order of chance. Texts are gone over again, in
//! another order, when there are fewer than asked for. A training that is stopped leaves a checkpoint; one that goes on
//! from it makes the steps that it would have made.

mod feed;
mod folder;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tiller_engine::sae::Precision;
use tiller_engine::sae::train::{Published, TrainOptions, Trainer};
use tiller_protocol::feature::{TrainPoint, TrainSettings};
use tiller_protocol::model::{ModelInfo, ModelSource};
use tiller_protocol::problem::Problem;

use self::feed::Feed;
use self::folder::{Folder, Note, Place};
use crate::assets::Assets;
use crate::jobs::corpus::{self, Sequences, Texts};
use crate::jobs::{Report, Sink};
use crate::models::Loaded;
use crate::{memory, problem};

/// Least time between two checkpoints.
const SAVE_EVERY: Duration = Duration::from_mins(2);
/// Steps over which the figures at the end are averaged.
const LAST: usize = 20;
/// Sequences that are cut between two reports.
const CUT_AT_ONCE: usize = 256;

/// What is trained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    /// How.
    pub(crate) settings: &'a TrainSettings,
    /// Number format of what is saved.
    pub(crate) precision: Precision,
    /// Folder of the result and of the checkpoint.
    pub(crate) out: &'a Path,
    /// Shipped files.
    pub(crate) assets: &'a Result<Assets, Problem>,
}

/// How a training ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trained {
    /// Its folder.
    pub(crate) out: PathBuf,
    /// The block whose output it reads.
    pub(crate) block: usize,
    /// The last steps, on average.
    pub(crate) last: TrainPoint,
    /// It was stopped: there is a checkpoint and no SAE.
    pub(crate) is_stopped: bool,
}

/// Trains until the tokens are used up or it is stopped. Position 0 of each sequence and tokens of outlying length are
/// left out; special tokens and those of the chat template are not, since vectors act on them, too.
///
/// # Errors
/// Settings that make no sense, texts that cannot be read or are too short, a checkpoint of another training, no memory,
/// a failure of the model, a full disk, or a stop before the first step.
pub(crate) fn train(loaded: &Loaded, ask: &Ask<'_>, sink: &mut dyn Sink) -> Result<Trained, Problem> {
    let settings = ask.settings;
    let (n_layers, d) = (loaded.info.n_layers, loaded.info.d_model);
    let block = settings.block.unwrap_or(n_layers / 2);
    if block >= n_layers {
        return Err(problem::no_block(block, n_layers));
    }
    memory::check_reading(loaded)?;
    let sequences = sequences(loaded, ask, sink)?;
    let options = options(settings, d);
    let n_rows: usize = sequences.iter().map(|ids| ids.len() - 1).sum();
    if n_rows < options.batch {
        return Err(problem::too_little_text(n_rows, options.batch));
    }
    let mut feed = Feed::new(loaded, block, sequences, &options);
    memory::check_training(d as u64 * options.d_sae as u64, feed.bytes())?;
    let folder = Folder::new(ask.out);
    let mut run = Run { loaded, settings, folder, last: Vec::new(), saved: Instant::now() };
    let tell = |error| problem::engine(&error);
    sink.part("Reading the texts");
    let begun = run.checkpoint(&feed, &options, d)?;
    let (mut trainer, mut place, mut is_stopped) = if let Some((trainer, place)) = begun {
        let is_filled = feed.fill(&place, sink)?;
        (trainer, place, !is_filled)
    } else {
        let place = Place::default();
        if !feed.fill(&place, sink)? {
            return Err(problem::stopped());
        }
        (Trainer::new(options, &mut feed.rows).map_err(tell)?, place, false)
    };
    sink.part("Training");
    while !trainer.is_done() && !is_stopped {
        is_stopped = !feed.fill(&place, sink)?;
        if is_stopped {
            break;
        }
        trainer.shuffle(&mut feed.rows, place.turn);
        let n_batches = feed.rows.n_batches(trainer.options().batch);
        if n_batches == 0 {
            return Err(problem::too_little_text(feed.rows.len(), trainer.options().batch));
        }
        is_stopped = run.turn(&mut trainer, &feed, &mut place, sink)?;
        if !is_stopped {
            place = feed.after(&place);
        }
    }
    if is_stopped {
        run.save(&trainer, &feed, &place)?;
    } else {
        let published = Published {
            model: model_name(&loaded.info),
            block,
            context_len: settings.context_len,
            has_leading_token: loaded.model.tokenizer().leading_token().map_err(tell)?.is_some(),
            precision: ask.precision,
        };
        run.folder.publish(&trainer, &published)?;
    }
    Ok(Trained { out: ask.out.to_owned(), block, last: run.mean(&trainer), is_stopped })
}

/// The model as others look it up.
fn model_name(info: &ModelInfo) -> String {
    match &info.source {
        ModelSource::Demo => "tiller-demo".to_owned(),
        ModelSource::Hub(id) => id.clone(),
        ModelSource::Folder(_) => info.name.clone(),
    }
}

/// The engine's settings.
fn options(settings: &TrainSettings, d_model: usize) -> TrainOptions {
    let (size, length) = ((settings.d_sae, settings.k), (settings.tokens, settings.batch));
    let usual = TrainOptions::new(settings.kind, d_model, size, length);
    let learning_rate = settings.learning_rate.unwrap_or(usual.learning_rate);
    TrainOptions { learning_rate, seed: settings.seed, ..usual }
}

/// As many sequences as have the tokens that are asked for, or all.
fn sequences(loaded: &Loaded, ask: &Ask<'_>, sink: &mut dyn Sink) -> Result<Vec<Vec<u32>>, Problem> {
    let settings = ask.settings;
    sink.part("Cutting the texts");
    let texts = Texts::open(&settings.corpus, ask.assets)?;
    let (mut found, mut n_rows) = (Vec::new(), 0);
    for sequence in Sequences::new(&loaded.model, texts, settings.context_len) {
        let ids = sequence?.ids;
        n_rows += ids.len() as u64 - 1;
        found.push(ids);
        if found.len() % CUT_AT_ONCE == 0 {
            sink.check()?;
            sink.step(n_rows.min(settings.tokens) as usize, settings.tokens as usize, "tokens");
        }
        if n_rows >= settings.tokens {
            break;
        }
    }
    if found.is_empty() {
        return Err(problem::no_texts(&corpus::place(&settings.corpus)));
    }
    Ok(found)
}

/// A training that runs.
struct Run<'a> {
    loaded: &'a Loaded,
    settings: &'a TrainSettings,
    folder: Folder,
    /// The last steps.
    last: Vec<TrainPoint>,
    saved: Instant,
}

impl Run<'_> {
    /// The checkpoint to go on from, if that is wanted and there is one.
    fn checkpoint(
        &self,
        feed: &Feed<'_>,
        options: &TrainOptions,
        d: usize,
    ) -> Result<Option<(Trainer, Place)>, Problem> {
        if !self.settings.resume {
            return Ok(None);
        }
        let Some((trainer, note)) = self.folder.checkpoint(options, d)? else { return Ok(None) };
        let path = self.folder.checkpoint_path();
        let Note { model, block, texts, place } = note;
        if model != self.loaded.info.hash {
            return Err(problem::other_training(&path, "another model"));
        }
        if block != feed.block() {
            return Err(problem::other_training(&path, &format!("block {block}")));
        }
        if texts != feed.texts() {
            return Err(problem::other_training(&path, "other texts"));
        }
        Ok(Some((trainer, place)))
    }

    /// The steps of one turn; whether it was stopped.
    fn turn(
        &mut self,
        trainer: &mut Trainer,
        feed: &Feed<'_>,
        place: &mut Place,
        sink: &mut dyn Sink,
    ) -> Result<bool, Problem> {
        let n_batches = feed.rows.n_batches(trainer.options().batch);
        while place.batch < n_batches && !trainer.is_done() {
            if sink.is_stopped() {
                return Ok(true);
            }
            let point = trainer.step(&feed.rows, place.batch).map_err(|error| problem::engine(&error))?;
            place.batch += 1;
            self.last.push(point);
            if self.last.len() > LAST {
                self.last.remove(0);
            }
            sink.report(Report::Training(point));
            sink.step(point.tokens as usize, trainer.options().steps as usize * trainer.options().batch, "tokens");
            if self.saved.elapsed() >= SAVE_EVERY {
                self.save(trainer, feed, place)?;
            }
        }
        Ok(false)
    }

    fn save(&mut self, trainer: &Trainer, feed: &Feed<'_>, place: &Place) -> Result<(), Problem> {
        let model = self.loaded.info.hash.clone();
        let note = Note { model, block: feed.block(), texts: feed.texts().to_owned(), place: place.clone() };
        self.folder.save(trainer, &note)?;
        self.saved = Instant::now();
        Ok(())
    }

    /// The last steps on average.
    fn mean(&self, trainer: &Trainer) -> TrainPoint {
        let n = self.last.len().max(1) as f64;
        let mean = |of: fn(&TrainPoint) -> f64| self.last.iter().map(of).sum::<f64>() / n;
        TrainPoint {
            tokens: trainer.n_steps() * trainer.options().batch as u64,
            loss: mean(|point| point.loss),
            fvu: mean(|point| point.fvu),
            l0: mean(|point| point.l0),
            dead: self.last.last().map_or(0.0, |point| point.dead),
        }
    }
}

#[cfg(test)]
mod tests;
