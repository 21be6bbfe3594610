//! The memory estimate against what is really taken. A test target of its own, so that nothing else allocates while
//! it is measured.

mod counting;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use candle_core::quantized::gguf_file::{Value, write};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use serde_json::json;
use tiller_engine::gradient::{Member, Problem, token_gradients};
use tiller_engine::keep::Keep;
use tiller_engine::memory::{self, Runs, SearchStep};
use tiller_engine::{Model, Node, Parent, TokenTree, load, score};

use counting::peak_of;

/// An estimate may be cautious; what is not counted (the tokenizer, the lists of tensors) is small.
fn assert_near(what: &str, estimate: u64, measured: u64) -> Result<()> {
    let ratio = estimate as f64 / measured as f64;
    ensure!((0.95..1.3).contains(&ratio), "{what}: estimated {estimate}, taken {measured} bytes ({ratio:.2})");
    Ok(())
}

/// A checkpoint of 29 million parameters or, with more rows and a head of its own, more; with the fixture's tokenizer.
fn write_checkpoint(dir: &Path, dtype: DType, (vocab, tied): (usize, bool)) -> Result<()> {
    let (d, wide, kv) = (512, 1536, 256);
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "hidden_size": d, "num_hidden_layers": 8, "num_attention_heads": 8,
        "num_key_value_heads": 4, "intermediate_size": wide, "vocab_size": vocab, "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5, "tie_word_embeddings": tied
    });
    fs::write(dir.join("config.json"), config.to_string())?;
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/llama3-v4/tokenizer.json");
    fs::copy(fixture, dir.join("tokenizer.json"))?;
    let mut tensors = std::collections::HashMap::new();
    let mut add = |name: String, shape: &[usize]| -> Result<()> {
        let values: Vec<f32> =
            (0..shape.iter().product()).map(|i: usize| ((i * 37 % 101) as f32 - 50.0) / 2000.0).collect();
        tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?);
        Ok(())
    };
    add("model.embed_tokens.weight".to_owned(), &[vocab, d])?;
    if !tied {
        add("lm_head.weight".to_owned(), &[vocab, d])?;
    }
    add("model.norm.weight".to_owned(), &[d])?;
    for block in 0..8 {
        let mut part = |name: &str, shape: &[usize]| add(format!("model.layers.{block}.{name}.weight"), shape);
        part("input_layernorm", &[d])?;
        part("post_attention_layernorm", &[d])?;
        part("self_attn.q_proj", &[d, d])?;
        part("self_attn.k_proj", &[kv, d])?;
        part("self_attn.v_proj", &[kv, d])?;
        part("self_attn.o_proj", &[d, d])?;
        part("mlp.gate_proj", &[wide, d])?;
        part("mlp.up_proj", &[wide, d])?;
        part("mlp.down_proj", &[d, wide])?;
    }
    Ok(candle_core::safetensors::save(&tensors, dir.join("model.safetensors"))?)
}

fn open(dir: &Path, keep: Keep) -> Result<Model> {
    Ok(load::model(dir, &Device::Cpu, keep, &mut |_, _| true)?)
}

fn ids(n: usize, seed: usize) -> Vec<u32> {
    (0..n).map(|i| ((i * 97 + seed * 31) % 8000) as u32).collect()
}

fn loading(path: &Path) -> Result<()> {
    let preview = load::preview(path)?;
    for keep in [Keep::As(DType::BF16), Keep::As(DType::F32)] {
        let (model, measured) = peak_of(|| open(path, keep));
        let model = model?;
        let estimate = preview.weights_bytes(&Device::Cpu, keep) + preview.loading_bytes(&Device::Cpu, keep);
        assert_near(&format!("loading {} {keep:?}", path.display()), estimate, measured)?;
        assert_eq!(preview.weights_bytes(&Device::Cpu, keep), model.weights_bytes());
    }
    Ok(())
}

