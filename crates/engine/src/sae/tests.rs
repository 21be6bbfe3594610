use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor, Var};
use tiller_protocol::site::Site;

use super::Sae;
use crate::testing::{close, noise};

mod file;
mod golden;
mod hostile;
mod nearest;
mod operate;

const D: usize = 6;
const F: usize = 10;

/// The stored form: `W_enc` `[d, F]`, `W_dec` `[F, d]`, …
fn stored() -> HashMap<String, Tensor> {
    let spread = (noise(&[F, 1], 9.0) + 1.5).unwrap();
    [
        ("W_enc", noise(&[D, F], 1.0)),
        ("b_enc", noise(&[F], 2.0)),
        ("W_dec", noise(&[F, D], 3.0).broadcast_mul(&spread).unwrap()),
        ("b_dec", noise(&[D], 4.0)),
        ("threshold", (noise(&[F], 5.0).abs().unwrap() * 0.5).unwrap()),
    ]
    .into_iter()
    .map(|(name, tensor)| (name.to_owned(), tensor))
    .collect()
}

/// An SAE of these tensors, read as `SAELens` stores it.
pub(crate) fn of(cfg: &str, tensors: &HashMap<String, Tensor>) -> Sae {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cfg.json"), cfg).unwrap();
    candle_core::safetensors::save(tensors, dir.path().join("sae_weights.safetensors")).unwrap();
    Sae::load(dir.path(), &Device::Cpu).unwrap()
}

fn load(dir: &Path, cfg: &str) -> crate::Result<Sae> {
    std::fs::write(dir.join("cfg.json"), cfg).unwrap();
    candle_core::safetensors::save(&stored(), dir.join("sae_weights.safetensors")).unwrap();
    Sae::load(dir, &Device::Cpu)
}

/// The published formulas on the stored tensors: activations, and reconstruction of `[n, d]`.
fn reference(x: &Tensor, gate: impl Fn(&[f32], &[f32]) -> Vec<f32>) -> (Tensor, Tensor) {
    let s = stored();
    let centred = x.broadcast_sub(&s["b_dec"]).unwrap();
    let pre = centred.matmul(&s["W_enc"]).unwrap().broadcast_add(&s["b_enc"]).unwrap();
    let norms = s["W_dec"].sqr().unwrap().sum(1).unwrap().sqrt().unwrap().to_vec1::<f32>().unwrap();
    let rows: Vec<Vec<f32>> = pre.to_vec2::<f32>().unwrap().iter().map(|row| gate(row, &norms)).collect();
    let f = Tensor::new(rows, &Device::Cpu).unwrap();
    let out = f.matmul(&s["W_dec"]).unwrap().broadcast_add(&s["b_dec"]).unwrap();
    // In the internal form an activation is the length of what it writes.
    let norms = Tensor::new(norms, &Device::Cpu).unwrap();
    (f.broadcast_mul(&norms).unwrap(), out)
}

fn largest(row: &[f32], rank: &[f32], k: usize) -> Vec<f32> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| rank[b].total_cmp(&rank[a]));
    (0..row.len()).map(|i| if order[..k].contains(&i) { row[i].max(0.0) } else { 0.0 }).collect()
}

