//! Exit codes, the shape of errors, and what stands on stdout.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use tiller_tests::binary;

use super::{assert_success, document, fixture};

/// What a failure prints with `--json`, in all three parts.
fn assert_told(output: &std::process::Output) -> Result<()> {
    let told = document(output)?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    for part in ["title", "cause", "next_step"] {
        let text = told["error"][part].as_str().with_context(|| format!("{part} in {told}"))?;
        ensure!(!text.trim().is_empty(), "{part} is empty: {told}");
        // Wrong usage is told by the command line's own message.
        ensure!(output.status.code() == Some(2) || stderr.contains(text), "stderr lacks the {part}: {stderr}");
    }
    ensure!(!stderr.contains("panicked"), "{stderr}");
    Ok(())
}

#[test]
fn version_and_help_succeed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let version = binary::run(folder.path(), &["--version"])?;
    assert_success(&version);
    assert!(String::from_utf8(version.stdout)?.starts_with("tiller "));
    let help = binary::run(folder.path(), &["--help"])?;
    assert_success(&help);
    let text = String::from_utf8(help.stdout)?;
    for command in ["demo", "model", "trace", "grad", "extract", "discover", "evaluate", "generate", "bench"] {
        assert!(text.contains(command), "{command} is not in the help");
    }
    Ok(())
}

#[test]
fn wrong_usage_exits_with_2() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let wrong: [&[&str]; 4] = [
        &["fly"],
        &["trace", "--model", "demo", "--out", "x"],
        &["grad", "--model", "demo", "--ids", "1,x", "--vector", "v", "--block", "0", "--lambda", "1", "--out", "x"],
        &["generate", "--model", "demo"],
    ];
    for args in wrong {
        let output = binary::run(folder.path(), &[&["--json"], args].concat())?;
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_told(&output)?;
    }
    Ok(())
}

#[test]
fn failures_exit_with_1_and_are_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (model, nowhere) = (fixture("llama3-v4"), folder.path().join("nowhere").to_string_lossy().into_owned());
    let vector = format!("{model}/golden.safetensors");
    let other_vector = format!("{}/golden.safetensors", fixture("llama-tied"));
    let out = folder.path().join("out.safetensors").to_string_lossy().into_owned();
    let long = vec!["9"; 300].join(",");
    let ask = |ids: &str, vector: &str, block: &str| -> Vec<String> {
        let args = ["grad", "--model", &model, "--ids", ids, "--vector", vector, "--block", block, "--lambda", "1"];
        args.iter().chain(&["--out", &out]).map(|arg| (*arg).to_owned()).collect()
    };
    let trace = |model: &str, ids: &str, out: &str| -> Vec<String> {
        ["trace", "--model", model, "--ids", ids, "--out", out].map(str::to_owned).to_vec()
    };
    let cases = [
        ("no such folder", trace(&nowhere, "9", &out)),
        ("an id outside the vocabulary", trace(&model, "9,100000", &out)),
        ("longer than the context", trace(&model, &long, &out)),
        ("a folder that is a file", trace(&model, "9", &format!("{model}/config.json/y.safetensors"))),
        ("no such vector file", ask("9,10", &format!("{nowhere}.safetensors"), "0")),
        ("a vector of another width", ask("9,10", &other_vector, "0")),
        ("no such block", ask("9,10", &vector, "3")),
        ("not a vector file", ask("9,10", &format!("{model}/config.json"), "0")),
    ];
    for (what, args) in cases {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = binary::run(folder.path(), &[&["--json"], &args[..]].concat())?;
        let told = assert_told(&output).with_context(|| what.to_owned());
        assert_eq!(output.status.code(), Some(1), "{what}: {told:?}");
        told?;
    }
    Ok(())
}

#[test]
fn a_reply_repeats_for_its_seed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = fixture("llama3-v4");
    let ask = |seed: &str| -> Result<String> {
        let options = ["--seed", seed, "--temperature", "1", "--max-tokens", "30"];
        let args = [&["--json", "generate", "--model", &model, "--user", "Which way?"][..], &options].concat();
        let output = binary::run(folder.path(), &args)?;
        assert_success(&output);
        Ok(document(&output)?["text"].as_str().context("a text")?.to_owned())
    };
    let first = ask("1")?;
    assert_eq!(first, ask("1")?);
    assert_ne!(first, ask("2")?);
    Ok(())
}

/// Ctrl-C ends a search after the present step, keeps what there is, and exits with 130.
#[cfg(unix)]
#[test]
fn ctrl_c_stops_a_search() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (config, out) = (folder.path().join("run.toml"), folder.path().join("run"));
    std::fs::write(&config, "persona = \"sycophancy\"\niterations = 100000\ncheck_every = 0\n")?;
    let mut command = binary::command(folder.path(), &["--json", "discover", "--model", "demo"])?;
    let child = command.arg("--config").arg(&config).arg("--out").arg(&out);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let deadline = Instant::now() + Duration::from_mins(2);
    while !std::fs::metadata(out.join("candidates.jsonl")).is_ok_and(|file| file.len() > 0) {
        ensure!(Instant::now() < deadline, "no candidate after two minutes");
        ensure!(child.try_wait()?.is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(50));
    }
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
    ensure!(sent.success(), "the signal was not sent");
    let output = child.wait_with_output()?;
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(document(&output)?["run"]["stopped"], true);
    assert!(out.join("front.json").exists() && out.join("run.toml").exists());
    Ok(())
}

/// Without a display the window cannot open; what to do instead is told.
#[cfg(target_os = "linux")]
#[test]
fn without_a_display_the_other_way_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut command = binary::command(folder.path(), &[])?;
    let output = command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET").output()?;
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("cargo run --release -- demo --out demo-report"), "{told}");
    assert!(told.contains("DISPLAY"), "{told}");
    Ok(())
}
