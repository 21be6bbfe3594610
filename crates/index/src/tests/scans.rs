use std::fs;
use std::ops::ControlFlow;

use tiller_protocol::feature::{FeatureFilter, FeatureSort};

use super::bench;
use crate::import::ImportSettings;
use crate::scan::{Fire, Scan, ScanState};
use crate::window::Tokens;
use crate::{Index, IndexError};

const D_SAE: usize = 40;
const LENGTH: u32 = 64;

/// Sequence `at` of a corpus with a few features that fire now and then; the last five never do.
fn sequence(at: u64) -> (Vec<u32>, Vec<Fire>) {
    let tokens = (0..LENGTH).map(|pos| (at as u32) * 1000 + pos).collect();
    let mut fires = Vec::new();
    let mut state = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for pos in 1..LENGTH {
        for _ in 0..3 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let latent = ((state >> 33) % (D_SAE as u64 - 5)) as u32;
            let value = ((state >> 40) as f32 / 1_000_000.0 + 0.01) * (1.0 + latent as f32);
            if fires.iter().all(|fire: &Fire| (fire.pos, fire.latent) != (pos, latent)) {
                fires.push(Fire { pos, latent, value });
            }
        }
    }
    (tokens, fires)
}

fn add(scan: &mut Scan, sequences: std::ops::Range<u64>) {
    for at in sequences {
        let (tokens, mut fires) = sequence(at);
        // The order does not matter, and what makes no sense is ignored.
        fires.reverse();
        fires.extend([
            Fire { pos: LENGTH, latent: 0, value: 9e9 },
            Fire { pos: 0, latent: D_SAE as u32, value: 9e9 },
            Fire { pos: 0, latent: 1, value: f32::NAN },
            Fire { pos: 0, latent: 1, value: f32::INFINITY },
            Fire { pos: 0, latent: 1, value: -1.0 },
        ]);
        scan.add(&tokens, tokens.len() - 1, &fires);
    }
}

fn scanned(index: &Index, n_sequences: u64) {
    let mut scan = index.start_scan("a", false).unwrap();
    add(&mut scan, 0..n_sequences);
    index.save_scan(&mut scan, true).unwrap();
}

/// Everything that a scan leaves behind, for comparison.
fn all_of(index: &Index) -> String {
    let columns = index.columns();
    let features: Vec<_> = (0..D_SAE as u32)
        .map(|latent| {
            let (histogram, windows) = (index.histogram(latent).unwrap(), index.windows(latent).unwrap());
            (columns.density(latent), columns.max(latent), histogram, windows)
        })
        .collect();
    format!("{:?} {features:?}", index.scan_state().unwrap())
}

#[test]
fn a_scan_counts_as_the_plain_way_does() {
    let bench = bench(D_SAE);
    scanned(&bench.index, 100);
    let fires: Vec<Fire> = (0..100).flat_map(|at| sequence(at).1).collect();
    let columns = bench.index.columns();
    for latent in 0..D_SAE as u32 {
        let values: Vec<f32> = fires.iter().filter(|fire| fire.latent == latent).map(|fire| fire.value).collect();
        let density = values.len() as f32 / (100.0 * (LENGTH - 1) as f32);
        assert!((columns.density(latent).unwrap() - density).abs() < 1e-7);
        assert_eq!(columns.is_dead(latent), latent >= D_SAE as u32 - 5);
        let Some(histogram) = bench.index.histogram(latent).unwrap() else {
            assert!(values.is_empty() && columns.max(latent).is_none());
            continue;
        };
        let largest = values.iter().copied().fold(0.0, f32::max);
        assert_eq!(columns.max(latent), Some(largest));
        assert_eq!(histogram.counts.iter().sum::<u64>(), values.len() as u64);
        for (edges, count) in histogram.edges.windows(2).zip(&histogram.counts) {
            let inside = values.iter().filter(|value| (edges[0]..edges[1]).contains(value)).count();
            assert!((inside as u64).abs_diff(*count) <= 1, "{edges:?}: {inside}, {count}");
        }
        let windows = bench.index.windows(latent).unwrap();
        assert_eq!(windows[0].height(), largest);
        let (strong, weak) = windows.split_at(windows.iter().position(|window| window.decile.is_some()).unwrap());
        assert_eq!(strong.len(), 20);
        assert!(strong.windows(2).all(|pair| pair[0].height() >= pair[1].height()));
        assert!(weak.len() > 3 && weak.windows(2).all(|pair| pair[0].decile > pair[1].decile));
        for window in &windows {
            let Tokens::Ids(ids) = &window.tokens else { panic!("ids") };
            assert_eq!(ids.len(), window.values.len());
            let source = sequence(u64::from(ids[0] / 1000)).1;
            for (id, &value) in ids.iter().zip(&window.values) {
                let fire = source.iter().find(|fire| fire.latent == latent && fire.pos == id % 1000);
                assert_eq!(fire.map_or(0.0, |fire| fire.value), value);
            }
        }
        for window in weak {
            let below = values.iter().filter(|value| **value < window.height()).count();
            let share = 10.0 * below as f32 / values.len() as f32;
            assert!((share - f32::from(window.decile.unwrap())).abs() < 2.0, "{share}, {:?}", window.decile);
        }
    }
}

