//! Weight files with one fault each: what they hold, and what their tables say.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use candle_core::{DType, Device, Tensor};
use serde_json::json;

use super::checkpoints::{Fault, cut, edit_json, edit_tensors, fixture};

const WEIGHTS: &str = "model.safetensors";
const FILE: &[&str] = &["model.safetensors"];
const INDEX: &str = "model.safetensors.index.json";
const NORM: &str = "model.layers.1.input_layernorm.weight";
const QUERY: &str = "model.layers.0.self_attn.q_proj.weight";

fn fault(name: &'static str, plant: fn(&Path) -> Result<()>, facts: &'static [&'static str]) -> Fault {
    Fault { name, checkpoint: "llama3-v4", plant, facts }
}

/// Puts `value` into the middle of a tensor.
fn spoil(dir: &Path, name: &str, value: f32) -> Result<()> {
    edit_tensors(&dir.join(WEIGHTS), |tensors| {
        let tensor = tensors.get_mut(name).context("the weight is there")?;
        let mut values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let middle = values.len() / 2;
        values[middle] = value;
        *tensor = Tensor::from_vec(values, tensor.shape(), &Device::Cpu)?.to_dtype(tensor.dtype())?;
        Ok(())
    })
}

/// Writes a weight file of a table and as many bytes.
fn write_table(dir: &Path, table: &str, n_bytes: usize) -> Result<()> {
    let mut file = File::create(dir.join(WEIGHTS))?;
    file.write_all(&(table.len() as u64).to_le_bytes())?;
    file.write_all(table.as_bytes())?;
    Ok(file.write_all(&vec![0; n_bytes])?)
}

/// Changes the text of the table, which keeps its length.
fn edit_table(dir: &Path, change: impl FnOnce(String) -> String) -> Result<()> {
    let bytes = fs::read(dir.join(WEIGHTS))?;
    let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into()?))?;
    let (table, data) = bytes[8..].split_at(length);
    let table = change(String::from_utf8(table.to_vec())?);
    Ok(fs::write(dir.join(WEIGHTS), [&(table.len() as u64).to_le_bytes()[..], table.as_bytes(), data].concat())?)
}

/// A link in place of the weights.
fn link(dir: &Path, target: &str) -> Result<()> {
    fs::remove_file(dir.join(WEIGHTS))?;
    #[cfg(unix)]
    std::os::unix::fs::symlink(target, dir.join(WEIGHTS))?;
    #[cfg(windows)]
    std::os::windows::fs::symlink_file(target, dir.join(WEIGHTS))?;
    Ok(())
}

