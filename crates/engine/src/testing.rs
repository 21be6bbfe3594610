//! Small models and comparisons for the tests.

use candle_core::{DType, Device, Tensor};

use crate::config::{Activation, ArchParams, BlockParams, ModelConfig, RopeParams, RopeScaling};
use crate::keep::Keep;
use crate::model::{Model, Request};
use crate::tree::TokenTree;

/// A decoder of three blocks with grouped heads, biases, a head width that is no multiple of the vectors', llama3
/// rotary scaling and an embedding scale.
pub(crate) fn config() -> ModelConfig {
    ModelConfig {
        architecture: "LlamaForCausalLM".to_owned(),
        d_model: 40,
        n_layers: 3,
        n_heads: 6,
        n_kv_heads: 2,
        head_dim: 12,
        d_mlp: 52,
        vocab_size: 300,
        context_len: 96,
        tied: true,
        norm_eps: 1e-5,
        ropes: vec![RopeParams {
            theta: 10_000.0,
            scaling: RopeScaling::Llama3 {
                factor: 4.0,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_context: 32.0,
            },
        }],
        blocks: vec![BlockParams::default(); 3],
        arch: ArchParams { qkv_bias: true, o_bias: true, norm_offset: 1.0, embed_scale: 1.7, ..ArchParams::LLAMA },
        eos_ids: vec![299],
    }
}

/// The same with all that other families bring: norms of heads and of what is added, soft caps, another activation,
/// windows and a second base of the rotary frequencies on two blocks of three.
pub(crate) fn rich_config() -> ModelConfig {
    let plain = config();
    let sliding = |window| BlockParams { window: Some(window), rope: 1 };
    ModelConfig {
        ropes: vec![plain.ropes[0], RopeParams { theta: 500.0, scaling: RopeScaling::Linear { factor: 2.0 } }],
        blocks: vec![sliding(6), sliding(3), BlockParams::default()],
        arch: ArchParams {
            qk_norm: true,
            post_norms: true,
            activation: Activation::GeluTanh,
            attn_scalar: Some(20.0),
            attn_softcap: Some(3.0),
            final_softcap: Some(8.0),
            ..plain.arch
        },
        ..plain
    }
}

/// A model with all features.
pub(crate) fn rich_model() -> Model {
    Model::random(rich_config(), 8).unwrap()
}

pub(crate) fn model() -> Model {
    Model::random(config(), 7).unwrap()
}

/// The same weights in f64, which run on stock operations throughout, as on an accelerator.
pub(crate) fn stock_model() -> Model {
    Model::random_kept(config(), 7, Keep::As(DType::F64)).unwrap()
}

/// The weights of [`rich_model`] in f64.
pub(crate) fn rich_stock_model() -> Model {
    Model::random_kept(rich_config(), 8, Keep::As(DType::F64)).unwrap()
}

/// Repeatable values of size 1.
pub(crate) fn noise(shape: &[usize], seed: f32) -> Tensor {
    let n: usize = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|i| ((i as f32 * 0.739 + seed) * 1.3).sin() * 1.2).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Token ids below 290.
pub(crate) fn ids(n: usize, seed: u32) -> Vec<u32> {
    (0..n as u32).map(|i| (i * 37 + seed * 101 + i * i * 5) % 290).collect()
}

/// Largest difference relative to the largest value.
pub(crate) fn deviation(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap();
    let (a, b) = (flat(a), flat(b));
    let size = b.iter().fold(1e-6_f32, |m, v| m.max(v.abs()));
    a.iter().zip(&b).fold(0.0_f32, |m, (x, y)| m.max((x - y).abs())) / size
}

#[track_caller]
pub(crate) fn close(a: &Tensor, b: &Tensor, bound: f32) {
    let found = deviation(a, b);
    assert!(found <= bound, "they differ by {found:e}");
}

/// Logits of a plain sequence.
pub(crate) fn logits(model: &Model, ids: &[u32]) -> Tensor {
    let tree = TokenTree::sequence(ids);
    model.logits(&model.forward(&Request::new(&tree)).unwrap().last).unwrap()
}