#[test]
fn every_architecture_equals_the_unfolded_formulas() {
    let dir = tempfile::tempdir().unwrap();
    let x = noise(&[7, D], 0.2);
    let thresholds = stored()["threshold"].to_vec1::<f32>().unwrap();
    let cfg = |more: &str| format!(r#"{{"metadata":{{"hook_name":"blocks.3.hook_resid_post"}},{more}}}"#);
    type Gate<'a> = Box<dyn Fn(&[f32], &[f32]) -> Vec<f32> + 'a>;
    let cases: [(String, Gate<'_>); 4] = [
        (cfg(r#""architecture":"standard""#), Box::new(|row, _| row.iter().map(|v| v.max(0.0)).collect())),
        (
            cfg(r#""architecture":"jumprelu""#),
            Box::new(|row, _| {
                row.iter().zip(&thresholds).map(|(&v, &t)| if v > t { v.max(0.0) } else { 0.0 }).collect()
            }),
        ),
        (cfg(r#""architecture":"topk","k":3"#), Box::new(|row, _| largest(row, row, 3))),
        (
            cfg(r#""architecture":"topk","k":3,"rescale_acts_by_decoder_norm":true"#),
            Box::new(|row, norms| {
                let rank: Vec<f32> = row.iter().zip(norms).map(|(v, n)| v * n).collect();
                largest(row, &rank, 3)
            }),
        ),
    ];
    for (cfg, gate) in cases {
        let sae = load(dir.path(), &cfg).unwrap();
        assert_eq!((sae.site(), sae.d_sae(), sae.d_model()), (Site::ResidPost(3), F, D));
        let (expected, reconstruction) = reference(&x, gate);
        let latents = sae.encode(&x).unwrap();
        close(&latents, &expected, 5e-6);
        close(&sae.decode(&latents).unwrap(), &reconstruction, 5e-6);
        let length = sae.decoder_row(4).unwrap().sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        assert!((length - 1.0).abs() < 1e-5);
    }
}

#[test]
fn pre_activations_have_a_gradient_where_latents_are_off() {
    let dir = tempfile::tempdir().unwrap();
    let sae = load(dir.path(), r#"{"hook_point":"blocks.1.hook_resid_pre","activation_fn_str":"relu"}"#).unwrap();
    assert_eq!(sae.site(), Site::ResidPost(0));
    let x = Var::from_tensor(&noise(&[3, D], 0.2)).unwrap();
    let pre = sae.pre_activations(x.as_tensor(), &[7, 2]).unwrap();
    let all = sae.encode(x.as_tensor()).unwrap().to_vec2::<f32>().unwrap();
    for (pre, all) in pre.to_vec2::<f32>().unwrap().iter().zip(&all) {
        assert!((pre[0].max(0.0) - all[7]).abs() < 1e-5 && (pre[1].max(0.0) - all[2]).abs() < 1e-5);
    }
    let grad = pre.sum_all().unwrap().backward().unwrap().get(x.as_tensor()).unwrap().clone();
    let rows = grad.to_vec2::<f32>().unwrap();
    assert!(rows.iter().all(|row| row == &rows[0] && row.iter().any(|v| v.abs() > 1e-3)));
    assert!(sae.pre_activations(x.as_tensor(), &[F]).is_err());
    assert!(sae.encode(&noise(&[3, D + 1], 0.0)).is_err());
}

#[test]
fn facts_are_those_of_the_loaded_sae_and_a_lying_configuration_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let cfg = |more: &str| {
        format!(r#"{{"architecture":"jumprelu","hook_name":"blocks.3.hook_resid_post","model_name":"tiny"{more}}}"#)
    };
    let sae = load(dir.path(), &cfg(r#","d_in":6,"d_sae":10"#)).unwrap();
    let found = super::facts(dir.path()).unwrap();
    assert_eq!((found.site, found.d_sae, found.d_model), (sae.site(), sae.d_sae(), sae.d_model()));
    assert_eq!((found.architecture, found.format.as_str(), found.reads.as_deref()), ("jumprelu", "f32", Some("tiny")));
    std::fs::write(dir.path().join("cfg.json"), cfg(r#","d_sae":12"#)).unwrap();
    let error = super::facts(dir.path()).unwrap_err().to_string();
    assert!(error.contains("12") && error.contains("[6, 10]"), "{error}");
    std::fs::write(dir.path().join("cfg.json"), cfg("")).unwrap();
    let mut tensors = stored();
    tensors.remove("threshold");
    candle_core::safetensors::save(&tensors, dir.path().join("sae_weights.safetensors")).unwrap();
    assert!(super::facts(dir.path()).unwrap_err().to_string().contains("threshold"));
}

#[test]
fn what_cannot_be_computed_is_refused_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    for (more, word) in [
        (r#""architecture":"matching_pursuit""#, "matching_pursuit"),
        (r#""architecture":"jumprelu_transcoder""#, "a transcoder (it says `jumprelu_transcoder`)"),
        (r#""architecture":"topk""#, "`k`"),
        (r#""architecture":"topk","k":11"#, "11"),
        (r#""normalize_activations":"covariance_whitening""#, "covariance_whitening"),
        (r#""activation_fn_str":"tanh""#, "tanh"),
    ] {
        let cfg = format!(r#"{{"hook_name":"blocks.3.hook_resid_post",{more}}}"#);
        let error = load(dir.path(), &cfg).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    assert!(load(dir.path(), r#"{"hook_name":"blocks.3.hook_mlp_out"}"#).is_err());
    assert!(load(dir.path(), "{").is_err());
    std::fs::remove_file(dir.path().join("sae_weights.safetensors")).unwrap();
    assert!(matches!(Sae::load(dir.path(), &Device::Cpu), Err(crate::EngineError::BadFile { .. })));
}
