//! What went wrong is told apart.

use tiller_hub::error::HubError;
use tiller_hub::http::Hub;
use tiller_hub::listing::{Listing, RemoteFile};
use tiller_hub::stop::Stop;
use tiller_hub_server::{Fault, HubServer};
use tiller_protocol::asset::{Gate, RepoRef};

use super::server::refusing;
use super::{hub, named, read, repo, settings};

/// A gated and a private repository; `hf_granted` may see both, `hf_other` is another user's.
fn guarded() -> HubServer {
    let server = HubServer::start();
    server.add_token("hf_granted", "ada");
    server.add_token("hf_other", "bob");
    server.add_repo("owner/gated", repo().gated("manual").granted("hf_granted"));
    server.add_repo("owner/auto", repo().gated("auto"));
    server.add_repo("owner/private", repo().private().granted("hf_granted"));
    server
}

fn list(server: &HubServer, id: &str, token: Option<&str>) -> Result<Listing, HubError> {
    hub(server, token).listing(&named(id), &Stop::new())
}

#[test]
fn what_does_not_exist_is_told_apart_from_what_is_hidden_and_from_a_bad_token() {
    let server = guarded();
    for (id, token, expected) in [
        ("owner/none", None, Some(false)),
        ("owner/none", Some("hf_other"), Some(true)),
        ("owner/private", None, Some(false)),
        ("owner/private", Some("hf_other"), Some(true)),
        ("owner/none", Some("hf_expired"), None),
        ("owner/gated", Some("hf_expired"), None),
    ] {
        match (list(&server, id, token), expected) {
            (Err(HubError::NoRepo { signed_in, .. }), Some(expected)) => {
                assert_eq!(signed_in, expected, "{id} {token:?}");
            }
            (Err(HubError::BadToken), None) => {}
            (other, _) => panic!("{id} {token:?}: {other:?}"),
        }
    }
    let seen = list(&server, "owner/private", Some("hf_granted")).unwrap();
    assert!(seen.is_private);
    let repo = RepoRef { revision: Some("v9".to_owned()), ..named("owner/auto") };
    let error = hub(&server, None).listing(&repo, &Stop::new()).unwrap_err();
    assert!(matches!(&error, HubError::NoRevision { revision, .. } if revision == "v9"), "{error}");
}

#[test]
fn a_gated_repository_is_listed_and_its_files_name_the_licence_page() {
    let server = guarded();
    for (token, granted, signed_in) in
        [(None, false, false), (Some("hf_other"), false, true), (Some("hf_granted"), true, true)]
    {
        let hub = hub(&server, token);
        let listing = hub.listing(&named("owner/gated"), &Stop::new()).unwrap();
        assert_eq!(listing.gate, Gate::Manual);
        match hub.text(&listing, "config.json", 1000, &Stop::new()) {
            Ok(_) if granted => {}
            Err(HubError::Gated { id, page, signed_in: told }) if !granted => {
                assert_eq!((id.as_str(), told), ("owner/gated", signed_in));
                assert_eq!(page, format!("{}/owner/gated", server.endpoint()));
            }
            other => panic!("{token:?}: {other:?}"),
        }
    }
    assert_eq!(list(&server, "owner/auto", None).unwrap().gate, Gate::Automatic);
}

#[test]
fn a_mirror_that_answers_with_the_status_alone_is_understood() {
    let server = guarded();
    let gated = list(&server, "owner/gated", None).unwrap();
    let open = {
        server.add_repo("owner/open", repo());
        list(&server, "owner/open", None).unwrap()
    };
    let ask = |listing: &Listing, token: Option<&str>, status: u16| {
        server.fault("config.json", Fault::Status(status), 1);
        read(&hub(&server, token), listing, "config.json", None).unwrap_err()
    };
    assert!(matches!(ask(&gated, None, 401), HubError::Gated { signed_in: false, .. }));
    assert!(matches!(ask(&gated, Some("hf_other"), 403), HubError::Gated { signed_in: true, .. }));
    assert!(matches!(ask(&gated, Some("hf_expired"), 401), HubError::BadToken));
    assert!(matches!(ask(&open, None, 401), HubError::NoRepo { signed_in: false, .. }));
    assert!(matches!(ask(&open, None, 404), HubError::NoFile { .. }));
    // As a firewall does.
    assert!(matches!(ask(&open, None, 403), HubError::Status { status: 403, .. }));
}

