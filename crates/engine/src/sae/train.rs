//! Training a small SAE: `TopK` (Gao et al. 2024, arXiv 2406.04093), `BatchTopK` (Bussmann et al. 2024, arXiv
//! 2412.06410) or `JumpReLU` (Rajamanoharan et al. 2024, arXiv 2407.14435) on rows of the residual stream.
//!
//! Rows are scaled to a mean length of `√d_model` while it learns, and the scale is folded into what is saved. The
//! gradient is worked out in closed form on the latents that pass, on the processor, in f32; rows of a model on an
//! accelerator are brought over. The same rows, settings and machine give the same bits, also when a training is
//! written down ([`Trainer::write_state`]) and gone on with.
//!
//! Knows rows and weights. Which texts the rows come from, and when to stop, is for the caller.

mod choose;
mod gradient;
mod options;
mod parameters;
mod rows;
mod save;
mod state;

use tiller_protocol::feature::{TrainKind, TrainPoint};

use self::choose::{choose, smallest};
use self::gradient::{Batch, gradient};
use self::parameters::{Adam, Parameters};
use crate::error::{EngineError, Result};
use crate::memory::room_for;

pub use options::TrainOptions;
pub use rows::{Rows, order};
pub use save::Published;

/// A training.
#[derive(Clone, Debug, PartialEq)]
pub struct Trainer {
    options: TrainOptions,
    inputs: Inputs,
    parameters: Parameters,
    adam: Adam,
    /// Steps since each latent passed last; whole numbers.
    idle: Vec<f32>,
    /// The one threshold of `BatchTopK`, scaled.
    threshold: Option<f32>,
    n_steps: u64,
}

/// What was measured of the rows before the first step.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Inputs {
    /// What makes the mean length of a row `√d_model`.
    scale: f32,
    /// Mean squared distance of a scaled row from the mean row.
    variance: f32,
    /// Longer rows are left out.
    limit: f32,
}

/// Rows that are measured before the first step.
const MEASURED: usize = 1 << 16;
/// Rows of which the geometric median is taken, and how often it is improved.
const MEDIAN_OF: (usize, usize) = (4096, 20);
/// A loss beyond this is no training: it begins near 1.
const DIVERGED: f64 = 1e6;

impl Trainer {
    /// Begins one, with what is measured of `rows`, which are put in the order of turn 0.
    ///
    /// # Errors
    /// Settings that make no sense, fewer rows than a batch, rows that are all alike, no memory.
    pub fn new(options: TrainOptions, rows: &mut Rows) -> Result<Self> {
        options.check()?;
        let d = rows.d_model();
        let limit = rows.usual_limit();
        rows.shuffle(options.seed, 0, limit);
        if rows.n_batches(options.batch) == 0 {
            let (n, batch) = (rows.len(), options.batch);
            return Err(EngineError::BadRequest(format!("{n} tokens of text are fewer than the {batch} of one step")));
        }
        // Weights, gradient and two moments, each of an encoder and a decoder.
        room_for::<[f32; 8]>(options.d_sae.saturating_mul(d))?;
        let (scale, variance) = measure(rows)?;
        let n_thresholds = if options.kind == TrainKind::JumpRelu { options.d_sae } else { 0 };
        let mut parameters = Parameters::zeros(d, options.d_sae, n_thresholds);
        parameters.init(options.seed);
        parameters.b_dec = median(rows, scale);
        let adam = Adam { first: parameters.like(), second: parameters.like() };
        let idle = vec![0.0; options.d_sae];
        let inputs = Inputs { scale, variance, limit };
        let mut trainer = Self { options, inputs, parameters, adam, idle, threshold: None, n_steps: 0 };
        if trainer.options.kind == TrainKind::JumpRelu {
            trainer.set_thresholds(rows)?;
        }
        Ok(trainer)
    }

    /// Lets as many latents pass as are aimed for: from a threshold near 0 the way there takes longer than a short
    /// training lasts.
    fn set_thresholds(&mut self, rows: &Rows) -> Result<()> {
        let options = TrainOptions { kind: TrainKind::BatchTopK, ..self.options.clone() };
        let batch = self.batch(rows, 0)?;
        let found = smallest(&choose(&options, &self.parameters, &batch.centred, &[]));
        let theta = found.unwrap_or_default().max(self.options.bandwidth);
        self.parameters.log_theta.fill(theta.ln());
        Ok(())
    }

    /// Its settings.
    pub fn options(&self) -> &TrainOptions {
        &self.options
    }

    /// Steps that were taken.
    pub fn n_steps(&self) -> u64 {
        self.n_steps
    }

    /// Whether all steps were taken.
    pub fn is_done(&self) -> bool {
        self.n_steps >= self.options.steps
    }

    /// Width of the rows it reads.
    pub fn d_model(&self) -> usize {
        self.parameters.b_dec.len()
    }

