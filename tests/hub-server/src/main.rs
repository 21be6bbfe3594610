//! Serves folders as a hub, to try Tiller by hand without the network.
//!
//! `cargo run -p tiller-hub-server -- DIR [--port N] [--rate BYTES_PER_SEC]` makes a repository of each folder
//! `DIR/owner/name`. Files of a megabyte and more count as large, as does whatever the hub keeps outside git by its
//! ending.

use std::error::Error;
use std::path::{Path, PathBuf};

use tiller_hub_server::{HubServer, Repo};

/// Size from which a file is kept outside git whatever its ending.
const LARGE_BYTES: u64 = 1 << 20;

/// Endings that the hub always keeps outside git.
const LARGE_ENDINGS: [&str; 7] = ["safetensors", "gguf", "bin", "pt", "pth", "npz", "model"];

#[expect(clippy::print_stdout, clippy::infinite_loop, reason = "a program for the terminal, ended by Ctrl-C")]
fn main() -> Result<(), Box<dyn Error>> {
    let usage = "tiller-hub-server DIR [--port N] [--rate BYTES_PER_SEC]";
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().ok_or(usage)?);
    let (mut port, mut rate) = (0, None);
    while let Some(option) = args.next() {
        let value = args.next().ok_or(usage)?;
        match option.as_str() {
            "--port" => port = value.parse()?,
            "--rate" => rate = Some(value.parse()?),
            _ => return Err(usage.into()),
        }
    }
    let server = HubServer::start_on(port);
    server.set_rate(rate);
    for owner in folders(&dir)? {
        for folder in folders(&owner)? {
            let id = format!("{}/{}", name(&owner), name(&folder));
            let repo = add_files(Repo::new(), &folder, "")?;
            println!("{id} at {}", repo.commit());
            server.add_repo(&id, repo);
        }
    }
    println!("HF_ENDPOINT={}", server.endpoint());
    loop {
        std::thread::park();
    }
}

/// The folders in a folder, by name.
fn folders(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = dir.read_dir()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.retain(|path| path.is_dir());
    found.sort();
    Ok(found)
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn add_files(mut repo: Repo, dir: &Path, prefix: &str) -> std::io::Result<Repo> {
    for entry in dir.read_dir()? {
        let path = entry?.path();
        let inside = format!("{prefix}{}", name(&path));
        if path.is_dir() {
            repo = add_files(repo, &path, &format!("{inside}/"))?;
            continue;
        }
        let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        let is_large = path.metadata()?.len() >= LARGE_BYTES || LARGE_ENDINGS.contains(&ending.as_str());
        repo = if is_large { repo.large(&inside, path) } else { repo.file(&inside, path) };
    }
    Ok(repo)
}
