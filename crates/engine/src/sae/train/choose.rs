//! Which latents pass for the rows of a batch.

use rayon::prelude::*;
use tiller_protocol::feature::TrainKind;

use super::options::TrainOptions;
use super::parameters::Parameters;
use crate::ops::gemm::{View, matmul};

/// Latents with their pre-activations.
pub(super) type Latents = Vec<(u32, f32)>;

/// What is found for one row.
#[derive(Clone, Debug, Default)]
pub(super) struct RowChoice {
    /// Those that pass.
    pub(super) main: Latents,
    /// The largest of the dead ones, above 0.
    pub(super) spare: Latents,
    /// Those whose pre-activation is so near the threshold that it learns from it.
    pub(super) near: Vec<u32>,
}

/// Pre-activations that are in memory at once.
const VALUES: usize = if cfg!(test) { 64 } else { 1 << 22 };

/// Chooses for each of `n` centred rows `[n, d_model]`; `dead` are the latents that have not passed for long.
pub(super) fn choose(options: &TrainOptions, p: &Parameters, centred: &[f32], dead: &[u32]) -> Vec<RowChoice> {
    let (n_latents, d) = (p.b_enc.len(), p.b_dec.len());
    let n = centred.len() / d;
    let at_once = (VALUES / n_latents).clamp(1, n.max(1));
    let thresholds: Vec<f32> = p.log_theta.iter().map(|log| log.exp()).collect();
    let mut pre = vec![0.0; at_once * n_latents];
    let mut rows: Vec<RowChoice> = Vec::with_capacity(n);
    let mut floor = 0.0;
    for some in centred.chunks(at_once * d) {
        let n_some = some.len() / d;
        let pre = &mut pre[..n_some * n_latents];
        matmul(pre, View::new(some, n_some, d), View::new(&p.enc, n_latents, d).t(), false);
        let pick = Pick { options, thresholds: &thresholds, dead, floor };
        rows.par_extend(pre.par_chunks_mut(n_latents).map(|pre| {
            pre.iter_mut().zip(&p.b_enc).for_each(|(pre, bias)| *pre += bias);
            pick.row(pre)
        }));
        if options.kind == TrainKind::BatchTopK {
            floor = cut(&mut rows, options.k * n);
        }
    }
    rows
}

/// What decides about one row.
#[derive(Clone, Copy)]
struct Pick<'a> {
    options: &'a TrainOptions,
    thresholds: &'a [f32],
    dead: &'a [u32],
    /// Of a batch that is chosen from as a whole: no smaller value can pass any more.
    floor: f32,
}

impl Pick<'_> {
    fn row(&self, pre: &[f32]) -> RowChoice {
        let mut choice = RowChoice::default();
        match self.options.kind {
            TrainKind::TopK => choice.main = largest((0..).zip(pre.iter().copied()), self.options.k),
            TrainKind::BatchTopK => {
                choice.main = (0..).zip(pre.iter().copied()).filter(|(_, value)| *value > self.floor).collect();
            }
            TrainKind::JumpRelu => {
                let half = self.options.bandwidth / 2.0;
                for (latent, (value, threshold)) in (0..).zip(pre.iter().zip(self.thresholds)) {
                    if value > threshold {
                        choice.main.push((latent, *value));
                    }
                    if (value - threshold).abs() < half {
                        choice.near.push(latent);
                    }
                }
            }
        }
        let dead = self.dead.iter().map(|latent| (*latent, pre[*latent as usize]));
        choice.spare = largest(dead, self.options.spare_k);
        choice
    }
}

/// The `n` largest values above 0, of equal ones the first, in no order that means anything.
fn largest(values: impl Iterator<Item = (u32, f32)>, n: usize) -> Latents {
    let mut kept: Latents = Vec::new();
    let mut floor = 0.0;
    let by_size = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    for (latent, value) in values {
        if value > floor {
            kept.push((latent, value));
            if kept.len() >= 4 * n {
                floor = kept.select_nth_unstable_by(n - 1, by_size).1.1;
                kept.truncate(n);
            }
        }
    }
    if kept.len() > n {
        kept.select_nth_unstable_by(n - 1, by_size);
        kept.truncate(n);
    }
    kept.sort_unstable_by_key(|kept| kept.0);
    kept
}

/// Keeps the `n` largest values of all rows (and what equals the smallest of them) and returns the smallest; 0 when
/// there are not so many.
fn cut(rows: &mut [RowChoice], n: usize) -> f32 {
    let mut values: Vec<f32> = rows.iter().flat_map(|row| row.main.iter().map(|(_, value)| *value)).collect();
    if values.len() <= n {
        return 0.0;
    }
    let smallest = *values.select_nth_unstable_by(n - 1, |a, b| b.total_cmp(a)).1;
    rows.par_iter_mut().for_each(|row| row.main.retain(|(_, value)| *value >= smallest));
    smallest
}

/// The smallest pre-activation that passes anywhere.
pub(super) fn smallest(rows: &[RowChoice]) -> Option<f32> {
    rows.iter().flat_map(|row| row.main.iter().map(|(_, value)| *value)).min_by(f32::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_found_whatever_their_order() {
        let values: Vec<f32> = (0..300).map(|i| ((i * 7919) % 301) as f32 - 100.0).collect();
        for n in [1, 2, 7, 150, 300] {
            let found = largest((0..).zip(values.iter().copied()), n);
            let mut order: Vec<u32> = (0..300).filter(|i| values[*i as usize] > 0.0).collect();
            order.sort_by(|a, b| values[*b as usize].total_cmp(&values[*a as usize]));
            order.truncate(n);
            order.sort_unstable();
            assert_eq!(found.iter().map(|(latent, _)| *latent).collect::<Vec<_>>(), order, "{n}");
        }
        let ties = largest((0..20).map(|latent| (latent, 1.0)), 3);
        assert_eq!(ties, [(0, 1.0), (1, 1.0), (2, 1.0)], "of equal values the first");
        assert!(largest([(0, f32::NAN), (1, -1.0), (2, 0.0)].into_iter(), 2).is_empty());
    }
}
