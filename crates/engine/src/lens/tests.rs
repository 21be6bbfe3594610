use std::path::{Path, PathBuf};

use candle_core::{DType, Device};

use super::Lens;
use crate::keep::Keep;
use crate::model::Model;
use crate::testing::{model, noise, rich_config, stock_model};
use crate::{EngineError, load};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name)
}

fn loaded(name: &str, dtype: impl Into<Keep>) -> Model {
    load::model(&fixture(name), &Device::Cpu, dtype, &mut |_, _| true).unwrap()
}

fn vector(d: usize, seed: f32) -> Vec<f32> {
    noise(&[d], seed).to_vec1().unwrap()
}

/// By the formula, from the widened head, in f64.
fn expected(model: &Model, vector: &[f32]) -> Vec<f64> {
    let gain = model.weights.norm.weight.to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
    let ids: Vec<u32> = (0..model.tokenizer.len().min(model.config.vocab_size) as u32).collect();
    let head = model.weights.head.linear.look_up(&ids, &model.device).unwrap().to_dtype(DType::F64).unwrap();
    let effect = |row: &Vec<f64>| row.iter().zip(&gain).zip(vector).map(|((w, g), v)| w * g * f64::from(*v)).sum();
    let effects: Vec<f64> = head.to_vec2::<f64>().unwrap().iter().map(effect).collect();
    let mean = effects.iter().sum::<f64>() / effects.len() as f64;
    effects.into_iter().map(|effect| effect - mean).collect()
}

#[test]
fn effects_equal_those_of_transformers() {
    macro_rules! facts {
        ($folder:literal) => {
            include_str!(concat!("../../../../tests/fixtures/", $folder, "/lens.json"))
        };
    }
    for (folder, goldens, facts) in [
        ("llama3-v4", "llama3-v4", facts!("llama3-v4")),
        ("llama3-v5", "llama3-v4", facts!("llama3-v4")),
        ("llama-tied", "llama-tied", facts!("llama-tied")),
        ("mistral", "mistral", facts!("mistral")),
        ("qwen2", "qwen2", facts!("qwen2")),
        ("qwen3", "qwen3", facts!("qwen3")),
        ("gemma2", "gemma2", facts!("gemma2")),
        ("gemma3", "gemma3", facts!("gemma3")),
        ("gemma3-wrapper", "gemma3", facts!("gemma3")),
    ] {
        let golden = fixture(goldens);
        let facts: serde_json::Value = serde_json::from_str(facts).unwrap();
        let tensors = candle_core::safetensors::load(golden.join("golden.safetensors"), &Device::Cpu).unwrap();
        let direction = tensors["direction"].to_vec1::<f32>().unwrap();
        // Their weights are bf16 values all, so that nothing is lost in that format.
        for dtype in [DType::F32, DType::BF16] {
            let lens = loaded(folder, dtype).lens().unwrap();
            assert_eq!(facts["n_tokens"], lens.n_tokens(), "{folder}: rows without a token are left out");
            let (promoted, suppressed) = lens.top(&direction, 10).unwrap();
            for (name, found) in [("promoted", promoted), ("suppressed", suppressed)] {
                let expected = facts[name].as_array().unwrap();
                assert_eq!(found.len(), expected.len());
                for ((token, effect), expected) in found.into_iter().zip(expected) {
                    assert_eq!(expected[0], token, "{folder} {dtype:?}: {name}");
                    let exact = expected[1].as_f64().unwrap();
                    assert!((f64::from(effect) - exact).abs() < 2e-5, "{folder}: {name} {effect}, not {exact}");
                }
            }
        }
    }
}

#[test]
fn every_number_format_gives_the_formula_and_directions_agree() {
    let models = [
        model(),
        stock_model(),
        Model::random_kept(rich_config(), 8, Keep::As(DType::F16)).unwrap(),
        loaded("gguf/llama-q4_k_m.gguf", Keep::Auto),
        loaded("gguf/gemma2-q8_0.gguf", Keep::Auto),
    ];
    for model in models {
        let (lens, format) = (model.lens().unwrap(), model.weights_format());
        let vector = vector(lens.d_model(), 4.0);
        let (found, exact) = (lens.effects(&vector).unwrap(), expected(&model, &vector));
        assert_eq!(found.len(), exact.len());
        let size = exact.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
        for (token, (found, exact)) in (0_u32..).zip(found.iter().zip(&exact)) {
            assert!((f64::from(*found) - exact).abs() < 1e-5 * size, "{format}: {found}, not {exact}");
            let direction = lens.direction(token).unwrap();
            let product: f64 = direction.iter().zip(&vector).map(|(a, b)| f64::from(a * b)).sum();
            assert!((product - exact).abs() < 1e-5 * size, "{format}: {product}, not {exact}");
        }
    }
}

#[test]
fn requests_beyond_the_model_are_refused_and_few_tokens_suffice() {
    let lens = model().lens().unwrap();
    let n = lens.n_tokens();
    assert!(matches!(lens.effects(&[1.0; 41]), Err(EngineError::BadRequest(_))));
    assert!(matches!(lens.direction(n as u32), Err(EngineError::BadRequest(_))));
    let (promoted, suppressed) = lens.top(&vector(40, 1.0), n + 5).unwrap();
    assert_eq!(promoted.len(), n);
    assert!(promoted.is_sorted_by(|a, b| a.1 >= b.1) && promoted.iter().eq(suppressed.iter().rev()));
    assert!(lens.top(&[0.0; 40], 0).unwrap().0.is_empty());
}

#[test]
fn it_works_on_another_thread_after_the_model_is_gone() {
    let model = model();
    let (lens, vector) = (model.lens().unwrap(), vector(40, 2.0));
    let here = lens.top(&vector, 3).unwrap();
    drop(model);
    let elsewhere = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let there = elsewhere.install(|| lens.top(&vector, 3)).unwrap();
    assert_eq!(here, there);
}

/// Both threads may hold it.
const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Lens>();
};
