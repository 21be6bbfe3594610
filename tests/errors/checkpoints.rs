//! Fixture checkpoints with one fault each.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

/// A fault and what must be said about it.
pub(crate) struct Fault {
    /// What is wrong, for messages.
    pub(crate) name: &'static str,
    /// The sound checkpoint it starts from.
    pub(crate) checkpoint: &'static str,
    /// Puts the fault into a copy.
    pub(crate) plant: fn(&Path) -> Result<()>,
    /// Words that the problem must name.
    pub(crate) facts: &'static [&'static str],
}

/// A fixture's folder.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// A copy of a checkpoint to be broken.
pub(crate) fn copy(checkpoint: &str, target: &Path) -> Result<()> {
    fs::create_dir_all(target)?;
    for entry in fs::read_dir(fixture(checkpoint))? {
        let entry = entry?;
        fs::copy(entry.path(), target.join(entry.file_name()))?;
    }
    Ok(())
}

fn edit_json(path: &Path, change: impl FnOnce(&mut Value)) -> Result<()> {
    let mut value: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
    change(&mut value);
    Ok(fs::write(path, value.to_string())?)
}

fn edit_config(folder: &Path, change: impl FnOnce(&mut Value)) -> Result<()> {
    edit_json(&folder.join("config.json"), change)
}

fn set_config(folder: &Path, key: &str, value: Value) -> Result<()> {
    edit_config(folder, |config| config[key] = value)
}

fn edit_tensors(folder: &Path, change: impl FnOnce(&mut HashMap<String, Tensor>) -> Result<()>) -> Result<()> {
    let path = folder.join("model.safetensors");
    let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu)?;
    change(&mut tensors)?;
    Ok(candle_core::safetensors::save(&tensors, &path)?)
}

fn cut(path: &Path, keep: impl FnOnce(usize) -> usize) -> Result<()> {
    let bytes = fs::read(path)?;
    Ok(fs::write(path, &bytes[..keep(bytes.len())])?)
}

const NORM: &str = "model.layers.1.input_layernorm.weight";
const QUERY: &str = "model.layers.0.self_attn.q_proj.weight";

/// Every fault that a folder can have.
pub(crate) fn faults() -> Vec<Fault> {
    [weight_faults(), config_faults(), text_faults()].into_iter().flatten().collect()
}

fn weight_faults() -> Vec<Fault> {
    let fault = |name, plant, facts| Fault { name, checkpoint: "llama3-v4", plant, facts };
    vec![
        fault("no weights", |dir| Ok(fs::remove_file(dir.join("model.safetensors"))?), &["safetensors"]),
        fault("weights cut in half", |dir| cut(&dir.join("model.safetensors"), |n| n / 2), &["model.safetensors"]),
        fault(
            "weights without their last byte",
            |dir| cut(&dir.join("model.safetensors"), |n| n - 1),
            &["model.safetensors"],
        ),
        fault("weights cut in the header", |dir| cut(&dir.join("model.safetensors"), |_| 40), &["model.safetensors"]),
        fault("empty weights file", |dir| cut(&dir.join("model.safetensors"), |_| 0), &["model.safetensors"]),
        fault(
            "a page in place of the weights",
            |dir| Ok(fs::write(dir.join("model.safetensors"), "<!doctype html><title>404</title>")?),
            &["model.safetensors"],
        ),
        fault(
            "whole numbers in place of weights",
            |dir| {
                edit_tensors(dir, |tensors| {
                    let wrong = tensors[QUERY].to_dtype(DType::I64)?;
                    tensors.insert(QUERY.to_owned(), wrong);
                    Ok(())
                })
            },
            &[QUERY, "i64"],
        ),
        fault(
            "a weight of another shape",
            |dir| {
                edit_tensors(dir, |tensors| {
                    let wrong = tensors[QUERY].t()?.contiguous()?;
                    tensors.insert(QUERY.to_owned(), wrong);
                    Ok(())
                })
            },
            &[QUERY, "64", "32"],
        ),
        fault(
            "a missing weight",
            |dir| {
                edit_tensors(dir, |tensors| {
                    tensors.remove(NORM).context("the weight was there")?;
                    Ok(())
                })
            },
            &[NORM],
        ),
        Fault {
            name: "a missing shard",
            checkpoint: "llama3-v5",
            plant: |dir| Ok(fs::remove_file(dir.join("model-00002-of-00003.safetensors"))?),
            facts: &["model-00002-of-00003.safetensors"],
        },
        Fault {
            name: "an index that is not JSON",
            checkpoint: "llama3-v5",
            plant: |dir| Ok(fs::write(dir.join("model.safetensors.index.json"), "{\"weight_map\": ")?),
            facts: &["model.safetensors.index.json"],
        },
        Fault {
            name: "an index that leads out of the folder",
            checkpoint: "llama3-v5",
            plant: |dir| {
                edit_json(&dir.join("model.safetensors.index.json"), |index| {
                    index["weight_map"][QUERY] = json!("../../elsewhere.safetensors");
                })
            },
            facts: &["elsewhere.safetensors"],
        },
    ]
}