/// Faults of the values and names.
pub(crate) fn weight_faults() -> Vec<Fault> {
    vec![
        fault("no weights", |dir| Ok(fs::remove_file(dir.join(WEIGHTS))?), &["safetensors"]),
        fault("weights cut in half", |dir| cut(&dir.join(WEIGHTS), |n| n / 2), FILE),
        fault("weights without their last byte", |dir| cut(&dir.join(WEIGHTS), |n| n - 1), FILE),
        fault("weights cut in the header", |dir| cut(&dir.join(WEIGHTS), |_| 40), FILE),
        fault("empty weights file", |dir| cut(&dir.join(WEIGHTS), |_| 0), FILE),
        fault(
            "a page in place of the weights",
            |dir| Ok(fs::write(dir.join(WEIGHTS), "<!doctype html><title>404</title>")?),
            FILE,
        ),
        fault(
            "whole numbers in place of weights",
            |dir| {
                edit_tensors(&dir.join(WEIGHTS), |tensors| {
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
                edit_tensors(&dir.join(WEIGHTS), |tensors| {
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
                edit_tensors(&dir.join(WEIGHTS), |tensors| {
                    tensors.remove(NORM).context("the weight was there")?;
                    Ok(())
                })
            },
            &[NORM],
        ),
        fault("a weight that is not a number", |dir| spoil(dir, QUERY, f32::NAN), &[QUERY, "NaN", WEIGHTS]),
        fault("a weight without bounds", |dir| spoil(dir, NORM, f32::NEG_INFINITY), &[NORM, "-inf", WEIGHTS]),
        fault(
            "weights under other names",
            |dir| {
                edit_tensors(&dir.join(WEIGHTS), |tensors| {
                    let renamed = |name: String| name.replace("self_attn.q_proj", "self_attn.wq");
                    *tensors = tensors.drain().map(|(name, tensor)| (renamed(name), tensor)).collect();
                    Ok(())
                })
            },
            &[QUERY, "there is model.layers.0.self_attn.wq.weight", "model.layers.2.self_attn.q_proj.weight"],
        ),
        fault(
            "weights without the prefix",
            |dir| {
                edit_tensors(&dir.join(WEIGHTS), |tensors| {
                    let renamed = |name: String| name.replace("model.", "");
                    *tensors = tensors.drain().map(|(name, tensor)| (renamed(name), tensor)).collect();
                    Ok(())
                })
            },
            &["model.embed_tokens.weight", "there is embed_tokens.weight"],
        ),
    ]
}

/// Faults of tables, indices and the files themselves.
pub(crate) fn table_faults() -> Vec<Fault> {
    vec![
        Fault {
            name: "a missing shard",
            checkpoint: "llama3-v5",
            plant: |dir| Ok(fs::remove_file(dir.join("model-00002-of-00003.safetensors"))?),
            facts: &["model-00002-of-00003.safetensors"],
        },
        Fault {
            name: "an index that is not JSON",
            checkpoint: "llama3-v5",
            plant: |dir| Ok(fs::write(dir.join(INDEX), "{\"weight_map\": ")?),
            facts: &["model.safetensors.index.json"],
        },
        Fault {
            name: "an index that leads out of the folder",
            checkpoint: "llama3-v5",
            plant: |dir| {
                edit_json(&dir.join(INDEX), |index| {
                    index["weight_map"][QUERY] = json!("../../elsewhere.safetensors");
                })
            },
            facts: &["elsewhere.safetensors"],
        },
        Fault {
            name: "an index that names a file elsewhere that is there",
            checkpoint: "llama3-v5",
            plant: |dir| {
                let outside = fixture("llama3-v5").join("model-00001-of-00003.safetensors");
                edit_json(&dir.join(INDEX), |index| index["weight_map"][QUERY] = json!(outside))
            },
            facts: &[INDEX, "model-00001-of-00003.safetensors", "not a file of this folder"],
        },
        Fault {
            name: "an index of numbers",
            checkpoint: "llama3-v5",
            plant: |dir| edit_json(&dir.join(INDEX), |index| index["weight_map"][QUERY] = json!(7)),
            facts: &[INDEX, QUERY],
        },
        Fault {
            name: "a tensor in two files",
            checkpoint: "llama3-v5",
            plant: |dir| {
                let shard = |i: usize| dir.join(format!("model-0000{i}-of-00003.safetensors"));
                let first = candle_core::safetensors::load(shard(1), &Device::Cpu)?;
                let (name, tensor) = first.into_iter().min_by(|a, b| a.0.cmp(&b.0)).context("a tensor")?;
                edit_tensors(&shard(3), |tensors| {
                    tensors.insert(name, tensor);
                    Ok(())
                })
            },
            facts: &["model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors"],
        },
        fault(
            "a tensor twice in one table",
            |dir| edit_table(dir, |table| table.replace(NORM, "model.layers.0.input_layernorm.weight")),
            FILE,
        ),
        fault(
            "a table of 100 MB",
            |dir| {
                let file = File::create(dir.join(WEIGHTS))?;
                (&file).write_all(&100_000_000_u64.to_le_bytes())?;
                Ok(file.set_len(100_000_100)?)
            },
            &["model.safetensors", "100 MB"],
        ),
        fault("a table of brackets", |dir| write_table(dir, &"[".repeat(1_000_000), 0), FILE),
        fault(
            "a tensor that begins after its end",
            |dir| write_table(dir, r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}"#, 8),
            FILE,
        ),
        fault(
            "a tensor beyond all memory",
            |dir| {
                let table = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,16],"data_offsets":[0,8]}}"#;
                write_table(dir, table, 8)
            },
            FILE,
        ),
        fault(
            "a shape that its bytes do not fill",
            |dir| write_table(dir, r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8),
            FILE,
        ),
        fault("a link to itself in place of the weights", |dir| link(dir, WEIGHTS), FILE),
        fault("a link to nothing in place of the weights", |dir| link(dir, "gone.safetensors"), &[WEIGHTS, "link"]),
        fault(
            "a folder in place of the weights",
            |dir| {
                fs::remove_file(dir.join(WEIGHTS))?;
                Ok(fs::create_dir(dir.join(WEIGHTS))?)
            },
            &[WEIGHTS, "folder"],
        ),
    ]
}
