//! GGUF files with one fault each.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use candle_core::quantized::QTensor;
use candle_core::quantized::gguf_file::{Content, Value, write};
use tiller_engine::keep::Keep;
use tiller_engine::{Device, EngineError, Model, load};
use tiller_protocol::model::ModelSource;
use tiller_studio::headless::{self, DiscoverOptions, Global, TraceInput};

use super::assert_told;
use super::checkpoints::fixture;

/// A fault and what must be said about it.
struct Fault {
    /// What is wrong, for messages.
    name: &'static str,
    /// Puts the fault into a copy of `qwen3-mixed.gguf`.
    plant: fn(&Path) -> Result<()>,
    /// Words that the error must name, besides the file.
    facts: &'static [&'static str],
}

fn open(path: &Path) -> Result<Model, EngineError> {
    load::model(path, &Device::Cpu, Keep::Auto, &mut |_, _| true)
}

fn cut(path: &Path, keep: impl FnOnce(usize) -> usize) -> Result<()> {
    let bytes = fs::read(path)?;
    Ok(fs::write(path, &bytes[..keep(bytes.len())])?)
}

/// Writes bytes over those at `at`.
fn patch(path: &Path, at: usize, new: &[u8]) -> Result<()> {
    let mut bytes = fs::read(path)?;
    bytes[at..at + new.len()].copy_from_slice(new);
    Ok(fs::write(path, bytes)?)
}

/// The place of these bytes.
fn find(path: &Path, bytes: &[u8]) -> Result<usize> {
    let whole = fs::read(path)?;
    whole.windows(bytes.len()).position(|window| window == bytes).context("the bytes are there")
}

/// Writes the file anew with other metadata or tensors.
fn rewrite(
    path: &Path,
    change: impl FnOnce(&mut HashMap<String, Value>, &mut Vec<(String, QTensor)>) -> Result<()>,
) -> Result<()> {
    let mut file = fs::File::open(path)?;
    let mut content = Content::read(&mut file)?;
    let names: Vec<String> = content.tensor_infos.keys().cloned().collect();
    let tensors = names.into_iter().map(|name| {
        let tensor = content.tensor(&mut file, &name, &Device::Cpu)?;
        Ok((name, tensor))
    });
    let mut tensors = tensors.collect::<Result<Vec<_>>>()?;
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    change(&mut content.metadata, &mut tensors)?;
    let metadata: Vec<(&str, &Value)> = content.metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    Ok(write(&mut fs::File::create(path)?, &metadata, &tensors)?)
}

fn set(path: &Path, key: &str, value: Value) -> Result<()> {
    rewrite(path, |metadata, _| {
        metadata.insert(key.to_owned(), value);
        Ok(())
    })
}

const QUERY: &str = "blk.1.attn_q.weight";
const NORM: &str = "blk.1.attn_norm.weight";

fn faults() -> Vec<Fault> {
    let fault = |name, plant, facts| Fault { name, plant, facts };
    vec![
        fault("an empty file", |path| cut(path, |_| 0), &["GGUF"]),
        fault("cut in the header", |path| cut(path, |_| 900), &["cut short", "tokenizer.ggml.tokens"]),
        fault("cut in half", |path| cut(path, |n| n / 2), &["cut short", "tensor"]),
        fault("without its last byte", |path| cut(path, |n| n - 1), &["cut short", "tensor"]),
        fault("a page", |path| Ok(fs::write(path, "<!doctype html><title>404</title>")?), &["GGUF"]),
        fault("2^60 tensors", |path| patch(path, 8, &(1_u64 << 60).to_le_bytes()), &["1152921504606846976 tensors"]),
        fault("2^60 keys", |path| patch(path, 16, &(1_u64 << 60).to_le_bytes()), &["metadata keys"]),
        fault("version 1", |path| patch(path, 4, &1_u32.to_le_bytes()), &["version 1"]),
        fault("a renamed tensor", |path| patch(path, find(path, NORM.as_bytes())?, b"blk.1.attn_nerm"), &[NORM]),
        fault(
            "a tensor of a type nobody reads",
            |path| {
                // Name, number of axes and two axes stand before the type.
                let at = find(path, QUERY.as_bytes())? + QUERY.len() + 4 + 16;
                patch(path, at, &23_u32.to_le_bytes())
            },
            &[QUERY, "IQ4_XS"],
        ),
        fault(
            "a tensor beyond the end",
            |path| {
                let at = find(path, QUERY.as_bytes())? + QUERY.len() + 4 + 16 + 4;
                patch(path, at, &(1_u64 << 62).to_le_bytes())
            },
            &[QUERY, "cut short"],
        ),
        fault(
            "a tensor of another shape",
            |path| {
                rewrite(path, |_, tensors| {
                    let wrong = tensors.iter().position(|(name, _)| name == "blk.0.attn_q.weight").context("there")?;
                    let other = tensors.iter().position(|(name, _)| name == "blk.0.ffn_up.weight").context("there")?;
                    let name = std::mem::replace(&mut tensors[wrong].0, "spare".to_owned());
                    tensors[other].0 = name;
                    Ok(())
                })
            },
            &["blk.0.attn_q.weight", "128", "96"],
        ),
        fault(
            "a scale that is no number",
            |path| {
                rewrite(path, |_, tensors| {
                    let (_, tensor) =
                        tensors.iter_mut().find(|(name, _)| name == "blk.0.attn_q.weight").context("it")?;
                    let mut data = tensor.data()?.into_owned();
                    // The scale of the third block of 18 bytes.
                    data[36..38].copy_from_slice(&0x7e00_u16.to_le_bytes());
                    let (dtype, shape) = (tensor.dtype(), tensor.shape().clone());
                    let blocks = candle_core::quantized::QStorage::from_data(data.into(), &Device::Cpu, dtype)?;
                    *tensor = QTensor::new(blocks, shape)?;
                    Ok(())
                })
            },
            &["blk.0.attn_q.weight", "block 2"],
        ),
        fault(
            "another architecture",
            |path| set(path, "general.architecture", Value::String("orrery".to_owned())),
            &["orrery"],
        ),
        fault("no blocks", |path| set(path, "qwen3.block_count", Value::U32(0)), &["qwen3.block_count"]),
        fault("more blocks than tensors", |path| set(path, "qwen3.block_count", Value::U32(9)), &["blk.2."]),
        fault("a width of 2^40", |path| set(path, "qwen3.embedding_length", Value::U64(1 << 40)), &["hidden_size"]),
        fault(
            "words cut in an unknown way",
            |path| set(path, "tokenizer.ggml.pre", Value::String("spiral".to_owned())),
            &["spiral", "tokenizer.json"],
        ),
        fault(
            "a template that does not parse",
            |path| set(path, "tokenizer.chat_template", Value::String("{% for message in messages %}".to_owned())),
            &["chat template"],
        ),
    ]
}

