//! Files that appear under their name at once: links, hard links, copies, and small documents.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// How a snapshot's file can be made from its blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A relative symbolic link.
    Link,
    /// A second name of the same file.
    HardLink,
    /// A copy.
    Copy,
    /// The blob itself, which is none any more then.
    Move,
}

/// End of the names of what is being made.
const NEW: &str = ".tiller-new";

/// Best first, while another pointer needs the blob, too.
const KINDS: [Kind; 3] = [Kind::Link, Kind::HardLink, Kind::Copy];

/// Best first. A copy would take the room a second time, and be made anew each time: sticks and cameras' cards, whose
/// file systems know no links, hold a model but not two.
const LAST: [Kind; 3] = [Kind::Link, Kind::HardLink, Kind::Move];

/// Lets `pointer` lead to `blob` by the best means that the file system allows. What stood there is replaced; a link
/// that already leads there stays. It is made in `scratch`, a folder on the same disk. Where there are no links, the
/// blob itself takes the place of the last pointer to it (`is_last`), as with the hub's own tools.
///
/// # Errors
/// The last means' error when none worked.
pub(crate) fn replace_with(blob: &Path, pointer: &Path, scratch: &Path, is_last: bool) -> io::Result<()> {
    make(blob, pointer, scratch, if is_last { &LAST } else { &KINDS })
}

fn make(blob: &Path, pointer: &Path, scratch: &Path, kinds: &[Kind]) -> io::Result<()> {
    if let (Ok(known), Ok(wanted)) = (fs::canonicalize(pointer), fs::canonicalize(blob))
        && known == wanted
    {
        return Ok(());
    }
    let folder = pointer.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let new = new_in(scratch)?;
    let mut result = Ok(());
    for kind in kinds {
        result = match kind {
            Kind::Link => symlink(&relative(blob, folder), &new),
            // Of the blob itself, should it be a link into a store that several repositories share.
            Kind::HardLink => fs::canonicalize(blob).and_then(|blob| fs::hard_link(blob, &new)),
            Kind::Copy => fs::copy(blob, &new).map(|_| ()),
            // At once, so that it is never under a name that is swept away.
            Kind::Move => return fs::rename(blob, pointer),
        };
        if result.is_ok() {
            break;
        }
        drop(fs::remove_file(&new));
    }
    let result = result.and_then(|()| fs::rename(&new, pointer));
    // Still there after a failure, and after renaming one name of a file to another name of the same file.
    drop(fs::remove_file(&new));
    result
}

/// Writes a small document so that it is seen either whole or not at all. It is made in `scratch`, a folder on the same
/// disk where nobody looks for documents: what a killed program leaves behind there is taken for nothing.
///
/// # Errors
/// If it cannot be written; what stood there before is then still there.
pub(crate) fn write_whole(path: &Path, bytes: &[u8], scratch: &Path) -> io::Result<()> {
    let new = new_in(scratch)?;
    let write = || {
        let mut file = File::create_new(&new)?;
        file.write_all(bytes)?;
        drop(file);
        fs::rename(&new, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&new)))
}

/// A name that nobody else uses now, in a folder that is made if need be.
fn new_in(scratch: &Path) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    fs::create_dir_all(scratch)?;
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    Ok(scratch.join(format!("{}-{n}{NEW}", std::process::id())))
}

/// Deletes what killed programs have left in a scratch folder. Only to be called when nobody else can be using it.
///
/// # Errors
/// If the disk refuses.
pub(crate) fn sweep(scratch: &Path) -> io::Result<()> {
    let Some(entries) = super::if_there(fs::read_dir(scratch))? else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(NEW) {
            super::if_there(fs::remove_file(path))?;
        }
    }
    Ok(())
}

/// The way from a folder to a file, both below the same root.
fn relative(file: &Path, folder: &Path) -> PathBuf {
    let n_same = file.components().zip(folder.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(n_same).map(|_| Path::new(".."));
    let down = file.components().skip(n_same);
    up.collect::<PathBuf>().join(down.collect::<PathBuf>())
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_means_gives_the_same_bytes_and_replaces_what_was_there() {
        for kinds in [&KINDS[..], &KINDS[1..], &KINDS[2..], &LAST[2..]] {
            let root = tempfile::tempdir().unwrap();
            let blob = root.path().join("blobs/sum");
            let pointer = root.path().join("snapshots/commit/sub/config.json");
            fs::create_dir_all(blob.parent().unwrap()).unwrap();
            fs::create_dir_all(pointer.parent().unwrap()).unwrap();
            fs::write(&blob, "new").unwrap();
            fs::write(&pointer, "old").unwrap();
            make(&blob, &pointer, &root.path().join("scratch"), kinds).unwrap();
            assert_eq!(fs::read_to_string(&pointer).unwrap(), "new", "{kinds:?}");
            assert_eq!(blob.exists(), kinds != &LAST[2..], "{kinds:?}");
            if !blob.exists() {
                continue;
            }
            make(&blob, &pointer, &root.path().join("scratch"), kinds).unwrap();
            let n_files = pointer.parent().unwrap().read_dir().unwrap().count();
            assert_eq!(n_files, 1, "{kinds:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_those_of_the_hubs_own_tools() {
        let root = tempfile::tempdir().unwrap();
        let (blob, pointer) = (root.path().join("blobs/sum"), root.path().join("snapshots/commit/sub/config.json"));
        fs::create_dir_all(blob.parent().unwrap()).unwrap();
        fs::write(&blob, "x").unwrap();
        replace_with(&blob, &pointer, root.path(), true).unwrap();
        assert_eq!(fs::read_link(&pointer).unwrap(), Path::new("../../../blobs/sum"));
    }

    #[test]
    fn a_document_is_replaced_as_a_whole() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("main");
        write_whole(&path, b"one", root.path()).unwrap();
        write_whole(&path, b"two", root.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(root.path().read_dir().unwrap().count(), 1);
        assert!(write_whole(&root.path().join("none/main"), b"x", root.path()).is_err());
        assert_eq!(root.path().read_dir().unwrap().count(), 1);
        fs::write(root.path().join("1-2.tiller-new"), "cut sho").unwrap();
        sweep(root.path()).unwrap();
        assert_eq!(root.path().read_dir().unwrap().count(), 1);
    }
}
