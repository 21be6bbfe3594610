//! Where the hub is, and the addresses of what it holds.

use std::fmt::Write as _;

use tiller_protocol::asset::RepoRef;
use ureq::http::Uri;

use crate::error::HubError;

/// The hub that everybody uses.
pub const PUBLIC: &str = "https://huggingface.co";

/// Revision that is meant when none is named.
pub const MAIN: &str = "main";

/// Address of a hub: scheme, host, port, and for some mirrors a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Without a slash at the end.
    base: String,
    site: Site,
}

/// What decides whether two addresses belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Site {
    scheme: String,
    host: String,
    port: u16,
}

impl Site {
    fn of(uri: &Uri) -> Option<Self> {
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let port = uri.port_u16().or(match scheme.as_str() {
            "https" => Some(443),
            "http" => Some(80),
            _ => None,
        })?;
        Some(Self { scheme, host: uri.host()?.to_ascii_lowercase(), port })
    }
}

impl Endpoint {
    /// Reads `https://host`, with or without a slash at the end.
    ///
    /// # Errors
    /// [`HubError::BadAddress`] when it is no http address, or holds a user name, a query or a fragment.
    pub fn parse(text: &str) -> Result<Self, HubError> {
        let base = text.trim().trim_end_matches('/');
        let refuse = |reason: &str| {
            let text = if base.contains('@') { "the endpoint" } else { base };
            Err(HubError::BadAddress { text: text.to_owned(), reason: reason.to_owned() })
        };
        let Ok(uri) = base.parse::<Uri>() else { return refuse("it is no address") };
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return refuse("it holds a user name");
        }
        match Site::of(&uri) {
            None => refuse("it should begin with https://"),
            Some(_) if base.contains(['?', '#']) => refuse("it should be a host, without a query"),
            Some(site) => Ok(Self { base: base.to_owned(), site }),
        }
    }

    /// Whether an address is the hub's own: the same scheme, host and port. Only then may it see the token.
    pub fn owns(&self, uri: &Uri) -> bool {
        Site::of(uri).as_ref() == Some(&self.site)
    }

    /// Address without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.base
    }

    /// A repository's page for people.
    pub fn page(&self, id: &str) -> String {
        format!("{}/{id}", self.base)
    }

    /// A file of a repository at a commit.
    pub fn file(&self, id: &str, commit: &str, path: &str) -> String {
        format!("{}/{id}/resolve/{}/{}", self.base, escape(commit, ""), escape(path, "/"))
    }

    /// What a repository's revision stands for.
    pub fn revision(&self, repo: &RepoRef) -> String {
        let revision = repo.revision.as_deref().unwrap_or(MAIN);
        format!("{}/api/models/{}/revision/{}", self.base, repo.id, escape(revision, ""))
    }

    /// All files of a repository at a commit.
    pub fn tree(&self, id: &str, commit: &str) -> String {
        format!("{}/api/models/{id}/tree/{}?recursive=true", self.base, escape(commit, ""))
    }

    /// Whose token this is.
    pub fn whoami(&self) -> String {
        format!("{}/api/whoami-v2", self.base)
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        let site = Site { scheme: "https".to_owned(), host: "huggingface.co".to_owned(), port: 443 };
        Self { base: PUBLIC.to_owned(), site }
    }
}

/// Percent-encodes all but the characters that need it nowhere (RFC 3986, section 2.3) and those in `keep`.
fn escape(text: &str, keep: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let char = char::from(byte);
        if char.is_ascii_alphanumeric() || "-._~".contains(char) || (char.is_ascii() && keep.contains(char)) {
            out.push(char);
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string never fails");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_built_from_any_way_of_writing_the_endpoint() {
        assert_eq!(Endpoint::parse(PUBLIC).unwrap(), Endpoint::default());
        let endpoint = Endpoint::parse(" http://localhost:8080/mirror/ ").unwrap();
        assert_eq!(endpoint.page("a/b"), "http://localhost:8080/mirror/a/b");
        assert_eq!(
            endpoint.file("a/b", "0123", "layer 1/ä#?.npz"),
            "http://localhost:8080/mirror/a/b/resolve/0123/layer%201/%C3%A4%23%3F.npz"
        );
        let repo = RepoRef { id: "a/b".to_owned(), revision: Some("refs/pr/1".to_owned()) };
        assert!(endpoint.revision(&repo).ends_with("/api/models/a/b/revision/refs%2Fpr%2F1"));
        for bad in ["", "huggingface.co", "ftp://host", "https://me:pw@host", "https://host?x=1", "https://"] {
            let error = Endpoint::parse(bad).unwrap_err().to_string();
            assert!(!error.contains("pw"), "{error}");
        }
    }

    #[test]
    fn only_the_same_scheme_host_and_port_belong_to_the_hub() {
        let endpoint = Endpoint::parse("https://Hub.example").unwrap();
        for (address, expected) in [
            ("https://hub.example/x?y=1", true),
            ("https://hub.example:443/", true),
            ("http://hub.example/", false),
            ("https://hub.example:8443/", false),
            ("https://cdn.hub.example/", false),
            ("https://hub.example.evil.example/", false),
            ("/relative", false),
        ] {
            assert_eq!(endpoint.owns(&address.parse().unwrap()), expected, "{address}");
        }
    }
}
