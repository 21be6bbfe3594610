//! Redirects, signed addresses and proxies.

use std::sync::atomic::Ordering;

use tiller_hub::error::HubError;
use tiller_hub::http::{Hub, HubSettings, Proxies};
use tiller_hub::stop::Stop;
use tiller_hub_server::{Fault, HubServer};

use super::server::{answering, connect_proxy, socks_proxy};
use super::{WEIGHTS, hub, named, read, repo, settings};

#[test]
fn the_token_goes_to_the_hub_and_never_on_to_a_store() {
    let server = HubServer::start();
    server.add_token("hf_good", "ada");
    server.add_repo("owner/name", repo().private().granted("hf_good"));
    let hub = hub(&server, Some("hf_good"));
    let listing = hub.listing(&named("owner/name"), &Stop::new()).unwrap();
    assert_eq!(read(&hub, &listing, "model.safetensors", None).unwrap(), WEIGHTS);
    let requests = server.requests();
    assert!(requests.iter().any(|request| request.to_storage));
    for request in requests {
        let expected = if request.to_storage { None } else { Some("hf_good") };
        assert_eq!(request.token(), expected, "{}", request.path);
    }
}

#[test]
fn a_signed_address_is_used_until_it_expires_and_then_renewed_once() {
    let server = HubServer::start();
    server.add_repo("owner/name", repo());
    let hub = hub(&server, None);
    let listing = hub.listing(&named("owner/name"), &Stop::new()).unwrap();
    let count = || {
        server.clear_requests();
        let result = read(&hub, &listing, "model.safetensors", Some(1..4));
        let requests = server.requests();
        (result, requests.iter().map(|request| request.to_storage).collect::<Vec<_>>())
    };
    let (first, way) = count();
    assert_eq!((first.unwrap().as_slice(), way), (&WEIGHTS[1..4], vec![false, true]));
    assert_eq!(count().1, [true]);
    server.expire();
    let (renewed, way) = count();
    assert_eq!((renewed.unwrap().as_slice(), way), (&WEIGHTS[1..4], vec![true, false, true]));
    assert_eq!(count().1, [true]);

    // A store that refuses the new address, too, is told of; it is not the repository that is hidden.
    server.fault("model.safetensors", Fault::StorageStatus(403), 2);
    let (result, way) = count();
    assert!(matches!(&result, Err(HubError::Status { status: 403, .. })), "{result:?}");
    assert_eq!(way, [true, false, true]);
}

#[test]
fn a_store_that_is_gone_is_not_asked_for_ever() {
    let server = HubServer::start();
    server.add_repo("owner/name", repo());
    let hub = hub(&server, None);
    let listing = hub.listing(&named("owner/name"), &Stop::new()).unwrap();
    read(&hub, &listing, "model.safetensors", Some(1..4)).unwrap();
    let port = server.endpoint().rsplit_once(':').unwrap().1.parse().unwrap();
    let old_store = server.storage_host();
    drop(server);
    let server = HubServer::start_on(port);
    server.add_repo("owner/name", repo());
    assert_ne!(server.storage_host(), old_store);
    let error = read(&hub, &listing, "model.safetensors", Some(1..4)).unwrap_err();
    assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
    assert_eq!(read(&hub, &listing, "model.safetensors", Some(1..4)).unwrap(), WEIGHTS[1..4]);
}

#[test]
fn redirects_that_lead_nowhere_end() {
    for (place, words) in [("/loop", "more than 10 times"), ("file:///etc/passwd", "no address")] {
        let endpoint = answering(move |_| (format!("Location: {place}\r\n"), String::new()));
        let error = Hub::new(settings(&endpoint, None)).listing(&named("a/b"), &Stop::new()).unwrap_err();
        assert!(matches!(&error, HubError::BadAnswer { reason, .. } if reason.contains(words)), "{error}");
    }
}

/// Lists and reads through proxies made of `vars`, from a hub whose name only the proxy knows.
fn through(server: &HubServer, vars: &[(&str, &str)]) -> Result<Vec<u8>, HubError> {
    let port = server.endpoint().rsplit_once(':').unwrap().1.to_owned();
    let proxies =
        Proxies::from_vars(&|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()));
    let settings = HubSettings { proxies: proxies.unwrap(), ..settings(&format!("http://hub.test:{port}"), None) };
    let hub = Hub::new(settings);
    let listing = hub.listing(&named("owner/name"), &Stop::new())?;
    // The store is on loopback, which no proxy is asked for.
    read(&hub, &listing, "model.safetensors", None)
}

#[test]
fn a_proxy_is_used_for_its_scheme_and_not_for_exceptions() {
    let server = HubServer::start();
    server.add_repo("owner/name", repo());
    let target = server.endpoint().trim_start_matches("http://").to_owned();
    let (proxy, count) = connect_proxy(target);
    let proxy = format!("http://{proxy}");
    assert_eq!(through(&server, &[("HTTP_PROXY", &proxy)]).unwrap(), WEIGHTS);
    // One connection, kept for all requests to the hub.
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert_eq!(through(&server, &[("all_proxy", &proxy)]).unwrap(), WEIGHTS);
    assert_eq!(count.load(Ordering::SeqCst), 2);
    // Nobody but the proxy knows the name.
    for vars in [&[("HTTPS_PROXY", proxy.as_str())][..], &[("http_proxy", &proxy), ("NO_PROXY", "other, .test")]] {
        let result = through(&server, vars);
        assert!(matches!(result, Err(HubError::Unreachable { .. })), "{result:?}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[test]
fn a_socks_proxy_looks_the_name_up() {
    let server = HubServer::start();
    server.add_repo("owner/name", repo());
    let (proxy, count) = socks_proxy(server.endpoint().trim_start_matches("http://").to_owned());
    assert_eq!(through(&server, &[("ALL_PROXY", &format!("socks5h://{proxy}"))]).unwrap(), WEIGHTS);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn a_system_without_certificates_uses_those_that_came_along() {
    const CHILD: &str = "TILLER_TEST_TLS_ENDPOINT";
    if let Ok(endpoint) = std::env::var(CHILD) {
        let error = Hub::new(settings(&endpoint, None)).listing(&named("a/b"), &Stop::new()).unwrap_err();
        // It came as far as the handshake, of which this server knows nothing.
        assert!(matches!(&error, HubError::Unreachable { .. }), "{error}");
        assert!(!error.to_string().contains("No CA certificates"), "{error}");
        return;
    }
    let endpoint = answering(|_| (String::new(), "this is no TLS".to_owned())).replace("http://", "https://");
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "way::a_system_without_certificates_uses_those_that_came_along"])
        .env(CHILD, endpoint)
        .env("SSL_CERT_FILE", "/nowhere/certificates.pem")
        .env("SSL_CERT_DIR", "/nowhere")
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"));
}
