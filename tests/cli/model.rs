//! What models take, told without loading them.

use anyhow::{Context as _, Result};

use tiller_tests::binary;

use super::{assert_success, document, fixture};

#[test]
fn a_model_is_described_without_loading_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let output = binary::run(folder.path(), &["--json", "model", "info", &fixture("llama3-v4")])?;
    assert_success(&output);
    let told = document(&output)?;
    assert_eq!((told["n_layers"].as_u64(), told["d_model"].as_u64()), (Some(3), Some(32)));
    let need = |key: &str| told["need"][key].as_u64().with_context(|| format!("{key} in {told}"));
    assert_eq!(need("weights_bytes")?, 4 * told["n_params"].as_u64().context("n_params")?);
    assert!(need("cache_bytes")? > 0 && told["free_bytes"].as_u64().context("free_bytes")? > need("weights_bytes")?);
    let text = binary::run(folder.path(), &["model", "info", "demo"])?;
    assert_success(&text);
    let text = String::from_utf8(text.stdout)?;
    for line in ["loads as      f32 on CPU", "fits          yes", "autoencoder"] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    Ok(())
}

#[test]
fn published_models_are_listed_with_what_they_take() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let output = binary::run(folder.path(), &["--json", "model", "list"])?;
    assert_success(&output);
    let told = document(&output)?;
    let models = told["models"].as_array().context("models")?;
    let llama = models.iter().find(|model| model["name"] == "Llama 3.1 8B").context("Llama 3.1 8B is listed")?;
    assert_eq!(llama["shape"]["n_params"], 8_030_261_248_u64);
    assert_eq!((&llama["download_bytes"], &llama["gate"]), (&16_060_522_496_u64.into(), &"manual".into()));
    let bytes =
        |format: &str| llama["shape"]["weights"].as_array()?.iter().find(|w| w["format"] == format)?["bytes"].as_u64();
    assert_eq!(bytes("f32"), Some(4 * 8_030_261_248));
    let quantised = bytes("Q4_K_M").context("Q4_K_M")?;
    assert!((4_700_000_000..5_000_000_000).contains(&quantised), "{quantised}");
    let text = binary::run(folder.path(), &["model", "list"])?;
    assert_success(&text);
    let text = String::from_utf8(text.stdout)?;
    assert!(text.lines().all(|line| line.len() <= 120) && text.contains("Gemma 3 4B"), "{text}");
    let saes = told["saes"].as_array().context("saes")?;
    assert!(saes.iter().any(|sae| sae["reads"][0] == "google/gemma-2-2b-it"), "{saes:?}");
    Ok(())
}

/// The table for readers is the one that the command prints.
#[test]
fn the_documented_memory_is_what_is_estimated() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let told = document(&binary::run(folder.path(), &["--json", "model", "list"])?)?;
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/models.md"))?;
    for model in told["models"].as_array().context("models")? {
        let gigabytes = |value: &serde_json::Value| {
            let value = value.as_f64().unwrap_or(f64::NAN) / 1e9;
            if value < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") }
        };
        let shape = &model["shape"];
        let weights = shape["weights"].as_array().context("weights")?;
        let mut cells = vec![model["name"].as_str().context("a name")?.to_owned(), gigabytes(&shape["n_params"])];
        cells.extend(weights.iter().map(|weights| gigabytes(&weights["bytes"])));
        let work = |key: &str| shape["work"][key].as_u64().context("work");
        let conversation = work("cache_bytes")? + work("chat_bytes")?;
        cells.extend([conversation, work("discovery_bytes")?].map(|bytes| gigabytes(&bytes.into())));
        let row = format!("| {} |", cells.join(" | "));
        assert!(text.contains(&row), "docs/models.md lacks {row}");
    }
    Ok(())
}
