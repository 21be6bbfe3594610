//! Fixture checkpoints with one fault each.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use candle_core::{Device, Tensor};
use serde_json::{Value, json};

use super::weight_faults::{table_faults, weight_faults};

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

pub(crate) fn edit_json(path: &Path, change: impl FnOnce(&mut Value)) -> Result<()> {
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

pub(crate) fn edit_tensors(file: &Path, change: impl FnOnce(&mut HashMap<String, Tensor>) -> Result<()>) -> Result<()> {
    let mut tensors = candle_core::safetensors::load(file, &Device::Cpu)?;
    change(&mut tensors)?;
    Ok(candle_core::safetensors::save(&tensors, file)?)
}

pub(crate) fn cut(path: &Path, keep: impl FnOnce(usize) -> usize) -> Result<()> {
    let bytes = fs::read(path)?;
    Ok(fs::write(path, &bytes[..keep(bytes.len())])?)
}

/// Every fault that a folder can have.
pub(crate) fn faults() -> Vec<Fault> {
    [weight_faults(), table_faults(), config_faults(), text_faults()].into_iter().flatten().collect()
}

const CONFIG: &[&str] = &["config.json"];
const HIDDEN_SIZE: &[&str] = &["config.json", "hidden_size"];

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
        fault("an immense width", |dir| set_config(dir, "hidden_size", json!(1_000_000_000_000_u64)), HIDDEN_SIZE),
        fault("a width beyond all numbers", |dir| set_config(dir, "hidden_size", json!(1e300)), HIDDEN_SIZE),
        fault("a negative width", |dir| set_config(dir, "hidden_size", json!(-64)), HIDDEN_SIZE),
        fault(
            "a billion blocks",
            |dir| set_config(dir, "num_hidden_layers", json!(1_000_000_000_u64)),
            &["config.json", "num_hidden_layers"],
        ),
        fault("too many blocks to list", |dir| set_config(dir, "num_hidden_layers", json!(9_000_000)), &["layers.3."]),
        fault("an immense vocabulary", |dir| set_config(dir, "vocab_size", json!(1_u64 << 40)), &["vocab_size"]),
        fault("immense heads", |dir| set_config(dir, "head_dim", json!(1_u64 << 60)), &["config.json"]),
        fault(
            "more key heads than heads",
            |dir| set_config(dir, "num_key_value_heads", json!(1_u64 << 62)),
            &["heads"],
        ),
        fault("another width than the weights'", |dir| set_config(dir, "hidden_size", json!(40)), &["32", "40"]),
        fault(
            "another vocabulary than the weights'",
            |dir| set_config(dir, "vocab_size", json!(400)),
            &["400", "embed"],
        ),
        fault("lists without an end", |dir| Ok(fs::write(dir.join("config.json"), "[".repeat(100_000))?), CONFIG),
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
            &["chat template", "tokenizer_config.json", "line 1"],
        ),
        fault(
            "a chat template of its own that does not parse",
            |dir| Ok(fs::write(dir.join("chat_template.jinja"), "x{{")?),
            &["chat template", "chat_template.jinja"],
        ),
        fault(
            "settings for replies that are not JSON",
            |dir| Ok(fs::write(dir.join("generation_config.json"), "{\"eos")?),
            &["generation_config.json"],
        ),
        fault(
            "a tokenizer in SentencePiece's own form",
            |dir| Ok(fs::rename(dir.join("tokenizer.json"), dir.join("tokenizer.model"))?),
            &["tokenizer.model", "tokenizer.json"],
        ),
    ]
}
