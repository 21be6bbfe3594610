//! Similar rows: exact values whatever the way, and almost all of those that an exact search finds.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use super::super::{By, Hints, Precision, Rows, SaeFile, convert, converted_bytes, synthetic};
use crate::EngineError;
use crate::random::Noise;
use crate::testing::noise;

/// More values than are read as a whole, of widths that are and are not powers of two, and less than a transform's.
const SHAPES: [(usize, usize); 4] = [(2100, 64), (1500, 72), (900, 37), (4000, 6)];

fn made(dir: &Path, shape: (usize, usize)) -> (PathBuf, SaeFile) {
    let path = dir.join("sae.safetensors");
    synthetic(&path, shape, 3, &mut |_, _| true).unwrap();
    let file = SaeFile::open(&path).unwrap();
    (path, file)
}

fn sketch(path: &Path) -> PathBuf {
    path.with_extension("safetensors.sketch")
}

fn random(n: usize, seed: u64) -> Vec<f32> {
    let mut noise = Noise(seed);
    (0..n).map(|_| noise.uniform()).collect()
}

/// By definition, in f64 and from the rows one by one.
fn exact(file: &SaeFile, rows: Rows, vector: &[f32], by: By) -> Vec<(u32, f64)> {
    let length = |row: &[f32]| row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    let value = |latent: u32| {
        let row = file.row(rows, latent as usize).unwrap();
        let dot: f64 = row.iter().zip(vector).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        (latent, if by == By::Dot { dot } else { dot / length(&row) / length(vector) })
    };
    let mut all: Vec<(u32, f64)> = (0..file.description().d_sae as u32).map(value).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}

#[test]
fn large_decoders_are_searched_by_their_sketch_and_almost_nothing_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    for shape in SHAPES {
        let (path, file) = made(dir.path(), shape);
        assert!(sketch(&path).is_file() && file.is_prepared(), "{shape:?}: made with the file");
        let (mut hits, mut wanted) = (0, 0);
        for query in 0..12 {
            let own = file.row(Rows::Decoder, 31 * query).unwrap();
            // A row, one with much else beside it, and nothing but noise.
            let share = [1.0, 0.2, 0.0][query % 3];
            let vector: Vec<f32> =
                own.iter().zip(random(shape.1, query as u64)).map(|(own, other)| share * own + other * 0.1).collect();
            let found = file.nearest(Rows::Decoder, &vector, 10, By::Dot, None).unwrap();
            let expected = exact(&file, Rows::Decoder, &vector, By::Dot);
            assert!(found.len() == 10 && found.is_sorted_by(|a, b| a.1 >= b.1), "{found:?}");
            for (latent, value) in &found {
                let exact = expected.iter().find(|(other, _)| other == latent).unwrap().1;
                assert!((f64::from(*value) - exact).abs() < 1e-5, "{shape:?}: {value}, not {exact}");
            }
            let expected: HashSet<u32> = expected[..10].iter().map(|(latent, _)| *latent).collect();
            hits += found.iter().filter(|(latent, _)| expected.contains(latent)).count();
            wanted += 10;
        }
        // In so few dimensions many rows are all but the same.
        let percent = if shape.1 < 16 { 90 } else { 97 };
        assert!(hits * 100 >= wanted * percent, "{shape:?}: {hits} of {wanted}");
    }
}

#[test]
fn a_sketch_narrows_the_search_down_by_far() {
    let dir = tempfile::tempdir().unwrap();
    let (path, file) = made(dir.path(), SHAPES[0]);
    // All rows but those of one family are zero now: only a search that reads the others would not notice.
    let family = 160..176;
    let bytes = std::fs::read(&path).unwrap();
    let (_, table) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let start = bytes.len() - table.data_len() + table.info("dec").unwrap().data_offsets.0;
    let row = file.row(Rows::Decoder, 165).unwrap();
    let before = file.nearest(Rows::Decoder, &row, 5, By::Cosine, Some(165)).unwrap();
    assert!(before.iter().all(|(latent, _)| family.contains(latent) && *latent != 165), "{before:?}");
    let mut emptied = bytes.clone();
    emptied[start..start + 160 * 64 * 2].fill(0);
    std::fs::write(&path, &emptied).unwrap();
    assert_eq!(file.nearest(Rows::Decoder, &row, 5, By::Cosine, Some(165)).unwrap(), before);
}

#[test]
fn small_ones_and_encoders_are_read_as_a_whole_and_exact() {
    let dir = tempfile::tempdir().unwrap();
    for precision in [Precision::F16, Precision::F32] {
        let (source, target) = (dir.path().join("source"), dir.path().join("sae.safetensors"));
        std::fs::create_dir_all(&source).unwrap();
        super::load(&source, r#"{"architecture":"jumprelu","hook_name":"blocks.3.hook_resid_post"}"#).unwrap();
        convert(&source, Hints::default(), &target, precision, &mut |_, _| true).unwrap();
        let file = SaeFile::open(&target).unwrap();
        assert!(file.is_prepared() && !sketch(&target).exists());
        for (rows, by) in [
            (Rows::Decoder, By::Dot),
            (Rows::Decoder, By::Cosine),
            (Rows::Encoder, By::Dot),
            (Rows::Encoder, By::Cosine),
        ] {
            let vector = noise(&[super::D], 0.4).to_vec1::<f32>().unwrap();
            let found = file.nearest(rows, &vector, 4, by, Some(3)).unwrap();
            let mut expected = exact(&file, rows, &vector, by);
            expected.retain(|(latent, _)| *latent != 3);
            assert_eq!(found.len(), 4);
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found.0, expected.0, "{rows:?} {by:?}");
                assert!((f64::from(found.1) - expected.1).abs() < 1e-3, "{found:?}, not {expected:?}");
            }
        }
        assert_eq!(file.nearest(Rows::Decoder, &[1.0; 6], 99, By::Dot, None).unwrap().len(), super::F);
        assert!(
            file.nearest(Rows::Decoder, &[0.0; 6], 2, By::Cosine, None).unwrap().iter().all(|found| found.1 == 0.0)
        );
        assert!(file.nearest(Rows::Decoder, &[1.0; 7], 2, By::Dot, None).is_err());
        assert!(file.nearest(Rows::Decoder, &[f32::NAN; 6], 2, By::Dot, None).is_err());
    }
}

