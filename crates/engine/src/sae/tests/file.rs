//! The converted file: whole or not there, and its damage told.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use super::super::{Hints, Precision, Rows, Sae, SaeFile, convert, describe};
use super::{D, F, load, stored};
use crate::EngineError;
use crate::testing::{close, noise};

const CFG: &str = r#"{"architecture":"jumprelu","hook_name":"blocks.3.hook_resid_post"}"#;

fn names(dir: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = std::fs::read_dir(dir).unwrap().map(name).collect();
    names.sort();
    names
}

/// A folder in the form of `SAELens`, and where it is converted to.
fn source(dir: &Path) -> (PathBuf, PathBuf) {
    let source = dir.join("source");
    std::fs::create_dir_all(&source).unwrap();
    load(&source, CFG).unwrap();
    (source, dir.join("sae.safetensors"))
}

#[test]
fn a_conversion_that_is_stopped_or_fails_leaves_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = source(dir.path());
    std::fs::write(&target, "before").unwrap();
    for stop_after in 0..2 {
        let mut n = 0;
        let stopped = convert(&source, Hints::default(), &target, Precision::F32, &mut |_, _| {
            n += 1;
            n <= stop_after
        });
        assert!(matches!(stopped, Err(EngineError::Stopped)), "{stopped:?}");
        assert_eq!(std::fs::read(&target).unwrap(), b"before");
        assert_eq!(names(dir.path()), ["sae.safetensors", "source"]);
    }
    let mut tensors = stored();
    tensors.insert("W_dec".to_owned(), (noise(&[F, D], 3.0) * 1e9).unwrap());
    tensors.insert("W_enc".to_owned(), (noise(&[D, F], 3.0) * 1e9).unwrap());
    candle_core::safetensors::save(&tensors, source.join("sae_weights.safetensors")).unwrap();
    let error = convert(&source, Hints::default(), &target, Precision::F16, &mut |_, _| true).unwrap_err().to_string();
    assert!(error.contains("tensor enc") && error.contains("f16"), "{error}");
    assert_eq!(names(dir.path()), ["sae.safetensors", "source"]);
    convert(&source, Hints::default(), &target, Precision::F32, &mut |_, _| true).unwrap();
    assert!(SaeFile::is_one(&target));
}

#[test]
fn other_programs_can_read_it_and_map_its_matrices() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = source(dir.path());
    for precision in [Precision::F32, Precision::F16] {
        convert(&source, Hints::default(), &target, precision, &mut |_, _| true).unwrap();
        let bytes = std::fs::read(&target).unwrap();
        let (len, table) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let enc = table.info("enc").unwrap();
        assert_eq!(((8 + len + enc.data_offsets.0) % 64, enc.shape.as_slice()), (0, &[F, D][..]));
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert!(tensors.tensor("theta").is_ok() && tensors.tensor("rank_scale").is_err());
    }
}

#[test]
fn a_file_that_is_cut_short_or_changed_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = source(dir.path());
    convert(&source, Hints::default(), &target, Precision::F32, &mut |_, _| true).unwrap();
    let whole = std::fs::read(&target).unwrap();
    let cut = dir.path().join("cut.safetensors");
    for len in (0..whole.len()).step_by(7) {
        std::fs::write(&cut, &whole[..len]).unwrap();
        assert!(SaeFile::open(&cut).is_err() && !SaeFile::is_one(&cut), "{len}");
    }
    let at = |text: &[u8]| whole.windows(text.len()).position(|found| found == text).unwrap();
    let mut other = whole.clone();
    other[at(b"tiller-sae-1") + 11] = b'9';
    std::fs::write(&cut, &other).unwrap();
    assert!(SaeFile::open(&cut).unwrap_err().to_string().contains("convert the SAE again"));
    let n = whole.len();
    let mut other = whole.clone();
    other[n - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&cut, &other).unwrap();
    let error = SaeFile::open(&cut).unwrap_err();
    assert!(matches!(&error, EngineError::NotFinite { name, .. } if name == "b_dec"), "{error}");
    // Open when it is cut: an error, and not the end of the program.
    std::fs::write(&cut, &whole).unwrap();
    let file = SaeFile::open(&cut).unwrap();
    assert!(file.row(Rows::Decoder, F - 1).is_ok());
    std::fs::OpenOptions::new().write(true).open(&cut).unwrap().set_len(600).unwrap();
    assert!(matches!(file.row(Rows::Decoder, F - 1), Err(EngineError::Io { .. })));
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = source(dir.path());
    convert(&source, Hints::default(), &target, Precision::F32, &mut |_, _| true).unwrap();
    let file = SaeFile::open(&target).unwrap();
    assert!(file.row(Rows::Encoder, F).is_err() && file.row(Rows::Encoder, usize::MAX).is_err());
    assert!(file.dots(Rows::Decoder, &[0.0; D + 1]).is_err());
    assert!(file.encode(&noise(&[2, D + 1], 0.0), &mut |_, _| true).is_err());
    assert!(file.decode(&[Vec::new()], &noise(&[2, D], 0.0)).is_err());
    assert!(file.decode(&[vec![(F as u32, 1.0)]], &noise(&[1, D], 0.0)).is_err());
    let stopped = file.encode(&noise(&[2, D], 0.0), &mut |done, _| done == 0);
    assert!(matches!(stopped, Err(EngineError::Stopped)));
    assert!(file.pre_activations(&noise(&[2, D], 0.0), &[F]).is_err());
    let about = file.description();
    assert_eq!(about.misfit(D, 4), None);
    assert!(about.misfit(D + 1, 4).unwrap().contains('7') && about.misfit(D, 3).unwrap().contains("block 3"));
}