    /// Puts rows in the order of a turn, those of outlying length left out.
    pub fn shuffle(&self, rows: &mut Rows, turn: u64) {
        rows.shuffle(self.options.seed, turn, self.inputs.limit);
    }

    /// Takes a step on a batch of `rows` by its number, and tells how the batch was rebuilt before it.
    ///
    /// # Errors
    /// [`EngineError::Diverged`] when the loss is beyond all bounds (nothing was changed then), no such batch, rows of
    /// another width.
    pub fn step(&mut self, rows: &Rows, index: usize) -> Result<TrainPoint> {
        let batch = self.batch(rows, index)?;
        let dead = self.dead();
        let choice = choose(&self.options, &self.parameters, &batch.centred, &dead);
        let (loss, mut slopes) = gradient(&self.options, &self.parameters, &batch, &choice);
        if loss.total.is_nan() || loss.total > DIVERGED {
            return Err(EngineError::Diverged { step: self.n_steps });
        }
        self.adam.step(&self.options, self.n_steps, &mut self.parameters, &mut slopes);
        self.idle.iter_mut().for_each(|idle| *idle += 1.0);
        for (latent, _) in choice.iter().flat_map(|row| &row.main) {
            self.idle[*latent as usize] = 0.0;
        }
        if let (TrainKind::BatchTopK, Some(found)) = (self.options.kind, smallest(&choice)) {
            let rate = self.options.threshold_rate;
            self.threshold = Some(self.threshold.map_or(found, |theta| theta + rate * (found - theta)));
        }
        self.n_steps += 1;
        Ok(TrainPoint {
            tokens: self.n_steps * self.options.batch as u64,
            loss: loss.total,
            fvu: loss.error / spread(&batch.x, self.d_model()),
            l0: loss.l0,
            dead: dead.len() as f64 / self.options.d_sae as f64,
        })
    }

    fn batch(&self, rows: &Rows, index: usize) -> Result<Batch> {
        let d = self.d_model();
        if rows.d_model() != d {
            return Err(EngineError::BadRequest(format!("rows of {} values, not {d}", rows.d_model())));
        }
        let x = rows.batch(index, self.options.batch, self.inputs.scale)?;
        let mut centred = x.clone();
        for row in centred.chunks_mut(d) {
            row.iter_mut().zip(&self.parameters.b_dec).for_each(|(value, bias)| *value -= bias);
        }
        Ok(Batch { x, centred, variance: self.inputs.variance })
    }

    /// Latents that have not passed for long.
    fn dead(&self) -> Vec<u32> {
        let limit = self.options.dead_after as f32;
        (0..).zip(&self.idle).filter(|(_, idle)| **idle >= limit).map(|(latent, _)| latent).collect()
    }
}

/// The scale of rows and their variance after it.
fn measure(rows: &Rows) -> Result<(f32, f32)> {
    let d = rows.d_model();
    let some: Vec<f32> = rows.used().take(MEASURED).flatten().copied().collect();
    let n = (some.len() / d) as f64;
    let lengths = some.chunks(d).map(|row| row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt());
    let scale = (d as f64).sqrt() / (lengths.sum::<f64>() / n);
    let variance = scale * scale * spread(&some, d) / n;
    // Beside this a mean of so many values is not exact.
    if !(scale.is_finite() && variance > 1e-9 * d as f64) {
        return Err(EngineError::BadRequest("all tokens of the text have the same activations".to_owned()));
    }
    Ok((scale as f32, variance as f32))
}

/// Squared distances from the mean row, in all.
fn spread(rows: &[f32], d: usize) -> f64 {
    let n = (rows.len() / d) as f64;
    let mut mean = vec![0.0; d];
    for row in rows.chunks(d) {
        mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += f64::from(*value) / n);
    }
    let from_mean = |row: &[f32]| row.iter().zip(&mean).map(|(x, mean)| (f64::from(*x) - mean).powi(2)).sum::<f64>();
    rows.chunks(d).map(from_mean).sum()
}

/// The geometric median of scaled rows (Weiszfeld's iteration), with which the output bias begins (Bricken et al. 2023).
fn median(rows: &Rows, scale: f32) -> Vec<f32> {
    let d = rows.d_model();
    let (n, turns) = MEDIAN_OF;
    let some: Vec<f32> = rows.used().take(n).flatten().map(|value| scale * value).collect();
    let mut centre = vec![0.0_f64; d];
    for turn in 0..=turns {
        let (mut sum, mut weights) = (vec![0.0; d], 0.0);
        for row in some.chunks(d) {
            let distance = row.iter().zip(&centre).map(|(x, c)| (f64::from(*x) - c).powi(2)).sum::<f64>().sqrt();
            // The first turn gives the mean.
            let weight = if turn == 0 { 1.0 } else { 1.0 / distance.max(1e-6) };
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * f64::from(*x));
            weights += weight;
        }
        centre = sum.into_iter().map(|sum| sum / weights).collect();
    }
    centre.into_iter().map(|value| value as f32).collect()
}

#[cfg(test)]
mod tests;
