//! Pause, go on, give up.

use std::fs;

use tiller_hub::error::HubError;
use tiller_hub::fetch::Phase;

use crate::place::{ID, LARGE, Place, contents, done_bytes};

/// Fetches until a part of the large file is there, then stops.
fn pause(place: &Place) {
    place.server.set_rate(Some(2_000_000));
    let control = Place::control();
    let error = place.fetch_as(&control, &mut |progress| {
        if done_bytes(progress) > 300_000 {
            control.stop.set();
        }
    });
    assert!(matches!(error, Err(HubError::Stopped)), "{error:?}");
    place.server.set_rate(None);
}

#[test]
fn a_pause_loses_nothing() {
    let place = Place::new();
    pause(&place);
    place.assert_absent(LARGE);
    let there: u64 =
        place.listing.files.iter().map(|file| place.store().present_bytes(ID, &place.listing.commit, file)).sum();
    assert!(there > 300_000);
    place.server.clear_requests();
    let snapshot = place.fetch().unwrap();
    place.assert_whole(&snapshot);
    let total: u64 = place.listing.files.iter().map(|file| file.bytes).sum();
    assert!(place.asked_bytes() <= total - there);
}

#[test]
fn an_unfinished_download_is_seen_without_the_network() {
    let place = Place::new();
    pause(&place);
    let repos = place.store().scan().unwrap();
    let [revision] = repos[0].revisions.as_slice() else { panic!("{repos:?}") };
    assert_eq!((repos[0].id.as_str(), &revision.commit), (ID, &place.listing.commit));
    assert!(revision.files.is_empty(), "nothing appears before all of it is there");
    assert_eq!(revision.missing.len(), contents().len());
    let large = revision.missing.iter().find(|file| file.path == LARGE).unwrap();
    assert_eq!(large.bytes, Some(place.large().bytes));
    assert!(large.present_bytes > 0);
    assert_eq!(place.store().snapshot(&place.listing.repo), None);
}

#[test]
fn downloads_of_one_repository_at_the_same_time_know_of_each_other() {
    let place = Place::new();
    place.server.fault("second.safetensors", tiller_hub_server::Fault::Status(500), usize::MAX);
    place.server.fault(LARGE, tiller_hub_server::Fault::Status(500), usize::MAX);
    let hub = crate::place::hub(&place.server.endpoint());
    let (hub, place, store) = (&hub, &place, &place.store());
    let settings = tiller_hub::fetch::Settings { patience: std::time::Duration::ZERO, ..crate::place::settings() };
    let control = &tiller_hub::fetch::Control { settings, ..Default::default() };
    std::thread::scope(|scope| {
        for file in &place.listing.files {
            let files = std::slice::from_ref(file);
            scope.spawn(move || {
                drop(tiller_hub::fetch::fetch(hub, store, &place.listing, files, control, &mut |_| {}));
            });
        }
    });
    let revision = &store.scan_repo(ID).unwrap().revisions[0];
    assert_eq!(revision.files.len() + revision.missing.len(), contents().len());
    // One of the two files of the same content may have found it locked by the other.
    assert!(revision.missing.len() >= 2);
}

#[test]
fn giving_up_leaves_nothing() {
    let place = Place::new();
    pause(&place);
    let there: u64 =
        place.listing.files.iter().map(|file| place.store().present_bytes(ID, &place.listing.commit, file)).sum();
    let twin = 18;
    let freed = place.store().discard(ID, &place.listing.commit, &place.listing.files).unwrap();
    assert!(freed == there || freed + twin == there, "{freed} of {there}");
    assert_eq!(place.store().scan().unwrap(), Vec::new());
    assert!(!place.store().repo_folder(ID).unwrap().exists());
}

#[test]
fn giving_up_keeps_what_was_complete_before() {
    let place = Place::new();
    let snapshot = place.fetch().unwrap();
    assert_eq!(place.store().discard(ID, &place.listing.commit, &place.listing.files).unwrap(), 0);
    place.assert_whole(&snapshot);
}

#[test]
fn what_is_there_needs_no_network() {
    let mut place = Place::new();
    let snapshot = place.fetch().unwrap();
    place.server.clear_requests();
    let mut reports = Vec::new();
    let again = place.fetch_as(&Place::control(), &mut |progress| reports.push(progress.clone())).unwrap();
    assert_eq!(again, snapshot);
    assert!(place.server.requests().is_empty());
    assert!(reports.last().unwrap().files.iter().all(|file| file.is_complete));
    place.server.go_down();
    // A program was killed between naming the file and taking its note away.
    fs::write(place.blobs().join(format!("{}.tiller-part.json", place.repo.sum(LARGE).unwrap())), "{}").unwrap();
    assert_eq!(place.fetch().unwrap(), snapshot);
    place.assert_whole(&snapshot);
}

#[test]
fn progress_grows_to_the_whole_and_ends_complete() {
    let place = Place::new();
    place.server.set_rate(Some(1_000_000));
    let mut reports = Vec::new();
    place.fetch_as(&Place::control(), &mut |progress| reports.push(progress.clone())).unwrap();
    assert!(reports.windows(2).all(|pair| done_bytes(&pair[0]) <= done_bytes(&pair[1])));
    assert!(reports.iter().any(|progress| progress.phase == Phase::Running && progress.bytes_per_sec.is_some()));
    let last = reports.last().unwrap();
    assert!(last.files.iter().all(|file| file.is_complete && file.done_bytes == file.total_bytes));
    let names: Vec<&str> = last.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, contents().iter().map(|(path, _, _)| *path).collect::<Vec<_>>());
}
