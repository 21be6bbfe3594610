//! Where the hub's own tools keep their things (`huggingface_hub` 1.x, `constants.py`).

use std::path::PathBuf;

/// A value of the environment, where it is set to something.
pub(crate) fn read(var: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    var(name).filter(|value| !value.trim().is_empty())
}

/// `HF_HOME`, else `huggingface` in `XDG_CACHE_HOME` or `~/.cache`. Absent when there is no home folder either.
pub(crate) fn folder(var: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if let Some(own) = read(var, "HF_HOME") {
        return expand(var, &own);
    }
    let cache = match read(var, "XDG_CACHE_HOME") {
        Some(cache) => expand(var, &cache)?,
        None => user(var)?.join(".cache"),
    };
    Some(cache.join("huggingface"))
}

/// A path that may begin with `~`.
pub(crate) fn expand(var: &dyn Fn(&str) -> Option<String>, text: &str) -> Option<PathBuf> {
    match text.strip_prefix('~') {
        Some("") => user(var),
        Some(rest) if rest.starts_with(['/', '\\']) => user(var).map(|home| home.join(&rest[1..])),
        _ => Some(PathBuf::from(text)),
    }
}

fn user(var: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    read(var, "HOME").or_else(|| read(var, "USERPROFILE")).map(PathBuf::from)
}
