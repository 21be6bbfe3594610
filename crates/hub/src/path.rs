//! Paths that a listing names, checked before any of them becomes a file.

use std::collections::HashSet;

use crate::listing::RemoteFile;

/// What a system's file names cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct System {
    /// `A` and `a` are the same file.
    pub(crate) folds_case: bool,
    /// Some characters and names mean something else.
    pub(crate) is_windows: bool,
}

impl System {
    /// The one this runs on.
    pub(crate) const HERE: Self =
        Self { folds_case: cfg!(any(windows, target_os = "macos")), is_windows: cfg!(windows) };
}

/// Longest name that common file systems take, bytes.
const MAX_NAME: usize = 255;

/// The files of a listing that this system can hold.
///
/// # Errors
/// What is wrong, when a path leads out of its folder or two files would be the same: such a listing is not honest.
pub(crate) fn usable(files: Vec<RemoteFile>, system: System) -> Result<Vec<RemoteFile>, String> {
    let fold = |path: &str| if system.folds_case { path.to_lowercase() } else { path.to_owned() };
    let (mut taken, mut folders) = (HashSet::new(), HashSet::new());
    let mut kept = Vec::with_capacity(files.len());
    for file in files {
        let shown = file.path.escape_debug().take(120).collect::<String>();
        if !is_safe(&file.path) {
            return Err(format!("it lists the path {shown}"));
        }
        if system.is_windows && !file.path.split('/').all(is_windows_name) {
            log::warn!("{shown} is left out: this system takes no such name");
            continue;
        }
        let (key, above) = (fold(&file.path), file.path.match_indices('/').map(|(at, _)| fold(&file.path[..at])));
        let above = above.collect::<Vec<_>>();
        if taken.contains(&key) || folders.contains(&key) || above.iter().any(|folder| taken.contains(folder)) {
            if !system.folds_case {
                return Err(format!("it lists {shown} twice"));
            }
            log::warn!("{shown} is left out: this system takes it for another file");
            continue;
        }
        folders.extend(above);
        taken.insert(key);
        kept.push(file);
    }
    Ok(kept)
}

/// Whether a path stays inside its folder on every system.
fn is_safe(path: &str) -> bool {
    let is_drive = path.as_bytes().get(1) == Some(&b':') && path.starts_with(|first: char| first.is_ascii_alphabetic());
    !is_drive
        && !path.contains(|char: char| char.is_control() || char == '\\')
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && part.len() <= MAX_NAME)
}

/// Whether Windows takes this as the name of a file, and as no other one.
fn is_windows_name(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let is_device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || (["COM", "LPT"].iter().any(|port| stem.strip_prefix(port).is_some_and(|rest| rest.chars().count() == 1)));
    !is_device && !name.contains(['<', '>', ':', '"', '|', '?', '*']) && !name.ends_with(['.', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::Sum;

    const LINUX: System = System { folds_case: false, is_windows: false };
    const MACOS: System = System { folds_case: true, is_windows: false };
    const WINDOWS: System = System { folds_case: true, is_windows: true };

    fn kept(paths: &[&str], system: System) -> Result<Vec<String>, String> {
        let file = |path: &&str| RemoteFile { path: (*path).to_owned(), bytes: 0, sum: Sum::GitBlob([0; 20]) };
        Ok(usable(paths.iter().map(file).collect(), system)?.into_iter().map(|file| file.path).collect())
    }

    #[test]
    fn a_path_that_leads_out_spoils_the_listing() {
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a/./b",
            "a//b",
            "a/",
            "..",
            "a\\..\\b",
            "C:/x",
            "c:x",
            "a\0b",
            "a\nb",
        ] {
            for system in [LINUX, MACOS, WINDOWS] {
                assert!(kept(&["config.json", bad], system).is_err(), "{bad:?}");
            }
        }
        assert!(kept(&[&"x".repeat(256)], LINUX).is_err());
        assert!(kept(&["a/..b/...", "\u{e4}/\u{1f600}.txt", "a b/c:d"], LINUX).is_ok());
    }

    #[test]
    fn files_that_a_system_confuses_are_left_out_there_and_refused_where_they_are_the_same() {
        let both = ["README.md", "readme.md", "A/x", "a/y"];
        assert_eq!(kept(&both, LINUX).unwrap(), both);
        assert_eq!(kept(&both, MACOS).unwrap(), ["README.md", "A/x", "a/y"]);
        for twice in [["a", "a"], ["a", "a/b"], ["a/b", "a"]] {
            assert!(kept(&twice, LINUX).is_err(), "{twice:?}");
            assert_eq!(kept(&twice, MACOS).unwrap().len(), 1, "{twice:?}");
        }
    }

    #[test]
    fn names_that_windows_reads_as_something_else_are_left_out_there() {
        let odd = ["nul", "a/Con.txt", "com1.json", "xy:stream", "what?", "dot.", "space "];
        for name in odd {
            assert_eq!(kept(&[name, "console.json"], WINDOWS).unwrap(), ["console.json"], "{name}");
        }
        assert_eq!(kept(&odd, LINUX).unwrap().len(), odd.len());
    }
}
