//! `tiller trace` and `tiller grad` against the golden files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use candle_core::{DType, Device, Tensor};

use tiller_tests::{CHECKPOINTS, binary};

use super::{assert_success, document, fixture};

/// Largest deviation relative to the largest entry.
const BOUND: f64 = 1e-5;

type Tensors = BTreeMap<String, Tensor>;

fn read(path: &Path) -> Result<Tensors> {
    let found = candle_core::safetensors::load(path, &Device::Cpu);
    Ok(found.with_context(|| format!("reading {}", path.display()))?.into_iter().collect())
}

fn goldens(checkpoint: &str) -> Result<Tensors> {
    read(&Path::new(&fixture(checkpoint)).join("golden.safetensors"))
}

fn id_list(ids: &Tensor) -> Result<String> {
    let ids: Vec<i64> = ids.to_vec1()?;
    Ok(ids.iter().map(i64::to_string).collect::<Vec<_>>().join(","))
}

fn assert_near(found: &Tensor, expected: &Tensor, what: &str) -> Result<()> {
    assert_eq!(found.dtype(), DType::F32, "{what}");
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let worst = (found - expected)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
    let scale = expected.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
    assert!(f64::from(worst) <= BOUND * f64::from(scale), "{what}: {worst:e} of {scale:e}");
    Ok(())
}

#[test]
fn trace_equals_transformers() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("trace.safetensors");
    for (checkpoint, golden) in CHECKPOINTS {
        let expected = goldens(golden)?;
        for index in 0..3 {
            let name = |part: &str| format!("{index}.{part}");
            let ids = id_list(&expected[&name("input_ids")])?;
            let args = ["trace", "--model", &fixture(checkpoint), "--ids", &ids, "--dtype", "f32", "--out"];
            let output =
                binary::run(folder.path(), &[&args[..], &[out.to_str().context("a path in UTF-8")?]].concat())?;
            assert_success(&output);
            let found = read(&out)?;
            let names = |tensors: &Tensors, prefix: &str| -> BTreeSet<String> {
                tensors.keys().filter_map(|key| key.strip_prefix(prefix)).map(str::to_owned).collect()
            };
            assert_eq!(names(&found, ""), names(&expected, &name("")), "{checkpoint}");
            for (key, tensor) in &found {
                let expected = &expected[&name(key)];
                if key == "input_ids" {
                    assert_eq!(tensor.to_vec1::<i64>()?, expected.to_vec1::<i64>()?);
                } else {
                    assert_near(tensor, expected, &format!("{checkpoint}: {key}"))?;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn grad_equals_transformers() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("grad.safetensors");
    let out_text = out.to_str().context("a path in UTF-8")?;
    for (checkpoint, golden) in CHECKPOINTS {
        let expected = goldens(golden)?;
        let facts = std::fs::read_to_string(Path::new(&fixture(golden)).join("golden.json"))?;
        let facts: serde_json::Value = serde_json::from_str(&facts)?;
        let vector = format!("{}/golden.safetensors", fixture(golden));
        for (index, case) in facts["gradients"].as_array().context("gradient cases")?.iter().enumerate() {
            let ids = id_list(&expected[&format!("{}.input_ids", case["sequence"])])?;
            let (block, lambda) = (case["block"].to_string(), case["lambda"].to_string());
            let output = binary::run(
                folder.path(),
                &[
                    "--json",
                    "--dtype",
                    "f32",
                    "grad",
                    "--model",
                    &fixture(checkpoint),
                    "--ids",
                    &ids,
                    "--vector",
                    &vector,
                    "--block",
                    &block,
                    "--lambda",
                    &lambda,
                    "--out",
                    out_text,
                ],
            )?;
            assert_success(&output);
            let found = read(&out)?;
            assert_eq!(found.len(), 3, "{:?}", found.keys());
            for (name, tensor) in &found {
                let golden = &expected[&format!("grad.{index}.{name}")];
                assert_near(tensor, golden, &format!("{checkpoint}, case {index}: {name}"))?;
            }
            let told = document(&output)?;
            let target = f64::from(expected[&format!("grad.{index}.target")].to_vec1::<f32>()?[0]);
            let difference = told["target"].as_f64().context("a target")? - target;
            assert!(difference.abs() <= BOUND * target.abs().max(1.0), "{told}");
        }
    }
    Ok(())
}

/// The trace of a chat is that of the rendered prompt.
#[test]
fn trace_takes_text_and_chats() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let chat = folder.path().join("chat.json");
    let facts: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(format!("{}/golden.json", fixture("llama3-v4")))?)?;
    let case = facts["chats"].as_array().context("chats")?.iter().find(|case| case["open_reply"] == true);
    let case = case.context("an open chat")?;
    std::fs::write(&chat, case["turns"].to_string())?;
    let text = case["text"].as_str().context("its text")?;
    let (model, out) = (fixture("llama3-v4"), folder.path().join("out.safetensors"));
    let out_text = out.to_str().context("a path in UTF-8")?;
    for input in [["--chat", chat.to_str().context("a path in UTF-8")?], ["--text", text]] {
        let args = [&["trace", "--model", &model, "--out", out_text][..], &input].concat();
        assert_success(&binary::run(folder.path(), &args)?);
        let ids: Vec<i64> = read(&out)?["input_ids"].to_vec1()?;
        assert_eq!(serde_json::json!(ids), case["ids"], "{}", input[0]);
    }
    Ok(())
}
