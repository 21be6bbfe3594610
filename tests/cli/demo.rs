//! `tiller demo`: slow, so it runs only with `SLOW_TESTS` set.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use tiller_tests::binary;

use super::{assert_success, document};

/// Longest time of `tiller demo --quick` on two cores.
const QUICK: Duration = Duration::from_mins(3);

fn quick(folder: &Path, name: &str) -> Result<serde_json::Value> {
    let out = folder.join(name);
    let out = out.to_str().context("a path in UTF-8")?;
    let output = binary::run(folder, &["--json", "demo", "--quick", "--out", out])?;
    assert_success(&output);
    document(&output)
}

fn results(folder: &Path, name: &str) -> Result<serde_json::Value> {
    Ok(serde_json::from_str(&fs::read_to_string(folder.join(name).join("results.json"))?)?)
}

/// Takes out what may differ between two runs of one seed: times and places.
fn without_times(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.retain(|key, _| {
                !["sec", "time", "date", "path", "speed", "out"].iter().any(|part| key.contains(part))
            });
            fields.values_mut().for_each(without_times);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(without_times),
        _ => {}
    }
}

#[test]
fn the_quick_demo_is_quick_and_repeats() -> Result<()> {
    if std::env::var_os("SLOW_TESTS").is_none() {
        println!("left out: set SLOW_TESTS to run it");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let began = Instant::now();
    let told = quick(folder.path(), "first")?;
    let took = began.elapsed();
    assert!(!told["findings"].as_array().context("findings")?.is_empty());
    let report = fs::read_to_string(folder.path().join("first/report.html"))?;
    assert!(report.contains("<html") && report.contains("</html>"));
    assert!(!report.contains("http://") && !report.contains("src=\"https://"), "the report needs no network");
    let pictures = fs::read_dir(folder.path().join("first"))?.filter_map(Result::ok);
    assert!(pictures.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "png")).count() > 0);

    quick(folder.path(), "second")?;
    let (mut first, mut second) = (results(folder.path(), "first")?, results(folder.path(), "second")?);
    without_times(&mut first);
    without_times(&mut second);
    assert_eq!(first, second, "one seed, one result");
    // Last, so that a busy machine does not hide the other checks.
    assert!(took <= QUICK, "it took {took:?}");
    Ok(())
}