fn copy(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("copy.gguf");
    fs::copy(fixture("gguf").join("qwen3-mixed.gguf"), &path)?;
    Ok(path)
}

#[test]
fn every_fault_is_an_error() -> Result<()> {
    for fault in faults() {
        let folder = tempfile::tempdir()?;
        let path = copy(folder.path())?;
        (fault.plant)(&path)?;
        let error = open(&path).err().with_context(|| format!("{} was accepted", fault.name))?;
        let text = error.to_string();
        assert!(text.contains("copy.gguf"), "{}: the file is not named: {text}", fault.name);
        for fact in fault.facts {
            assert!(text.contains(fact), "{}: nothing names {fact}: {text}", fault.name);
        }
        if fault.name != "a scale that is no number" {
            let early = load::preview(&path).err().with_context(|| format!("{} looks sound", fault.name))?;
            assert_eq!(early.to_string(), text, "{}", fault.name);
        }
    }
    Ok(())
}

/// Writing a file anew changes nothing by itself, and its version 2 is read like version 3.
#[test]
fn a_file_written_anew_is_sound() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = copy(folder.path())?;
    let before = open(&path)?;
    rewrite(&path, |_, _| Ok(()))?;
    assert_eq!(open(&path)?.config(), before.config());
    assert_eq!(fs::read(&path)?[4], 2);
    Ok(())
}

#[test]
fn loading_can_be_stopped_and_tells_how_far_it_is() -> Result<()> {
    let path = fixture("gguf").join("gemma2-q8_0.gguf");
    let stopped = load::model(&path, &Device::Cpu, Keep::Auto, &mut |_, _| false);
    assert!(matches!(stopped, Err(EngineError::Stopped)));
    let mut seen = Vec::new();
    load::model(&path, &Device::Cpu, Keep::Auto, &mut |done, total| {
        seen.push((done, total));
        true
    })?;
    let (done, total) = *seen.last().context("progress is told")?;
    assert!(done == total && seen.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{seen:?}");
    Ok(())
}

fn global(workspace: &Path) -> Global {
    Global { workspace: Some(workspace.join("workspace")), ..Global::default() }
}

/// A search is refused before any of its work, in words that say what to do.
#[test]
fn discovery_on_quantised_weights_is_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (config, out) = (folder.path().join("run.toml"), folder.path().join("run"));
    fs::write(&config, "persona = \"sycophancy\"")?;
    let model = ModelSource::Folder(fixture("gguf").join("gemma2-q8_0.gguf"));
    let told =
        headless::discover(&global(folder.path()), &DiscoverOptions { model, config, out: out.clone(), resume: false });
    assert_told(&told.err().context("it was accepted")?, &["q8_0", "gradient", "--dtype f32"])?;
    assert!(!out.exists(), "a run was begun");
    Ok(())
}

#[test]
fn files_that_are_not_there_are_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let part = folder.path().join("model-00002-of-00002.gguf");
    fs::copy(fixture("gguf").join("gemma2-q8_0.gguf"), &part)?;
    let directory = folder.path().join("folder.gguf");
    fs::create_dir(&directory)?;
    for (path, fact) in [
        (folder.path().join("nowhere.gguf"), "nowhere.gguf"),
        (part, "model-00001-of-00002.gguf"),
        (directory, "folder.gguf"),
    ] {
        let out = folder.path().join("out.safetensors");
        let told = headless::trace(&global(folder.path()), &ModelSource::Folder(path), &TraceInput::Ids(vec![9]), &out);
        assert_told(&told.err().context("it was accepted")?, &[fact])?;
    }
    Ok(())
}

/// A fault in a later part of a split model names that part, the one to fetch again.
#[test]
fn a_fault_names_its_part() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let part = |i: usize| format!("qwen2-q8_0-0000{i}-of-00003.gguf");
    for i in 1..=3 {
        fs::copy(fixture("gguf").join(part(i)), folder.path().join(part(i)))?;
    }
    // The last tensor of the file ends it; its last value becomes NaN, or its last block's scale infinite.
    let last = folder.path().join(part(3));
    let mut bytes = fs::read(&last)?;
    let n = bytes.len();
    bytes[n - 34..].fill(0xff);
    fs::write(&last, &bytes)?;
    let error = open(&folder.path().join(part(1))).err().context("it was accepted")?.to_string();
    assert!(error.contains(&part(3)) && !error.contains(&part(1)), "{error}");
    Ok(())
}