#[test]
fn a_sketch_that_is_missing_damaged_or_another_ones_is_not_used_and_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let (path, file) = made(dir.path(), SHAPES[0]);
    let about = file.description();
    let beside = std::fs::metadata(sketch(&path)).unwrap().len() + std::fs::metadata(&path).unwrap().len();
    let estimate = converted_bytes(about, Precision::F16).unwrap();
    assert!(beside.abs_diff(estimate) < 1024, "{beside} bytes, not {estimate}");
    let row = file.row(Rows::Decoder, 40).unwrap();
    let expected = file.nearest(Rows::Decoder, &row, 3, By::Cosine, None).unwrap();
    let check = |file: &SaeFile| {
        let found = file.nearest(Rows::Decoder, &row, 3, By::Cosine, None).unwrap();
        let same = |(a, b): (&(u32, f32), &(u32, f32))| a.0 == b.0 && (a.1 - b.1).abs() < 1e-6;
        assert!(found.iter().zip(&expected).all(same), "{found:?}, not {expected:?}");
    };
    let whole = std::fs::read(sketch(&path)).unwrap();
    let mut other = whole.clone();
    let at = whole.windows(5).position(|text| text == b"\"of\":").unwrap();
    other[at + 20] ^= 1;
    for damaged in [None, Some(&whole[..100]), Some(&whole[..whole.len() - 1]), Some(&other[..])] {
        match damaged {
            Some(bytes) => std::fs::write(sketch(&path), bytes).unwrap(),
            None => std::fs::remove_file(sketch(&path)).unwrap(),
        }
        let file = SaeFile::open(&path).unwrap();
        check(&file);
        let stopped = file.prepare(&mut |_, _| false);
        assert!(matches!(stopped, Err(EngineError::Stopped)), "{stopped:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1 + usize::from(damaged.is_some()));
        let mut seen = 0;
        file.prepare(&mut |done, total| {
            assert!(done > seen && total == 2100);
            seen = done;
            true
        })
        .unwrap();
        assert_eq!((seen, std::fs::read(sketch(&path)).unwrap()), (2100, whole.clone()));
        check(&file);
        file.prepare(&mut |_, _| panic!("it is there")).unwrap();
    }
}

#[test]
fn dead_latents_and_vectors_of_one_value_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let (path, file) = made(dir.path(), SHAPES[0]);
    let bytes = std::fs::read(&path).unwrap();
    let (_, table) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let start = bytes.len() - table.data_len() + table.info("dec").unwrap().data_offsets.0;
    drop(file);
    let mut dead = bytes.clone();
    dead[start..start + 100 * 64 * 2].fill(0);
    std::fs::write(&path, &dead).unwrap();
    let file = SaeFile::open(&path).unwrap();
    file.prepare(&mut |_, _| true).unwrap();
    let mut single = [0.0; 64];
    single[7] = 3.0;
    for vector in [single.to_vec(), vec![0.0; 64], vec![1e-30; 64], vec![1e30; 64]] {
        let found = file.nearest(Rows::Decoder, &vector, 10, By::Cosine, None).unwrap();
        assert!(found.len() == 10 && found.iter().all(|(_, value)| value.is_finite()), "{found:?}");
    }
    let found = file.nearest(Rows::Decoder, &single, 10, By::Cosine, None).unwrap();
    let expected = exact(&file, Rows::Decoder, &single, By::Dot);
    assert!(found[0].0 >= 100 && (f64::from(found[0].1) - expected[0].1 / 3.0).abs() < 1e-5, "{found:?}");
}

/// Many rows go in groups and pieces; few and single ones have ways of their own.
#[test]
fn any_number_of_rows_is_encoded_as_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    for shape in [(90, 64), (75, 37)] {
        let (_, file) = made(dir.path(), shape);
        let sae = file.load(&Device::Cpu).unwrap();
        for n in [0, 1, 2, 7, 30] {
            let x = Tensor::from_vec(random(n * shape.1, 5), (n, shape.1), &Device::Cpu).unwrap();
            let active = file.encode(&x, &mut |_, _| true).unwrap();
            assert_eq!(active.len(), n);
            if n == 0 {
                continue;
            }
            let expected = sae.encode(&x).unwrap().to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
            for (active, expected) in active.iter().zip(&expected) {
                let mut found = vec![0.0; shape.0];
                for &(latent, value) in active {
                    found[latent as usize] = value;
                }
                // At the threshold itself a rounding may decide.
                let far = found.iter().zip(expected).filter(|(a, b)| (*a - *b).abs() > 1e-4);
                assert!(far.clone().all(|(a, b)| (a.max(*b) - 2.0).abs() < 1e-4), "{:?}", far.collect::<Vec<_>>());
            }
        }
    }
}
