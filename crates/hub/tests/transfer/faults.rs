//! Every fault ends in success or in a clear error, and never in a file that only looks whole.

use std::time::Duration;

use tiller_hub::error::HubError;
use tiller_hub::fetch::{Control, Settings};
use tiller_hub::stop::Stop;
use tiller_hub_server::{Fault, Repo};

use crate::place::{ID, LARGE, LARGE_BYTES, PIECE, Place, bytes, done_bytes, is_retrying, settings};

/// Faults with a name for what they end in when they last.
fn faults() -> Vec<(Fault, &'static str)> {
    vec![
        (Fault::Cut(0), "Unreachable"),
        (Fault::Stall(0), "Unreachable"),
        (Fault::WrongLength(5), "BadAnswer"),
        (Fault::WrongLength(-5), "BadAnswer"),
        (Fault::WrongByte(3), "BadSum"),
        (Fault::Status(500), "Status"),
        (Fault::Status(502), "Status"),
        (Fault::Status(503), "Status"),
        (Fault::TooMany(0), "Busy"),
        (Fault::StorageStatus(500), "Status"),
        (Fault::Hangup, "Unreachable"),
    ]
}

fn name(error: &HubError) -> &'static str {
    match error {
        HubError::Unreachable { .. } => "Unreachable",
        HubError::BadAnswer { .. } => "BadAnswer",
        HubError::BadSum { .. } => "BadSum",
        HubError::Status { .. } => "Status",
        HubError::Busy { .. } => "Busy",
        _ => "another",
    }
}

#[test]
fn a_fault_that_passes_costs_nothing_but_time() {
    let passing = [
        Fault::Cut(1),
        Fault::Cut(40_000),
        Fault::Stall(1000),
        Fault::NoRange,
        Fault::WrongRange,
        Fault::StorageStatus(403),
        Fault::Late(Duration::from_millis(20)),
    ];
    for fault in faults().into_iter().map(|(fault, _)| fault).chain(passing) {
        for (path, times) in [(LARGE, 1), (LARGE, 2), ("config.json", 1)] {
            // A wrong byte may strike once: twice it ends in an error.
            let times = if matches!(fault, Fault::WrongByte(_)) { 1 } else { times };
            // The storage behind the hub has large files only.
            if path != LARGE && matches!(fault, Fault::StorageStatus(_)) {
                continue;
            }
            let place = Place::new();
            place.server.fault(path, fault.clone(), times);
            let snapshot = place.fetch().unwrap_or_else(|error| panic!("{fault:?} of {path}: {error}"));
            place.assert_whole(&snapshot);
        }
    }
}

#[test]
fn a_fault_that_lasts_is_told_and_what_has_come_in_is_used_afterwards() {
    for (fault, expected) in faults() {
        for path in [LARGE, "config.json"] {
            // The storage behind the hub has large files only.
            if path != LARGE && matches!(fault, Fault::StorageStatus(_)) {
                continue;
            }
            let place = Place::new();
            place.server.fault(path, fault.clone(), usize::MAX);
            let error = place.fetch_impatiently().unwrap_err();
            assert_eq!(name(&error), expected, "{fault:?} of {path}: {error}");
            place.assert_absent(path);
            place.server.clear_faults();
            let snapshot = place.fetch().unwrap();
            place.assert_whole(&snapshot);
        }
    }
}

#[test]
fn each_try_adds_to_what_is_there() {
    let place = Place::new();
    // Each answer brings a few bytes of its piece, then breaks.
    place.server.fault(LARGE, Fault::Cut(10_000), usize::MAX);
    let mut last = 0;
    for _ in 0..6 {
        place.fetch_impatiently().unwrap_err();
        let now = place.store().present_bytes(ID, &place.listing.commit, place.large());
        assert!(now > last, "{now} after {last}");
        place.assert_absent(LARGE);
        last = now;
    }
    place.server.clear_faults();
    place.server.clear_requests();
    let snapshot = place.fetch().unwrap();
    place.assert_whole(&snapshot);
    let asked = place.asked_bytes();
    assert!(asked <= 1_200_021 - last, "{asked} bytes were asked for although {last} were there");
}

#[test]
fn a_server_without_ranges_sends_one_stream() {
    let place = Place::new();
    place.server.fault(LARGE, Fault::NoRange, usize::MAX);
    let snapshot = place.fetch().unwrap();
    place.assert_whole(&snapshot);
}

#[test]
fn a_server_that_misunderstands_ranges_is_asked_for_the_whole() {
    let place = Place::new();
    place.server.fault(LARGE, Fault::WrongRange, usize::MAX);
    let snapshot = place.fetch().unwrap();
    place.assert_whole(&snapshot);
    let requests = place.server.requests();
    let n_whole = requests.iter().filter(|request| request.to_storage && request.path.ends_with(LARGE));
    assert_eq!(n_whole.filter(|request| request.header("range").is_none()).count(), 1);
}

