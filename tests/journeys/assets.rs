//! A person gets a model from the hub, opens it and removes it again, in the real window over the real application.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use egui::{Key, Modifiers, vec2};
use tiller_hub::endpoint::Endpoint;
use tiller_hub::http::HubSettings;
use tiller_hub_server::{HubServer, Repo};
use tiller_protocol::asset::{AssetOrigin, DownloadPhase};
use tiller_protocol::message::Event;
use tiller_tests::screen::Screen;

/// The repository that the server holds.
const ID: &str = "ada/tiny-llama";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// A checkpoint as its authors publish it: with weights in a second format, which nobody needs.
fn published() -> Result<Repo> {
    let folder = fixture("llama3-v5");
    let mut repo = Repo::new().licence("apache-2.0").large("pytorch_model.bin", vec![7_u8; 4096]);
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).context("a file has a name")?;
        repo = match name {
            "golden.json" | "golden.safetensors" => repo,
            shard if shard.ends_with(".safetensors") => repo.large(shard, path.clone()),
            _ => repo.file(name, path.clone()),
        };
    }
    Ok(repo)
}

/// A window over a hub that holds the checkpoint.
fn screen(workspace: &Path, server: &HubServer) -> Result<Screen> {
    let endpoint = Endpoint::parse(&server.endpoint())?;
    Screen::open_with(workspace, vec2(1280.0, 800.0), HubSettings::at(endpoint))
}

/// The path of the downloaded model, once it is listed.
fn listed(screen: &Screen) -> Option<PathBuf> {
    let library = screen.window().events.iter().rev().find_map(|event| match event {
        Event::Assets(library) => Some(library),
        _ => None,
    })?;
    let from_hub = |origin: &AssetOrigin| matches!(origin, AssetOrigin::Hub { repo, .. } if repo.id == ID);
    library.assets.iter().find(|asset| from_hub(&asset.origin)).map(|asset| asset.path.clone())
}

fn is_done(screen: &Screen) -> Option<()> {
    let list = screen.window().events.iter().rev().find_map(|event| match event {
        Event::Downloads(list) => Some(list),
        _ => None,
    })?;
    list.iter().any(|download| matches!(download.phase, DownloadPhase::Done { .. })).then_some(())
}

#[test]
fn a_model_is_downloaded_opened_and_removed() -> Result<()> {
    let server = HubServer::start();
    server.add_repo(ID, published()?);
    let workspace = tempfile::tempdir()?;
    let mut screen = screen(workspace.path(), &server)?;
    screen.press(Modifiers::COMMAND, Key::Num2);
    screen.click("From the hub")?;
    screen.click("Repository on the hub")?;
    // As it is copied from the address line.
    screen.type_text(&format!("{}/{ID}/tree/main", server.endpoint()));
    screen.press(Modifiers::NONE, Key::Enter);
    screen.wait_for("safetensors")?;
    screen.wait_for("left out")?;
    screen.click("Download 1")?;
    screen.wait("the end of the download", is_done)?;
    screen.wait_for("Complete and checked")?;
    let wasted = server.requests().iter().any(|request| request.path.contains("pytorch_model.bin"));
    ensure!(!wasted, "weights were fetched in a format that nobody needs");

    screen.click("Show in Installed")?;
    let path = screen.wait("the model in the library", listed)?;
    ensure!(path.join("model.safetensors.index.json").is_file(), "{}", path.display());
    screen.wait_for("Show tiny-llama")?;
    screen.wait_for("Fits")?;
    screen.click("Open")?;
    screen.wait_for("All facts")?;

    // What is open cannot be removed.
    ensure!(screen.shows("Remove\u{2026}"), "there is no way to remove it");
    screen.click("Unload")?;
    screen.click("Remove\u{2026}")?;
    screen.wait_for("This frees")?;
    screen.click("Delete")?;
    screen.wait_for("are free again")?;
    ensure!(!path.exists(), "{} is still there", path.display());
    screen.wait("the library without it", |screen| listed(screen).is_none().then_some(()))
}

/// What was begun in one window is paused in the next one, and goes on from there.
#[test]
fn closing_the_window_pauses_a_download() -> Result<()> {
    let server = HubServer::start();
    server.add_repo(ID, published()?);
    // Slow enough that it cannot end before the window is closed.
    server.set_rate(Some(20_000));
    let workspace = tempfile::tempdir()?;
    {
        let mut screen = screen(workspace.path(), &server)?;
        screen.press(Modifiers::COMMAND, Key::Num2);
        screen.click("From the hub")?;
        screen.click("Repository on the hub")?;
        screen.type_text(ID);
        screen.press(Modifiers::NONE, Key::Enter);
        screen.click("Download 1")?;
        screen.wait_for("per second")?;
    }
    server.set_rate(None);
    let mut screen = screen(workspace.path(), &server)?;
    screen.press(Modifiers::COMMAND | Modifiers::SHIFT, Key::D);
    screen.wait_for("nothing is lost")?;
    screen.click("Resume ")?;
    screen.wait("the end of the download", is_done)?;
    Ok(())
}

/// Without a network everything that is here works, and what needs one says so.
#[test]
fn without_a_network_the_window_says_how_to_get_one() -> Result<()> {
    let workspace = tempfile::tempdir()?;
    let mut screen = Screen::open(workspace.path(), vec2(1280.0, 800.0))?;
    screen.press(Modifiers::COMMAND, Key::Num2);
    screen.click("Catalogue")?;
    screen.click("Download Llama 3.2 1B")?;
    screen.wait_for("Try again")?;
    screen.click("Installed")?;
    screen.click("Show Tiller demo")?;
    screen.click("Open")?;
    screen.wait_for("All facts")
}
