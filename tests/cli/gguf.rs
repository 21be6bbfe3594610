//! GGUF files through the real binary.

use std::path::Path;

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
