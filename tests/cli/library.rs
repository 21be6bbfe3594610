//! What is on this machine: listed, imported, verified, removed, and used without a network.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use tiller_tests::binary;

use super::{assert_success, document, fixture};

/// A workspace and a hub cache of their own.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("work"))?;
        Ok(Self { folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Result<Output> {
        let mut command = binary::command(&self.path("work"), args)?;
        command.env("HF_HUB_CACHE", self.path("cache")).output().context("running the binary")
    }

    /// A repository as the hub's tools leave it.
    fn repo(&self, id: &str, checkpoint: &str) -> Result<PathBuf> {
        let repo = self.path("cache").join(format!("models--{}", id.replace('/', "--")));
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let snapshot = repo.join("snapshots").join(commit);
        std::fs::create_dir_all(&snapshot)?;
        std::fs::create_dir_all(repo.join("refs"))?;
        std::fs::write(repo.join("refs/main"), commit)?;
        copy(checkpoint, &snapshot)?;
        Ok(snapshot)
    }
}

fn copy(checkpoint: &str, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
        std::fs::copy(Path::new(&fixture(checkpoint)).join(file), to.join(file))?;
    }
    Ok(())
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_model_is_imported_verified_and_removed() -> Result<()> {
    let desk = Desk::new()?;
    copy("qwen2", &desk.path("mine"))?;
    let mine = desk.path("mine").display().to_string();
    let imported = desk.run(&["--json", "model", "import", &mine])?;
    assert_success(&imported);
    assert_eq!(document(&imported)?["kind"], "model");
    let again = desk.run(&["model", "import", &mine])?;
    assert!(text(&again).contains("already"), "{}", text(&again));
    let copied = desk.run(&["--json", "model", "import", &mine, "--copy"])?;
    assert_success(&copied);
    let copy = document(&copied)?["path"].as_str().context("a path")?.to_owned();
    assert!(copy.starts_with(&desk.path("work").display().to_string()), "{copy}");

    let library = document(&desk.run(&["--json", "model", "installed"])?)?;
    let assets = library["assets"].as_array().context("assets")?;
    let names: Vec<_> = assets.iter().filter_map(|asset| asset["name"].as_str()).collect();
    assert_eq!(names, ["Tiller demo", "Tiller demo SAE", "mine"]);
    let table = text(&desk.run(&["model", "installed"])?);
    assert!(
        table.contains("ships with Tiller") && table.contains("bf16") && table.contains("downloads go here"),
        "{table}"
    );

    let good = desk.run(&["--json", "model", "verify", "mine"])?;
    assert_success(&good);
    assert!(document(&good)?["good"].to_string().contains("model.safetensors"), "copying has summed it up");
    let weights = Path::new(&copy).join("model.safetensors");
    let mut bytes = std::fs::read(&weights)?;
    *bytes.last_mut().context("bytes")? ^= 1;
    std::fs::write(&weights, &bytes)?;
    let bad = desk.run(&["model", "verify", "mine"])?;
    assert_eq!(bad.status.code(), Some(1));
    assert!(text(&bad).contains("BAD      model.safetensors"), "{}", text(&bad));

    let asked = desk.run(&["model", "remove", "mine"])?;
    assert_eq!(asked.status.code(), Some(2));
    let told = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(told.contains("would be freed") && told.contains("--yes") && Path::new(&copy).is_dir(), "{told}");
    let asked = desk.run(&["--json", "model", "remove", "mine"])?;
    assert_eq!(asked.status.code(), Some(2));
    assert!(document(&asked)?["error"]["next_step"].to_string().contains("--yes"));
    let removed = desk.run(&["--json", "model", "remove", "mine", "--yes"])?;
    assert_success(&removed);
    assert!(document(&removed)?["freed_bytes"].as_u64().context("bytes")? > bytes.len() as u64);
    assert!(!Path::new(&copy).exists() && desk.path("mine/config.json").is_file());
    let gone = desk.run(&["--json", "model", "remove", "mine", "--yes"])?;
    assert_eq!(gone.status.code(), Some(1));
    assert!(document(&gone)?["error"]["title"].to_string().contains("library"));
    Ok(())
}

/// Ctrl-C ends the reading of a large file at once, with the exit code of a stop.
#[cfg(unix)]
#[test]
fn ctrl_c_stops_a_comparison() -> Result<()> {
    let desk = Desk::new()?;
    let snapshot = desk.repo("acme/tiny", "qwen2")?;
    let weights = std::fs::OpenOptions::new().write(true).open(snapshot.join("model.safetensors"))?;
    weights.set_len(1 << 38)?;
    let mut command = binary::command(&desk.path("work"), &["--json", "model", "verify", "tiny"])?;
    command.env("HF_HUB_CACHE", desk.path("cache")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut first = String::new();
    BufReader::new(child.stderr.take().context("stderr")?).read_line(&mut first)?;
    assert!(first.contains("Verifying tiny"), "{first}");
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
    ensure!(sent.success(), "the signal was not sent");
    let output = child.wait_with_output()?;
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(document(&output)?["error"]["title"], "Stopped");
    Ok(())
}

#[test]
fn an_autoencoder_is_described() -> Result<()> {
    let desk = Desk::new()?;
    let sae = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/demo/sae");
    for name in [sae, "Tiller demo SAE"] {
        let told = desk.run(&["--json", "model", "info", name])?;
        assert_success(&told);
        let told = document(&told)?;
        assert_eq!((&told["kind"], &told["d_sae"], &told["d_model"]), (&"sae".into(), &1024.into(), &192.into()));
    }
    let told = text(&desk.run(&["model", "info", sae])?);
    assert!(told.contains("1024 over activations of width 192") && told.contains("block 4"), "{told}");
    Ok(())
}

/// Everything that works on what is present works without one connection, with the network merely not forbidden.
#[test]
fn what_is_present_needs_no_network() -> Result<()> {
    let desk = Desk::new()?;
    desk.repo("acme/tiny", "qwen2")?;
    let listener = TcpListener::bind(("localhost", 0))?;
    let endpoint = format!("http://localhost:{}", listener.local_addr()?.port());
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let thread = std::thread::Builder::new().name("listener".to_owned());
    // It ends with the test's process.
    thread.spawn(move || {
        for _ in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    })?;
    let out = desk.path("trace.safetensors").display().to_string();
    for args in [
        &["model", "list"][..],
        &["model", "installed"],
        &["model", "info", "acme/tiny"],
        &["model", "verify", "acme/tiny"],
        &["trace", "--model", "acme/tiny", "--ids", "1,2,3", "--out", &out],
        &["generate", "--model", "acme/tiny", "--user", "Hello", "--max-tokens", "3"],
        &["model", "remove", "acme/tiny", "--yes"],
    ] {
        let mut command = std::process::Command::new(binary::path()?);
        command.arg("--workspace").arg(desk.path("work")).args(["--device", "cpu"]).args(args);
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "HF_HUB_OFFLINE"] {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        let output = command.env("HF_HUB_CACHE", desk.path("cache")).env("HF_ENDPOINT", &endpoint).output()?;
        assert_success(&output);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0, "connections to the hub");
    Ok(())
}
