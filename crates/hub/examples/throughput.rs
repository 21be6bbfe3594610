//! How fast a large file comes in, beside curl, and how much memory that takes.
//!
//! `cargo run --release -p tiller-hub --example throughput [BYTES [CONNECTIONS [ROUNDS]]]` serves a sparse file on
//! loopback and fetches it with curl and with Tiller in turn. Each fetch is a process of its own; curl does not check
//! what it gets, so it is timed alone and with `sha256sum` behind it; Tiller computes the SHA-256 meanwhile.

use std::error::Error;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Instant;

use tiller_hub::endpoint::Endpoint;
use tiller_hub::fetch::{Control, Settings, fetch};
use tiller_hub::http::{Hub, HubSettings};
use tiller_hub::stop::Stop;
use tiller_hub::store::Store;
use tiller_hub_server::{HubServer, Repo};
use tiller_protocol::asset::RepoRef;

const ID: &str = "acme/large";
const FILE: &str = "model.safetensors";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [get, endpoint, root, connections] = args.as_slice()
        && get == "get"
    {
        return one(endpoint, root, connections.parse()?);
    }
    let number = |idx: usize, usual: u64| args.get(idx).map_or(Ok(usual), |text| text.parse::<u64>());
    compare(number(0, 1 << 30)?, number(1, Settings::default().connections as u64)?, number(2, 5)?)
}

/// Fetches in this process and says how much memory it took at most.
#[expect(clippy::print_stdout, reason = "a program for the terminal")]
fn one(endpoint: &str, root: &str, connections: usize) -> Result<(), Box<dyn Error>> {
    let hub = Hub::new(HubSettings::at(Endpoint::parse(endpoint)?));
    let stop = Stop::new();
    let listing = hub.listing(&RepoRef { id: ID.to_owned(), revision: None }, &stop)?;
    let settings = Settings { connections, reserve_bytes: 0, ..Settings::default() };
    fetch(&hub, &Store::new(root), &listing, &listing.files, &Control { stop, settings }, &mut |_| {})?;
    // Only Linux tells.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown");
    println!("{}", peak.trim());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a program for the terminal")]
fn compare(bytes: u64, connections: u64, rounds: u64) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("source");
    File::create(&source)?.set_len(bytes)?;
    let server = HubServer::start();
    server.add_repo(ID, Repo::new().large(FILE, source));
    let address = format!("{}/{ID}/resolve/main/{FILE}", server.endpoint());
    let (mut curl, mut summed, mut tiller) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds {
        let (file, root) = (folder.path().join("curl"), folder.path().join("cache"));
        let start = Instant::now();
        let status = Command::new("curl").args(["-sSfL", "-o"]).arg(&file).arg(&address).status()?;
        curl.push(rate(bytes, start));
        let checked = Command::new("sha256sum").arg(&file).stdout(Stdio::null()).status()?;
        summed.push(rate(bytes, start));
        let same = status.success() && checked.success() && file.metadata()?.len() == bytes;
        fs::remove_file(&file)?;
        let start = Instant::now();
        let output = Command::new(std::env::current_exe()?)
            .args(["get", &server.endpoint()])
            .arg(&root)
            .arg(connections.to_string())
            .output()?;
        tiller.push(rate(bytes, start));
        if !same || !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        fs::remove_dir_all(&root)?;
        let peak = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        println!(
            "{round}: curl {:.0} MB/s, with sha256sum {:.0} MB/s, Tiller {:.0} MB/s, peak memory {peak}",
            curl[curl.len() - 1],
            summed[summed.len() - 1],
            tiller[tiller.len() - 1]
        );
    }
    let (curl, summed, tiller) = (median(curl), median(summed), median(tiller));
    println!(
        "median: curl {curl:.0} MB/s, with sha256sum {summed:.0} MB/s, Tiller {tiller:.0} MB/s: {:.0} % and {:.0} %",
        100.0 * tiller / curl,
        100.0 * tiller / summed
    );
    Ok(())
}

/// Megabytes a second.
fn rate(bytes: u64, start: Instant) -> f64 {
    bytes as f64 / 1e6 / start.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
