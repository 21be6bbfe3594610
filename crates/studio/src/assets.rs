//! The files that ship with Tiller: the demo model, its SAE, its personas.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tiller_protocol::problem::Problem;

use crate::problem;
use crate::workspace::document;

/// Variable that names the folder before any other place is looked at.
const OVERRIDE: &str = "TILLER_ASSETS";

/// The folder of shipped files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assets {
    root: PathBuf,
}

impl Assets {
    /// Finds the folder: `TILLER_ASSETS`, beside an installed executable, where installers put it, or in the source
    /// tree.
    ///
    /// # Errors
    /// When none of these places holds it.
    pub fn find() -> Result<Self, Problem> {
        let places = places(std::env::var_os(OVERRIDE).map(PathBuf::from), std::env::current_exe().ok().as_deref());
        places
            .iter()
            .find(|place| place.join("demo/model/config.json").is_file())
            .map(|root| Self { root: root.clone() })
            .ok_or_else(|| problem::no_assets(&places))
    }

    /// The demo model's folder.
    pub fn demo_model(&self) -> PathBuf {
        self.root.join("demo/model")
    }

    /// The demo SAE's folder.
    pub fn demo_sae(&self) -> PathBuf {
        self.root.join("demo/sae")
    }

    /// The folder of shipped personas.
    pub fn personas(&self) -> PathBuf {
        self.root.join("demo/personas")
    }

    /// User texts without any persona in them, for norms and side effects.
    ///
    /// # Errors
    /// A file that is missing or broken.
    pub fn neutral(&self) -> Result<Vec<String>, Problem> {
        Ok(document::read_jsonl::<UserLine>(&self.root.join("demo/neutral.jsonl"))?
            .into_iter()
            .map(|line| line.user)
            .collect())
    }
}

/// A line `{"user": …}`.
#[derive(Deserialize)]
pub(crate) struct UserLine {
    /// User text.
    pub(crate) user: String,
}

fn places(chosen: Option<PathBuf>, exe: Option<&Path>) -> Vec<PathBuf> {
    if let Some(chosen) = chosen {
        return vec![chosen];
    }
    let mut places = Vec::new();
    // Packaging leaves a copy of the assets in cargo's output folder, which then grows old beside the source tree's.
    if let Some(bin) = exe.and_then(Path::parent).filter(|bin| !bin.join(".fingerprint").is_dir()) {
        places.push(bin.join("assets"));
        if let Some(prefix) = bin.parent() {
            places.extend(
                ["share/tiller/assets", "lib/Tiller/assets", "lib/tiller/assets", "Resources/assets"]
                    .map(|place| prefix.join(place)),
            );
        }
    }
    places.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets"));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_tree_has_them() {
        let assets = Assets { root: places(None, None).remove(0) };
        assert!(assets.demo_model().join("config.json").is_file());
        assert!(assets.neutral().unwrap().len() > 10);
    }

    #[test]
    fn places_in_order() {
        assert_eq!(places(Some("/a".into()), Some(Path::new("/usr/bin/tiller"))), [PathBuf::from("/a")]);
        let places = places(None, Some(Path::new("/usr/bin/tiller")));
        assert_eq!(places[0], PathBuf::from("/usr/bin/assets"));
        assert!(places.contains(&PathBuf::from("/usr/lib/Tiller/assets")));
        assert!(places.contains(&PathBuf::from("/usr/share/tiller/assets")));
    }

    #[test]
    fn a_copy_in_the_build_folder_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let exe = dir.path().join("tiller");
        assert_eq!(places(None, Some(&exe))[0], dir.path().join("assets"));
        std::fs::create_dir(dir.path().join(".fingerprint")).unwrap();
        let kept = places(None, Some(&exe));
        assert!(kept.len() == 1 && kept[0].ends_with("assets") && !kept[0].starts_with(dir.path()), "{kept:?}");
    }
}
