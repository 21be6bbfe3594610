//! The commands without a window, through the real binary.

mod codes;
mod demo;
mod download;
mod features_run;
mod gguf;
mod goldens;
mod library;
mod limits;
mod model;
mod sae;
mod templates;

use std::path::Path;
use std::process::Output;

use anyhow::{Context as _, Result};

/// A fixture folder as an argument.
fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name).to_string_lossy().into_owned()
}

/// The one JSON document on stdout.
fn document(output: &Output) -> Result<serde_json::Value> {
    let text = String::from_utf8(output.stdout.clone())?;
    serde_json::from_str(&text).with_context(|| format!("stdout is not one JSON document: {text}"))
}

/// Fails with stderr unless the command succeeded.
fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
}
