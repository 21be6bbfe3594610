//! `tiller discover`: a run from a settings file into a folder.

use std::fs;
use std::path::Path;

use tiller_protocol::discovery::DiscoverySettings;
use tiller_protocol::problem::Problem;

use super::options::{DiscoverOptions, Global};
use super::results::DiscoverResult;
use super::session::{Session, WatchSink};
use crate::jobs::discover as job;
use crate::jobs::material::Shelf;
use crate::problem;
use crate::workspace::{RunFolder, document};

/// Settings that have no default value and so do not show when the defaults are written out.
const OPTIONAL: [&str; 3] = ["vector", "block", "warm_start"];

/// Runs a prompt discovery and writes its folder.
///
/// # Errors
/// A model, persona or configuration that cannot be used, a folder that cannot be written, or a stop before the
/// search.
pub fn discover(global: &Global, options: &DiscoverOptions) -> Result<DiscoverResult, Problem> {
    let settings = read_settings(&options.config)?;
    let session = Session::open(global, &options.model)?;
    // A vector of the library is read when it is asked for; nothing is added to the workspace from here.
    let workspace = settings.vector.is_some().then_some(&session.workspace);
    let shelf = Shelf { library: &session.library, neutral: &session.neutral, workspace, max_select: None };
    let folder = RunFolder::at(&options.out);
    let mut sink = WatchSink::new(global, format!("Discovering prompts for {}", stem(&settings.persona)));
    let run = job::run(&session.loaded, &shelf, &settings, (&folder, options.resume), &mut sink)?;
    Ok(DiscoverResult { out: options.out.clone(), run })
}

/// A persona's id, also where it is given as a path.
fn stem(persona: &str) -> String {
    Path::new(persona).file_stem().map_or_else(|| persona.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// Reads settings; a misspelt one is refused rather than passed over.
fn read_settings(path: &Path) -> Result<DiscoverySettings, Problem> {
    let text = fs::read_to_string(path).map_err(|error| problem::read_failed(path, &error))?;
    let table: toml::Table =
        toml::from_str(&text).map_err(|error: toml::de::Error| problem::unreadable(path, error.message()))?;
    if let Some(format) = table.get("format").and_then(toml::Value::as_integer)
        && format != i64::from(document::FORMAT)
    {
        return Err(problem::unknown_format(path, u32::try_from(format).unwrap_or(u32::MAX)));
    }
    let known = toml::Table::try_from(DiscoverySettings::default())
        .map_err(|error| problem::unreadable(path, &error.to_string()))?;
    if let Some(name) = table.keys().find(|name| !known.contains_key(*name) && !OPTIONAL.contains(&name.as_str())) {
        return Err(problem::unreadable(path, &format!("there is no setting \u{201c}{name}\u{201d}")));
    }
    toml::from_str(&text).map_err(|error| problem::unreadable(path, error.message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_settings_take_the_preset_and_misspelt_ones_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.toml");
        fs::write(&path, "persona = \"myopia\"\nseed = 7\nvector = \"myopia-1\"\nblock = 2").unwrap();
        let settings = read_settings(&path).unwrap();
        assert_eq!((settings.persona.as_str(), settings.seed, settings.block), ("myopia", 7, Some(2)));
        assert_eq!(settings.iterations, DiscoverySettings::default().iterations);
        for (text, fact) in [("populaton = 4", "populaton"), ("format = 99", "99"), ("persona = ", "run.toml")] {
            fs::write(&path, text).unwrap();
            assert!(read_settings(&path).unwrap_err().cause.contains(fact), "{text}");
        }
    }
}