#[test]
fn a_token_without_the_right_is_told_apart_from_a_licence_that_is_not_accepted() {
    let endpoint = refusing("403 Forbidden", "X-Error-Message: Enable gated repositories in your token settings.\r\n");
    let ask = |token| Hub::new(settings(&endpoint, token)).listing(&named("owner/gated"), &Stop::new()).unwrap_err();
    let error = ask(Some("hf_good"));
    assert!(matches!(&error, HubError::NoRight { message, .. } if message.contains("token settings")), "{error}");
    assert!(matches!(ask(None), HubError::Status { status: 403, .. }));
}

#[test]
fn a_limit_that_is_not_used_up_is_no_reason_to_wait() {
    let ask = |lines| {
        let endpoint = refusing("503 Service Unavailable", lines);
        Hub::new(settings(&endpoint, None)).listing(&named("a/b"), &Stop::new()).unwrap_err()
    };
    assert!(matches!(ask("RateLimit: \"api\";r=499;t=250\r\n"), HubError::Status { status: 503, .. }));
    assert!(matches!(ask("Retry-After: 4000\r\n"), HubError::Busy { secs: 4000 }));
}

#[test]
fn failures_that_pass_are_tried_again_and_others_are_not() {
    let server = guarded();
    let count = |fault: Fault, times: usize| {
        server.clear_faults();
        server.fault("/api/models/owner/auto/revision", fault, times);
        server.clear_requests();
        let result = list(&server, "owner/auto", None);
        (result, server.requests().len())
    };
    for fault in [Fault::Status(500), Fault::Status(503), Fault::TooMany(0), Fault::Hangup] {
        let (result, n_requests) = count(fault.clone(), 2);
        assert!(result.is_ok(), "{fault:?}");
        // Two failures, the answer, and one page of files.
        assert_eq!(n_requests, 4, "{fault:?}");
    }
    let (result, n_requests) = count(Fault::Status(502), 100);
    assert!(matches!(result, Err(HubError::Status { status: 502, .. })));
    assert_eq!(n_requests, 3);
    let (result, n_requests) = count(Fault::Status(418), 100);
    assert!(matches!(result, Err(HubError::Status { status: 418, .. })));
    assert_eq!(n_requests, 1);
    // Longer than anybody waits.
    let (result, n_requests) = count(Fault::TooMany(100_000), 100);
    assert!(matches!(result, Err(HubError::Busy { secs: 100_000 })));
    assert_eq!(n_requests, 1);
    let (result, _) = count(Fault::Hangup, 100);
    assert!(matches!(result, Err(HubError::Unreachable { .. })), "{result:?}");
}

#[test]
fn a_hub_that_is_down_is_named_with_its_port() {
    let mut server = guarded();
    let endpoint = server.endpoint();
    server.go_down();
    let error = Hub::new(settings(&endpoint, None)).listing(&named("owner/auto"), &Stop::new()).unwrap_err();
    assert!(matches!(&error, HubError::Unreachable { host, .. } if endpoint.ends_with(host.as_str())), "{error}");
}

#[test]
fn bodies_that_are_not_what_was_asked_for_are_refused() {
    let server = guarded();
    server.add_repo("owner/open", repo());
    let hub = hub(&server, None);
    let listing = hub.listing(&named("owner/open"), &Stop::new()).unwrap();
    let part = |fault: Fault| {
        server.fault("model.safetensors", fault, 1);
        read(&hub, &listing, "model.safetensors", Some(4..9))
    };
    assert!(matches!(part(Fault::WrongRange), Err(HubError::BadAnswer { .. })));
    assert!(matches!(part(Fault::WrongLength(3)), Err(HubError::BadAnswer { .. })));
    assert!(matches!(part(Fault::Cut(2)), Err(HubError::Unreachable { .. })));
    server.fault("model.safetensors", Fault::NoRange, 1);
    let file = listing.files.iter().find(|file| file.path == "model.safetensors").unwrap();
    let body = hub.open(&listing, file, Some(4..9), &Stop::new()).unwrap();
    assert_eq!(body.range, 0..file.bytes);

    let grown = RemoteFile { bytes: file.bytes + 1, ..file.clone() };
    let result = hub.open(&listing, &grown, None, &Stop::new());
    assert!(matches!(result, Err(HubError::BadAnswer { .. })), "{result:?}");
    let gone = RemoteFile { path: "gone.json".to_owned(), ..file.clone() };
    let result = hub.open(&listing, &gone, None, &Stop::new());
    assert!(matches!(result, Err(HubError::NoFile { .. })), "{result:?}");
}