fn config_faults() -> Vec<Fault> {
    let fault = |name, plant, facts| Fault { name, checkpoint: "llama3-v4", plant, facts };
    vec![
        fault("no config", |dir| Ok(fs::remove_file(dir.join("config.json"))?), &["config.json"]),
        fault("a config that is not JSON", |dir| cut(&dir.join("config.json"), |n| n / 2), &["config.json"]),
        fault("a config that is a list", |dir| Ok(fs::write(dir.join("config.json"), "[1, 2]")?), &["config.json"]),
        fault(
            "a config without a width",
            |dir| {
                edit_config(dir, |config| {
                    config.as_object_mut().expect("a config is an object").remove("hidden_size");
                })
            },
            &["config.json", "hidden_size"],
        ),
        fault("a width in words", |dir| set_config(dir, "hidden_size", json!("wide")), &["config.json"]),
        fault("no heads", |dir| set_config(dir, "num_attention_heads", json!(0)), &["config.json"]),
        fault("no blocks", |dir| set_config(dir, "num_hidden_layers", json!(0)), &["config.json"]),
        fault("heads that do not divide", |dir| set_config(dir, "num_key_value_heads", json!(3)), &["config.json"]),
        fault("more blocks than weights", |dir| set_config(dir, "num_hidden_layers", json!(5)), &["model.layers.3."]),
        fault(
            "a rope scaling nobody knows",
            |dir| set_config(dir, "rope_scaling", json!({"rope_type": "spiral", "factor": 2.0})),
            &["spiral"],
        ),
        fault("an activation nobody knows", |dir| set_config(dir, "hidden_act", json!("square")), &["square"]),
        fault(
            "an unknown architecture",
            |dir| set_config(dir, "architectures", json!(["OrreryForCausalLM"])),
            &["OrreryForCausalLM"],
        ),
    ]
}

fn text_faults() -> Vec<Fault> {
    let fault = |name, plant, facts| Fault { name, checkpoint: "llama3-v4", plant, facts };
    vec![
        fault("no tokenizer", |dir| Ok(fs::remove_file(dir.join("tokenizer.json"))?), &["tokenizer.json"]),
        fault("a tokenizer that is not JSON", |dir| cut(&dir.join("tokenizer.json"), |n| n / 3), &["tokenizer.json"]),
        Fault {
            name: "a tokenizer with more tokens than the embedding",
            checkpoint: "llama-tied",
            plant: |dir| {
                fs::copy(fixture("llama3-v4").join("tokenizer.json"), dir.join("tokenizer.json"))?;
                Ok(())
            },
            facts: &["tokenizer"],
        },
        fault(
            "a chat template that does not parse",
            |dir| {
                edit_json(&dir.join("tokenizer_config.json"), |config| {
                    config["chat_template"] = json!("{% for message in messages %}{{ message['content'] }");
                })
            },
            &["template"],
        ),
    ]
}
