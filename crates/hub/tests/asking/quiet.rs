//! No connection when offline, and no secret in a log.

use std::net::TcpListener;
use std::sync::Mutex;

use tiller_hub::error::HubError;
use tiller_hub::http::{Hub, HubSettings};
use tiller_hub::stop::Stop;
use tiller_hub_server::{Fault, HubServer};

use super::{hub, named, read, repo, settings};

#[test]
fn offline_no_connection_is_even_tried() {
    let server = HubServer::start();
    server.add_repo("owner/name", repo());
    let online = hub(&server, None);
    let listing = online.listing(&named("owner/name"), &Stop::new()).unwrap();

    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let hub = Hub::new(HubSettings { is_offline: true, ..settings(&endpoint, Some("hf_x")) });
    assert!(matches!(hub.listing(&named("owner/name"), &Stop::new()), Err(HubError::Offline)));
    assert!(matches!(hub.user(&Stop::new()), Err(HubError::Offline)));
    assert!(matches!(hub.text(&listing, "config.json", 1000, &Stop::new()), Err(HubError::Offline)));
    assert!(matches!(read(&hub, &listing, "model.safetensors", None), Err(HubError::Offline)));
    let refused = listener.accept().unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::WouldBlock);

    online.set_offline(true);
    server.clear_requests();
    assert!(matches!(online.listing(&named("owner/name"), &Stop::new()), Err(HubError::Offline)));
    assert!(server.requests().is_empty());
    online.set_offline(false);
    assert!(online.listing(&named("owner/name"), &Stop::new()).is_ok());
}

/// Keeps every line.
struct Lines(Mutex<String>);

static LINES: Lines = Lines(Mutex::new(String::new()));

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        use std::fmt::Write as _;
        writeln!(self.0.lock().unwrap(), "{} {} {}", record.level(), record.target(), record.args()).unwrap();
    }

    fn flush(&self) {}
}

#[test]
fn no_log_line_and_no_error_holds_the_token_or_a_signature() {
    log::set_logger(&LINES).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    let server = HubServer::start();
    server.add_token("hf_secret", "ada");
    server.add_repo("owner/name", repo().private().granted("hf_secret"));
    let hub = hub(&server, Some("hf_secret"));
    let listing = hub.listing(&named("owner/name"), &Stop::new()).unwrap();
    hub.user(&Stop::new()).unwrap();
    read(&hub, &listing, "model.safetensors", None).unwrap();
    let mut told = Vec::new();
    for fault in [Fault::Status(500), Fault::Status(418), Fault::TooMany(1), Fault::Hangup] {
        server.fault("config.json", fault, 1);
        told.push(read(&hub, &listing, "config.json", None).unwrap_err());
    }
    for fault in [Fault::StorageStatus(500), Fault::Cut(3), Fault::WrongLength(1), Fault::WrongRange] {
        server.fault("model.safetensors", fault, 1);
        told.push(read(&hub, &listing, "model.safetensors", Some(0..9)).unwrap_err());
    }
    let lines = LINES.0.lock().unwrap();
    assert!(lines.contains("GET") && lines.contains("/repos/owner/name"), "the log is empty: {lines}");
    for secret in ["hf_secret", "Signature", "Epoch", "cursor"] {
        let line = lines.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
        assert!(!format!("{told:?}").contains(secret), "{told:?}");
    }
}
