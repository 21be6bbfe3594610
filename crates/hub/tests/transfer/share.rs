//! One cache for all tools: what they leave is used, what is ours is theirs.

use std::fs;
use std::path::{Path, PathBuf};

use tiller_hub::error::HubError;
use tiller_hub::fetch::Progress;
use tiller_hub::store::Store;
use tiller_hub::verify::{Finding, verify};
use tiller_hub_server::Repo;

use crate::place::{ID, LARGE, Place, contents, listing};

#[test]
fn what_another_tool_left_unfinished_is_gone_on_from() {
    for ending in ["incomplete", "0badcafe.incomplete"] {
        let place = Place::new();
        let (_, content, _) = contents().into_iter().find(|(path, _, _)| *path == LARGE).unwrap();
        fs::create_dir_all(place.blobs()).unwrap();
        let left = place.blobs().join(format!("{}.{ending}", place.repo.sum(LARGE).unwrap()));
        fs::write(&left, &content[..700_000]).unwrap();
        let snapshot = place.fetch().unwrap();
        place.assert_whole(&snapshot);
        assert_eq!(place.asked_bytes(), 1_200_021 - 700_000);
    }
}

#[test]
fn what_another_tool_is_writing_is_left_alone() {
    let place = Place::new();
    let sum = place.repo.sum(LARGE).unwrap();
    let locks = place.root.path().join(".locks/models--acme--tiny");
    fs::create_dir_all(&locks).unwrap();
    fs::create_dir_all(place.blobs()).unwrap();
    let theirs = place.blobs().join(format!("{sum}.incomplete"));
    fs::write(&theirs, b"on its way").unwrap();
    let lock = fs::File::create(locks.join(format!("{sum}.lock"))).unwrap();
    lock.lock().unwrap();
    let error = place.fetch_impatiently().unwrap_err();
    assert!(matches!(&error, HubError::Locked { path } if path == LARGE), "{error}");
    assert_eq!(fs::read(&theirs).unwrap(), b"on its way");
    // The other tool ends and has the file whole.
    let (_, content, _) = contents().into_iter().find(|(path, _, _)| *path == LARGE).unwrap();
    fs::write(&theirs, &content).unwrap();
    fs::rename(&theirs, place.blobs().join(sum)).unwrap();
    drop(lock);
    place.server.clear_requests();
    let snapshot = place.fetch().unwrap();
    place.assert_whole(&snapshot);
    assert!(place.asked_bytes() <= 200_018);
}

/// A place with two commits of one repository, the second of which shares a file with the first.
fn two_commits() -> (Place, PathBuf, PathBuf) {
    let mut place = Place::new();
    let first = place.fetch().unwrap();
    let (_, content, _) = contents().into_iter().find(|(path, _, _)| *path == LARGE).unwrap();
    place.repo = Repo::new().file("config.json", "{\"hidden_size\": 9}").large(LARGE, content);
    place.server.add_repo(ID, place.repo.clone());
    place.listing = listing(&place.repo);
    place.server.clear_requests();
    let second = place.fetch().unwrap();
    assert_eq!(place.asked_bytes(), 18, "the shared file came again");
    (place, first, second)
}

#[test]
fn commits_share_files_and_a_branch_moves_on() {
    let (place, first, second) = two_commits();
    assert_ne!(first, second);
    assert_eq!(place.store().snapshot(&place.listing.repo), Some(second.clone()));
    let repos = place.store().scan().unwrap();
    let revisions = &repos[0].revisions;
    assert_eq!(revisions.len(), 2);
    let newer = revisions.iter().find(|revision| revision.path == second).unwrap();
    assert_eq!((newer.refs.as_slice(), newer.missing.len()), (&["main".to_owned()][..], 0));
    let older = revisions.iter().find(|revision| revision.path == first).unwrap();
    assert!(older.refs.is_empty());
    let blob = |revision: &tiller_hub::store::CachedRevision| {
        revision.files.iter().find(|file| file.path == LARGE).unwrap().blob.clone()
    };
    assert_eq!(blob(older), blob(newer));
}

#[test]
fn removing_frees_what_nothing_else_uses_and_no_more() {
    let (place, first, second) = two_commits();
    let all = |snapshot: &Path, names: &[&str]| names.iter().map(|name| snapshot.join(name)).collect::<Vec<_>>();
    let names: Vec<&str> = contents().iter().map(|(path, _, _)| *path).collect();
    let old = all(&first, &names);
    let store = place.store();
    // The large file is the second commit's, too; config.json and its copy are one blob.
    assert_eq!(store.would_free(&old).unwrap(), 200_018);
    assert_eq!(store.remove(&old).unwrap(), 200_018);
    assert!(!first.exists());
    assert!(second.join(LARGE).is_file());
    assert_eq!(store.remove(&old).unwrap(), 0);
    assert_eq!(store.remove(&all(&second, &["config.json", LARGE])).unwrap(), 18 + 1_000_003);
    assert!(!store.repo_folder(ID).unwrap().exists());
    assert_eq!(store.scan().unwrap(), Vec::new());
}

