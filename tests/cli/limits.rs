//! A system that refuses memory: the command is told so, and does not die of it.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use tiller_tests::binary;

use super::{assert_success, document, fixture};

/// Kilobytes of addresses that the process may take: enough for the program and a short sequence.
const LIMIT: usize = 400_000;

/// Runs the binary under the limit.
fn run_limited(workspace: &Path, args: &[&str]) -> Result<Output> {
    let unlimited = binary::command(workspace, args)?;
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -v {LIMIT}; exec \"$0\" \"$@\"")]);
    limited.arg(unlimited.get_program()).args(unlimited.get_args());
    limited.output().context("running the binary under a limit")
}

#[test]
fn refused_memory_is_told_and_is_not_the_end_of_the_process() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model");
    fs::create_dir(&model)?;
    for entry in fs::read_dir(fixture("llama3-v4"))? {
        let entry = entry?;
        fs::copy(entry.path(), model.join(entry.file_name()))?;
    }
    let config = model.join("config.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&config)?)?;
    json["max_position_embeddings"] = (1 << 20).into();
    fs::write(&config, json.to_string())?;
    let (model, out) = (model.to_string_lossy().into_owned(), folder.path().join("out.safetensors"));
    let out_text = out.to_string_lossy().into_owned();
    let trace = |n: usize| {
        let ids = vec!["9"; n].join(",");
        run_limited(folder.path(), &["--json", "trace", "--model", &model, "--ids", &ids, "--out", &out_text])
    };
    assert_success(&trace(20)?);
    fs::remove_file(&out)?;
    let refused = trace(60_000)?;
    ensure!(refused.status.code() == Some(1), "{}: {}", refused.status, String::from_utf8_lossy(&refused.stderr));
    let told = document(&refused)?;
    let title = told["error"]["title"].as_str().context("no title")?;
    ensure!(title.contains("memory"), "{told}");
    ensure!(!out.exists(), "a file was written");
    Ok(())
}
