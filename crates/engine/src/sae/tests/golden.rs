//! Every published form against the library that it comes from: files and numbers of `tests/fixtures/sae-*`.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use tiller_protocol::site::Site;

use super::super::{
    Active, Architecture, Format, Hints, Precision, Rows, Sae, SaeFile, convert, converted_bytes, describe, facts,
};
use crate::testing::deviation;

/// Relative to the largest value; both sides compute in f32.
const BOUND: f32 = 1e-5;

pub(super) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

/// Folder of the fixture, path in it, form, gate, block.
pub(super) type Case = (&'static str, &'static str, Format, Architecture, usize);

pub(super) const CASES: &[Case] = {
    use Architecture::{AbsTopK, Gated, JumpRelu, Standard, TopK};
    use Format::{
        DictionaryLearning as Dl, GemmaScope, GemmaScope2, Goodfire, Linear, LlamaScope, LlamaScopeR1, QwenScope,
        SaeLens, Sparsify,
    };
    const TRAINER: &str = "resid_post_layer_3/trainer_1";
    const GEMMA: &str = "google/gemma-scope-2b-pt-res/layer_3/width_16k/average_l0_5";
    &[
        ("sae-saelens/standard", "", SaeLens, Standard, 3),
        ("sae-saelens/standard-uncentred", "", SaeLens, Standard, 3),
        ("sae-saelens/jumprelu", "", SaeLens, JumpRelu, 3),
        ("sae-saelens/gated", "", SaeLens, Gated, 3),
        ("sae-saelens/topk", "", SaeLens, TopK, 3),
        ("sae-saelens/topk-rescaled", "", SaeLens, TopK, 3),
        ("sae-saelens/abstopk", "", SaeLens, AbsTopK, 3),
        ("sae-saelens/layer-norm", "", SaeLens, Standard, 3),
        ("sae-saelens/constant-norm", "", SaeLens, TopK, 3),
        ("sae-saelens/batchtopk", "", SaeLens, JumpRelu, 2),
        ("sae-saelens/old", "", SaeLens, Standard, 2),
        ("sae-saelens/old-topk", "", SaeLens, TopK, 2),
        ("sae-gemma-scope-stored", GEMMA, GemmaScope, JumpRelu, 3),
        ("sae-gemma-scope-deflated", GEMMA, GemmaScope, JumpRelu, 3),
        (
            "sae-gemma-scope-2",
            "google/gemma-scope-2-270m-it/resid_post/layer_3_width_16k_l0_small",
            GemmaScope2,
            JumpRelu,
            3,
        ),
        ("sae-llama-scope", "fnlp/Llama3_1-8B-Base-LXR-8x/Llama3_1-8B-Base-L3R-8x", LlamaScope, JumpRelu, 3),
        (
            "sae-llama-scope-r1",
            "fnlp/Llama-Scope-R1-Distill/400M-Slimpajama-400M-OpenR1-Math-220k/L3R",
            LlamaScopeR1,
            JumpRelu,
            3,
        ),
        ("sae-dictionary-learning/AutoEncoder", TRAINER, Dl, Standard, 3),
        ("sae-dictionary-learning/GatedAutoEncoder", TRAINER, Dl, Gated, 3),
        ("sae-dictionary-learning/JumpReluAutoEncoder", TRAINER, Dl, JumpRelu, 3),
        ("sae-dictionary-learning/AutoEncoderTopK", TRAINER, Dl, TopK, 3),
        ("sae-dictionary-learning/BatchTopKSAE", TRAINER, Dl, JumpRelu, 3),
        ("sae-dictionary-learning/MatryoshkaBatchTopKSAE", TRAINER, Dl, JumpRelu, 3),
        ("sae-dictionary-learning/AutoEncoderNew", TRAINER, Linear, Standard, 3),
        ("sae-goodfire", "Goodfire/Llama-3.1-8B-Instruct-SAE-l19", Goodfire, Standard, 19),
        ("sae-linear", "qresearch/DeepSeek-R1-Distill-Llama-8B-SAE-l19", Linear, Standard, 19),
        ("sae-qwen-scope", "Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_5", QwenScope, TopK, 3),
        ("sae-sparsify-layers.3", "layers.3", Sparsify, TopK, 3),
        // The older name is that of the block whose input it reads.
        ("sae-sparsify-layer_4", "layer_4", Sparsify, TopK, 3),
    ]
};

/// This form leaves the mean length of its activations out.
pub(super) fn hints(format: Format) -> Hints {
    Hints { mean_norm: (format == Format::LlamaScopeR1).then_some(6.31), ..Hints::default() }
}

pub(super) struct Golden {
    pub(super) input: Tensor,
    /// Activations, as the length of what they write.
    acts: Tensor,
    out: Tensor,
}

pub(super) fn golden(root: &str) -> Golden {
    let file = fixtures().join(root).join("golden.safetensors");
    let mut tensors = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    let mut take = |name: &str| tensors.remove(name).unwrap();
    let acts = take("acts").broadcast_mul(&take("lengths")).unwrap();
    Golden { input: take("input"), acts, out: take("out") }
}

