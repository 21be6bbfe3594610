use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use super::header::Fault;
use super::value::Value;
use super::*;
use crate::weights::Source as _;

const FILES: [&str; 6] = [
    "llama-q4_k_m.gguf",
    "mistral-f16.gguf",
    "qwen2-q8_0-00001-of-00003.gguf",
    "qwen3-mixed.gguf",
    "gemma2-q8_0.gguf",
    "gemma3-bf16.gguf",
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/gguf").join(name)
}

fn goldens(name: &str) -> BTreeMap<String, Tensor> {
    let stem = name.trim_end_matches(".gguf").trim_end_matches("-00001-of-00003");
    candle_core::safetensors::load(fixture(&format!("{stem}.safetensors")), &Device::Cpu).unwrap().into_iter().collect()
}

fn parse(bytes: &[u8]) -> std::result::Result<header::Header, Fault> {
    header::read(&mut &bytes[..], bytes.len() as u64)
}

/// What is wrong with these bytes.
fn complaint(bytes: &[u8]) -> String {
    match parse(bytes) {
        Err(Fault::Content(reason)) => reason,
        Err(Fault::Io(error)) => panic!("{error}"),
        Ok(_) => panic!("accepted"),
    }
}

/// The head of a file of version 3 with these counts, and what follows.
fn head(n_tensors: u64, n_keys: u64, rest: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(n_tensors.to_le_bytes());
    bytes.extend(n_keys.to_le_bytes());
    bytes.extend(rest.concat());
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// A line of the table of tensors.
fn line(name: &str, axes: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let mut bytes = text(name);
    bytes.extend((axes.len() as u32).to_le_bytes());
    bytes.extend(axes.iter().flat_map(|n| n.to_le_bytes()));
    bytes.extend(kind.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes
}

/// Bit for bit what the `gguf` package of llama.cpp makes of every kind of block, and the rows where a checkpoint has
/// them.
#[test]
fn rows_equal_the_reference() {
    for name in FILES {
        let mut silent = |_, _| true;
        let mut source = Gguf::open(&fixture(name)).unwrap().source(&mut silent);
        let mut n_compared = 0;
        for (key, expected) in goldens(name) {
            let Some(tensor) = key.strip_prefix("rows.") else { continue };
            let own = source.names.translate(tensor).unwrap();
            let shape = source.file.shape(&own).unwrap().to_vec();
            let found = source.tensor(tensor, &shape).unwrap().widened().unwrap();
            let expected: Vec<f32> = expected.flatten_all().unwrap().to_vec1().unwrap();
            assert_eq!(&found[..expected.len()], expected, "{name}: {tensor}");
            n_compared += 1;
        }
        assert!(n_compared > 14, "{name}: {n_compared} tensors");
    }
}

#[test]
fn heads_that_lie_are_refused() {
    assert!(complaint(b"").contains("GGUF"));
    assert!(complaint(b"GG").contains("GGUF"));
    assert!(complaint(b"<!doctype html><title>404</title>").contains("GGUF"));
    assert!(complaint(b"GGUF\x01\0\0\0\0\0\0\0\0\0\0\0").contains("version 1"));
    assert!(complaint(b"GGUF\x63\0\0\0\0\0\0\0\0\0\0\0").contains("version 99"));
    assert!(complaint(b"GGUF\0\0\0\x03\0\0\0\0\0\0\0\0").contains("big-endian"));
    assert!(complaint(&head(1 << 60, 0, &[])).contains("1152921504606846976 tensors"));
    assert!(complaint(&head(0, 1 << 60, &[])).contains("metadata keys"));
    assert!(complaint(&head(u64::MAX, u64::MAX, &[])).contains("claims"));
    assert!(complaint(&head(3, 0, &[&[0; 40]])).contains("3 tensors"), "fewer bytes than three lines take");
    let huge = (1_u64 << 60).to_le_bytes();
    assert!(complaint(&head(0, 1, &[&huge, &[0; 16]])).contains("cut short"), "a key of 2^60 bytes");
    let list =
        |item: u32, n: u64| head(0, 1, &[&text("k"), &9_u32.to_le_bytes(), &item.to_le_bytes(), &n.to_le_bytes()]);
    assert!(complaint(&list(4, 1 << 60)).contains("`k` claims"));
    assert!(complaint(&list(8, u64::MAX)).contains("`k` claims"));
    assert!(complaint(&list(9, 1)).contains("list of lists"));
    assert!(complaint(&list(77, 1)).contains("unknown type 77"));
    assert!(complaint(&head(0, 1, &[&text("k"), &77_u32.to_le_bytes(), &[0; 8]])).contains("unknown type 77"));
}

#[test]
fn tables_that_lie_are_refused() {
    let table = |lines: &[Vec<u8>]| head(lines.len() as u64, 0, &[&lines.concat()]);
    assert!(complaint(&table(&[line("t", &[1 << 40, 1 << 40], 0, 0)])).contains("tensor t has the impossible shape"));
    assert!(complaint(&table(&[line("t", &[u64::MAX, 2], 0, 0)])).contains("impossible shape"));
    assert!(complaint(&table(&[line("t", &[4, 0], 0, 0)])).contains("impossible shape"));
    assert!(complaint(&table(&[line("t", &[2; 9], 0, 0)])).contains("9 axes"));
    assert!(complaint(&table(&[line("t", &[], 0, 0)])).contains("0 axes"));
    assert!(complaint(&table(&[line("t", &[4], 0, 0), line("t", &[4], 0, 0)])).contains("tensor t twice"));
    for alignment in [0_u32, u32::MAX] {
        let key = [text("general.alignment"), 4_u32.to_le_bytes().to_vec(), alignment.to_le_bytes().to_vec()].concat();
        assert!(complaint(&head(0, 1, &[&key])).contains("general.alignment"));
    }
}

#[test]
fn every_value_is_read() {
    let scalars: [(u32, &[u8], Value); 8] = [
        (0, &[200], Value::Int(200)),
        (1, &[200], Value::Int(-56)),
        (3, &[0xfe, 0xff], Value::Int(-2)),
        (4, &[0xff; 4], Value::Int(i64::from(u32::MAX))),
        (6, &1.5_f32.to_le_bytes(), Value::Float(1.5)),
        (7, &[1], Value::Int(1)),
        (11, &(-9_i64).to_le_bytes(), Value::Int(-9)),
        (12, &0.1_f64.to_le_bytes(), Value::Float(0.1)),
    ];
    for (value_type, bytes, expected) in scalars {
        let found = parse(&head(0, 1, &[&text("k"), &value_type.to_le_bytes(), bytes])).unwrap();
        assert_eq!(found.metadata.0["k"], expected);
        let list = [&9_u32.to_le_bytes(), &value_type.to_le_bytes(), &2_u64.to_le_bytes()[..4]].concat();
        let found = parse(&head(0, 1, &[&text("k"), &list, &[0; 4], bytes, bytes])).unwrap();
        match (&found.metadata.0["k"], expected) {
            (Value::Ints(list), Value::Int(number)) => assert_eq!(list, &[number, number]),
            (Value::Floats(list), Value::Float(number)) => assert_eq!(list, &[number as f32, number as f32]),
            other => panic!("{other:?}"),
        }
    }
}

/// A file that ends anywhere, or whose bytes are damaged anywhere, is an error or a model, never a fault.
#[test]
fn damage_is_never_a_panic() {
    let bytes = std::fs::read(fixture("gemma2-q8_0.gguf")).unwrap();
    let head_len = parse(&bytes).unwrap().data_start as usize;
    for cut in (0..head_len - 64).step_by(61) {
        assert!(parse(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    let mut noise = 7_u64;
    let mut next = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (noise >> 33) as usize
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.gguf");
    for _ in 0..300 {
        let mut damaged = bytes.clone();
        for _ in 0..3 {
            damaged[next() % head_len] = next() as u8;
        }
        std::fs::File::create(&path).unwrap().write_all(&damaged).unwrap();
        if let Ok(mut gguf) = Gguf::open(&path) {
            let _outcome = gguf.tokenizer();
            let _outcome = gguf.rope_factors();
        }
    }
}

#[test]
fn parts_are_found_by_their_names() {
    let names = |path: &str| -> Vec<String> {
        parts(Path::new(path)).unwrap().iter().map(|path| path.display().to_string()).collect()
    };
    assert_eq!(names("a/m.gguf"), ["a/m.gguf"]);
    assert_eq!(names("a/m-of-n.gguf"), ["a/m-of-n.gguf"]);
    assert_eq!(names("a/m-00002-of-00002.gguf"), ["a/m-00001-of-00002.gguf", "a/m-00002-of-00002.gguf"]);
    assert!(parts(Path::new("m-00003-of-00002.gguf")).is_err());
    assert!(parts(Path::new("m-00000-of-00002.gguf")).is_err());
}

#[test]
fn a_part_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for i in [1, 3] {
        let name = format!("qwen2-q8_0-0000{i}-of-00003.gguf");
        std::fs::copy(fixture(&name), dir.path().join(&name)).unwrap();
    }
    let error = Gguf::open(&dir.path().join("qwen2-q8_0-00003-of-00003.gguf")).unwrap_err();
    assert!(
        matches!(&error, EngineError::MissingFile { path, .. } if path.ends_with("qwen2-q8_0-00002-of-00003.gguf"))
    );
}

/// Each key that the file must have is asked for by its name.
#[test]
fn missing_metadata_is_named() {
    let gguf = Gguf::open(&fixture("gemma2-q8_0.gguf")).unwrap();
    let tensors = Tensors { vocab_size: 448, tied: true, qkv_bias: false };
    for key in [
        "general.architecture",
        "gemma2.block_count",
        "gemma2.embedding_length",
        "gemma2.attention.head_count",
        "gemma2.feed_forward_length",
        "gemma2.context_length",
        "gemma2.attention.layer_norm_rms_epsilon",
    ] {
        let mut metadata = gguf.file.metadata().clone();
        assert!(metadata.0.remove(key).is_some(), "{key}");
        let error = config::config_json(&metadata, tensors).unwrap_err().to_string();
        assert!(error.contains(key), "{key}: {error}");
    }
    for key in ["tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.scores"] {
        let mut metadata = gguf.file.metadata().clone();
        assert!(metadata.0.remove(key).is_some(), "{key}");
        let error = tokenizer::files(&metadata).unwrap_err().to_string();
        assert!(error.contains(key), "{key}: {error}");
    }
}

#[test]
fn what_is_not_supported_is_named() {
    let gguf = Gguf::open(&fixture("mistral-f16.gguf")).unwrap();
    let tensors = Tensors { vocab_size: 440, tied: false, qkv_bias: false };
    for (key, value, word) in [
        ("general.architecture", Value::Text("orrery".to_owned()), "orrery"),
        ("llama.rope.scaling.type", Value::Text("yarn".to_owned()), "yarn"),
        ("llama.expert_count", Value::Int(8), "experts"),
        ("llama.attention.value_length", Value::Int(24), "value_length"),
        ("llama.rope.dimension_count", Value::Int(8), "dimension_count"),
        ("llama.attention.head_count", Value::Ints(vec![4, 4]), "head_count"),
        ("llama.block_count", Value::Int(-3), "block_count"),
        ("llama.block_count", Value::Text("two".to_owned()), "block_count"),
    ] {
        let mut metadata = gguf.file.metadata().clone();
        metadata.0.insert(key.to_owned(), value);
        let error = config::config_json(&metadata, tensors).unwrap_err().to_string();
        assert!(error.contains(word), "{key}: {error}");
    }
    for (key, value, word) in [
        ("tokenizer.ggml.model", Value::Text("t5".to_owned()), "t5"),
        ("tokenizer.ggml.scores", Value::Floats(vec![0.0]), "scores"),
        ("tokenizer.ggml.token_type", Value::Ints(vec![1]), "token types"),
        ("tokenizer.ggml.bos_token_id", Value::Int(-1), "bos_token_id"),
    ] {
        let mut metadata = gguf.file.metadata().clone();
        metadata.0.insert(key.to_owned(), value);
        let error = tokenizer::files(&metadata).unwrap_err().to_string();
        assert!(error.contains(word), "{key}: {error}");
    }
}

/// The largest model of a Gemma family divides its queries by another number than the others.
#[test]
fn query_scales_follow_llama_cpp() {
    let gguf = Gguf::open(&fixture("gemma2-q8_0.gguf")).unwrap();
    let tensors = Tensors { vocab_size: 448, tied: true, qkv_bias: false };
    let scalar = |n_layers: i64| {
        let mut metadata = gguf.file.metadata().clone();
        metadata.0.insert("gemma2.block_count".to_owned(), Value::Int(n_layers));
        metadata.0.insert("gemma2.embedding_length".to_owned(), Value::Int(288));
        config::config_json(&metadata, tensors).unwrap()["query_pre_attn_scalar"].as_f64().unwrap()
    };
    assert_eq!((scalar(26), scalar(46)), (32.0, 144.0));
}

/// Newer files say which blocks have a window; without that the family's pattern holds.
#[test]
fn windows_may_be_told_block_by_block() {
    let gguf = Gguf::open(&fixture("gemma3-bf16.gguf")).unwrap();
    let tensors = Tensors { vocab_size: 440, tied: true, qkv_bias: false };
    let read = |value: Option<Value>| {
        let mut metadata = gguf.file.metadata().clone();
        metadata.0.extend(value.map(|value| ("gemma3.attention.sliding_window_pattern".to_owned(), value)));
        ModelConfig::from_json(&config::config_json(&metadata, tensors).unwrap().to_string())
    };
    let usual = read(None).unwrap();
    assert_eq!(read(Some(Value::Ints(vec![1, 1, 1, 1, 1, 0, 1]))).unwrap(), usual);
    assert_eq!(read(Some(Value::Int(6))).unwrap(), usual);
    assert_ne!(read(Some(Value::Int(2))).unwrap(), usual);
    assert_ne!(read(Some(Value::Ints(vec![1, 0, 1, 1, 1, 0, 1]))).unwrap(), usual);
    assert!(read(Some(Value::Ints(vec![1, 0]))).unwrap_err().to_string().contains("layer_types"));
}
