//! Directions from contrastive activations (methods.md eq. 1): means are summed in f64, pair by pair, for every block
//! at once. The pairs' rows are kept in f32 for the diagnostics (2 · pairs · blocks · `d_model` values).

use candle_core::{DType, Tensor};

use crate::edit::Edit;
use crate::error::{EngineError, Result};
use crate::model::{Model, Request};
use crate::tree::{Node, Parent, TokenTree};

/// Rows run at once.
const TOKENS_PER_PASS: usize = 4096;

/// `resid_post` at the last token of every prompt: for each block asked for, in that order, `[n_prompts, d_model]`,
/// f32.
///
/// # Errors
/// No prompts, an empty one, one longer than the context, or a block out of range.
pub fn last_rows(model: &Model, prompts: &[Vec<u32>], blocks: &[usize], edits: &[Edit]) -> Result<Vec<Tensor>> {
    let mut found: Vec<Vec<Tensor>> = vec![Vec::new(); blocks.len()];
    let mut rest = prompts;
    while !rest.is_empty() {
        let mut tree = TokenTree::new();
        while let Some((prompt, others)) = rest.split_first() {
            tree.push(Node { parent: Parent::Root, ids: prompt.clone(), ends_prompt: true, is_reply: false });
            rest = others;
            if tree.n_tokens() >= TOKENS_PER_PASS {
                break;
            }
        }
        let last_block = blocks.iter().max().copied();
        let out = model.forward(&Request { edits, capture: blocks, last_block, ..Request::new(&tree) })?;
        let rows: Vec<u32> = (0..tree.nodes().len()).map(|node| tree.last_row(node) as u32).collect();
        let rows = Tensor::new(rows, model.device())?;
        for (found, (_, resid)) in found.iter_mut().zip(&out.resid_post) {
            found.push(resid.index_select(&rows, 0)?.to_dtype(DType::F32)?);
        }
    }
    if prompts.is_empty() {
        return Err(EngineError::BadRequest("there are no prompts".to_owned()));
    }
    Ok(found.iter().map(|parts| Tensor::cat(parts, 0)).collect::<candle_core::Result<_>>()?)
}

/// Paired activations of one block: positive and negative side of each pair.
#[derive(Clone, Debug, Default)]
pub struct Contrast {
    d_model: usize,
    /// `[n_pairs, d_model]` each.
    positive: Vec<f32>,
    negative: Vec<f32>,
    /// Sums over all pairs, `[d_model]`.
    positive_sum: Vec<f64>,
    negative_sum: Vec<f64>,
}

impl Contrast {
    /// No pairs yet.
    pub fn new(d_model: usize) -> Self {
        Self { d_model, positive_sum: vec![0.0; d_model], negative_sum: vec![0.0; d_model], ..Self::default() }
    }

    /// Adds one pair of rows `[d_model]`.
    ///
    /// # Errors
    /// Rows of another width.
    pub fn push(&mut self, positive: &[f32], negative: &[f32]) -> Result<()> {
        if positive.len() != self.d_model || negative.len() != self.d_model {
            let (found, d) = (positive.len().max(negative.len()), self.d_model);
            return Err(EngineError::BadRequest(format!("a row of {found} values, not {d}")));
        }
        for (sums, rows, row) in [
            (&mut self.positive_sum, &mut self.positive, positive),
            (&mut self.negative_sum, &mut self.negative, negative),
        ] {
            sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
            rows.extend_from_slice(row);
        }
        Ok(())
    }

