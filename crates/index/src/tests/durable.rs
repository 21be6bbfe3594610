//! What survives: closing, killing, other processes, damage.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

use super::{bench, imported};
use crate::{Index, IndexError};

/// Says to the child of [`a_killed_process_loses_nothing_that_was_written`] which index it writes.
const CHILD: &str = "TILLER_INDEX_TEST_CHILD";

#[test]
fn everything_is_there_after_opening_again() {
    let bench = bench(100);
    bench.index.add_labels(&[(1, imported("one")), (2, imported("two"))]).unwrap();
    bench.index.set_bookmarks(&[7], true).unwrap();
    bench.index.set_note(8, "note").unwrap();
    for index in [bench.reopen(), bench.reopen()] {
        let columns = index.columns();
        assert!(columns.is_labelled(1) && columns.is_bookmarked(7) && columns.is_noted(8));
        assert_eq!((columns.n_labelled(), columns.n_bookmarked()), (2, 1));
        assert_eq!(index.search_labels("tw", 5).unwrap()[0].0, 2);
    }
}

#[test]
fn files_that_are_no_index_of_this_sae_are_refused() {
    let bench = bench(100);
    bench.index.add_labels(&[(1, imported("one"))]).unwrap();
    assert!(matches!(Index::open(&bench.path, 64), Err(IndexError::OtherSize { found: 100, expected: 64, .. })));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
    assert!(matches!(Index::open(&path, 100), Err(IndexError::Foreign(_))));
    assert!(Index::open(&folder.path().join("missing/features.db"), 100).is_err());
    assert!(Index::open(folder.path(), 100).is_err());
    Connection::open(&bench.path).unwrap().pragma_update(None, "user_version", 2).unwrap();
    assert!(matches!(Index::open(&bench.path, 100), Err(IndexError::Newer { found: 2, known: 1, .. })));
    Connection::open(&bench.path).unwrap().pragma_update(None, "user_version", 0).unwrap();
    assert!(matches!(Index::open(&bench.path, 100), Err(IndexError::Damaged(_))));
    Connection::open(&bench.path).unwrap().pragma_update(None, "user_version", 1).unwrap();
    assert_eq!(bench.reopen().columns().n_labelled(), 1);
    Connection::open(&bench.path).unwrap().execute_batch("DELETE FROM meta").unwrap();
    assert!(matches!(Index::open(&bench.path, 100), Err(IndexError::Damaged(_))));
}

#[test]
fn damaged_files_are_errors_and_never_panics() {
    let bench = bench(2000);
    let labels: Vec<_> = (0..2000).map(|latent| (latent, imported(&format!("label {latent}")))).collect();
    bench.index.add_labels(&labels).unwrap();
    let path = bench.path.clone();
    drop(bench.index);
    let whole = fs::read(&path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("features.db");
    for (name, bytes) in
        [("noise", vec![0x5a; 9000]), ("cut", whole[..whole.len() / 2].to_vec()), ("stub", whole[..50].to_vec())]
    {
        fs::write(&copy, bytes).unwrap();
        let error = Index::open(&copy, 2000).and_then(|index| index.search_labels("label", 10).map(|_| ()));
        assert!(matches!(error, Err(IndexError::Damaged(_))), "{name}: {error:?}");
    }
    let mut n_refused = 0;
    for page in (1..whole.len() / 4096).step_by(3) {
        let mut bytes = whole.clone();
        bytes[page * 4096..(page + 1) * 4096].fill(0xa5);
        fs::write(&copy, bytes).unwrap();
        let used = Index::open(&copy, 2000).and_then(|index| {
            index.search_labels("label 77", 10)?;
            index.rows(&(0..2000).collect::<Vec<_>>())?;
            index.add_labels(&[(5, imported("new"))])
        });
        n_refused += usize::from(used.is_err());
    }
    assert!(n_refused > 0);
}

#[test]
fn a_block_of_another_length_is_damage() {
    let bench = bench(100);
    let outside = Connection::open(&bench.path).unwrap();
    outside.execute("INSERT INTO block VALUES ('density', 0, x'00000000')", []).unwrap();
    assert!(matches!(bench.index.reload(), Err(IndexError::Damaged(_))));
    outside.execute("UPDATE block SET at = 9223372036854775807", []).unwrap();
    assert!(matches!(Index::open(&bench.path, 100), Err(IndexError::Damaged(_))));
    outside.execute("UPDATE block SET at = -1", []).unwrap();
    assert!(matches!(Index::open(&bench.path, 100), Err(IndexError::Damaged(_))));
}

#[test]
fn readers_see_whole_commits_while_others_write() {
    let bench = bench(1000);
    let other = bench.reopen();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers = [&bench.index, &other].map(|index| {
            let first = if std::ptr::eq(index, &raw const other) { 500 } else { 0 };
            scope.spawn(move || {
                for at in (first..first + 200).step_by(2) {
                    index.add_labels(&[(at, imported("pair")), (at + 1, imported("pair"))]).unwrap();
                    index.set_bookmarks(&[at], true).unwrap();
                }
            })
        });
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut last = 0;
                    loop {
                        let is_last = done.load(Ordering::SeqCst);
                        let found = bench.index.search_labels("pair", 1000).unwrap();
                        assert!(found.len().is_multiple_of(2) && found.len() >= last, "{} after {last}", found.len());
                        last = found.len();
                        bench.index.rows(&[0, 1, 2]).unwrap();
                        if is_last {
                            return last;
                        }
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        for reader in readers {
            assert_eq!(reader.join().unwrap(), 400);
        }
    });
    // What the other wrote is in the columns once they are read again.
    assert_eq!(bench.index.columns().n_labelled(), 200);
    assert!(bench.index.refresh().unwrap() && !bench.index.refresh().unwrap());
    assert_eq!((bench.index.columns().n_labelled(), bench.index.columns().n_bookmarked()), (400, 200));
}

#[test]
fn a_killed_process_loses_nothing_that_was_written() {
    if let Ok(path) = std::env::var(CHILD) {
        let index = Index::open(path.as_ref(), 100_000).unwrap();
        let mut out = std::io::stdout().lock();
        for latent in 0..100_000 {
            index.add_labels(&[(latent, imported("kept")), (latent, imported("as well"))]).unwrap();
            writeln!(out, "wrote {latent}").unwrap();
            out.flush().unwrap();
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("features.db");
    let name = "tests::durable::a_killed_process_loses_nothing_that_was_written";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The first may stand behind what the harness says.
    let told = lines.map(Result::unwrap).filter(|line| line.contains("wrote ")).take(60).count();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(told, 60);
    let index = Index::open(&path, 100_000).unwrap();
    let n = index.columns().n_labelled() as u32;
    assert!(n >= 60, "{n}");
    for latent in 0..n {
        assert_eq!(index.labels(latent).unwrap().len(), 2, "{latent} of {n}");
    }
    assert_eq!(index.search_labels("kept well", 1000).unwrap().len(), (n as usize).min(1000));
    index.add_labels(&[(99_999, imported("goes on"))]).unwrap();
}
