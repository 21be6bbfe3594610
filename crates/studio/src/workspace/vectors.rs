//! The vector library.

use std::fs;
use std::path::{Path, PathBuf};

use tiller_protocol::problem::Problem;
use tiller_protocol::steering::{VectorId, VectorInfo};

use super::document::{self, Envelope};
use super::{Workspace, check_name};
use crate::{problem, vector_file};

/// A vector with its tensors.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredVector {
    /// Facts and diagnostics.
    pub(crate) info: VectorInfo,
    /// The raw direction of every block, `[n_layers][d_model]`.
    pub(crate) directions: Vec<Vec<f32>>,
}

impl Workspace {
    /// Saves a vector under its id; one that is there already is replaced. Returns the facts with the new path.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub(crate) fn save_vector(&self, vector: &StoredVector) -> Result<VectorInfo, Problem> {
        check_name(&vector.info.id.0)?;
        let dir = self.vector_dir(&vector.info.id);
        let info = VectorInfo { path: dir.join("vector.safetensors"), ..vector.info.clone() };
        vector_file::write(&info.path, &info, &vector.directions)?;
        document::write_toml(&dir.join("vector.toml"), &Envelope::new(info.clone()))?;
        Ok(info)
    }

    /// All vectors by name, and what could not be read.
    pub(crate) fn vectors(&self) -> (Vec<VectorInfo>, Vec<Problem>) {
        let mut found = Vec::new();
        let mut problems = Vec::new();
        for dir in sub_folders(&self.root.join("vectors")) {
            match document::read_toml::<Envelope<VectorInfo>>(&dir.join("vector.toml")) {
                // The workspace may have been moved since: the path is where the file is now.
                Ok(read) => found.push(VectorInfo { path: dir.join("vector.safetensors"), ..read.body }),
                Err(problem) => problems.push(problem),
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        (found, problems)
    }

    /// A vector with its tensors.
    ///
    /// # Errors
    /// A vector that is not there or cannot be read.
    pub(crate) fn vector(&self, id: &VectorId) -> Result<StoredVector, Problem> {
        check_name(&id.0)?;
        let dir = self.vector_dir(id);
        if !dir.is_dir() {
            return Err(problem::unknown_vector(&id.0));
        }
        let path = dir.join("vector.safetensors");
        let info = VectorInfo {
            path: path.clone(),
            ..document::read_toml::<Envelope<VectorInfo>>(&dir.join("vector.toml"))?.body
        };
        let directions = vector_file::read_directions(&path, info.blocks.len())?;
        Ok(StoredVector { info, directions })
    }

    /// Moves a vector to the trash.
    ///
    /// # Errors
    /// A vector that is not there or cannot be moved.
    pub(crate) fn delete_vector(&self, id: &VectorId) -> Result<(), Problem> {
        check_name(&id.0)?;
        let (dir, trash) = (self.vector_dir(id), self.trash_dir(id));
        if !dir.is_dir() {
            return Err(problem::unknown_vector(&id.0));
        }
        move_folder(&dir, &trash)
    }

    /// Brings back the vector deleted last under this id.
    ///
    /// # Errors
    /// Nothing in the trash, or a vector of that name in the library.
    pub(crate) fn restore_vector(&self, id: &VectorId) -> Result<(), Problem> {
        check_name(&id.0)?;
        let (dir, trash) = (self.vector_dir(id), self.trash_dir(id));
        if !trash.is_dir() || dir.exists() {
            return Err(problem::nothing_to_restore(&id.0));
        }
        move_folder(&trash, &dir)
    }

    fn vector_dir(&self, id: &VectorId) -> PathBuf {
        self.root.join("vectors").join(&id.0)
    }

    fn trash_dir(&self, id: &VectorId) -> PathBuf {
        self.root.join("trash").join("vectors").join(&id.0)
    }
}

/// Moves a folder; an older one at the target goes.
fn move_folder(from: &Path, to: &Path) -> Result<(), Problem> {
    let attempt = || -> std::io::Result<()> {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        if to.exists() {
            fs::remove_dir_all(to)?;
        }
        fs::rename(from, to)
    };
    attempt().map_err(|error| problem::write_failed(to, &error))
}

/// Folders inside `dir` in the order of their names; none when it is not there.
pub(super) fn sub_folders(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir() && path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b".")))
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector_file::tests::example;

    #[test]
    fn vectors_are_saved_listed_deleted_and_restored() {
        let workspace = Workspace::temp();
        let vector = StoredVector { info: example("warm-1"), directions: vec![vec![1.0, 2.0], vec![-3.0, 0.5]] };
        let info = workspace.save_vector(&vector).unwrap();
        assert_eq!(workspace.vectors(), (vec![info.clone()], vec![]));
        let loaded = workspace.vector(&info.id).unwrap();
        assert_eq!((loaded.info, loaded.directions), (info.clone(), vector.directions));

        workspace.delete_vector(&info.id).unwrap();
        assert!(workspace.vectors().0.is_empty());
        assert!(workspace.vector(&info.id).unwrap_err().title.contains("not in the library"));
        assert!(workspace.delete_vector(&info.id).is_err());
        workspace.restore_vector(&info.id).unwrap();
        assert_eq!(workspace.vectors().0.len(), 1);
        assert!(workspace.restore_vector(&info.id).is_err());
        assert!(workspace.delete_vector(&VectorId("../../etc".to_owned())).is_err());
    }

    #[test]
    fn a_broken_vector_is_reported_and_the_others_stay() {
        let workspace = Workspace::temp();
        let vector = StoredVector { info: example("good"), directions: vec![vec![1.0, 2.0], vec![-3.0, 0.5]] };
        workspace.save_vector(&vector).unwrap();
        fs::create_dir_all(workspace.root().join("vectors/broken")).unwrap();
        let (found, problems) = workspace.vectors();
        assert_eq!((found.len(), problems.len()), (1, 1));
    }
}
