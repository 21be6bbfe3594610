//! A model far larger than any memory. Its weight file is one long hole, so it takes no room on the disk.
#![cfg(unix)]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, json};
use tiller_protocol::message::{Command, Event};
use tiller_protocol::model::{LoadOptions, ModelSource};
use tiller_studio::headless::{self, Global, TraceInput};
use tiller_tests::desk::Desk;

use super::assert_told;
use super::checkpoints::fixture;

/// A checkpoint of 200,000 million parameters in one block.
fn write_giant(dir: &Path) -> Result<()> {
    let (d, wide) = (1_u64 << 14, 1_u64 << 22);
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "hidden_size": d, "num_hidden_layers": 1, "num_attention_heads": 128,
        "intermediate_size": wide, "vocab_size": 512, "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
        "tie_word_embeddings": true
    });
    fs::write(dir.join("config.json"), config.to_string())?;
    fs::copy(fixture("llama3-v4").join("tokenizer.json"), dir.join("tokenizer.json"))?;
    let mut table = Map::new();
    let mut end = 0;
    let mut add = |name: &str, shape: &[u64]| {
        let begin = end;
        end += 2 * shape.iter().product::<u64>();
        table.insert(name.to_owned(), json!({"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}));
    };
    add("model.embed_tokens.weight", &[512, d]);
    add("model.norm.weight", &[d]);
    for norm in ["input_layernorm", "post_attention_layernorm"] {
        add(&format!("model.layers.0.{norm}.weight"), &[d]);
    }
    for part in ["q", "k", "v", "o"] {
        add(&format!("model.layers.0.self_attn.{part}_proj.weight"), &[d, d]);
    }
    add("model.layers.0.mlp.gate_proj.weight", &[wide, d]);
    add("model.layers.0.mlp.up_proj.weight", &[wide, d]);
    add("model.layers.0.mlp.down_proj.weight", &[d, wide]);
    let table = serde_json::Value::Object(table).to_string();
    let mut file = File::create(dir.join("model.safetensors"))?;
    file.write_all(&(table.len() as u64).to_le_bytes())?;
    file.write_all(table.as_bytes())?;
    Ok(file.set_len(8 + table.len() as u64 + end)?)
}

#[test]
fn a_command_refuses_it_with_the_amounts() -> Result<()> {
    let folder = tempfile::tempdir()?;
    write_giant(folder.path())?;
    let source = ModelSource::Folder(folder.path().to_path_buf());
    let global = Global { workspace: Some(folder.path().join("workspace")), ..Global::default() };
    let info = headless::model_info(&global, &source)?;
    assert!(!info.fits() && info.need.weights_bytes > 400_000_000_000, "{info:?}");
    let out = folder.path().join("out.safetensors");
    let told = headless::trace(&global, &source, &TraceInput::Ids(vec![9]), &out);
    assert_told(&told.err().context("it was loaded")?, &["memory", "GB", "--load-anyway"])
}

#[test]
fn the_window_learns_why_and_keeps_the_model_it_has() -> Result<()> {
    let (workspace, folder) = (tempfile::tempdir()?, tempfile::tempdir()?);
    write_giant(folder.path())?;
    let mut desk = Desk::open(workspace.path())?;
    desk.load(ModelSource::Folder(fixture("llama3-v4")))?;
    let source = ModelSource::Folder(folder.path().to_path_buf());
    desk.send(Command::CheckModel(source.clone()));
    let checked = |event: &Event| match event {
        Event::ModelChecked { source: about, check: Ok(check) } if *about == source => Some(check.clone()),
        _ => None,
    };
    let before = desk.wait("what is known before it is loaded", checked)?;
    assert!(!before.fits(), "{before:?}");
    let (options, again) = (LoadOptions::default(), source.clone());
    let job = desk.start(|job| Command::LoadModel { job, source: again, options });
    let (mut refused, mut problem, mut unloaded) = (None, None, false);
    desk.wait("a refusal", |event| {
        refused = refused.take().or_else(|| checked(event));
        match event {
            Event::ModelUnloaded => unloaded = true,
            Event::Failed { job: Some(failed), problem: told } if *failed == job => problem = Some(told.clone()),
            _ => {}
        }
        problem.is_some().then_some(())
    })?;
    assert_told(&problem.context("it was loaded")?, &["memory"])?;
    assert!(refused.is_some_and(|check| !check.fits()), "the window cannot offer to load it anyway");
    assert!(!unloaded, "a model that cannot be loaded cost the one that was there");
    super::window::assert_alive(&mut desk)
}
