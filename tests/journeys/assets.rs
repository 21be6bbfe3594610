//! A person gets a model from the hub, opens it and removes it again, in the real window over the real application.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use egui::{Key, Modifiers, vec2};
use tiller_hub::endpoint::Endpoint;
use tiller_hub::http::HubSettings;
use tiller_hub::token::{Keyring, Tokens};
use tiller_hub_server::{HubServer, Repo};
use tiller_protocol::asset::{AssetOrigin, DownloadPhase, Secret};
use tiller_protocol::message::Event;
use tiller_studio::HubOptions;
use tiller_tests::screen::Screen;
use tiller_ui::Request;

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

/// A keyring in memory.
#[derive(Clone, Default)]
struct Pocket(Arc<Mutex<Option<Secret>>>);

impl Keyring for Pocket {
    fn read(&self) -> Result<Option<Secret>, String> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn write(&self, secret: &Secret) -> Result<(), String> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(secret.clone());
        Ok(())
    }

    fn delete(&self) -> Result<(), String> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
}

/// A window over a hub that holds the checkpoint; nobody is signed in.
fn screen(workspace: &Path, server: &HubServer) -> Result<Screen> {
    let settings = HubSettings::at(Endpoint::parse(&server.endpoint())?);
    let tokens = Tokens::from_vars(&|_| None, Box::new(Pocket::default()));
    let hub = HubOptions { settings: Some(settings), tokens: Some(tokens), ..HubOptions::default() };
    Screen::open_as(workspace, vec2(1280.0, 800.0), hub)
}

/// Files below a folder that hold these bytes.
fn holding(folder: &Path, wanted: &[u8]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(holding(&path, wanted)?);
        } else if std::fs::read(&path)?.windows(wanted.len()).any(|window| window == wanted) {
            found.push(path);
        }
    }
    Ok(found)
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

/// A gated repository says what is missing, and hands its files out once a token is typed in.
#[test]
fn a_gated_model_comes_after_signing_in() -> Result<()> {
    const TOKEN: &str = "hf_of_ada_and_nobody_else";
    let server = HubServer::start();
    server.add_repo(ID, published()?.gated("auto").granted(TOKEN));
    server.add_token(TOKEN, "ada");
    let workspace = tempfile::tempdir()?;
    let mut screen = screen(workspace.path(), &server)?;
    screen.press(Modifiers::COMMAND, Key::Num2);
    screen.click("From the hub")?;
    screen.click("Repository on the hub")?;
    screen.type_text(ID);
    screen.press(Modifiers::NONE, Key::Enter);
    screen.wait_for("Sign in to the hub")?;
    screen.click("Open its page")?;
    let page = format!("{}/{ID}", server.endpoint());
    let asked = screen.window().requests.iter().any(|request| *request == Request::OpenLink(page.clone()));
    ensure!(asked, "the page with the licence was not opened: {:?}", screen.window().requests);
    screen.click("Access token")?;
    screen.type_text(TOKEN);
    screen.click("Sign in and try again")?;
    // It cannot be pressed before the hub has answered anew.
    screen.click("Download 1")?;
    screen.wait("the end of the download", is_done)?;
    let found = holding(workspace.path(), TOKEN.as_bytes())?;
    ensure!(found.is_empty(), "the token is written in {found:?}");
    screen.press(Modifiers::COMMAND, Key::Comma);
    screen.wait_for("Signed in as ada")
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
