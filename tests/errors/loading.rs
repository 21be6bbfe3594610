//! Folders that the engine refuses.

use anyhow::{Context as _, Result};
use tiller_engine::{DType, Device, EngineError, Model, load};

use super::checkpoints::{copy, faults, fixture};

fn open(folder: &std::path::Path) -> Result<Model, EngineError> {
    load::model(folder, &Device::Cpu, DType::F32, &mut |_, _| true)
}

#[test]
fn every_fault_is_an_error() -> Result<()> {
    for fault in faults() {
        let folder = tempfile::tempdir()?;
        copy(fault.checkpoint, folder.path())?;
        open(folder.path()).with_context(|| format!("{} is sound", fault.checkpoint))?;
        (fault.plant)(folder.path())?;
        let error = open(folder.path()).err().with_context(|| format!("{} was accepted", fault.name))?;
        let text = error.to_string().to_lowercase();
        for fact in fault.facts {
            assert!(text.contains(&fact.to_lowercase()), "{}: nothing names {fact}: {text}", fault.name);
        }
        // Before an open model is given up for this one, all is known but what the weights' values are.
        if !matches!(error, EngineError::NotFinite { .. }) {
            let early = load::preview(folder.path()).err().with_context(|| format!("{} looks sound", fault.name))?;
            assert_eq!(early.to_string(), error.to_string(), "{}", fault.name);
        }
    }
    Ok(())
}

#[test]
fn loading_can_be_stopped() {
    let stopped = load::model(&fixture("llama3-v5"), &Device::Cpu, DType::F32, &mut |_, _| false);
    assert!(stopped.is_err());
}

#[test]
fn progress_reaches_the_size_of_the_files() -> Result<()> {
    let mut seen = Vec::new();
    load::model(&fixture("llama3-v5"), &Device::Cpu, DType::F32, &mut |done, total| {
        seen.push((done, total));
        true
    })?;
    let (done, total) = *seen.last().context("progress is told")?;
    assert_eq!(done, total);
    assert!(seen.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 == pair[1].1), "{seen:?}");
    Ok(())
}