#[test]
fn the_fit_tells_the_right_place_from_a_wrong_one() {
    let dir = tempfile::tempdir().unwrap();
    // Two latents for each axis, one for each sign: it rebuilds everything, about its own centre.
    let axes = Tensor::eye(D, candle_core::DType::F32, &Device::Cpu).unwrap();
    let rows = Tensor::cat(&[&axes, &axes.neg().unwrap()], 0).unwrap();
    let zeros = |n: usize| Tensor::zeros(n, candle_core::DType::F32, &Device::Cpu).unwrap();
    let tensors = [
        ("W_enc", rows.t().unwrap().contiguous().unwrap()),
        ("W_dec", rows),
        ("b_enc", (zeros(2 * D) - 0.5).unwrap()),
        ("b_dec", (zeros(D) + 3.0).unwrap()),
    ];
    let tensors: HashMap<String, Tensor> =
        tensors.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect();
    let cfg = r#"{"architecture":"standard","hook_name":"blocks.3.hook_resid_post"}"#;
    std::fs::write(dir.path().join("cfg.json"), cfg).unwrap();
    candle_core::safetensors::save(&tensors, dir.path().join("sae_weights.safetensors")).unwrap();
    let target = dir.path().join("sae.tiller");
    convert(dir.path(), Hints::default(), &target, Precision::F32, &mut |_, _| true).unwrap();
    let file = SaeFile::open(&target).unwrap();
    let signs: Vec<f32> = (0..8 * D).map(|i| if i * i * 7 % 11 > 4 { 5.0 } else { 1.0 }).collect();
    let right = Tensor::from_vec(signs, (8, D), &Device::Cpu).unwrap();
    // Each value is 2 from the centre, and half a unit is lost.
    let fit = file.fit(&right, &mut |_, _| true).unwrap();
    assert_eq!((fit.n_rows, fit.l0), (8, D as f64));
    let mean = right.mean_keepdim(0).unwrap();
    let spread = right.broadcast_sub(&mean).unwrap().sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
    assert!((fit.fvu - 8.0 * D as f64 * 0.25 / f64::from(spread)).abs() < 1e-6, "{fit:?}");
    // One row of a hundred times the length is left out.
    let outlier = (right.narrow(0, 0, 1).unwrap() * 100.0).unwrap();
    let with = Tensor::cat(&[&right, &outlier], 0).unwrap();
    assert_eq!(file.fit(&with, &mut |_, _| true).unwrap(), fit);
    assert!(file.fit(&right.narrow(0, 0, 1).unwrap(), &mut |_, _| true).is_err());
}

#[test]
fn all_rows_pass_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = source(dir.path());
    convert(&source, Hints::default(), &target, Precision::F32, &mut |_, _| true).unwrap();
    let file = SaeFile::open(&target).unwrap();
    let mut all = Vec::new();
    file.each(Rows::Encoder, &mut |first, rows| {
        assert_eq!(first * D, all.len());
        all.extend_from_slice(rows);
        ControlFlow::Continue(())
    })
    .unwrap();
    let rows: Vec<f32> = (0..F).flat_map(|latent| file.row(Rows::Encoder, latent).unwrap()).collect();
    assert_eq!(all, rows);
    let vector = noise(&[D], 0.7).to_vec1::<f32>().unwrap();
    let dots = file.dots(Rows::Encoder, &vector).unwrap();
    for (row, dot) in rows.chunks_exact(D).zip(&dots) {
        assert!((row.iter().zip(&vector).map(|(a, b)| a * b).sum::<f32>() - dot).abs() < 1e-4);
    }
    let mut n = 0;
    file.each(Rows::Decoder, &mut |_, _| {
        n += 1;
        ControlFlow::Break(())
    })
    .unwrap();
    assert_eq!(n, 1);
}

