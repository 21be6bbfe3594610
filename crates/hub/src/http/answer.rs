//! What an answer that is an error means.
//!
//! The hub tells the reasons apart in the header `X-Error-Code` (as `huggingface_hub` 1.x reads it in
//! `utils/_http.py`); mirrors and proxies often send the status alone.

use std::time::Duration;

use tiller_protocol::asset::RepoRef;
use ureq::http::HeaderMap;

use super::{Answer, Hub, parse, shown};
use crate::endpoint::MAIN;
use crate::error::HubError;
use crate::stop::Stop;

/// Longest part of a server's own words that is passed on, characters.
const MAX_WORDS: usize = 200;

/// What the hub says about a token that is none.
const NO_TOKEN: &str = "Invalid credentials in Authorization header";

/// What a request was about.
pub(crate) struct Subject<'a> {
    pub(crate) repo: &'a RepoRef,
    /// Path of the file, where it was about one.
    pub(crate) path: Option<&'a str>,
    /// The repository is known to be gated.
    pub(crate) is_gated: bool,
}

impl Hub {
    /// What an answer without success means.
    pub(crate) fn refusal(&self, answer: Answer, subject: &Subject<'_>) -> HubError {
        let (signed_in, stop) = (answer.signed_in, answer.stop.clone());
        let is_own = self.settings.endpoint.owns(&answer.uri);
        let status = answer.response.status().as_u16();
        let header = |name: &str| text(answer.response.headers(), name).unwrap_or_default().to_owned();
        let (code, message) = (header("x-error-code"), header("x-error-message"));
        let id = subject.repo.id.clone();
        let general = self.general(answer);
        if !is_own || status == 429 || status >= 500 {
            return general;
        }
        let hides = matches!(code.as_str(), "" | "RepoNotFound") && status == 401;
        if signed_in && hides && (message == NO_TOKEN || self.refuses_token(&stop)) {
            return HubError::BadToken;
        }
        match (code.as_str(), status, subject.path) {
            ("GatedRepo", ..) => self.gated(id, signed_in),
            ("RevisionNotFound", ..) => {
                let revision = subject.repo.revision.clone().unwrap_or_else(|| MAIN.to_owned());
                HubError::NoRevision { id, revision }
            }
            ("EntryNotFound", _, Some(path)) | ("", 404, Some(path)) => HubError::NoFile { id, path: path.to_owned() },
            // A token whose owner may see the repository, made without the right to do so.
            ("", 403, _) if signed_in && message.to_lowercase().contains("token") => {
                HubError::NoRight { id, message: shorten(&message) }
            }
            ("", 401 | 403, _) if subject.is_gated => self.gated(id, signed_in),
            ("RepoNotFound", ..) | ("", 401 | 404, _) => HubError::NoRepo { id, signed_in },
            _ => general,
        }
    }

    fn gated(&self, id: String, signed_in: bool) -> HubError {
        HubError::Gated { page: self.settings.endpoint.page(&id), id, signed_in }
    }

    /// What an answer without success means, whatever it was about.
    pub(crate) fn general(&self, answer: Answer) -> HubError {
        let headers = answer.response.headers();
        let status = answer.response.status().as_u16();
        match (status, retry_after(headers)) {
            (429, secs) => return HubError::Busy { secs: secs.unwrap_or(1) },
            (503, Some(secs)) => return HubError::Busy { secs },
            _ => {}
        }
        let header = text(headers, "x-error-message").map(str::to_owned);
        let url = shown(&answer.uri);
        let mut message = header.unwrap_or_else(|| own_words(answer));
        if let Some(token) = self.settings.credentials.token() {
            message = message.replace(&token.0, "\u{2026}");
        }
        HubError::Status { url, status, message: shorten(&message) }
    }

    /// Whether the hub says that the token is none: then that is why the repository was hidden.
    fn refuses_token(&self, stop: &Stop) -> bool {
        let Ok(uri) = parse(&self.settings.endpoint.whoami()) else { return false };
        self.follow(uri, &[], stop).is_ok_and(|answer| answer.response.status().as_u16() == 401)
    }
}

/// Why no answer came, or no more of it.
pub(super) fn lost(host: String, error: &ureq::Error) -> HubError {
    let reason = words(error);
    // rustls' errors come wrapped in those of reading.
    match reason.strip_prefix("invalid peer certificate: ") {
        Some(reason) => HubError::Untrusted { host, reason: reason.to_owned() },
        None => HubError::Unreachable { host, reason },
    }
}

/// ureq's errors in words for people; none of them holds an address with its query.
fn words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "its name is not known".to_owned(),
        ureq::Error::Timeout(ureq::Timeout::Resolve) => "looking up its name took too long".to_owned(),
        ureq::Error::Timeout(ureq::Timeout::Connect) => "it did not answer in time".to_owned(),
        ureq::Error::Timeout(_) => "nothing came in for too long".to_owned(),
        ureq::Error::ConnectProxyFailed(reason) => format!("the proxy refused: {reason}"),
        ureq::Error::Rustls(reason) => format!("the connection could not be secured: {reason}"),
        ureq::Error::Io(reason) if reason.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the connection ended early".to_owned()
        }
        ureq::Error::Io(reason) => reason.to_string(),
        ureq::Error::Protocol(_) => "it does not speak HTTP".to_owned(),
        other => other.to_string(),
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// Seconds that the hub asks to wait: `Retry-After`, or `t` of `RateLimit` (`"api";r=0;t=55`), which every answer bears
/// and which counts only when nothing remains. A date is not read.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let plain = text(headers, "retry-after").and_then(|secs| secs.parse::<f64>().ok());
    let left = || {
        let limit = text(headers, "ratelimit")?;
        let number = |name: &str| limit.split(';').find_map(|item| item.trim().strip_prefix(name)?.parse().ok());
        number("t=").filter(|_| number("r=") == Some(0.0))
    };
    let secs = plain.or_else(left)?;
    Duration::try_from_secs_f64(secs.ceil()).ok().map(|time| time.as_secs())
}

/// What the body says, where it is text: the hub's own answers are `{"error": "…"}`.
fn own_words(answer: Answer) -> String {
    let bytes = answer.read(4096).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let json = serde_json::from_str::<serde_json::Value>(&text).ok();
    let error = json.as_ref().and_then(|json| json.get("error")?.as_str());
    // A page for a browser says nothing in its first characters.
    error.map_or_else(
        || if text.trim_start().starts_with('<') { String::new() } else { text.into_owned() },
        str::to_owned,
    )
}

fn shorten(text: &str) -> String {
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let clean = plain.chars().filter(|char| !char.is_control()).take(MAX_WORDS).collect::<String>();
    if clean.is_empty() { "it gave no reason".to_owned() } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_that_the_hub_asks_for_is_read_from_either_header() {
        let headers = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            headers
        };
        assert_eq!(retry_after(&headers("retry-after", "7")), Some(7));
        assert_eq!(retry_after(&headers("retry-after", "0.2")), Some(1));
        assert_eq!(retry_after(&headers("ratelimit", "\"api\";r=0;t=55")), Some(55));
        assert_eq!(retry_after(&headers("ratelimit", "\"api\";r=7;t=55")), None);
        for bad in ["-1", "soon", "NaN", "1e300", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(retry_after(&headers("retry-after", bad)), None, "{bad}");
        }
    }

    #[test]
    fn words_of_a_server_are_short_and_plain() {
        assert_eq!(shorten(" a\r\n b\u{7}\t"), "a b");
        assert_eq!(shorten(&"x".repeat(1000)).len(), MAX_WORDS);
        assert_eq!(shorten(""), "it gave no reason");
    }
}
