//! The cache and the hub's own tools, both ways, where Python has them (`TILLER_PYTHON` names another Python).

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tiller_hub::stop::Stop;
use tiller_hub::verify::{Finding, verify};

use crate::place::{ID, LARGE, Place, contents, done_bytes};

fn python() -> Option<Command> {
    let name = std::env::var("TILLER_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_it = Command::new(&name).args(["-c", "import huggingface_hub"]).output();
    has_it.is_ok_and(|output| output.status.success()).then(|| Command::new(name))
}

/// What the tools say; `None` where there are none.
#[expect(clippy::print_stdout, reason = "a test that cannot run says so")]
fn ask(words: &[&str]) -> Option<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transfer/hub_cache.py");
    let Some(mut python) = python() else {
        println!("skipped: this Python has no huggingface_hub");
        return None;
    };
    let output = python.arg(script).args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn root(place: &Place) -> &str {
    place.root.path().to_str().unwrap()
}

#[test]
fn other_tools_read_what_we_write() {
    let place = Place::new();
    let snapshot = place.fetch().unwrap();
    let Some(found) = ask(&["scan", root(&place)]) else { return };
    assert_eq!(found["warnings"], Value::Array(Vec::new()));
    let revision = &found["repos"][ID][&place.listing.commit];
    assert_eq!(revision["refs"], serde_json::json!(["main"]));
    for (path, content, _) in contents() {
        assert_eq!(revision["files"][path], content.len(), "{path}");
    }
    let loaded = ask(&["load", root(&place), ID]).unwrap();
    assert_eq!(loaded["snapshot"].as_str(), snapshot.to_str());
    let paths: Vec<&str> = loaded["files"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    assert_eq!(paths.len(), contents().len());
    for path in paths {
        assert!(fs::metadata(path).unwrap().is_file());
    }
}

/// Needs no Python: the hub's own crate finds each file, by the branch and by its name.
#[test]
fn hf_hub_finds_what_we_write() {
    let place = Place::new();
    place.fetch().unwrap();
    let repo = hf_hub::Cache::new(place.root.path().to_owned()).repo(hf_hub::Repo::model(ID.to_owned()));
    for (path, content, _) in contents() {
        let found = repo.get(path).unwrap_or_else(|| panic!("{path} is not found"));
        assert_eq!(fs::read(found).unwrap(), content, "{path}");
    }
    assert_eq!(repo.get("absent.json"), None);
}

#[test]
fn other_tools_are_not_disturbed_by_half_a_download() {
    let place = Place::new();
    place.server.set_rate(Some(2_000_000));
    let control = Place::control();
    place
        .fetch_as(&control, &mut |progress| {
            if done_bytes(progress) > 300_000 {
                control.stop.set();
            }
        })
        .unwrap_err();
    let Some(found) = ask(&["scan", root(&place)]) else { return };
    assert_eq!(found["warnings"], Value::Array(Vec::new()));
    // They finish what we have begun, and both agree on it.
    place.server.set_rate(None);
    ask(&["fetch", root(&place), ID, &place.server.endpoint()]).unwrap();
    place.server.clear_requests();
    place.fetch().unwrap();
    assert!(place.server.requests().is_empty());
}

#[test]
fn we_read_check_and_remove_what_other_tools_write() {
    let place = Place::new();
    let Some(fetched) = ask(&["fetch", root(&place), ID, &place.server.endpoint()]) else { return };
    place.server.clear_requests();
    let snapshot = place.fetch().unwrap();
    assert_eq!(fetched["snapshot"].as_str(), snapshot.to_str());
    assert!(place.server.requests().is_empty());
    let repo = place.store().scan_repo(ID).unwrap();
    let [revision] = repo.revisions.as_slice() else { panic!("{repo:?}") };
    assert_eq!((revision.refs.as_slice(), revision.missing.len()), (&["main".to_owned()][..], 0));
    let found = verify(revision, &|_| true, &Stop::new(), &mut |_, _| {}).unwrap();
    assert_eq!(found.len(), contents().len());
    assert!(found.iter().all(|file| file.finding == Finding::Good), "{found:?}");

    place.store().remove(&[snapshot.join(LARGE)]).unwrap();
    let left = ask(&["scan", root(&place)]).unwrap();
    assert_eq!(left["warnings"], Value::Array(Vec::new()));
    assert_eq!(left["repos"][ID][&place.listing.commit]["files"].as_object().unwrap().len(), contents().len() - 1);
    let rest: Vec<_> = contents().iter().map(|(path, _, _)| snapshot.join(path)).collect();
    place.store().remove(&rest).unwrap();
    let left = ask(&["scan", root(&place)]).unwrap();
    assert_eq!(left, serde_json::json!({ "repos": {}, "warnings": [] }));
}
