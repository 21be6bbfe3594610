//! Writes that either happen whole or not at all.
//!
//! A temporary file in the same folder, a sync, a rename: a crash at any moment leaves the old content.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use tiller_protocol::problem::Problem;

use crate::problem;

/// Replaces `path` with `bytes`; missing folders are made.
///
/// # Errors
/// A folder that cannot be made or written, or a full disk.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    write_with(path, |file| file.write_all(bytes))
}

/// Replaces `path` with what `fill` writes.
///
/// # Errors
/// As [`write`].
pub(crate) fn write_with(path: &Path, fill: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<(), Problem> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let attempt = || -> std::io::Result<()> {
        // The rename would put a plain file in the place of a pipe or a device.
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(std::io::Error::other("it is there and is not a plain file"));
        }
        fs::create_dir_all(folder)?;
        let mut temp = tempfile::Builder::new().prefix(".tiller-").tempfile_in(folder)?;
        fill(temp.as_file_mut())?;
        temp.as_file().sync_all()?;
        widen_permissions(temp.as_file())?;
        temp.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    attempt().map_err(|error| problem::write_failed(path, &error))
}

/// Temporary files are private to the user; documents get the usual permissions of new files.
#[cfg(unix)]
fn widen_permissions(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn widen_permissions(_file: &File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn what_is_no_plain_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(write(dir.path(), b"text").is_err());
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let problem = write(&socket, b"text").unwrap_err();
        assert!(problem.cause.contains("plain file"), "{problem:?}");
        assert!(!fs::metadata(&socket).unwrap().is_file());
    }

    #[test]
    fn a_failed_write_keeps_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/file.txt");
        write(&path, b"old").unwrap();
        let failed = write_with(&path, |file| {
            file.write_all(b"half of the n")?;
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        });
        assert!(failed.unwrap_err().cause.contains("full"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no leftovers");
    }
}
