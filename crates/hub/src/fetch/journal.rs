//! The note beside a file on its way that says which bytes of it are there.
//!
//! It is keyed by the checksum, so it outlives any address the bytes came from. It is replaced as a whole and only after
//! the bytes were written, so it never claims more than there is, however the program ends. Should the whole machine
//! end, the file's checksum tells.

use std::fs;
use std::io;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::ranges::Ranges;
use crate::store::{Blobs, write_whole};

/// Version of the document.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Journal {
    format: u32,
    /// The file's size.
    bytes: u64,
    /// First byte and the one after the last of each range that is there.
    done: Vec<(u64, u64)>,
}

/// The bytes of a file on its way that are on the disk; none if the note is missing or makes no sense.
pub(crate) fn present(blobs: &Blobs, bytes: u64) -> Ranges {
    let read = || {
        let on_disk = fs::metadata(blobs.part()).ok()?.len();
        let journal: Journal = serde_json::from_slice(&fs::read(blobs.journal()).ok()?).ok()?;
        (journal.format == FORMAT).then(|| {
            let mut done = Ranges::of(journal.done.into_iter().map(|(start, end)| Range { start, end }));
            done.clip(on_disk.min(bytes));
            done
        })
    };
    read().unwrap_or_default()
}

/// Writes the note.
///
/// # Errors
/// If the disk refuses; the former note is then still there.
pub(crate) fn save(blobs: &Blobs, bytes: u64, done: &Ranges) -> io::Result<()> {
    let done = done.iter().map(|range| (range.start, range.end)).collect();
    let text = serde_json::to_vec(&Journal { format: FORMAT, bytes, done })?;
    write_whole(&blobs.journal(), &text, &blobs.scratch())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::Sum;

    #[test]
    fn a_note_never_claims_more_than_is_on_the_disk() {
        let root = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(root.path(), &Sum::Sha256([7; 32]));
        fs::create_dir_all(&blobs.folder).unwrap();
        save(&blobs, 100, &Ranges::of([0..10, 50..90])).unwrap();
        assert_eq!(present(&blobs, 100), Ranges::default());
        fs::write(blobs.part(), [0; 60]).unwrap();
        assert_eq!(present(&blobs, 100), Ranges::of([0..10, 50..60]));
        for nonsense in
            ["", "{}", r#"{"format":9,"bytes":100,"done":[[0,10]]}"#, r#"{"format":1,"bytes":1,"done":[[9,2]]}"#]
        {
            fs::write(blobs.journal(), nonsense).unwrap();
            assert_eq!(present(&blobs, 100).total(), 0, "{nonsense}");
        }
    }
}
