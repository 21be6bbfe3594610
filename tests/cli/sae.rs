//! Autoencoders and their features, on the command line.

use std::path::Path;
use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tiller_tests::binary;

use super::{assert_success, document, fixture};

fn json(workspace: &Path, args: &[&str]) -> Result<Value> {
    let output = binary::run(workspace, &[&["--json"], args].concat())?;
    assert_success(&output);
    document(&output)
}

/// The failure that a command tells, with its exit code.
fn refused(output: &Output) -> Result<(Option<i32>, String)> {
    Ok((output.status.code(), document(output)?["error"].to_string()))
}

#[test]
fn an_autoencoder_is_described_opened_checked_and_removed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let work = folder.path();
    let told = json(work, &["sae", "info", "demo"])?;
    ensure!(told["d_sae"] == 1024 && told["site"] == "blocks.4.hook_resid_post" && told["k"] == 16, "{told}");
    ensure!(!work.join("saes").exists(), "telling opens nothing");
    let gated = json(work, &["sae", "info", &fixture("sae-saelens/gated")])?;
    ensure!(gated["architecture"] == "gated", "{gated}");

    let checked = json(work, &["sae", "check", "--model", "demo", "demo"])?;
    let test = &checked["sae"]["self_test"];
    ensure!(test["verdict"] == "good" && test["fits"].as_array().is_some_and(|fits| fits.len() == 3), "{test}");
    let id = checked["sae"]["id"].as_str().context("an id")?.to_owned();
    ensure!(json(work, &["sae", "list"])?["saes"][0]["self_test"] == *test, "the outcome is kept");
    let elsewhere = binary::run(work, &["--json", "sae", "check", "--model", "demo", &id, "--block", "3"])?;
    ensure!(elsewhere.status.code() == Some(1), "{}", elsewhere.status);
    ensure!(document(&elsewhere)?["sae"]["self_test"]["verdict"]["elsewhere"]["block"] == 4);
    ensure!(json(work, &["sae", "list"])?["saes"][0]["site"] == "blocks.4.hook_resid_post", "nothing is moved");

    let unsure = binary::run(work, &["--json", "sae", "remove", &id])?;
    ensure!(refused(&unsure)?.0 == Some(2), "{unsure:?}");
    ensure!(json(work, &["sae", "remove", &id, "--yes"])?["removed"] == true);
    ensure!(json(work, &["sae", "list"])?["saes"].as_array().is_some_and(Vec::is_empty));
    for (args, word) in [
        (["sae", "info", "nothing-of-this-name"], "nothing-of-this-name"),
        (["sae", "remove", "nothing-of-this-name"], "nothing-of-this-name"),
    ] {
        let (code, told) = refused(&binary::run(work, &[&["--json"][..], &args].concat())?)?;
        ensure!(code == Some(1) && told.contains(word), "{told}");
    }
    Ok(())
}

#[test]
fn a_converted_file_is_opened_as_the_published_one() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let work = folder.path();
    let out = work.join("deep/converted.safetensors");
    let out = out.to_str().context("a path in UTF-8")?;
    let converted = json(work, &["sae", "convert", &fixture("sae-saelens/jumprelu"), "--out", out])?;
    ensure!(converted["bytes"].as_u64() == Some(std::fs::metadata(out)?.len()), "{converted}");
    ensure!(converted["sae"]["converted_bytes"] == converted["bytes"], "{converted}");
    let told = json(work, &["sae", "info", out])?;
    ensure!(told["format"] == "SAELens" && told["architecture"] == "jumprelu", "{told}");
    let rows = json(work, &["features", "search", "--sae", out])?;
    ensure!(rows["n_found"] == told["d_sae"], "{rows}");
    Ok(())
}

#[test]
fn features_are_found_told_and_labelled() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let work = folder.path();
    let found = json(work, &["features", "search", "--sae", "demo", "--label", "pirate", "--limit", "3"])?;
    let first = &found["features"][0];
    ensure!(first["label"].as_str().is_some_and(|label| label.contains("pirate")), "{found}");
    let latent = first["latent"].to_string();
    let card = json(work, &["features", "show", "--sae", "demo", &latent, "--model", "demo"])?;
    ensure!(card["effects"]["promoted"].as_array().is_some_and(|tokens| tokens.len() == 10), "{card}");
    let text = binary::run(work, &["features", "show", "--sae", "demo", &latent])?;
    assert_success(&text);
    let text = String::from_utf8(text.stdout)?;
    ensure!(text.contains("pirate") && text.contains("Similar:") && !text.contains("Promotes"), "{text}");

    let encoded = json(
        work,
        &["sae", "encode", "--sae", "demo", "--model", "demo", "--text", "I think that tea is good", "--top", "4"],
    )?;
    let tokens = encoded["tokens"].as_array().context("tokens")?;
    ensure!(tokens[0]["n_active"] == 0, "position 0 does not count");
    let second = &tokens[1];
    ensure!(second["n_active"].as_u64().is_some_and(|n| (1..=16).contains(&n)), "{second}");
    ensure!(second["active"].as_array().is_some_and(|active| active.len() <= 4 && !active.is_empty()), "{second}");

    let more = work.join("more.txt");
    let less = work.join("less.txt");
    std::fs::write(&more, "Arr, me hearty, the ship be ready!\nAye, matey, hoist the sails!\n")?;
    std::fs::write(&less, "Yes, the ship is ready.\nYes, please raise the sails.\n")?;
    let (more, less) = (more.to_str().context("UTF-8")?, less.to_str().context("UTF-8")?);
    let args = ["features", "search", "--sae", "demo", "--contrast-more", more, "--contrast-less", less];
    let usage = binary::run(work, &args)?;
    ensure!(usage.status.code() == Some(2), "without a model it is wrong usage");
    let contrast = json(work, &[&args[..], &["--model", "demo"]].concat())?;
    ensure!(contrast["score"] == "difference" && contrast["n_found"].as_u64() > Some(0), "{contrast}");

    let labels = work.join("mine.csv");
    std::fs::write(&labels, "index,label\n12,a label of my own\n99999,of no feature\n")?;
    let labels = labels.to_str().context("UTF-8")?;
    let imported = binary::run(work, &["--json", "features", "import-labels", "--sae", "demo", labels])?;
    let (code, told) = refused(&imported)?;
    ensure!(code == Some(1) && told.contains("99999"), "{told}");
    let imported = json(work, &["features", "import-labels", "--sae", "demo", labels, "--anyway"])?;
    ensure!(imported["n_labels"] == 1 && imported["n_skipped"] == 1, "{imported}");
    let found = json(work, &["features", "search", "--sae", "demo", "--label", "of my own"])?;
    ensure!(found["features"][0]["latent"] == 12, "{found}");
    let (code, told) = refused(&binary::run(work, &["--json", "features", "show", "--sae", "demo", "1024"])?)?;
    ensure!(code == Some(1) && told.contains("1023"), "{told}");
    Ok(())
}