/// The checkpoint of a folder, which holds a tokenizer too, as a file of `Q4_K` and, in its head, `Q6_K` blocks.
fn write_gguf(dir: &Path, file: &Path) -> Result<()> {
    let metadata = [
        ("general.architecture", Value::String("llama".to_owned())),
        ("llama.embedding_length", Value::U32(512)),
        ("llama.block_count", Value::U32(8)),
        ("llama.attention.head_count", Value::U32(8)),
        ("llama.attention.head_count_kv", Value::U32(4)),
        ("llama.feed_forward_length", Value::U32(1536)),
        ("llama.context_length", Value::U32(4096)),
        ("llama.vocab_size", Value::U32(32768)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
    ];
    let mut tensors = Vec::new();
    let values = candle_core::safetensors::load(dir.join("model.safetensors"), &Device::Cpu)?;
    for (name, tensor) in values.into_iter().collect::<BTreeMap<_, _>>() {
        let dtype = match (tensor.rank(), name.starts_with("lm_head")) {
            (1, _) => GgmlDType::F32,
            (_, true) => GgmlDType::Q6K,
            _ => GgmlDType::Q4K,
        };
        let name = [
            ("model.layers.", "blk."),
            ("model.embed_tokens", "token_embd"),
            ("model.norm", "output_norm"),
            ("lm_head", "output"),
            ("post_attention_layernorm", "ffn_norm"),
            ("input_layernorm", "attn_norm"),
            ("self_attn.o_proj", "attn_output"),
            ("self_attn.", "attn_"),
            ("mlp.", "ffn_"),
            ("_proj", ""),
        ]
        .into_iter()
        .fold(name, |name, (from, to)| name.replace(from, to));
        tensors.push((name, QTensor::quantize(&tensor.to_dtype(DType::F32)?, dtype)?));
    }
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    Ok(write(&mut fs::File::create(file)?, &metadata, &tensors)?)
}

#[test]
fn what_is_estimated_is_what_is_taken() -> Result<()> {
    let folder = tempfile::tempdir()?;
    write_checkpoint(folder.path(), DType::BF16, (8192, true))?;
    loading(folder.path())?;
    let other = tempfile::tempdir()?;
    write_checkpoint(other.path(), DType::F16, (32768, false))?;
    loading(other.path())?;
    let file = other.path().join("model.gguf");
    write_gguf(other.path(), &file)?;
    loading(&file)?;
    let model = open(folder.path(), Keep::As(DType::F32))?;
    let config = model.config();
    let long = ids(3000, 0);
    let (cache, measured) = peak_of(|| model.prefill(&long, None));
    let estimate = memory::cache_bytes(config, long.len(), Runs::PROCESSOR)
        + memory::chat_bytes(config, long.len(), Runs::PROCESSOR);
    assert_near("a conversation of 3000 tokens", estimate, measured)?;
    drop(cache?);
    gradient(&model)?;
    search(&model)
}

/// The gradient of one sequence of 2000 tokens with its cross-entropy.
fn gradient(model: &Model) -> Result<()> {
    let n = 2000;
    let tree = TokenTree::sequence(&ids(n, 0));
    let column = Tensor::ones((model.config().d_model, 1), DType::F32, model.device())?;
    let members = [Member { slots: vec![0], reads: vec![0], lambda: 0.5 }];
    let problem = Problem { tree: &tree, caches: &[], members: &members, block: 3, edits: &[] };
    let project = |rows: &Tensor| -> tiller_engine::Result<Tensor> { Ok(rows.matmul(&column)?.squeeze(1)?) };
    let (gradients, measured) = peak_of(|| token_gradients(model, &problem, &project));
    drop(gradients?);
    assert_near("a gradient", memory::gradient_bytes(model.config(), n, Runs::PROCESSOR), measured)
}

/// A gradient step in 4 contexts for 4 prompts of 16 tokens, and 256 candidates.
fn search(model: &Model) -> Result<()> {
    let config = model.config();
    let step = SearchStep { population: 4, contexts: 4, prompt_len: 16, context_len: 48, block: config.n_layers / 2 };
    let (mut tree, mut members) = (TokenTree::new(), Vec::new());
    for member in 0..step.population {
        let (mut slots, mut reads) = (Vec::new(), Vec::new());
        for context in 0..step.contexts {
            let mut push = |parent, ids| tree.push(Node { parent, ids, ends_prompt: false, is_reply: false });
            let slot = push(Parent::Root, ids(step.prompt_len, member));
            let after = Parent::Node { node: slot, len: step.prompt_len };
            slots.push(slot);
            reads.push(push(after, ids(step.context_len, context + 7)));
        }
        members.push(Member { slots, reads, lambda: 0.5 });
    }
    let column = Tensor::ones((config.d_model, 1), DType::F32, model.device())?;
    let problem = Problem { tree: &tree, caches: &[], members: &members, block: step.block, edits: &[] };
    let project = |rows: &Tensor| -> tiller_engine::Result<Tensor> {
        Ok(rows.matmul(&column)?.squeeze(1)?.reshape((step.population, step.contexts))?.mean(1)?)
    };
    let (gradients, for_gradients) = peak_of(|| token_gradients(model, &problem, &project));
    drop(gradients?);
    let candidates: Vec<Vec<u32>> = (0..256).map(|seed| ids(16, seed)).collect();
    let (scores, for_scores) = peak_of(|| score::cross_entropies(model, &candidates));
    drop(scores?);
    let estimate = memory::search_bytes(config, step, Runs::PROCESSOR);
    assert_near("a search step", estimate, for_gradients.max(for_scores))
}
