//! `tiller model download` against a hub on loopback.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tiller_hub_server::{HubServer, Repo};

use tiller_tests::binary;

use super::{assert_success, document, fixture};

const ID: &str = "tiny/qwen3";
const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

/// A hub, and a home folder for the hub's tools.
struct Desk {
    folder: tempfile::TempDir,
    server: HubServer,
}

impl Desk {
    fn new() -> Result<Self> {
        let desk = Self { folder: tempfile::tempdir()?, server: HubServer::start() };
        let model = FILES.iter().fold(Repo::new(), |repo, name| repo.large(name, original(name)));
        desk.server.add_repo(ID, model.large("pytorch_model.bin", "again"));
        Ok(desk)
    }

    /// `tiller --json model download …` with this hub and no token.
    fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary::path()?);
        command.arg("--workspace").arg(self.folder.path().join("workspace"));
        command.args(["--json", "model", "download"]).args(args);
        for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE", "HF_HUB_OFFLINE"] {
            command.env_remove(name);
        }
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(name);
        }
        command.env("HF_ENDPOINT", self.server.endpoint()).env("HF_HOME", self.folder.path());
        Ok(command)
    }

    fn run(&self, args: &[&str]) -> Result<Output> {
        self.command(args)?.output().context("running the binary")
    }

    fn spawn(&self) -> Result<Child> {
        let mut command = self.command(&[ID])?;
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("starting the binary")
    }

    /// Paths and states of what the library lists from the hub.
    fn listed(&self) -> Result<Vec<(String, String)>> {
        let mut command = Command::new(binary::path()?);
        command.arg("--workspace").arg(self.folder.path().join("workspace"));
        command.args(["--json", "--offline", "model", "installed"]).env("HF_HOME", self.folder.path());
        let output = command.env_remove("HF_HUB_CACHE").output().context("running the binary")?;
        let told = document(&output)?;
        let assets = told["assets"].as_array().with_context(|| format!("no assets: {told}"))?;
        let from_hub = assets.iter().filter(|asset| !asset["origin"]["Hub"].is_null());
        Ok(from_hub.map(|asset| (asset["path"].to_string(), asset["state"].to_string())).collect())
    }

    /// Waits until bytes of the weights have come in.
    fn wait_for_bytes(&self) -> Result<()> {
        let blobs = self.folder.path().join("hub/models--tiny--qwen3/blobs");
        let began = Instant::now();
        while began.elapsed() < Duration::from_mins(1) {
            let notes = std::fs::read_dir(&blobs).into_iter().flatten().flatten();
            if notes.map(|file| file.path()).any(|path| path.extension().is_some_and(|end| end == "tiller-part")) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        anyhow::bail!("nothing comes in")
    }
}

fn original(name: &str) -> PathBuf {
    Path::new(&fixture("qwen3")).join(name)
}

/// The files in the folder of the answer are those that were published.
fn assert_whole(output: &Output) -> Result<()> {
    assert_success(output);
    let told = document(output)?;
    let path = PathBuf::from(told["path"].as_str().with_context(|| format!("path in {told}"))?);
    for name in FILES {
        ensure!(std::fs::read(path.join(name))? == std::fs::read(original(name))?, "{name} differs");
    }
    ensure!(!path.join("pytorch_model.bin").exists(), "a duplicate was downloaded");
    ensure!(told["stopped"] == false && told["done_bytes"] == told["total_bytes"], "{told}");
    Ok(())
}

#[test]
fn choices_are_listed_with_exact_bytes_and_nothing_is_downloaded() -> Result<()> {
    let desk = Desk::new()?;
    let output = desk.run(&[ID, "--list"])?;
    assert_success(&output);
    let told = document(&output)?;
    let bytes = FILES.iter().map(|name| Ok(original(name).metadata()?.len())).sum::<Result<u64>>()?;
    let files = told["choices"][0]["files"].as_array().context("files")?;
    assert_eq!(files.iter().filter_map(|file| file["bytes"].as_u64()).sum::<u64>(), bytes);
    assert_eq!((&told["choices"][0]["id"], &told["left_out_files"]), (&"safetensors".into(), &1.into()));
    assert!(!desk.folder.path().join("hub").exists());
    Ok(())
}

#[test]
fn a_model_is_downloaded_and_opens() -> Result<()> {
    let desk = Desk::new()?;
    let output = desk.run(&[&format!("{}/{ID}/tree/main", desk.server.endpoint())])?;
    assert_whole(&output)?;
    desk.server.clear_requests();
    let second = desk.run(&[ID])?;
    assert_whole(&second)?;
    let told = document(&second)?;
    assert_eq!(told["present_bytes"], told["total_bytes"]);
    let again = desk.server.requests().into_iter().filter(|request| request.path.contains("model.safetensors")).count();
    assert_eq!(again, 0, "what is there is not fetched again");
    let path = document(&output)?["path"].as_str().context("path")?.to_owned();
    let info = binary::run(&desk.folder.path().join("workspace"), &["--json", "model", "info", &path])?;
    assert_success(&info);
    assert_eq!(document(&info)?["architecture"], "Qwen3ForCausalLM");
    Ok(())
}

