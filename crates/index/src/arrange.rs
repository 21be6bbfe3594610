//! Orders of features: filtered, sorted, or the best by some score. A million take tens of milliseconds.

use rayon::prelude::*;
use tiller_protocol::feature::FeatureFilter;

use crate::columns::Columns;

impl Columns {
    /// The features of `among` (all, by number, when absent) that pass `filter`, in the order of `among`.
    pub fn filtered(&self, among: Option<&[u32]>, filter: &FeatureFilter) -> Vec<u32> {
        match among {
            Some(latents) => latents.par_iter().copied().filter(|&latent| self.passes(filter, latent)).collect(),
            None => (0..self.len() as u32).into_par_iter().filter(|&latent| self.passes(filter, latent)).collect(),
        }
    }

    /// The `n` features with the largest scores that pass `filter`, largest first; equal ones by number. NaN scores are
    /// left out.
    ///
    /// `scores` has one value for each feature.
    pub fn best(&self, scores: &[f32], n: usize, filter: &FeatureFilter) -> Vec<u32> {
        let mut keys: Vec<u64> = scores
            .par_iter()
            .enumerate()
            .filter(|&(latent, score)| !score.is_nan() && self.passes(filter, latent as u32))
            .map(|(latent, &score)| key(descending(score), latent as u32))
            .collect();
        if n < keys.len() {
            keys.select_nth_unstable(n);
            keys.truncate(n);
        }
        keys.par_sort_unstable();
        keys.into_iter().map(latent).collect()
    }

    /// Sorts by density.
    pub(crate) fn sort_by_density(&self, latents: &mut [u32], reversed: bool) {
        sort(latents, reversed, |latent| self.density(latent).map(ascending));
    }

    /// Sorts by largest activation.
    pub(crate) fn sort_by_max(&self, latents: &mut [u32], reversed: bool) {
        sort(latents, reversed, |latent| self.max(latent).map(ascending));
    }
}

/// Sorts features by a key, or the other way round; those without a key come last either way, and equal ones stand by
/// number either way. No key may be 0 or the largest number.
pub(crate) fn sort(latents: &mut [u32], reversed: bool, by: impl Fn(u32) -> Option<u32> + Sync) {
    let mut keys: Vec<u64> = latents
        .par_iter()
        .map(|&latent| {
            let value = by(latent).map_or(u32::MAX, |value| if reversed { !value } else { value });
            key(value, latent)
        })
        .collect();
    keys.par_sort_unstable();
    latents.par_iter_mut().zip(keys).for_each(|(place, key)| *place = latent(key));
}

fn key(value: u32, latent: u32) -> u64 {
    u64::from(value) << 32 | u64::from(latent)
}

fn latent(key: u64) -> u32 {
    key as u32
}

/// A whole number that orders as the float does, which must not be NaN; -0 is 0. It is neither 0 nor the largest.
fn ascending(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

fn descending(value: f32) -> u32 {
    !ascending(value)
}