/// The makers' own formulas (see [`super::super::formats`]) where their gate is not that of `SAELens`: rows that are not
/// of unit length, with the threshold in units of what is written.
#[test]
fn the_gate_of_llama_scope_is_that_of_its_authors() {
    let dir = tempfile::tempdir().unwrap();
    let s = stored();
    let turned = |name: &str| s[name].t().unwrap().contiguous().unwrap();
    let (norm, theta) = (1.7_f32, 0.4_f32);
    let scale = (D as f32).sqrt() / norm;
    let config = |more: &str| {
        format!(
            r#"{{"hook_point_in":"blocks.1.hook_resid_post","hook_point_out":"blocks.1.hook_resid_post",
            "dataset_average_activation_norm":{{"in":{norm},"out":{norm}}}{more}}}"#
        )
    };
    let linear = |more: Option<(&str, Tensor)>| -> HashMap<String, Tensor> {
        let named = [("encoder.weight", turned("W_enc")), ("decoder.weight", turned("W_dec"))];
        let biases = [("encoder.bias", s["b_enc"].clone()), ("decoder.bias", s["b_dec"].clone())];
        named.into_iter().chain(biases).chain(more).map(|(name, tensor)| (name.to_owned(), tensor)).collect()
    };
    let newest: HashMap<String, Tensor> = [("W_enc", "W_E"), ("W_dec", "W_D"), ("b_enc", "b_E"), ("b_dec", "b_D")]
        .into_iter()
        .map(|(from, to)| (to.to_owned(), s[from].clone()))
        .chain([("log_jumprelu_threshold".to_owned(), Tensor::full(theta.ln(), F, &Device::Cpu).unwrap())])
        .collect();
    let logs = Tensor::full(theta.ln(), F, &Device::Cpu).unwrap();
    let x = noise(&[9, D], 0.2);
    let lengths = s["W_dec"].sqr().unwrap().sum(1).unwrap().sqrt().unwrap().to_vec1::<f32>().unwrap();
    let rows = (&x * f64::from(scale)).unwrap().matmul(&s["W_enc"]).unwrap().broadcast_add(&s["b_enc"]).unwrap();
    // In scaled units; the first form compares in raw ones, the second one without the length.
    let cases = [
        ("hyperparams.json", config(&format!(r#","jump_relu_threshold":{theta}"#)), linear(None), (scale, true)),
        ("config.json", config(""), linear(Some(("log_jumprelu_threshold", logs))), (1.0, false)),
        ("config.json", config(""), newest, (1.0, true)),
    ];
    for (idx, (name, config, tensors, (unit, by_length))) in cases.into_iter().enumerate() {
        let dir = dir.path().join(idx.to_string());
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join(name), config).unwrap();
        candle_core::safetensors::save(&tensors, dir.join("w.safetensors")).unwrap();
        let expected: Vec<Vec<f32>> = rows
            .to_vec2::<f32>()
            .unwrap()
            .iter()
            .map(|row| {
                let one = |(pre, length): (&f32, &f32)| {
                    let judged = if by_length { pre * length } else { *pre };
                    if *pre > 0.0 && judged > theta * unit { pre * length / scale } else { 0.0 }
                };
                row.iter().zip(&lengths).map(one).collect()
            })
            .collect();
        let expected = Tensor::new(expected, &Device::Cpu).unwrap();
        let sae = Sae::load(&dir, &Device::Cpu).unwrap();
        close(&sae.encode(&x).unwrap(), &expected, 1e-5);
        let unit_rows =
            s["W_dec"].broadcast_div(&Tensor::new(lengths.clone(), &Device::Cpu).unwrap().unsqueeze(1).unwrap());
        let out = expected.matmul(&unit_rows.unwrap()).unwrap();
        let out = out.broadcast_add(&(&s["b_dec"] / f64::from(scale)).unwrap()).unwrap();
        close(&sae.reconstruct(&x).unwrap(), &out, 1e-5);
    }
}

#[test]
fn a_later_scale_of_the_outputs_is_taken_into_the_decoder() {
    let dir = tempfile::tempdir().unwrap();
    let cfg = r#"{"architecture":"standard","hook_name":"blocks.3.hook_resid_post"}"#;
    let plain = load(dir.path(), cfg).unwrap();
    let x = noise(&[4, D], 0.3);
    let (acts, factor) = (plain.encode(&x).unwrap(), (noise(&[F], 6.0).abs().unwrap() + 0.5).unwrap());
    let mut tensors = stored();
    tensors.insert("scaling_factor".to_owned(), factor.clone());
    candle_core::safetensors::save(&tensors, dir.path().join("sae_weights.safetensors")).unwrap();
    let scaled = Sae::load(dir.path(), &Device::Cpu).unwrap();
    close(&scaled.encode(&x).unwrap(), &acts.broadcast_mul(&factor).unwrap(), 1e-5);
    assert_eq!(describe(dir.path(), Hints::default()).unwrap().stored_as, "f32");
}