#[test]
fn nothing_outside_the_cache_is_ever_removed() {
    let place = Place::new();
    let snapshot = place.fetch().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let precious = outside.path().join("precious");
    fs::write(&precious, "x").unwrap();
    let store = place.store();
    let root = place.root.path();
    let up = "../".repeat(20);
    for path in [
        precious.clone(),
        root.join("models--acme--tiny"),
        root.join("models--acme--tiny/snapshots"),
        snapshot.clone(),
        snapshot.join("sub"),
        snapshot.join(format!("{up}{}", precious.display())),
        root.join("models--acme--tiny/blobs").join(place.repo.sum(LARGE).unwrap()),
        root.join("models--acme--tiny/refs/main"),
        root.join(".locks/models--acme--tiny/x"),
        PathBuf::from("relative"),
    ] {
        store.remove(std::slice::from_ref(&path)).unwrap_err();
        assert!(precious.is_file() && snapshot.join(LARGE).is_file(), "{}", path.display());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        // A link to a file elsewhere goes, the file stays.
        symlink(&precious, snapshot.join("link")).unwrap();
        assert_eq!(store.remove(&[snapshot.join("link")]).unwrap(), 0);
        assert!(precious.is_file() && fs::symlink_metadata(snapshot.join("link")).is_err());
        // A folder that is a link is not gone into.
        symlink(outside.path(), snapshot.join("folder")).unwrap();
        store.remove(&[snapshot.join("folder/precious")]).unwrap_err();
        // Nor is a whole repository, or its blobs.
        let other = outside.path().join("repo");
        fs::create_dir_all(other.join("snapshots/0123")).unwrap();
        fs::write(other.join("snapshots/0123/config.json"), "x").unwrap();
        symlink(&other, root.join("models--a--b")).unwrap();
        store.remove(&[root.join("models--a--b/snapshots/0123/config.json")]).unwrap_err();
        assert!(precious.is_file() && other.join("snapshots/0123/config.json").is_file());
        let real = outside.path().join("blobs");
        fs::rename(place.blobs(), &real).unwrap();
        symlink(&real, place.blobs()).unwrap();
        store.remove(&[snapshot.join(LARGE)]).unwrap();
        assert!(real.join(place.repo.sum(LARGE).unwrap()).is_file());
    }
}

#[test]
fn a_spoilt_file_is_found_out() {
    let place = Place::new();
    let snapshot = place.fetch().unwrap();
    let look = || {
        let repo = place.store().scan_repo(ID).unwrap();
        let mut read = (0, 0);
        let stop = tiller_hub::stop::Stop::new();
        let found = verify(&repo.revisions[0], &|_| true, &stop, &mut |done, all| read = (done, all)).unwrap();
        assert_eq!(read.0, read.1);
        found
    };
    let found = look();
    assert_eq!(found.len(), contents().len());
    assert!(found.iter().all(|file| file.finding == Finding::Good), "{found:?}");
    let mut content = fs::read(snapshot.join(LARGE)).unwrap();
    content[999_999] ^= 4;
    fs::write(snapshot.join(LARGE), content).unwrap();
    fs::remove_file(fs::canonicalize(snapshot.join("second.safetensors")).unwrap()).unwrap();
    let found = look();
    let of = |path: &str| found.iter().find(|file| file.path == path).unwrap().finding.clone();
    assert!(matches!(of(LARGE), Finding::Differs { expected, .. } if expected == place.repo.sum(LARGE).unwrap()));
    assert_eq!(of("second.safetensors"), Finding::Missing);
    assert_eq!(of("config.json"), Finding::Good);
    // Fetching again replaces what is spoilt and missing, and nothing else.
    assert_eq!(place.store().present_bytes(ID, &place.listing.commit, place.large()), 0);
    place.server.clear_requests();
    assert_eq!(place.fetch().unwrap(), snapshot);
    place.assert_whole(&snapshot);
    assert_eq!(place.asked_bytes(), 1_200_003);
    assert!(look().iter().all(|file| file.finding == Finding::Good));
    // A spoilt file is removed without a trace, too.
    fs::write(snapshot.join(LARGE), "x").unwrap();
    look();
    let all: Vec<PathBuf> = contents().iter().map(|(path, _, _)| snapshot.join(path)).collect();
    place.store().remove(&all).unwrap();
    assert!(!place.store().repo_folder(ID).unwrap().exists());
}

