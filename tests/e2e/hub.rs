//! A model from a hub: looked up, downloaded, opened.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use egui::{Key, Modifiers};
use tiller_hub_server::{HubServer, Repo};

use super::desktop::can_draw;
use super::pair::Pair;

/// The repository that the server holds.
const ID: &str = "lab/persona-llama";

/// The demo checkpoint as a lab would publish it.
fn published() -> Result<Repo> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/demo/model");
    let mut repo = Repo::new().licence("apache-2.0").large("pytorch_model.bin", vec![7_u8; 1 << 20]);
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).context("a file has a name")?;
        repo =
            if name.ends_with(".safetensors") { repo.large(name, path.clone()) } else { repo.file(name, path.clone()) };
    }
    Ok(repo)
}

/// Where the window keeps the model.
fn snapshot(home: &Path, commit: &str) -> PathBuf {
    let repo = home.join(".cache/huggingface/hub").join(format!("models--{}", ID.replace('/', "--")));
    repo.join("snapshots").join(commit)
}

#[test]
fn from_a_repository_to_an_open_model() -> Result<()> {
    if !can_draw()? {
        return Ok(());
    }
    let server = HubServer::start();
    let repo = published()?;
    let commit = repo.commit();
    server.add_repo(ID, repo);
    let folder = tempfile::tempdir()?;
    let mut pair = Pair::open(folder.path(), Some(&server))?;
    pair.go("2", Key::Num2)?;
    pair.click("Catalogue")?;
    pair.twin.control("Download Llama 3.2 1B")?;
    pair.desktop.picture("models-catalogue")?;

    pair.click("From the hub")?;
    pair.click("Repository on the hub")?;
    pair.type_text(ID)?;
    pair.twin.press(Modifiers::NONE, Key::Enter);
    pair.desktop.press("Return")?;
    pair.twin.wait_for("left out")?;
    // Both have read what the model is.
    let read = |server: &HubServer| server.requests().iter().filter(|r| r.path.ends_with("config.json")).count();
    pair.desktop.wait("the answer in the window", || (read(&server) >= 2).then_some(()))?;
    pair.desktop.picture("models-hub")?;

    server.set_rate(Some(1_000_000));
    pair.click("Download 5")?;
    pair.twin.wait_for("per second")?;
    pair.desktop.picture("models-download")?;
    server.set_rate(None);
    pair.twin.wait_for("Complete and checked")?;
    let model = snapshot(&folder.path().join("home"), &commit);
    let weights = model.join("model.safetensors");
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/demo/model/model.safetensors");
    let (weights, original) = (pair.desktop.wait("the weights", || fs::read(&weights).ok())?, fs::read(original)?);
    assert!(weights == original, "the downloaded weights differ");
    assert!(!model.join("pytorch_model.bin").exists(), "weights were fetched in a format that nobody needs");

    pair.click("Show in Installed")?;
    pair.twin.wait_for("Fits")?;
    pair.desktop.picture("models")?;
    pair.click("Open")?;
    pair.job_ends("All facts")?;
    let log = pair.desktop.log_text();
    assert!(!log.contains("panicked") && !log.contains("Internal fault"), "{log}");
    assert_eq!(pair.desktop.quit()?.code(), Some(0), "{log}");
    Ok(())
}