#[test]
fn a_lost_network_is_waited_for() {
    let mut place = Place::new();
    place.server.set_rate(Some(2_000_000));
    let control = Place::control();
    let (hub, store) = (crate::place::hub(&place.server.endpoint()), place.store());
    let (mut was_down, mut is_down) = (false, false);
    let server = &mut place.server;
    let snapshot =
        tiller_hub::fetch::fetch(&hub, &store, &place.listing, &place.listing.files, &control, &mut |progress| {
            if !was_down && done_bytes(progress) > 200_000 {
                (was_down, is_down) = (true, true);
                server.go_down();
            } else if is_down && is_retrying(progress) {
                is_down = false;
                server.come_back();
                server.set_rate(None);
            }
        });
    let snapshot = snapshot.unwrap();
    assert!(was_down && !is_down);
    place.assert_whole(&snapshot);
}

#[test]
fn a_changed_address_is_followed() {
    let place = Place::new();
    place.server.fault(LARGE, Fault::Cut(10_000), 1);
    place.fetch_impatiently().unwrap_err();
    place.server.expire();
    let snapshot = place.fetch().unwrap();
    place.assert_whole(&snapshot);
}

#[test]
fn addresses_that_expire_meanwhile_are_asked_for_again() {
    let place = Place::new();
    let server = &place.server;
    server.set_rate(Some(1_000_000));
    let mut n = 0;
    let snapshot = place.fetch_as(&Place::control(), &mut |_| {
        n += 1;
        server.expire();
    });
    place.assert_whole(&snapshot.unwrap());
    assert!(n > 2);
}

#[test]
fn a_wrong_checksum_after_a_resumption_starts_over_once() {
    let place = Place::new();
    place.server.fault(LARGE, Fault::Cut(30_000), usize::MAX);
    place.fetch_impatiently().unwrap_err();
    place.server.clear_faults();
    // What is on the disk is spoilt.
    let part = place.blobs().join(format!("{}.tiller-part", place.repo.sum(LARGE).unwrap()));
    let mut content = std::fs::read(&part).unwrap();
    content[17] ^= 1;
    std::fs::write(&part, content).unwrap();
    let snapshot = place.fetch().unwrap();
    place.assert_whole(&snapshot);
}

#[test]
fn a_file_that_arrives_wrong_twice_never_appears() {
    let place = Place::new();
    place.server.fault(LARGE, Fault::WrongByte(500_000), 2);
    let error = place.fetch().unwrap_err();
    assert!(matches!(&error, HubError::BadSum { path, .. } if path == LARGE), "{error}");
    place.assert_absent(LARGE);
    assert_eq!(place.store().present_bytes(ID, &place.listing.commit, place.large()), 0);
    let snapshot = place.fetch().unwrap();
    place.assert_whole(&snapshot);
}

#[test]
fn what_cannot_be_had_is_told_at_once() {
    let place = Place::with(Repo::new().file("config.json", "{}").large(LARGE, bytes(LARGE_BYTES, 1)).gated("manual"));
    let error = place.fetch().unwrap_err();
    assert!(matches!(error, HubError::Gated { signed_in: false, .. }), "{error}");

    let place = Place::new();
    place.server.fault(LARGE, Fault::Status(404), usize::MAX);
    assert!(matches!(place.fetch().unwrap_err(), HubError::NoFile { .. } | HubError::NoRepo { .. }));
}

#[test]
fn too_small_a_disk_is_told_before_the_first_byte() {
    let place = Place::new();
    let settings = Settings { reserve_bytes: u64::MAX / 2, ..settings() };
    let error = place.fetch_as(&Control { stop: Stop::new(), settings }, &mut |_| {}).unwrap_err();
    assert!(matches!(error, HubError::DiskFull { needed, .. } if needed > 1_000_000), "{error}");
    assert!(place.server.requests().is_empty());
}

/// `/dev/full` refuses every byte as a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_is_told_and_nothing_is_lost() {
    let place = Place::new();
    place.server.fault(LARGE, Fault::Status(500), usize::MAX);
    place.fetch_impatiently().unwrap_err();
    place.server.clear_faults();
    let part = place.blobs().join(format!("{}.tiller-part", place.repo.sum("second.safetensors").unwrap()));
    drop(std::fs::remove_file(&part));
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let error = place.fetch().unwrap_err();
    assert!(matches!(error, HubError::DiskFull { needed, .. } if needed >= 200_000), "{error}");
    place.assert_absent("second.safetensors");
    std::fs::remove_file(&part).unwrap();
    let snapshot = place.fetch().unwrap();
    place.assert_whole(&snapshot);
}

#[test]
fn one_connection_is_enough() {
    let place = Place::new();
    let settings = Settings { connections: 1, piece_bytes: PIECE, ..settings() };
    let snapshot = place.fetch_as(&Control { stop: Stop::new(), settings }, &mut |_| {}).unwrap();
    place.assert_whole(&snapshot);
}
