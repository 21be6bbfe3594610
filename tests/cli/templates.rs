//! Chat templates through the command line: the thinking switch, the date, instructions without a place.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tiller_tests::binary;

use super::{assert_success, document};

/// Refuses instructions, prints the day, and has a switch for thinking.
const TEMPLATE: &str = "{{ bos_token }}{{ strftime_now('%Y-%m-%d') }}{% for m in messages %}\
    {% if m.role == 'system' %}{{ raise_exception('no instructions here') }}{% endif %}[{{ m.content | trim }}]\
    {% endfor %}{% if enable_thinking is defined and not enable_thinking %}quick{% endif %}";

/// A copy of a small checkpoint with another template.
fn checkpoint(folder: &Path, template: &str) -> Result<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/llama-tied");
    let target = folder.join("model");
    fs::create_dir(&target)?;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        fs::copy(entry.path(), target.join(entry.file_name()))?;
    }
    let path = target.join("tokenizer_config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
    config["chat_template"] = template.into();
    fs::write(path, config.to_string())?;
    Ok(target.to_string_lossy().into_owned())
}

fn traced(folder: &Path, model: &str, more: &[&str]) -> Result<Value> {
    let chat = folder.join("chat.json");
    let turns = json!([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why? "}]);
    fs::write(&chat, turns.to_string())?;
    let (chat, out) = (chat.to_string_lossy(), folder.join("out.safetensors"));
    let out = out.to_string_lossy();
    let line = [&["--json", "trace", "--model", model, "--chat", &chat, "--out", &out], more].concat();
    let output = binary::run(folder, &line)?;
    assert_success(&output);
    document(&output)
}

#[test]
fn switches_reach_the_template() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = checkpoint(folder.path(), TEMPLATE)?;
    let ids = |more: &[&str]| -> Result<Value> { Ok(traced(folder.path(), &model, more)?["input_ids"].clone()) };
    let tokenizer =
        tiller_engine::tokenizer::Tokenizer::from_json(&fs::read(Path::new(&model).join("tokenizer.json"))?)?;
    let bos = bos(&model)?;
    for (more, wanted) in [
        (&[][..], "2024-07-26[Be kind.\n\nWhy?]"),
        (&["--thinking", "on"], "2024-07-26[Be kind.\n\nWhy?]"),
        (&["--thinking", "off"], "2024-07-26[Be kind.\n\nWhy?]quick"),
        (&["--date", "2026-03-05"], "2026-03-05[Be kind.\n\nWhy?]"),
    ] {
        assert_eq!(ids(more)?, json!(tokenizer.encode(&format!("{bos}{wanted}"))?), "{more:?}");
    }
    Ok(())
}

fn bos(model: &str) -> Result<String> {
    let config: Value = serde_json::from_str(&fs::read_to_string(Path::new(model).join("tokenizer_config.json"))?)?;
    Ok(config["bos_token"].as_str().context("bos_token")?.to_owned())
}

#[test]
fn a_trace_tells_whose_tokens_are_whose() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = checkpoint(folder.path(), TEMPLATE)?;
    let told = traced(folder.path(), &model, &[])?;
    assert_eq!(told["model"]["folds_system"], true);
    let ids: Vec<u32> = serde_json::from_value(told["input_ids"].clone())?;
    let tokenizer =
        tiller_engine::tokenizer::Tokenizer::from_json(&fs::read(Path::new(&model).join("tokenizer.json"))?)?;
    let parts = told["parts"].as_array().context("parts")?;
    assert_eq!(parts.len(), 2, "{told}");
    for (part, (turn, role, text)) in parts.iter().zip([(0, "system", "Be kind."), (1, "user", "Why?")]) {
        assert_eq!((part["turn"].as_u64(), part["role"].as_str()), (Some(turn), Some(role)));
        let place = |key: &str| part[key].as_u64().map(|at| at as usize).with_context(|| key.to_owned());
        let own = tokenizer.decode(&ids[place("start")?..place("end")?])?;
        assert!(own.contains(text) && own.len() <= text.len() + 2, "{own:?} for {text:?}");
    }
    Ok(())
}

#[test]
fn instructions_without_a_place_are_folded_and_that_is_said_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = checkpoint(folder.path(), TEMPLATE)?;
    let said = |system: &[&str]| -> Result<usize> {
        let line = [&["generate", "--model", &model, "--user", "Why?", "--max-tokens", "2"], system].concat();
        let output = binary::run(folder.path(), &line)?;
        assert_success(&output);
        Ok(String::from_utf8_lossy(&output.stderr).matches("no place for a system text").count())
    };
    assert_eq!((said(&["--system", "Be kind."])?, said(&[])?), (1, 0));
    Ok(())
}
