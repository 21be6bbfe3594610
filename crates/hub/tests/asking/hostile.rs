//! Answers that no honest hub gives.

use tiller_hub::error::HubError;
use tiller_hub::http::Hub;
use tiller_hub::stop::Stop;

use super::server::answering;
use super::{named, settings};

const INFO: &str = r#"{"sha": "0123456789012345678901234567890123456789"}"#;

/// What becomes of a listing whose tree is answered so.
fn listed(info: &'static str, lines: &'static str, tree: &'static str) -> Result<Vec<String>, HubError> {
    let endpoint = answering(move |path| {
        if path.contains("/revision/") { (String::new(), info.to_owned()) } else { (lines.to_owned(), tree.to_owned()) }
    });
    let listing = Hub::new(settings(&endpoint, None)).listing(&named("a/b"), &Stop::new())?;
    Ok(listing.files.into_iter().map(|file| file.path).collect())
}

#[test]
fn listings_that_lead_elsewhere_are_refused() {
    for tree in [
        r#"[{"type": "file", "path": "../x", "size": 1, "oid": "0123456789012345678901234567890123456789"}]"#,
        r#"[{"type": "file", "path": "/x", "size": 1, "oid": "0123456789012345678901234567890123456789"}]"#,
        r#"[{"type": "file", "path": "a\\b", "size": 1, "oid": "0123456789012345678901234567890123456789"}]"#,
        r#"[{"type": "file", "path": "a\u0000b", "size": 1, "oid": "0123456789012345678901234567890123456789"}]"#,
        r#"[{"type": "file", "path": "x", "size": 1, "oid": "../../../../etc/passwd"}]"#,
        r#"[{"type": "file", "path": "x", "size": 1, "oid": ""}]"#,
        r#"[{"type": "file", "path": "x", "size": -1, "oid": "0123456789012345678901234567890123456789"}]"#,
        r#"[{"type": "file", "path": "x", "oid": "", "lfs": {"oid": "ab", "size": 1}}]"#,
        r#"[{"type": "file", "path": "x", "size": 17592186044417, "oid": "0123456789012345678901234567890123456789"}]"#,
        r#"{"error": "an object where a list belongs"}"#,
        "<html>Sign in to this network</html>",
        "",
    ] {
        let result = listed(INFO, "", tree);
        assert!(matches!(result, Err(HubError::BadAnswer { .. })), "{tree}: {result:?}");
    }
    for info in ["{}", r#"{"sha": "main"}"#, r#"{"sha": "../../../../../../../../../../../../etc/passwd"}"#, "null"] {
        let result = listed(info, "", "[]");
        assert!(matches!(result, Err(HubError::BadAnswer { .. })), "{info}: {result:?}");
    }
    assert_eq!(listed(INFO, "", "[]").unwrap(), [""; 0]);
}

#[test]
fn a_path_that_no_system_takes_is_refused() {
    let endpoint = answering(|path| {
        let tree = format!(
            r#"[{{"type": "file", "path": "{}x", "size": 1, "oid": "0123456789012345678901234567890123456789"}}]"#,
            "folder/".repeat(150)
        );
        (String::new(), if path.contains("/revision/") { INFO.to_owned() } else { tree })
    });
    let result = Hub::new(settings(&endpoint, None)).listing(&named("a/b"), &Stop::new());
    assert!(matches!(result, Err(HubError::BadAnswer { reason, .. }) if reason.contains("a path of 1051 bytes")));
}

#[test]
fn a_list_that_goes_on_elsewhere_or_for_ever_is_refused() {
    for link in ["Link: <https://evil.example/x>; rel=\"next\"\r\n", "Link: </api/x>; rel=\"next\"\r\n"] {
        let result = listed(INFO, link, "[]");
        assert!(matches!(result, Err(HubError::BadAnswer { .. })), "{link}: {result:?}");
    }
    // As mirrors do: the hub's own name, which means the mirror.
    let link = "Link: <https://huggingface.co/api/x>; rel=\"next\"\r\n";
    assert!(
        matches!(listed(INFO, link, "[]"), Err(HubError::BadAnswer { reason, .. }) if reason.contains("does not end"))
    );
}

#[test]
fn nothing_that_is_no_name_is_asked_for() {
    let endpoint = answering(|path| panic!("{path} was asked for"));
    let hub = Hub::new(settings(&endpoint, None));
    for id in ["../x", "a/b/c", "a/b?c", "", "a b"] {
        assert!(matches!(hub.listing(&named(id), &Stop::new()), Err(HubError::BadAddress { .. })), "{id}");
    }
}
