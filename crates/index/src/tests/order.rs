//! Orders of a million features against the plain way to make them.

use std::cmp::Ordering;

use tiller_protocol::feature::{FeatureFilter, FeatureSort};

use super::{bench, imported};
use crate::columns::{BOOKMARKED, Columns, LABELLED, ROWLESS};

const N: usize = 1_000_003;

/// Values that are often equal, sometimes unknown, and of both signs of zero.
fn values(seed: u64) -> Vec<f32> {
    let mut state = seed;
    (0..N)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match state >> 60 {
                0 => f32::NAN,
                1 => -f32::NAN,
                2 => 0.0,
                3 => -0.0,
                4 => f32::MIN_POSITIVE / 8.0,
                5 => ((state >> 40) & 0xff) as f32 / 256.0,
                _ => (state >> 40) as f32 / 16_777_216.0,
            }
        })
        .collect()
}

fn columns() -> Columns {
    let flags = (0..N).map(|latent| [0, LABELLED, BOOKMARKED, LABELLED | BOOKMARKED, ROWLESS][latent % 5]).collect();
    Columns { density: values(1), max: values(2), flags }
}

fn plain_sort(latents: &mut [u32], values: &[f32], reversed: bool) {
    latents.sort_by(|&a, &b| {
        let (x, y) = (values[a as usize], values[b as usize]);
        let by_value = match (x.is_nan(), y.is_nan()) {
            (false, false) if reversed => y.partial_cmp(&x).unwrap(),
            (false, false) => x.partial_cmp(&y).unwrap(),
            (true, true) => Ordering::Equal,
            (is_unknown, _) => {
                if is_unknown {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
        };
        by_value.then(a.cmp(&b))
    });
}

#[test]
fn a_million_features_stand_in_the_same_order_as_the_plain_way_puts_them() {
    let columns = columns();
    let filter =
        FeatureFilter { min_density: Some(1e-6), max_density: Some(0.75), labelled: true, ..FeatureFilter::default() };
    let all = FeatureFilter::default();
    let passing: Vec<u32> = (0..N as u32)
        .filter(|&latent| {
            let density = columns.density[latent as usize];
            latent % 5 % 2 == 1 && (density.is_nan() || (1e-6..=0.75).contains(&density))
        })
        .collect();
    assert_eq!(columns.filtered(None, &filter), passing);
    assert_eq!(columns.filtered(None, &all).len(), N);
    let alive = FeatureFilter { alive: true, ..all };
    assert!(
        columns
            .filtered(None, &alive)
            .iter()
            .all(|&latent| { columns.density(latent) != Some(0.0) && latent % 5 != 4 })
    );
    for reversed in [false, true] {
        let (mut by_density, mut by_max) = (columns.filtered(None, &all), passing.clone());
        columns.sort_by_density(&mut by_density, reversed);
        columns.sort_by_max(&mut by_max, reversed);
        let mut expected: Vec<u32> = (0..N as u32).collect();
        plain_sort(&mut expected, &columns.density, reversed);
        assert!(by_density == expected, "density, reversed {reversed}");
        let mut expected = passing.clone();
        plain_sort(&mut expected, &columns.max, reversed);
        assert!(by_max == expected, "activation, reversed {reversed}");
    }
}

#[test]
fn the_best_are_the_first_of_the_sorted() {
    let columns = columns();
    let scores: Vec<f32> = values(3).iter().enumerate().map(|(at, value)| value - (at % 3) as f32).collect();
    for filter in [FeatureFilter::default(), FeatureFilter { bookmarked: true, ..FeatureFilter::default() }] {
        let mut expected: Vec<u32> =
            columns.filtered(None, &filter).into_iter().filter(|&latent| !scores[latent as usize].is_nan()).collect();
        plain_sort(&mut expected, &scores, true);
        for n in [0, 1, 1000, expected.len() - 1, N, usize::MAX] {
            let best = columns.best(&scores, n, &filter);
            assert!(best == expected[..n.min(expected.len())], "{n}");
        }
    }
    assert_eq!(columns.best(&[], 5, &FeatureFilter::default()), [0; 0]);
}

#[test]
fn labels_sort_without_regard_to_case_and_unlabelled_features_come_last() {
    let bench = bench(7);
    let labels = [(5, "beta"), (1, "Alpha"), (4, "alpha"), (2, "\u{e9}t\u{e9}"), (6, "Gamma")];
    bench.index.add_labels(&labels.map(|(latent, text)| (latent, imported(text)))).unwrap();
    let by_label = |among: Option<&[u32]>, reversed| {
        bench.index.arrange(among, &FeatureFilter::default(), FeatureSort::Label, reversed).unwrap()
    };
    assert_eq!(by_label(None, false), [1, 4, 5, 6, 2, 0, 3]);
    assert_eq!(by_label(None, true), [2, 6, 5, 1, 4, 0, 3]);
    assert_eq!(by_label(Some(&[3, 6, 5]), false), [5, 6, 3]);
    // The order follows what changes.
    bench.index.warm().unwrap();
    bench.index.add_labels(&[(3, imported("aaa"))]).unwrap();
    assert_eq!(by_label(None, false)[0], 3);
}

#[test]
fn a_search_keeps_its_rank_and_numbers_that_are_no_feature_fall_out() {
    let bench = bench(7);
    let arrange =
        |by, reversed| bench.index.arrange(Some(&[4, 2, 99, 6]), &FeatureFilter::default(), by, reversed).unwrap();
    assert_eq!((arrange(FeatureSort::Rank, false), arrange(FeatureSort::Rank, true)), (vec![4, 2, 6], vec![6, 2, 4]));
    assert_eq!(arrange(FeatureSort::Number, true), [6, 4, 2]);
    assert_eq!(arrange(FeatureSort::Density, true), [2, 4, 6]);
}