#[test]
fn offline_what_is_here_whole_is_found_and_nothing_is_asked() -> Result<()> {
    let desk = Desk::new()?;
    assert_whole(&desk.run(&[ID])?)?;
    desk.server.clear_requests();
    let here = desk.run(&[ID, "--offline"])?;
    assert_whole(&here)?;
    let told = document(&here)?;
    assert_eq!((&told["choice"], &told["present_bytes"]), (&"safetensors".into(), &told["total_bytes"]));
    assert_whole(&desk.run(&[&format!("{ID}@main"), "--offline"])?)?;
    for wanted in [format!("{ID}@other"), "tiny/nothing".to_owned()] {
        assert_eq!(desk.run(&[&wanted, "--offline"])?.status.code(), Some(1), "{wanted}");
    }
    assert_eq!(desk.run(&[ID, "--offline", "--choice", "b.gguf"])?.status.code(), Some(1));
    assert!(desk.server.requests().is_empty());
    Ok(())
}

#[test]
fn a_folder_that_was_named_becomes_one_of_the_librarys() -> Result<()> {
    let desk = Desk::new()?;
    let disk = desk.folder.path().join("another disk");
    let output = desk.run(&[ID, "--folder", &disk.to_string_lossy()])?;
    assert_whole(&output)?;
    let listed = desk.listed()?;
    let is_there = |(path, state): &(String, String)| path.contains("another disk") && state.contains("Ready");
    assert!(listed.len() == 1 && listed.iter().all(is_there), "{listed:?}");
    // Once more changes nothing.
    assert_whole(&desk.run(&[ID, "--folder", &disk.to_string_lossy()])?)?;
    assert_eq!(desk.listed()?, listed);
    Ok(())
}

#[test]
fn a_killed_download_goes_on_where_it_was() -> Result<()> {
    let desk = Desk::new()?;
    desk.server.set_rate(Some(20_000));
    let mut child = desk.spawn()?;
    desk.wait_for_bytes()?;
    child.kill()?;
    child.wait()?;
    let snapshots = desk.folder.path().join("hub/models--tiny--qwen3/snapshots");
    let shown = std::fs::read_dir(snapshots).into_iter().flatten().flatten();
    assert!(shown.flat_map(|commit| std::fs::read_dir(commit.path())).flatten().count() == 0, "no part is shown");
    let listed = desk.listed()?;
    assert!(matches!(listed.as_slice(), [(_, state)] if state.contains("Incomplete")), "{listed:?}");
    desk.server.set_rate(None);
    assert_whole(&desk.run(&[ID])?)
}

#[cfg(unix)]
#[test]
fn an_interrupted_download_is_paused_and_says_how_to_go_on() -> Result<()> {
    let desk = Desk::new()?;
    desk.server.set_rate(Some(20_000));
    let child = desk.spawn()?;
    desk.wait_for_bytes()?;
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
    ensure!(interrupted.success(), "the signal was not sent");
    let output = child.wait_with_output()?;
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    let told = document(&output)?;
    assert_eq!((&told["stopped"], &told["path"]), (&true.into(), &serde_json::Value::Null));
    desk.server.set_rate(None);
    assert_whole(&desk.run(&[ID])?)
}

#[test]
fn what_cannot_be_downloaded_is_told_with_a_way_out() -> Result<()> {
    let desk = Desk::new()?;
    let quantised = ["a-Q4_K_M.gguf", "a-Q8_0.gguf"];
    desk.server.add_repo("tiny/gguf", quantised.iter().fold(Repo::new(), |repo, name| repo.large(name, "weights")));
    desk.server.add_repo("tiny/gated", Repo::new().large("a.gguf", "weights").gated("manual"));
    let page = format!("{}/tiny/gated", desk.server.endpoint());
    let mut mistaken = desk.command(&[ID])?;
    mistaken.env("HF_ENDPOINT", "nowhere");
    let mut offline = desk.command(&[ID])?;
    offline.env("HF_HUB_OFFLINE", "1");
    for (output, word) in [
        (desk.run(&["tiny/gguf"])?, "a-Q8_0.gguf"),
        (desk.run(&["tiny/gguf", "--choice", "b.gguf"])?, "a-Q4_K_M.gguf"),
        (desk.run(&["tiny/gated"])?, page.as_str()),
        (desk.run(&["tiny/nothing"])?, "HF_TOKEN"),
        (desk.run(&[ID, "--offline"])?, "--offline"),
        (offline.output()?, "HF_HUB_OFFLINE"),
        (mistaken.output()?, "nowhere"),
    ] {
        assert_eq!(output.status.code(), Some(1), "{word}");
        let told = document(&output)?["error"].to_string();
        assert!(told.contains(word), "{word} is not in {told}");
    }
    let wrong = desk.run(&["no/such/name/at/all"])?;
    assert_eq!(wrong.status.code(), Some(2));
    let output =
        desk.run(&["tiny/gguf", "--choice", "a-Q8_0.gguf", "--folder", &desk.folder.path().to_string_lossy()])?;
    assert_success(&output);
    let path = document(&output)?["path"].as_str().context("path")?.to_owned();
    assert_eq!(std::fs::read(path)?, b"weights");
    Ok(())
}
