//! Room on disks.

use std::path::Path;

use crate::error::HubError;

/// Bytes that may still be written to the disk of a folder. The last parts of its path need not exist yet.
///
/// # Errors
/// [`HubError::Disk`] when nothing of the path exists or the system does not tell.
pub fn free_bytes(folder: &Path) -> Result<u64, HubError> {
    let told = |reason: String| HubError::Disk { path: folder.to_owned(), reason };
    let absolute = std::path::absolute(folder).map_err(|error| told(error.to_string()))?;
    let present = absolute.ancestors().find(|path| path.exists());
    let present = present.ok_or_else(|| told("its disk is not there".to_owned()))?;
    fs4::available_space(present).map_err(|error| told(error.to_string()))
}

/// A name of the time since the system was last started; empty where it has none. What a program has written is kept
/// however the program ends, as long as the system goes on.
pub(crate) fn start_of_system() -> String {
    // Elsewhere it is not there.
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_does_not_exist_yet_has_the_room_of_the_one_it_will_lie_in() {
        let folder = tempfile::tempdir().unwrap();
        let there = free_bytes(folder.path()).unwrap();
        let planned = free_bytes(&folder.path().join("models/not/yet")).unwrap();
        // Other programs write meanwhile.
        assert!(there > 0 && planned.abs_diff(there) < 1 << 30, "{there} {planned}");
        assert!(free_bytes(Path::new("not/yet")).is_ok());
    }
}
