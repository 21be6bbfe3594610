//! Folders of SAEs that were trained here: `trained/NAME`, and `trained/NAME-2` and so on when there is one already.

use std::path::PathBuf;

use super::Workspace;

impl Workspace {
    /// The folder of a training: a new one, or with `resume` the newest of this name that has a checkpoint.
    pub(crate) fn training(&self, slug: &str, resume: bool) -> PathBuf {
        let folder = |n: usize| {
            let name = if n == 1 { slug.to_owned() } else { format!("{slug}-{n}") };
            self.root.join("trained").join(name)
        };
        let mut free = 1;
        while folder(free).exists() {
            free += 1;
        }
        let begun = (1..free).rev().map(folder).find(|folder| folder.join("checkpoint.safetensors").is_file());
        begun.filter(|_| resume).unwrap_or_else(|| folder(free))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_new_training_never_takes_the_folder_of_another() {
        let workspace = Workspace::temp();
        let first = workspace.training("mine", false);
        assert_eq!(workspace.training("mine", true), first, "there is nothing to go on from");
        fs::create_dir_all(&first).unwrap();
        let second = workspace.training("mine", false);
        assert!(second.ends_with("trained/mine-2"), "{second:?}");
        fs::create_dir_all(&second).unwrap();
        fs::write(first.join("checkpoint.safetensors"), b"").unwrap();
        assert_eq!(workspace.training("mine", true), first);
        assert!(workspace.training("mine", false).ends_with("mine-3"));
    }
}
