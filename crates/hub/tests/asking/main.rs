//! Asking a hub on loopback, which answers as the real one does, and less honest servers.
#![expect(clippy::unwrap_used, reason = "helpers of tests; a failed setup ends the test")]

mod errors;
mod hostile;
mod quiet;
mod server;
mod way;

use std::sync::Arc;
use std::time::Duration;

use tiller_hub::endpoint::Endpoint;
use tiller_hub::error::HubError;
use tiller_hub::http::{Hub, HubSettings};
use tiller_hub::listing::{Listing, Sum};
use tiller_hub::retry::Retry;
use tiller_hub::stop::Stop;
use tiller_hub_server::{HubServer, Repo};
use tiller_protocol::asset::{Gate, RepoRef, Secret};

/// Content of the large file of [`repo`].
const WEIGHTS: &[u8] = b"these are the weights of a very small model";

/// How to reach a server: at once or not at all.
fn settings(endpoint: &str, token: Option<&str>) -> HubSettings {
    HubSettings {
        credentials: Arc::new(token.map(|token| Secret(token.to_owned()))),
        retry: Retry::at_once(3),
        ..HubSettings::at(Endpoint::parse(endpoint).unwrap())
    }
}

fn hub(server: &HubServer, token: Option<&str>) -> Hub {
    Hub::new(settings(&server.endpoint(), token))
}

fn repo() -> Repo {
    Repo::new()
        .file("config.json", r#"{"model_type": "llama"}"#)
        .file("tokenizer.json", "{}")
        .file("sub folder/notes #1.txt", "odd name")
        .large("model.safetensors", WEIGHTS)
        .licence("apache-2.0")
}

fn named(id: &str) -> RepoRef {
    RepoRef { id: id.to_owned(), revision: None }
}

/// Reads a file, or a part of it, to its end.
fn read(hub: &Hub, listing: &Listing, path: &str, range: Option<std::ops::Range<u64>>) -> Result<Vec<u8>, HubError> {
    let file = listing.files.iter().find(|file| file.path == path).unwrap();
    let mut body = hub.open(listing, file, range, &Stop::new())?;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 7]);
    loop {
        match body.read_on(&mut buffer)? {
            0 => return Ok(bytes),
            amount => bytes.extend_from_slice(&buffer[..amount]),
        }
    }
}

#[test]
fn a_listing_tells_all_files_of_all_pages_at_one_commit() {
    let server = HubServer::start();
    let published = repo();
    server.add_repo("owner/name", published.clone());
    server.set_page_len(2);
    let hub = hub(&server, None);
    let listing = hub.listing(&named("owner/name"), &Stop::new()).unwrap();
    assert_eq!(listing.commit, published.commit());
    assert_eq!((listing.gate, listing.is_private), (Gate::Open, false));
    assert_eq!(listing.licence.as_deref(), Some("apache-2.0"));
    assert_eq!(listing.page, format!("{}/owner/name", server.endpoint()));
    let mut told = listing.files.iter().map(|file| (file.path.as_str(), file.bytes)).collect::<Vec<_>>();
    told.sort_unstable();
    let mut expected = published.listed().map(|(path, bytes, _)| (path, bytes)).collect::<Vec<_>>();
    expected.sort_unstable();
    assert_eq!(told, expected);
    for file in &listing.files {
        assert_eq!(matches!(file.sum, Sum::Sha256(_)), file.path == "model.safetensors");
    }
    // Three pages of five entries (the folder is one), and the question which commit it is.
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn files_and_parts_of_them_come_as_they_are() {
    let server = HubServer::start();
    server.add_repo("owner/name", repo());
    let hub = hub(&server, None);
    let listing = hub.listing(&named("owner/name"), &Stop::new()).unwrap();
    assert_eq!(read(&hub, &listing, "model.safetensors", None).unwrap(), WEIGHTS);
    assert_eq!(read(&hub, &listing, "model.safetensors", Some(6..9)).unwrap(), &WEIGHTS[6..9]);
    assert_eq!(read(&hub, &listing, "sub folder/notes #1.txt", None).unwrap(), b"odd name");
    let text = hub.text(&listing, "config.json", 100, &Stop::new()).unwrap();
    assert_eq!(text, r#"{"model_type": "llama"}"#);
    assert!(matches!(hub.text(&listing, "config.json", 5, &Stop::new()), Err(HubError::BadAnswer { .. })));
    assert!(matches!(hub.text(&listing, "none.json", 5, &Stop::new()), Err(HubError::NoFile { .. })));
}

#[test]
fn a_revision_a_renamed_repository_and_a_pull_request_lead_to_their_commit() {
    let server = HubServer::start();
    server.add_repo("owner/new", repo().revisions(&["main", "v1", "refs/pr/1"]).formerly("owner/old"));
    let hub = hub(&server, None);
    for (id, revision) in [("owner/new", "v1"), ("owner/old", "main"), ("owner/new", "refs/pr/1")] {
        let repo = RepoRef { id: id.to_owned(), revision: Some(revision.to_owned()) };
        let listing = hub.listing(&repo, &Stop::new()).unwrap();
        assert_eq!((listing.files.len(), &listing.repo), (4, &repo));
        assert_eq!(read(&hub, &listing, "model.safetensors", None).unwrap(), WEIGHTS, "{id}");
    }
}

#[test]
fn whose_token_it_is() {
    let server = HubServer::start();
    server.add_token("hf_good", "ada");
    assert_eq!(hub(&server, Some("hf_good")).user(&Stop::new()).unwrap().as_deref(), Some("ada"));
    assert!(matches!(hub(&server, Some("hf_bad")).user(&Stop::new()), Err(HubError::BadToken)));
    assert_eq!(hub(&server, None).user(&Stop::new()).unwrap(), None);
}

#[test]
fn a_silent_connection_counts_as_lost_and_a_stopped_one_ends() {
    use tiller_hub_server::Fault;
    let server = HubServer::start();
    server.add_repo("owner/name", repo());
    let short = Duration::from_millis(50);
    let hub = Hub::new(HubSettings { stall: short, ..settings(&server.endpoint(), None) });
    let listing = hub.listing(&named("owner/name"), &Stop::new()).unwrap();
    server.fault("model.safetensors", Fault::Stall(5), 1);
    let error = read(&hub, &listing, "model.safetensors", None).unwrap_err();
    assert!(matches!(&error, HubError::Unreachable { reason, .. } if reason.contains("nothing came in")), "{error}");

    // The flag is set while the second read waits, and the stall time would be an hour.
    let patient = Hub::new(HubSettings { stall: Duration::from_hours(1), ..settings(&server.endpoint(), None) });
    server.fault("model.safetensors", Fault::Stall(5), 1);
    let stop = Stop::new();
    let file = listing.files.iter().find(|file| file.path == "model.safetensors").unwrap();
    let mut body = patient.open(&listing, file, None, &stop).unwrap();
    let mut first = [0; 5];
    let mut n_read = 0;
    while n_read < first.len() {
        n_read += body.read_on(&mut first[n_read..]).unwrap();
    }
    assert_eq!(first, WEIGHTS[..5]);
    let setter = stop.clone();
    let thread = std::thread::Builder::new().spawn(move || setter.set()).unwrap();
    assert!(matches!(body.read_on(&mut first), Err(HubError::Stopped)));
    thread.join().unwrap();
    assert!(matches!(patient.listing(&named("owner/name"), &stop), Err(HubError::Stopped)));
}
