//! Names of repositories, as people write and paste them.

use tiller_protocol::asset::RepoRef;

use crate::error::HubError;

/// Longest id that the hub gives out, characters.
const MAX_ID: usize = 96;

/// Parts of a page's address after the id that are followed by a revision.
const PLACES: [&str; 6] = ["tree", "blob", "resolve", "raw", "commit", "commits"];

/// Understands `owner/name`, `owner/name@revision`, and the address of a page of the hub or a mirror, such as
/// `https://huggingface.co/owner/name/tree/revision`.
///
/// # Errors
/// [`HubError::BadAddress`] for anything else; nothing is sent.
pub fn parse(text: &str) -> Result<RepoRef, HubError> {
    let refuse = |reason: &str| HubError::BadAddress { text: shorten(text), reason: reason.to_owned() };
    let bare = text.trim().trim_matches(['"', '\'', '<', '>']).trim();
    let (id, revision) = match page(bare) {
        Some(path) => of_page(path).ok_or_else(|| refuse("it is not the page of a model"))?,
        None => match bare.split_once('@') {
            Some((id, revision)) => (id.trim_matches('/').to_owned(), Some(revision.to_owned())),
            None => (bare.trim_matches('/').to_owned(), None),
        },
    };
    let repo = RepoRef { id, revision: revision.filter(|revision| !revision.is_empty()) };
    check(&repo).map(|()| repo).map_err(refuse)
}

/// Checks an id and a revision that came from elsewhere, before they become part of an address or a path.
///
/// # Errors
/// What is wrong.
pub(crate) fn check(repo: &RepoRef) -> Result<(), &'static str> {
    let parts = repo.id.split('/').collect::<Vec<_>>();
    if repo.id.is_empty() {
        return Err("it is empty; a name looks like owner/name");
    }
    if parts.len() > 2 {
        return Err("a name has one slash: owner/name");
    }
    if repo.id.len() > MAX_ID {
        return Err("it is too long for a name");
    }
    for part in parts {
        if !part.chars().all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char)) {
            return Err("a name has letters, digits, `-`, `_` and `.`");
        }
        if part.is_empty() || part.contains("..") || part.contains("--") || part.starts_with(['-', '.']) {
            return Err("no part of a name is empty, begins with `-` or `.`, or holds `..` or `--`");
        }
        if part.ends_with(['-', '.']) || part.to_ascii_lowercase().ends_with(".git") {
            return Err("no part of a name ends in `-`, `.` or `.git`");
        }
    }
    match &repo.revision {
        Some(revision) if !is_revision(revision) => Err("that is no branch, tag or commit"),
        _ => Ok(()),
    }
}

/// What git allows as the name of a branch (`git check-ref-format`), and a commit.
fn is_revision(text: &str) -> bool {
    let is_odd = |char: char| char.is_control() || char.is_whitespace() || "~^:?*[\\".contains(char);
    !text.is_empty()
        && text.len() <= 255
        && !text.contains(is_odd)
        && !text.contains("..")
        && !text.contains("@{")
        && !text.ends_with(['.', '/'])
        && text.split('/').all(|part| !part.is_empty() && !part.starts_with(['.', '-']))
}

/// The path of an address of a page; absent when the text is none.
fn page(text: &str) -> Option<&str> {
    let rest = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let rest =
        rest.or_else(|| ["huggingface.co/", "hf.co/"].iter().any(|host| text.starts_with(host)).then_some(text))?;
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    path.split(['?', '#']).next()
}

fn of_page(path: &str) -> Option<(String, Option<String>)> {
    let mut parts = path.trim_matches('/').split('/').collect::<Vec<_>>();
    if parts.first() == Some(&"api") {
        parts.remove(0);
    }
    if parts.first() == Some(&"models") {
        parts.remove(0);
    }
    if matches!(parts.first(), Some(&("datasets" | "spaces" | "collections" | "papers" | "docs" | "blog"))) {
        return None;
    }
    let place = parts.iter().position(|part| PLACES.contains(part)).filter(|at| *at == 1 || *at == 2);
    let id_len = place.unwrap_or_else(|| parts.len().min(2));
    // The revision's slashes are escaped in a page's address; what follows it is a path.
    let revision = place.and_then(|at| parts.get(at + 1)).map(|text| text.replace("%2F", "/").replace("%2f", "/"));
    let id = parts.get(..id_len)?.join("/");
    (!id.is_empty()).then_some((id, revision.filter(|revision| revision != crate::endpoint::MAIN)))
}

fn shorten(text: &str) -> String {
    let clean = text.trim().chars().filter(|char| !char.is_control()).take(80).collect::<String>();
    if clean.is_empty() { "The name".to_owned() } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_pasted_addresses_are_understood() {
        for (text, id, revision) in [
            ("google/gemma-3-1b-it", "google/gemma-3-1b-it", None),
            (" gpt2 ", "gpt2", None),
            ("owner/name@v1.0", "owner/name", Some("v1.0")),
            ("owner/name@refs/pr/3", "owner/name", Some("refs/pr/3")),
            ("https://huggingface.co/owner/name", "owner/name", None),
            ("https://huggingface.co/owner/name/", "owner/name", None),
            ("https://huggingface.co/owner/name?library=true#usage", "owner/name", None),
            ("https://huggingface.co/owner/name/tree/main", "owner/name", None),
            ("https://huggingface.co/owner/name/tree/v2/sub/folder", "owner/name", Some("v2")),
            ("https://huggingface.co/owner/name/blob/refs%2Fpr%2F1/config.json", "owner/name", Some("refs/pr/1")),
            ("https://huggingface.co/owner/name/discussions/3", "owner/name", None),
            ("https://huggingface.co/gpt2/tree/e7da7f2", "gpt2", Some("e7da7f2")),
            ("https://hf-mirror.example/owner/name/resolve/main/a.gguf", "owner/name", None),
            ("https://huggingface.co/api/models/owner/name", "owner/name", None),
            ("huggingface.co/owner/name", "owner/name", None),
            ("hf.co/owner/name/tree/x", "owner/name", Some("x")),
        ] {
            let expected = RepoRef { id: id.to_owned(), revision: revision.map(str::to_owned) };
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn nothing_else_becomes_part_of_an_address() {
        for text in [
            "",
            " ",
            "a/b/c",
            "../b",
            "a/..",
            "a/b..c",
            "a b",
            "a/b?x",
            "a/b%2e",
            "-a/b",
            "a/b.git",
            "ä/b",
            "owner\\name",
            "C:/models",
            "/home/me/model",
            "a/b@..",
            "a/b@x y",
            "a/b@/x",
            "a/b@x\\y",
            "https://huggingface.co/",
            "https://huggingface.co/datasets/a/b",
            "a/b\0c",
        ] {
            assert!(matches!(parse(text), Err(HubError::BadAddress { .. })), "{text}");
        }
        assert!(parse(&"x".repeat(5000)).is_err());
    }
}