#[test]
fn an_order_of_a_cut_file_brings_the_rest() {
    let place = Place::new();
    let snapshot = place.fetch().unwrap();
    // Somebody has cut a whole file short.
    let blob = fs::canonicalize(snapshot.join(LARGE)).unwrap();
    fs::File::options().write(true).open(&blob).unwrap().set_len(1000).unwrap();
    let revision = &place.store().scan_repo(ID).unwrap().revisions[0];
    assert_eq!(revision.missing.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), [LARGE]);
    let again = place.fetch().unwrap();
    place.assert_whole(&again);
}

#[test]
fn a_damaged_repository_hides_no_other() {
    let place = Place::new();
    place.fetch().unwrap();
    let root = place.root.path();
    fs::write(root.join("models--a--file"), "x").unwrap();
    fs::create_dir_all(root.join("models--a--empty")).unwrap();
    fs::create_dir_all(root.join("models--a--refs/snapshots/0123")).unwrap();
    fs::write(root.join("models--a--refs/refs"), "x").unwrap();
    fs::write(root.join("version.txt"), "1").unwrap();
    fs::create_dir_all(root.join("datasets--a--b/snapshots/0123")).unwrap();
    let ids: Vec<String> = place.store().scan().unwrap().into_iter().map(|repo| repo.id).collect();
    assert!(ids.contains(&ID.to_owned()), "{ids:?}");
    assert_eq!(Store::new(root.join("nowhere")).scan().unwrap(), Vec::new());
}

#[test]
fn what_was_new_when_the_system_ended_is_checked_again() {
    for is_spoilt in [true, false] {
        let place = Place::new();
        let snapshot = place.fetch().unwrap();
        let sum = place.repo.sum(LARGE).unwrap();
        let note = place.store().repo_folder(ID).unwrap().join(".tiller").join(format!("{sum}.unsynced"));
        fs::write(&note, "another start").unwrap();
        if is_spoilt {
            // As a file system leaves it whose room was noted, but not its bytes.
            let mut content = fs::read(place.blobs().join(sum)).unwrap();
            content[300_000..400_000].fill(0);
            fs::write(place.blobs().join(sum), content).unwrap();
        }
        place.server.clear_requests();
        assert_eq!(place.fetch().unwrap(), snapshot);
        place.assert_whole(&snapshot);
        assert!(!note.exists());
        assert_eq!(place.asked_bytes(), if is_spoilt { 1_000_003 } else { 0 });
    }
}

#[test]
fn what_somebody_deletes_while_the_rest_comes_in_is_missed() {
    let place = Place::new();
    let blob = place.blobs().join(place.repo.sum(LARGE).unwrap());
    let mut delete = |progress: &Progress| {
        if progress.files.iter().all(|file| file.is_complete) {
            fs::remove_file(&blob).unwrap();
        }
    };
    let error = place.fetch_as(&Place::control(), &mut delete).unwrap_err();
    assert!(matches!(&error, HubError::Disk { path, .. } if path.ends_with(LARGE)), "{error}");
    let snapshot = place.fetch().unwrap();
    place.assert_whole(&snapshot);
}

#[test]
fn files_that_stand_in_the_snapshot_themselves_are_used_as_they_are() {
    let place = Place::new();
    let snapshot = place.fetch().unwrap();
    // As on a disk without links, by whichever tool.
    for (path, content, _) in contents() {
        fs::remove_file(snapshot.join(path)).unwrap();
        fs::write(snapshot.join(path), content).unwrap();
    }
    fs::remove_dir_all(place.blobs()).unwrap();
    place.server.clear_requests();
    assert_eq!(place.fetch().unwrap(), snapshot);
    assert_eq!(place.asked_bytes(), 0);
    let store = place.store();
    assert_eq!(store.present_bytes(ID, &place.listing.commit, place.large()), 1_000_003);
    // One of them is lost: it alone comes again.
    fs::remove_file(snapshot.join(LARGE)).unwrap();
    assert_eq!(store.present_bytes(ID, &place.listing.commit, place.large()), 0);
    place.fetch().unwrap();
    place.assert_whole(&snapshot);
    assert_eq!(place.asked_bytes(), 1_000_003);
    let all: Vec<PathBuf> = contents().iter().map(|(path, _, _)| snapshot.join(path)).collect();
    assert_eq!(store.remove(&all).unwrap(), 1_200_039);
    assert!(!store.repo_folder(ID).unwrap().exists());
}
