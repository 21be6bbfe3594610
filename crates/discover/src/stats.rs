//! Shares, intervals and paired tests.
//!
//! Knows plain numbers only; deviations, medians and AUROC are in [`tiller_engine::direction`]. The interval is that of
//! Wilson 1927, J. Am. Stat. Assoc. 22; the exact paired test is that of `McNemar` with the binomial distribution.

use tiller_engine::direction::mean_and_sd;
use tiller_protocol::evaluation::Rate;

/// Normal quantile of a two-sided 95 % interval.
const Z_95: f64 = 1.959_963_984_540_054;

/// Share of `hits` in `n` with its Wilson 95 % interval; the interval is the whole range when `n` is 0.
pub fn wilson(hits: usize, n: usize) -> Rate {
    if n == 0 {
        return Rate { hits, n, rate: 0.0, low: 0.0, high: 1.0 };
    }
    let total = n as f64;
    let rate = hits as f64 / total;
    let z2 = Z_95 * Z_95;
    let scale = 1.0 + z2 / total;
    let centre = (rate + z2 / (2.0 * total)) / scale;
    let half = Z_95 * (rate * (1.0 - rate) / total + z2 / (4.0 * total * total)).sqrt() / scale;
    // At the ends the interval touches 0 or 1 exactly, which rounding would blur.
    let low = if hits == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if hits == n { 1.0 } else { (centre + half).min(1.0) };
    Rate { hits, n, rate, low, high }
}

/// Outcome of a paired comparison of two conditions on the same decisions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// Decisions that are hits under the first condition alone.
    pub only_first: usize,
    /// Decisions that are hits under the second condition alone.
    pub only_second: usize,
    /// Two-sided exact p-value of no difference.
    pub p_value: f64,
}

/// Exact `McNemar` test of paired decisions; a surplus of the longer list is left out.
pub fn mcnemar(first: &[bool], second: &[bool]) -> Paired {
    let pairs = || first.iter().zip(second);
    let only_first = pairs().filter(|(a, b)| **a && !**b).count();
    let only_second = pairs().filter(|(a, b)| !**a && **b).count();
    Paired { only_first, only_second, p_value: sign_test(only_first, only_second) }
}

/// Two-sided exact binomial p-value of `a` against `b` at even odds.
fn sign_test(a: usize, b: usize) -> f64 {
    let n = a + b;
    let mut ln_choose = 0.0;
    let mut tail = 0.0;
    for k in 0..=a.min(b) {
        if k > 0 {
            ln_choose += ((n - k + 1) as f64 / k as f64).ln();
        }
        tail += (ln_choose - n as f64 * std::f64::consts::LN_2).exp();
    }
    (2.0 * tail).min(1.0)
}

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanInterval {
    /// Number of values.
    pub n: usize,
    /// The mean, 0 without values.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Mean of `values` with Student's 95 % interval; the interval is unbounded for fewer than two values.
pub fn mean_interval(values: &[f64]) -> MeanInterval {
    let n = values.len();
    let (mean, sd) = mean_and_sd(values);
    if n < 2 {
        return MeanInterval { n, mean, low: f64::NEG_INFINITY, high: f64::INFINITY };
    }
    let half = t_95(n - 1) * sd / (n as f64).sqrt();
    MeanInterval { n, mean, low: mean - half, high: mean + half }
}

/// Mean, 0 without values.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// Perplexity of a mean cross-entropy in nats per token.
pub fn perplexity(cross_entropy: f64) -> f64 {
    cross_entropy.exp()
}

/// 97.5 % quantile of Student's distribution: a table where the series in 1/df is not exact to three decimals.
fn t_95(df: usize) -> f64 {
    const SMALL: [f64; 9] = [12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622];
    if let Some(t) = df.checked_sub(1).and_then(|i| SMALL.get(i)) {
        return *t;
    }
    let (z, v) = (Z_95, df as f64);
    let (z3, z5, z7) = (z.powi(3), z.powi(5), z.powi(7));
    z + (z3 + z) / (4.0 * v)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * v * v)
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * v.powi(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
    }

    #[test]
    fn wilson_intervals() {
        for (hits, n, low, high) in [
            (49, 100, 0.394_220, 0.586_520),
            (0, 10, 0.0, 0.277_533),
            (10, 10, 0.722_467, 1.0),
            (7, 300, 0.011_348, 0.047_372),
        ] {
            let rate = wilson(hits, n);
            close(rate.low, low, 2e-6);
            close(rate.high, high, 2e-6);
        }
        assert_eq!(wilson(0, 0), Rate { hits: 0, n: 0, rate: 0.0, low: 0.0, high: 1.0 });
    }

    #[test]
    fn mcnemar_is_the_exact_binomial() {
        let first = [vec![true; 9], vec![false; 1], vec![true; 20]].concat();
        let second = [vec![false; 9], vec![true; 1], vec![true; 20]].concat();
        let paired = mcnemar(&first, &second);
        assert_eq!((paired.only_first, paired.only_second), (9, 1));
        close(paired.p_value, 22.0 / 1024.0, 1e-12);
        close(mcnemar(&first, &first).p_value, 1.0, 0.0);
    }

    #[test]
    fn student_interval() {
        let interval = mean_interval(&[1.0, 2.0, 3.0, 4.0]);
        close(interval.mean, 2.5, 1e-12);
        close(interval.high - interval.mean, 3.1824 * (5.0_f64 / 3.0).sqrt() / 2.0, 1e-9);
        close(t_95(10), 2.2281, 2e-4);
        close(t_95(60), 2.0003, 1e-4);
    }
}