#[test]
fn a_resumed_scan_equals_an_uninterrupted_one() {
    let (whole, parts) = (bench(D_SAE), bench(D_SAE));
    scanned(&whole.index, 150);
    let mut scan = parts.index.start_scan("a", true).unwrap();
    add(&mut scan, 0..70);
    parts.index.save_scan(&mut scan, false).unwrap();
    // What is not saved is done again.
    add(&mut scan, 70..90);
    drop(scan);
    let index = parts.reopen();
    let mut scan = index.start_scan("a", true).unwrap();
    assert_eq!((scan.state().sequences, scan.state().tokens), (70, 70 * 63));
    for at in 70..150 {
        add(&mut scan, at..at + 1);
        if at % 7 == 0 {
            index.save_scan(&mut scan, false).unwrap();
        }
    }
    index.save_scan(&mut scan, true).unwrap();
    assert_eq!(all_of(&index), all_of(&whole.index));
    assert_eq!(all_of(&parts.reopen()), all_of(&whole.index));
}

#[test]
fn a_scan_of_something_else_replaces_the_last() {
    let (bench, fresh) = (bench(D_SAE), bench(D_SAE));
    scanned(&bench.index, 30);
    for (key, resume) in [("a", false), ("b", true)] {
        let scan = bench.index.start_scan(key, resume).unwrap();
        assert_eq!(scan.state(), &ScanState { key: key.to_owned(), ..ScanState::default() });
        assert_eq!(bench.index.scan_state().unwrap(), None);
        assert_eq!(all_of(&bench.index), all_of(&fresh.index));
        scanned(&bench.index, 30);
    }
    assert!(bench.index.scan_state().unwrap().unwrap().done);
}

#[test]
fn what_was_imported_stays_for_features_that_a_scan_has_not_seen() {
    let bench = bench(D_SAE);
    let path = bench.path.with_extension("csv");
    fs::write(&path, "index,density,max_act\n39,0.25,7\n0,0.5,9\n").unwrap();
    bench.index.import(&path, &ImportSettings::default(), &mut |_| ControlFlow::Continue(())).unwrap();
    scanned(&bench.index, 30);
    for index in [&bench.index, &bench.reopen()] {
        let columns = index.columns();
        assert_eq!((columns.density(39), columns.max(39)), (Some(0.25), Some(7.0)));
        assert!(columns.density(0).unwrap() < 0.5 && columns.max(0) != Some(9.0));
        assert_eq!((columns.density(38), columns.is_dead(38)), (Some(0.0), true));
        let alive = FeatureFilter { alive: true, ..FeatureFilter::default() };
        assert_eq!(index.arrange(None, &alive, FeatureSort::Rank, false).unwrap().len(), D_SAE - 4);
    }
}

#[test]
fn an_empty_scan_and_a_failed_save_are_harmless() {
    let bench = bench(D_SAE);
    let mut scan = bench.index.start_scan("a", true).unwrap();
    scan.add(&[], 0, &[]);
    bench.index.save_scan(&mut scan, false).unwrap();
    assert!(bench.index.columns().density(0).is_none());
    let other = super::bench(D_SAE + 1);
    add(&mut scan, 0..5);
    assert!(matches!(other.index.save_scan(&mut scan, true), Err(IndexError::WrongShape { .. })));
    bench.index.save_scan(&mut scan, true).unwrap();
    assert_eq!(bench.index.scan_state().unwrap().unwrap().sequences, 6);
}
