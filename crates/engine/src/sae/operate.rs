//! Operators on single latents (methods.md §5.3): `h ← h + (f′ − f)·w`, with f the latent's activation, f′ what the
//! operator makes of it and w its decoder row. What the SAE does not explain of h stays as it is, by construction, and
//! nothing is decoded.
//!
//! Values are lengths in residual units: what a latent writes. Where rows are not normalised one by one that is the
//! activation itself; where they are ([`Norm`]), it is the activation times what its row was divided by.

use candle_core::{DType, Device, Tensor};

use super::description::Norm;
use super::file::Rows;
use super::pinned::{Dictionary, Pinned, Ranking};
use super::{LAYER_NORM_EPS, checked};
use crate::error::{EngineError, Result};

/// What is done to what a latent writes; lengths in residual units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operator {
    /// More (or less) by so much.
    Add(f64),
    /// Exactly so much.
    Set(f64),
    /// At least so much.
    AtLeast(f64),
    /// So many times as much.
    Multiply(f64),
    /// Nothing at all.
    Ablate,
}

impl Operator {
    fn changes_nothing(self) -> bool {
        self == Self::Add(0.0) || self == Self::Multiply(1.0)
    }

    /// Factor, summand and least value: `f′ = max(factor · f + summand, least)`.
    fn parts(self) -> [f32; 3] {
        let (factor, summand, least) = match self {
            Self::Add(value) => (1.0, value, f64::NEG_INFINITY),
            Self::Set(value) => (0.0, value, f64::NEG_INFINITY),
            Self::AtLeast(value) => (1.0, 0.0, value),
            Self::Multiply(value) => (value, 0.0, f64::NEG_INFINITY),
            Self::Ablate => (0.0, 0.0, f64::NEG_INFINITY),
        };
        [factor as f32, summand as f32, least as f32]
    }

    fn is_finite(self) -> bool {
        match self {
            Self::Add(value) | Self::Set(value) | Self::AtLeast(value) | Self::Multiply(value) => value.is_finite(),
            Self::Ablate => true,
        }
    }
}

/// Changes to latents of one SAE, all on one reading of the row: none of them sees what another writes.
#[derive(Clone, Debug)]
pub struct LatentEdit {
    d_model: usize,
    /// What is added whatever the row is, `[1, d_model]`.
    constant: Option<Tensor>,
    moved: Option<Moved>,
}

/// Latents whose change depends on their activation.
#[derive(Clone, Debug)]
struct Moved {
    pinned: Pinned,
    norm: Norm,
    /// Decoder rows, `[n, d_model]`.
    dec: Tensor,
    /// One after the other; most have one operator for each latent.
    stages: Vec<Stage>,
}

/// At most one operator of each latent, `[1, n]` each.
#[derive(Clone, Debug)]
struct Stage {
    factor: Tensor,
    summand: Tensor,
    /// Absent where no latent has a least value.
    least: Option<Tensor>,
}

impl LatentEdit {
    /// Applies `operators`, each with its latent, to rows on `device`; several on one latent act in order.
    ///
    /// # Errors
    /// A latent out of range, a value that is not finite, a failure to read.
    pub fn new(dictionary: &Dictionary, operators: &[(usize, Operator)], device: &Device) -> Result<Self> {
        if let Some((latent, operator)) = operators.iter().find(|(_, operator)| !operator.is_finite()) {
            return Err(EngineError::BadRequest(format!("{operator:?} on latent {latent} is not finite")));
        }
        // All operators of each latent, in the order in which the latents come.
        let mut by_latent: Vec<(usize, Vec<Operator>)> = Vec::new();
        for &(latent, operator) in operators.iter().filter(|(_, operator)| !operator.changes_nothing()) {
            match by_latent.iter_mut().find(|(known, _)| *known == latent) {
                Some((_, operators)) => operators.push(operator),
                None => by_latent.push((latent, vec![operator])),
            }
        }
        let is_constant = |operators: &[Operator]| operators.iter().all(|op| matches!(op, Operator::Add(_)));
        let (added, moved): (Vec<_>, Vec<_>) = by_latent.into_iter().partition(|(_, operators)| is_constant(operators));
        let constant = if added.is_empty() { None } else { Some(constant(dictionary, &added, device)?) };
        let moved = if moved.is_empty() { None } else { Some(Moved::new(dictionary, moved, device)?) };
        Ok(Self { d_model: dictionary.d_model(), constant, moved })
    }

