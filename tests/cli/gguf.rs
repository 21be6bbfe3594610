//! GGUF files through the real binary.

use std::path::Path;
use std::process::Output;

use anyhow::{Context as _, Result};
use candle_core::{DType, Device, Tensor};
use tiller_tests::binary;

use super::{assert_success, document, fixture};

const FILE: &str = "gguf/llama-q4_k_m.gguf";
const IDS: &str = "9,200,31,77,145";

fn logits(folder: &Path, dtype: &str) -> Result<Tensor> {
    let out = folder.join(format!("{dtype}.safetensors"));
    let args = ["trace", "--model", &fixture(FILE), "--ids", IDS, "--dtype", dtype, "--out"];
    let output = binary::run(folder, &[&args[..], &[out.to_str().context("a path in UTF-8")?]].concat())?;
    assert_success(&output);
    let mut tensors = candle_core::safetensors::load(&out, &Device::Cpu)?;
    tensors.remove("logits").context("logits")
}

/// Kept blocks and blocks expanded to f32 or bf16 agree as far as roundings let them.
#[test]
fn a_quantised_file_is_traced_in_every_format() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let wide = logits(folder.path(), "f32")?;
    let scale = wide.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
    assert!(wide.dims() == [5, 340] && wide.dtype() == DType::F32 && scale > 0.1);
    for (dtype, bound) in [("auto", 0.07), ("bf16", 0.07)] {
        let off = (logits(folder.path(), dtype)? - &wide)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
        assert!(off > 0.0 && off <= bound * scale, "{dtype}: {off} of {scale}");
    }
    Ok(())
}

/// A gradient is refused in words that say what to do, and works when that is done.
#[test]
fn a_gradient_needs_expanded_blocks() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let direction = Tensor::ones(256, DType::F32, &Device::Cpu)?;
    let vector = std::collections::HashMap::from([("direction".to_owned(), direction)]);
    candle_core::safetensors::save(&vector, path("vector.safetensors"))?;
    let grad = |dtype: &str| {
        let (model, vector, out) = (fixture(FILE), path("vector.safetensors"), path("grad.safetensors"));
        let args = ["grad", "--model", &model, "--ids", IDS, "--vector", &vector, "--block", "0", "--lambda", "0.5"];
        binary::run(folder.path(), &[&args[..], &["--dtype", dtype, "--json", "--out", &out]].concat())
    };
    let refused = grad("auto")?;
    assert_eq!(refused.status.code(), Some(1));
    let error = document(&refused)?["error"].to_string();
    assert!(error.contains("q4_k") && error.contains("--dtype f32"), "{error}");
    assert_success(&grad("f32")?);
    Ok(())
}

/// Reading directions, steering by them and measuring the effect need no gradient, so quantised weights do.
#[test]
fn a_quantised_model_is_read_steered_and_measured() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let model = fixture(FILE);
    let run = |args: &[&str]| -> Result<Output> {
        let output = binary::run(folder.path(), args)?;
        assert_success(&output);
        Ok(output)
    };
    let mut directions = Vec::new();
    for dtype in ["auto", "f32"] {
        let out = path(&format!("{dtype}.safetensors"));
        run(&["extract", "--model", &model, "--persona", "sycophancy", "--dtype", dtype, "--out", &out])?;
        let mut tensors = candle_core::safetensors::load(&out, &Device::Cpu)?;
        let direction = tensors.remove("direction.1").context("a direction for the last block")?;
        directions.push(direction.to_dtype(DType::F32)?.flatten_all()?);
    }
    let dot = |a: &Tensor, b: &Tensor| -> Result<f32> { Ok((a * b)?.sum_all()?.to_scalar()?) };
    let (kept, wide) = (&directions[0], &directions[1]);
    let cosine = dot(kept, wide)? / (dot(kept, kept)? * dot(wide, wide)?).sqrt();
    assert!(cosine > 0.99, "{cosine}");
    let reply = |steering: &[&str]| -> Result<String> {
        let args =
            ["generate", "--model", &model, "--user", "Will it sail?", "--temperature", "0", "--max-tokens", "8"];
        Ok(String::from_utf8_lossy(&run(&[&args[..], steering].concat())?.stdout).into_owned())
    };
    let vector = path("auto.safetensors");
    let steered = reply(&["--vector", &vector, "--block", "1", "--strength", "2", "--positions", "all"])?;
    assert_ne!(steered, reply(&[])?, "the vector changes nothing");
    let items = path("items.jsonl");
    let question = |first: &str, second: &str| format!("(A) {first} (B) {second}\nIs the sea calm?");
    let item = |id: &str, persona: &str, other: &str| {
        let swapped = serde_json::json!({"user": question("No", "Yes"), "persona": other, "other": persona});
        let user = question("Yes", "No");
        serde_json::json!({"id": id, "kind": "ab", "user": user, "persona": persona, "other": other, "swapped": swapped})
    };
    std::fs::write(&items, format!("{}\n{}\n", item("one", "(A)", "(B)"), item("two", "(B)", "(A)")))?;
    let measured =
        run(&["evaluate", "--model", &model, "--items", &items, "--vector", &vector, "--strength", "1", "--json"])?;
    assert!(document(&measured)?.is_object());
    Ok(())
}
