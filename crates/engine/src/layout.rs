//! Names and shapes of the tensors that a configuration asks for, as Hugging Face checkpoints have them.
//!
//! For judging files before anything is read; what is read, and into what, is in [`crate::weights`]. A test holds the
//! two together.

use crate::config::ModelConfig;

/// A tensor that must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Name after the decoder's prefix (`model.`), or the whole name of the head.
    pub(crate) name: String,
    /// Rows and columns, or the length.
    pub(crate) shape: Vec<usize>,
    /// It is the head, whose name has a prefix of its own.
    pub(crate) is_head: bool,
}

/// How many there are.
pub(crate) fn n_expected(config: &ModelConfig) -> usize {
    // The blocks of a family are alike.
    let per_block = block(config, 0).len();
    per_block.saturating_mul(config.n_layers).saturating_add(if config.tied { 2 } else { 3 })
}

/// All of them, made one by one: a configuration may ask for more than there is memory for.
pub(crate) fn expected(config: &ModelConfig) -> impl Iterator<Item = Expected> {
    let (vocab, d) = (config.vocab_size, config.d_model);
    let one = |name: &str, shape: &[usize], is_head| Expected { name: name.to_owned(), shape: shape.into(), is_head };
    let head = (!config.tied).then(|| one("lm_head.weight", &[vocab, d], true));
    [one("embed_tokens.weight", &[vocab, d], false)]
        .into_iter()
        .chain((0..config.n_layers).flat_map(|idx| block(config, idx)))
        .chain([one("norm.weight", &[d], false)])
        .chain(head)
}

fn block(config: &ModelConfig, idx: usize) -> Vec<Expected> {
    let (d, wide, arch) = (config.d_model, config.d_mlp, &config.arch);
    let (q, kv) = (config.n_heads.saturating_mul(config.head_dim), config.n_kv_heads.saturating_mul(config.head_dim));
    let mut all: Vec<(&str, Vec<usize>)> = vec![
        ("input_layernorm.weight", vec![d]),
        ("post_attention_layernorm.weight", vec![d]),
        ("self_attn.q_proj.weight", vec![q, d]),
        ("self_attn.k_proj.weight", vec![kv, d]),
        ("self_attn.v_proj.weight", vec![kv, d]),
        ("self_attn.o_proj.weight", vec![d, q]),
        ("mlp.gate_proj.weight", vec![wide, d]),
        ("mlp.up_proj.weight", vec![wide, d]),
        ("mlp.down_proj.weight", vec![d, wide]),
    ];
    if arch.qkv_bias {
        all.extend([("self_attn.q_proj.bias", vec![q]), ("self_attn.k_proj.bias", vec![kv])]);
        all.push(("self_attn.v_proj.bias", vec![kv]));
    }
    if arch.o_bias {
        all.push(("self_attn.o_proj.bias", vec![d]));
    }
    if arch.qk_norm {
        all.extend(["self_attn.q_norm.weight", "self_attn.k_norm.weight"].map(|name| (name, vec![config.head_dim])));
    }
    if arch.post_norms {
        all.extend(["pre_feedforward_layernorm.weight", "post_feedforward_layernorm.weight"].map(|n| (n, vec![d])));
    }
    let name = |part: &str| format!("layers.{idx}.{part}");
    all.into_iter().map(|(part, shape)| Expected { name: name(part), shape, is_head: false }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use candle_core::{DType, Device};

    use super::*;
    use crate::error::Result;
    use crate::keep::Keep;
    use crate::memory::n_params;
    use crate::stored::Stored;
    use crate::testing;
    use crate::weights::{Source, Weights};

    /// Gives what is asked for and remembers it.
    #[derive(Default)]
    struct Recorder(BTreeMap<String, Vec<usize>>);

    impl Source for Recorder {
        fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Stored> {
            self.0.insert(name.to_owned(), shape.to_vec());
            Ok(Stored::F32(vec![0.5; shape.iter().product()]))
        }

        fn holds(&self, _name: &str) -> bool {
            true
        }
    }

    #[test]
    fn what_is_expected_is_what_is_read() {
        let untied = ModelConfig { tied: false, ..testing::config() };
        for config in [testing::config(), untied, testing::rich_config()] {
            let mut read = Recorder::default();
            Weights::read(&config, &mut read, &Device::Cpu, Keep::As(DType::F32)).unwrap();
            let named = |tensor: Expected| {
                let name = if tensor.is_head { tensor.name } else { format!("model.{}", tensor.name) };
                (name, tensor.shape)
            };
            let listed: BTreeMap<_, _> = expected(&config).map(named).collect();
            assert_eq!(listed, read.0);
            assert_eq!(n_expected(&config), listed.len());
            let values: usize = listed.values().map(|shape| shape.iter().product::<usize>()).sum();
            assert_eq!(n_params(&config), values as u64);
        }
    }
}
