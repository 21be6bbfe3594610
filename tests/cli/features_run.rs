//! Scans and labels on the command line.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tiller_tests::binary;

use super::{assert_success, document};

const ON: [&str; 4] = ["--sae", "demo", "--model", "demo"];

fn json(workspace: &Path, args: &[&str]) -> Result<Value> {
    let output = binary::run(workspace, &[&["--json", "features"], args].concat())?;
    assert_success(&output);
    document(&output)
}

fn refused(workspace: &Path, args: &[&str]) -> Result<(Option<i32>, String)> {
    let output = binary::run(workspace, &[&["--json", "features"], args].concat())?;
    Ok((output.status.code(), document(&output)?["error"].to_string()))
}

#[test]
fn texts_are_scanned_and_features_labelled_from_them() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let work = folder.path();
    let (code, told) = refused(work, &[&["label"], &ON[..], &["42"]].concat())?;
    ensure!(code == Some(1) && told.contains("no examples"), "{told}");

    let scan = |more: &[&str]| json(work, &[&["scan"], &ON[..], more].concat());
    let half = scan(&["--tokens", "2000"])?;
    let tokens = |document: &Value| document["tokens"].as_u64();
    ensure!(tokens(&half) >= Some(2000) && tokens(&half) < Some(2200) && half["stopped"] == false, "{half}");
    let whole = scan(&["--tokens", "4000"])?;
    ensure!(tokens(&whole) >= Some(4000) && whole["n_active"].as_u64() > half["n_active"].as_u64(), "{whole}");
    ensure!(tokens(&scan(&["--tokens", "1000"])?) == tokens(&whole), "what is there is not scanned again");
    ensure!(tokens(&scan(&["--tokens", "1000", "--restart"])?) < Some(1200), "unless that is wanted");
    scan(&["--tokens", "4000"])?;

    let busy = json(work, &["search", "--sae", "demo", "--sort", "density", "--reversed", "--limit", "2"])?;
    let latents: Vec<String> =
        busy["features"].as_array().context("features")?.iter().map(|row| row["latent"].to_string()).collect();
    let latents: Vec<&str> = latents.iter().map(String::as_str).collect();
    let shown = json(work, &["show", "--sae", "demo", latents[0]])?;
    ensure!(shown["examples"].as_array().is_some_and(|examples| examples.len() >= 20), "{shown}");
    let counts = shown["histogram"]["counts"].as_array().context("a histogram")?;
    let n_active: u64 = counts.iter().filter_map(Value::as_u64).sum();
    let density = shown["row"]["density"].as_f64().context("a density")?;
    let total = tokens(&whole).context("tokens")? as f64;
    ensure!((density - n_active as f64 / total).abs() < 1e-6, "{density} of {total} and {n_active}");

    let labelled = json(work, &[&["label"], &ON[..], &latents].concat())?;
    let labels = labelled["labels"].as_array().context("labels")?;
    ensure!(labels.len() == 2, "{labelled}");
    for label in labels {
        ensure!(label["text"].as_str().is_some_and(|text| !text.is_empty()), "{label}");
        ensure!(label["score"].as_f64().is_some_and(|score| (0.0..=1.0).contains(&score)), "{label}");
    }
    let again = json(work, &[&["label"], &ON[..], &latents].concat())?;
    ensure!(again["n_known"] == 2 && again["labels"].as_array().is_some_and(Vec::is_empty), "{again}");
    Ok(())
}

#[test]
fn what_cannot_be_scanned_is_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let work = folder.path();
    let binary_file = work.join("picture.bin");
    std::fs::write(&binary_file, [b'x', 0, 1])?;
    let lines = work.join("lines.jsonl");
    std::fs::write(&lines, "{\"text\": \"The sea is blue.\"}\n{\"title\": \"none\"}\n")?;
    let (binary_file, lines) = (binary_file.to_str().context("UTF-8")?, lines.to_str().context("UTF-8")?);
    for (data, word) in [(binary_file, "byte 0"), (lines, "line 2"), ("/no/such/file.txt", "/no/such/file.txt")] {
        let (code, told) = refused(work, &[&["scan"], &ON[..], &["--data", data]].concat())?;
        ensure!(code == Some(1) && told.contains(word), "{told}");
    }
    for usage in [["--tokens", "0"], ["--context", "1"]] {
        let (code, _) = refused(work, &[&["scan"], &ON[..], &usage].concat())?;
        ensure!(code == Some(2), "{usage:?}");
    }
    Ok(())
}