fn close(found: &Tensor, expected: &Tensor, what: &str) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let worst = deviation(found, expected);
    assert!(worst <= BOUND, "{what}: {worst:.1e}");
}

/// Latents of each row as a matrix.
fn dense(active: &[Active], d_sae: usize) -> Tensor {
    let mut rows = vec![vec![0.0_f32; d_sae]; active.len()];
    for (row, active) in rows.iter_mut().zip(active) {
        for &(latent, value) in active {
            row[latent as usize] = value;
        }
    }
    Tensor::new(rows, &Device::Cpu).unwrap()
}

#[test]
fn every_form_encodes_and_decodes_as_its_library_does() {
    for &(root, path, format, architecture, block) in CASES {
        let (path, golden) = (fixtures().join(root).join(path), golden(root));
        let about = describe(&path, hints(format)).unwrap_or_else(|error| panic!("{root}: {error}"));
        assert_eq!(
            (about.format, about.architecture, about.site),
            (format, architecture, Site::ResidPost(block)),
            "{root}"
        );
        let sae = Sae::load_with(&path, hints(format), &Device::Cpu).unwrap_or_else(|error| panic!("{root}: {error}"));
        let latents = sae.encode(&golden.input).unwrap();
        close(&latents, &golden.acts, root);
        close(&sae.reconstruct(&golden.input).unwrap(), &golden.out, root);
    }
}

#[test]
fn the_converted_file_does_the_same_and_its_rows_are_those_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    for &(root, path, format, ..) in CASES {
        let (path, golden) = (fixtures().join(root).join(path), golden(root));
        let target = dir.path().join("sae.safetensors");
        let mut seen = (0, 0);
        let mut progress = |done, total| {
            assert!(done >= seen.0 && done <= total, "{root}: {done} of {total} after {seen:?}");
            seen = (done, total);
            true
        };
        let about = convert(&path, hints(format), &target, Precision::F32, &mut progress).unwrap();
        assert_eq!(seen.0, seen.1, "{root}");
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["sae.safetensors"], "{root}: nothing else is left");
        let file = SaeFile::open(&target).unwrap();
        assert_eq!((file.description(), file.precision()), (&about, Precision::F32));
        let bytes = std::fs::metadata(&target).unwrap().len();
        assert_eq!(bytes, converted_bytes(&about, Precision::F32).unwrap());
        let active = file.encode(&golden.input, &mut |_, _| true).unwrap();
        close(&dense(&active, about.d_sae), &golden.acts, root);
        close(&file.decode(&active, &golden.input).unwrap(), &golden.out, root);
        let sae = Sae::load_with(&path, hints(format), &Device::Cpu).unwrap();
        assert_eq!(facts(&target).unwrap().architecture, about.architecture.name());
        let again = Sae::load(&target, &Device::Cpu).unwrap();
        assert_eq!(
            deviation(&sae.encode(&golden.input).unwrap(), &again.encode(&golden.input).unwrap()),
            0.0,
            "{root}"
        );
        for latent in [0, 7, 19] {
            let row = file.row(Rows::Decoder, latent).unwrap();
            assert_eq!(row, sae.decoder_row(latent).unwrap().to_vec1::<f32>().unwrap(), "{root}");
            assert_eq!(file.decoder_norm(latent), sae.decoder_norm(latent));
            assert!((row.iter().map(|w| w * w).sum::<f32>() - 1.0).abs() < 1e-5);
        }
        let pre =
            sae.pre_activations(&golden.input, &[3, 11]).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let found = file.pre_activations(&golden.input, &[3, 11]).unwrap();
        assert!(pre.iter().zip(&found).all(|(a, b)| (a - b).abs() < BOUND), "{root}");
    }
}

#[test]
fn half_the_room_costs_a_thousandth() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("half.safetensors");
    let root = "sae-saelens/jumprelu";
    convert(&fixtures().join(root), Hints::default(), &target, Precision::F16, &mut |_, _| true).unwrap();
    let file = SaeFile::open(&target).unwrap();
    assert_eq!(file.precision(), Precision::F16);
    let golden = golden(root);
    let active = file.encode(&golden.input, &mut |_, _| true).unwrap();
    let out = file.decode(&active, &golden.input).unwrap();
    let worst = deviation(&out, &golden.out);
    assert!(worst > 0.0 && worst < 5e-3, "{worst}");
    let wide = Sae::load(&fixtures().join(root), &Device::Cpu).unwrap();
    let row = file.row(Rows::Decoder, 5).unwrap();
    let cosines = file.dots(Rows::Decoder, &row).unwrap();
    assert!((cosines[5] - 1.0).abs() < 2e-3);
    let expected = wide.decoder_row(9).unwrap().to_vec1::<f32>().unwrap();
    let expected: f32 = expected.iter().zip(&row).map(|(a, b)| a * b).sum();
    assert!((cosines[9] - expected).abs() < 2e-3);
}