    /// Adds pairs given as tensors `[n, d_model]`, row by row.
    ///
    /// # Errors
    /// Different numbers of rows, or rows of another width.
    pub fn extend(&mut self, positive: &Tensor, negative: &Tensor) -> Result<()> {
        if positive.dims() != negative.dims() {
            let (a, b) = (positive.dims(), negative.dims());
            return Err(EngineError::BadRequest(format!("sides of shape {a:?} and {b:?}")));
        }
        let rows = |side: &Tensor| side.to_dtype(DType::F32)?.to_vec2::<f32>();
        for (positive, negative) in rows(positive)?.iter().zip(&rows(negative)?) {
            self.push(positive, negative)?;
        }
        Ok(())
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.positive.len() / self.d_model.max(1)
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Mean of the positive side minus mean of the negative side, `[d_model]` (eq. 1). Zero without pairs.
    pub fn mean_difference(&self) -> Vec<f32> {
        let n = self.len().max(1) as f64;
        self.positive_sum.iter().zip(&self.negative_sum).map(|(p, m)| ((p - m) / n) as f32).collect()
    }

    /// Cosine between the mean differences of the even and of the odd pairs; 0 with fewer than two pairs.
    pub fn split_half_cos(&self) -> f64 {
        cosine(&self.half_difference(0), &self.half_difference(1))
    }

    /// Share of pairs whose difference projects positively on `direction` `[d_model]`.
    pub fn agreement(&self, direction: &[f32]) -> f64 {
        let agree = self.pairs().filter(|(p, m)| project(p, direction) > project(m, direction)).count();
        agree as f64 / self.len().max(1) as f64
    }

    /// Area under the ROC curve of the projections, positive against negative rows, each half of the pairs judged by
    /// the mean difference of the other half. 0.5 is chance.
    pub fn two_fold_auroc(&self) -> f64 {
        let fold = |half: usize| {
            let direction: Vec<f32> = self.half_difference(1 - half).iter().map(|&x| x as f32).collect();
            let (positive, negative): (Vec<f64>, Vec<f64>) = self
                .pairs()
                .skip(half)
                .step_by(2)
                .map(|(p, m)| (project(p, &direction), project(m, &direction)))
                .unzip();
            auroc(&positive, &negative)
        };
        f64::midpoint(fold(0), fold(1))
    }

    fn pairs(&self) -> impl Iterator<Item = (&[f32], &[f32])> {
        let d = self.d_model.max(1);
        self.positive.chunks_exact(d).zip(self.negative.chunks_exact(d))
    }

    fn half_difference(&self, half: usize) -> Vec<f64> {
        let mut sum = vec![0.0; self.d_model];
        for (positive, negative) in self.pairs().skip(half).step_by(2) {
            for ((sum, &p), &m) in sum.iter_mut().zip(positive).zip(negative) {
                *sum += f64::from(p) - f64::from(m);
            }
        }
        let n = ((self.len() + 1 - half) / 2).max(1) as f64;
        sum.into_iter().map(|value| value / n).collect()
    }
}

/// Inner product of a row with a direction, both `[d_model]`, summed in f64.
pub fn project(row: &[f32], direction: &[f32]) -> f64 {
    row.iter().zip(direction).map(|(&r, &d)| f64::from(r) * f64::from(d)).sum()
}

/// Mean and standard deviation (n − 1) of a sample; the deviation of fewer than two values is 0.
pub fn mean_and_sd(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, if values.len() < 2 { 0.0 } else { (squares / (n - 1.0)).sqrt() })
}

/// Median; 0 of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// Probability that a positive value exceeds a negative one, equal ones counting half; 0.5 without values.
pub fn auroc(positive: &[f64], negative: &[f64]) -> f64 {
    if positive.is_empty() || negative.is_empty() {
        return 0.5;
    }
    let mut sorted = negative.to_vec();
    sorted.sort_by(f64::total_cmp);
    let wins: f64 = positive
        .iter()
        .map(|value| {
            let below = sorted.partition_point(|other| other < value) as f64;
            let not_above = sorted.partition_point(|other| other <= value) as f64;
            f64::midpoint(below, not_above)
        })
        .sum();
    wins / (positive.len() * negative.len()) as f64
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_direction_separates_its_pairs() {
        let mut contrast = Contrast::new(3);
        for i in 0..6 {
            let noise = (i as f32).sin();
            contrast.push(&[1.0, noise, 0.0], &[-1.0, noise, 0.5]).unwrap();
        }
        let direction = contrast.mean_difference();
        assert!((direction[0] - 2.0).abs() < 1e-6 && direction[1].abs() < 1e-6 && (direction[2] + 0.5).abs() < 1e-6);
        assert!((contrast.split_half_cos() - 1.0).abs() < 1e-9);
        assert_eq!((contrast.agreement(&direction), contrast.two_fold_auroc()), (1.0, 1.0));
        assert!(contrast.push(&[1.0], &[1.0]).is_err());
    }

    #[test]
    fn small_statistics() {
        assert_eq!(auroc(&[2.0, 1.0], &[1.0, 0.0]), 0.875);
        assert_eq!(median(&[3.0, 1.0, 2.0, 10.0]), 2.5);
        assert_eq!(mean_and_sd(&[1.0, 3.0]), (2.0, 2.0_f64.sqrt()));
    }
}
