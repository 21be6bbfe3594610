//! Programs that are killed, and two at once: each is this test binary, started once more.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tiller_hub::fetch::fetch;
use tiller_hub::store::Store;
use tiller_hub_server::Repo;

use crate::place::{ID, LARGE, PIECE, Place, hub, listing, repo, settings};

/// Says to the second start of this binary where to fetch from and to.
const CHILD: &str = "TILLER_TEST_FETCH";

/// Longer than any of this takes.
const LONG: Duration = Duration::from_mins(2);

/// Larger than what a fetch may keep in memory.
const HUGE_BYTES: u64 = 400 << 20;

/// Does nothing unless started by [`child`].
#[test]
fn as_a_child() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let (endpoint, root) = order.split_once(' ').unwrap();
    let listing = listing(&repo());
    let control = tiller_hub::fetch::Control { settings: settings(), ..Default::default() };
    let (hub, store) = (hub(endpoint), Store::new(root));
    if let Some(repo) = huge(Path::new(root)) {
        let listing = crate::place::listing(&repo);
        let control = tiller_hub::fetch::Control::default();
        fetch(&hub, &store, &listing, &listing.files, &control, &mut |_| {}).unwrap();
        assert_small();
        return;
    }
    fetch(&hub, &store, &listing, &listing.files, &control, &mut |_| {}).unwrap();
}

/// A repository whose one file is larger than memory may be: zeros that take no room on the disk.
fn huge(root: &Path) -> Option<Repo> {
    let source = root.join("source");
    source.is_file().then(|| Repo::new().large(LARGE, source))
}

/// That this process never took as much memory as a fetch may. Only Linux tells.
fn assert_small() {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return };
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib << 10 < 100_000_000, "{kib} KiB");
}

#[test]
fn a_file_of_any_size_takes_little_memory() {
    let root = tempfile::tempdir().unwrap();
    std::fs::File::create(root.path().join("source")).unwrap().set_len(HUGE_BYTES).unwrap();
    let mut place = Place::with(huge(root.path()).unwrap());
    place.root = root;
    assert!(child(&place).wait().unwrap().success());
    let snapshot = place.store().snapshot(&place.listing.repo).unwrap();
    assert_eq!(std::fs::metadata(snapshot.join(LARGE)).unwrap().len(), HUGE_BYTES);
}

fn child(place: &Place) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::as_a_child", "--test-threads", "1"])
        .env(CHILD, format!("{} {}", place.server.endpoint(), place.root.path().display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills a fetch once the server has sent so many more bytes.
fn kill_after(place: &Place, bytes: u64) {
    let before = place.server.sent_bytes();
    let mut child = child(place);
    assert!(place.server.wait_sent(before + bytes, LONG), "the child asked for nothing");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Twenty moments, drawn once.
fn moments() -> impl Iterator<Item = u64> {
    let mut state = 20_u64;
    let draw = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % 1_150_000
    };
    std::iter::repeat_with(draw).take(20)
}

#[test]
fn a_killed_fetch_goes_on_to_the_same_bytes() {
    let mut n_resumed = 0;
    for moment in moments() {
        let place = Place::new();
        place.server.set_rate(Some(1_500_000));
        kill_after(&place, moment);
        let there = place.store().present_bytes(ID, &place.listing.commit, place.large());
        if there < place.large().bytes {
            place.assert_absent(LARGE);
        }
        n_resumed += u32::from(there > 0);
        place.server.set_rate(None);
        place.server.clear_requests();
        let snapshot = place.fetch().unwrap();
        place.assert_whole(&snapshot);
        let asked = place.asked_bytes();
        // The server may have noticed the last requests of the killed program only now, one for each connection.
        let late = 3 * PIECE;
        assert!(asked <= 1_200_021 - there + late, "{asked} bytes came again although {there} were there");
    }
    assert!(n_resumed >= 10, "only {n_resumed} of 20 had something to go on from");
}

#[test]
fn kills_in_a_row_never_throw_back() {
    let place = Place::new();
    place.server.set_rate(Some(1_500_000));
    let mut last = 0;
    for moment in moments().take(8) {
        kill_after(&place, moment / 12);
        let there = place.store().present_bytes(ID, &place.listing.commit, place.large());
        assert!(there >= last, "{there} after {last}");
        last = there;
    }
    let snapshot = place.fetch().unwrap();
    place.assert_whole(&snapshot);
}

#[test]
fn two_programs_share_the_work_of_one() {
    let place = Place::new();
    place.server.set_rate(Some(3_000_000));
    let mut children = [child(&place), child(&place)];
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let snapshot = place.store().snapshot(&place.listing.repo).unwrap();
    place.assert_whole(&snapshot);
    assert_eq!(place.asked_bytes(), 1_200_021);
}