    /// Width of the rows that it edits.
    pub fn d_model(&self) -> usize {
        self.d_model
    }

    /// Whether every row stays as it is, whatever it holds.
    pub fn changes_nothing(&self) -> bool {
        self.constant.is_none() && self.moved.is_none()
    }

    /// What is added to `resid` `[n, d_model]`: that shape, or `[1, d_model]` when it is the same for all rows. f32; the
    /// gradient flows through the activations, with the gates held fixed.
    ///
    /// # Errors
    /// Rows of another width, a failure to read.
    pub fn delta(&self, resid: &Tensor) -> Result<Tensor> {
        let moved = self.moved.as_ref().map(|moved| moved.delta(resid)).transpose()?;
        Ok(match (&self.constant, moved) {
            (Some(constant), Some(moved)) => moved.broadcast_add(&constant.to_device(resid.device())?)?,
            (Some(constant), None) => constant.to_device(resid.device())?,
            (None, Some(moved)) => moved,
            (None, None) => Tensor::zeros((1, self.d_model), DType::F32, resid.device())?,
        })
    }
}

/// The sum of what some latents add, `[1, d_model]`.
fn constant(dictionary: &Dictionary, added: &[(usize, Vec<Operator>)], device: &Device) -> Result<Tensor> {
    let latents: Vec<usize> = added.iter().map(|(latent, _)| *latent).collect();
    let sum = |operators: &[Operator]| operators.iter().map(|operator| operator.parts()[1]).sum::<f32>();
    let lengths: Vec<f32> = added.iter().map(|(_, operators)| sum(operators)).collect();
    let lengths = Tensor::from_vec(lengths, (1, latents.len()), device)?;
    Ok(lengths.matmul(&dictionary.rows(Rows::Decoder, &latents, device)?)?)
}

impl Moved {
    fn new(dictionary: &Dictionary, by_latent: Vec<(usize, Vec<Operator>)>, device: &Device) -> Result<Self> {
        let (latents, operators): (Vec<usize>, Vec<Vec<Operator>>) = by_latent.into_iter().unzip();
        let n_stages = operators.iter().map(Vec::len).max().unwrap_or_default();
        let stage = |i: usize| -> Result<Stage> {
            let parts = |operators: &Vec<Operator>| operators.get(i).copied().unwrap_or(Operator::Add(0.0)).parts();
            let parts: Vec<[f32; 3]> = operators.iter().map(parts).collect();
            let row = |which: usize| -> Result<Tensor> {
                let values: Vec<f32> = parts.iter().map(|parts| parts[which]).collect();
                Ok(Tensor::from_vec(values, (1, parts.len()), device)?)
            };
            let has_least = parts.iter().any(|parts| parts[2].is_finite());
            Ok(Stage { factor: row(0)?, summand: row(1)?, least: has_least.then(|| row(2)).transpose()? })
        };
        Ok(Self {
            pinned: Pinned::new(dictionary, &latents, Ranking::Whole, device)?,
            norm: dictionary.norm(),
            dec: dictionary.rows(Rows::Decoder, &latents, device)?,
            stages: (0..n_stages).map(stage).collect::<Result<_>>()?,
        })
    }

    fn delta(&self, resid: &Tensor) -> Result<Tensor> {
        let resid = checked(resid, self.pinned.d_model())?;
        let mut written = self.pinned.activations(&resid)?;
        match self.norm {
            Norm::None => {}
            Norm::Length => written = written.broadcast_mul(&self.norm.spread(&resid)?)?,
            // As decoding undoes it.
            Norm::Layer => written = written.broadcast_mul(&(self.norm.spread(&resid)? - LAYER_NORM_EPS)?)?,
        }
        let mut target = written.clone();
        for stage in &self.stages {
            target = target.broadcast_mul(&stage.factor)?.broadcast_add(&stage.summand)?;
            if let Some(least) = &stage.least {
                target = target.broadcast_maximum(least)?;
            }
        }
        Ok((target - written)?.matmul(&self.dec)?)
    }
}
