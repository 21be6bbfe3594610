use candle_core::DType;

use super::*;
use crate::keep::Keep;
use crate::model::{KvCache, Model};
use crate::testing;

fn config(tied: bool) -> ModelConfig {
    ModelConfig { tied, ..testing::config() }
}

#[test]
fn parameters_and_weights_are_those_of_a_model() {
    for config in [config(true), config(false), testing::rich_config()] {
        let model = Model::random(config.clone(), 1).unwrap();
        assert_eq!(n_params(&config), model.n_params());
        assert_eq!(weights_bytes(&config, Format::F32), model.weights_bytes());
        let narrow = Model::random_kept(config.clone(), 1, Keep::As(DType::BF16)).unwrap();
        assert_eq!(weights_bytes(&config, Format::Half), narrow.weights_bytes());
    }
}

#[test]
fn the_cache_is_what_a_conversation_fills() {
    let config = config(true);
    let model = Model::random(config.clone(), 1).unwrap();
    let ids: Vec<u32> = (0..40).collect();
    let cache: KvCache = model.prefill(&ids, None).unwrap();
    let held: usize = cache.parts.iter().flat_map(|(part, _)| &part.blocks).map(|kv| 4 * kv.elem_count()).sum();
    assert_eq!(cache_bytes(&config, 40, Runs::PROCESSOR), held as u64);
}

#[test]
fn formats_are_ordered_and_nonsense_saturates() {
    let sizes: Vec<u64> = Format::ALL.map(|format| weights_bytes(&config(true), format)).into();
    assert!(sizes.is_sorted_by(|a, b| a > b), "{sizes:?}");
    let absurd = ModelConfig { d_model: usize::MAX, d_mlp: usize::MAX, n_layers: usize::MAX, ..config(true) };
    assert_eq!(n_params(&absurd), u64::MAX);
    assert_eq!(loading_bytes(&absurd, u64::MAX, 2, Beside { embed: 4, pair: 6 }), u64::MAX);
    let step = SearchStep { population: 8, contexts: 8, prompt_len: 24, context_len: 64, block: 1 };
    assert_eq!(search_bytes(&absurd, step, Runs::PROCESSOR), u64::MAX);
    assert_eq!(chat_bytes(&absurd, 4096, Runs::PROCESSOR), u64::MAX);
}

#[test]
fn what_the_system_refuses_is_an_error() {
    assert!(room_for::<f32>(1 << 20).is_ok());
    // More than any address space has.
    let refused = room_for::<f32>(1 << 60).unwrap_err();
    assert!(matches!(refused, EngineError::OutOfMemory { needed: Some(needed), .. } if needed == 1 << 62), "{refused}");
}

#[test]
fn a_pass_beyond_all_memory_is_refused_before_it_begins() {
    let config = config(true);
    let pass = Pass { rows: 64, keys: 64, captured: 1, keeps_cache: true, taped: 2 };
    assert!(room_for_pass(&config, pass, Runs::PROCESSOR).is_ok());
    for beyond in [Pass { rows: 1 << 50, ..pass }, Pass { captured: 1 << 50, ..pass }, Pass { taped: 1 << 50, ..pass }]
    {
        let refused = room_for_pass(&config, beyond, Runs::PROCESSOR).unwrap_err();
        assert!(matches!(refused, EngineError::OutOfMemory { needed: Some(_), .. }), "{beyond:?}: {refused}");
    }
}
