//! Questions to the hub: what a repository holds, a small file of it, whose token this is.
//!
//! The addresses and fields are those of the hub's own client (`huggingface_hub` 1.x, `hf_api.py`: `model_info`,
//! `list_repo_tree`, `whoami`). Answers are checked before anything is made of them: a hub, a mirror or a proxy in
//! between could send anything.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tiller_protocol::asset::{Gate, RepoRef};
use ureq::http::{HeaderMap, Uri, header};

use crate::endpoint::PUBLIC;
use crate::error::HubError;
use crate::http::{Answer, Hub, Subject, parse, shown};
use crate::listing::{Listing, RemoteFile, Sum};
use crate::path::{self, System};
use crate::reference;
use crate::stop::Stop;

/// Largest answer that is read, bytes.
const MAX_ANSWER: usize = 32 << 20;

/// Most pages of a listing; the hub puts 1000 entries on one.
const MAX_PAGES: usize = 1000;

/// Most entries of a listing.
const MAX_ENTRIES: usize = 200_000;

/// Largest file that is believed, bytes: far beyond what the hub takes, and so many entries of it still add up.
const MAX_FILE: u64 = 1 << 44;

/// Longest path that is believed, bytes: what macOS takes, which takes the least.
const MAX_PATH: usize = 1024;

impl Hub {
    /// What a repository holds at the commit that its revision stands for now. Failures that may pass are tried again.
    ///
    /// # Errors
    /// Whatever keeps the hub from telling, see [`HubError`]; [`HubError::BadAnswer`] also for a listing with a path
    /// that leads out of its folder.
    pub fn listing(&self, repo: &RepoRef, stop: &Stop) -> Result<Listing, HubError> {
        let refuse = |reason: &str| HubError::BadAddress { text: repo.id.clone(), reason: reason.to_owned() };
        reference::check(repo).map_err(refuse)?;
        let endpoint = &self.settings().endpoint;
        let address = endpoint.revision(repo);
        let subject = Subject { repo, path: None, is_gated: false };
        let (info, _): (Info, _) = self.ask(&parse(&address)?, &subject, stop)?;
        let commit = info
            .sha
            .clone()
            .filter(|sha| is_commit(sha))
            .ok_or_else(|| HubError::BadAnswer { url: address, reason: "it does not name a commit".to_owned() })?;
        let gate = info.gate();
        let subject = Subject { is_gated: gate != Gate::Open, ..subject };
        let files = self.files(&endpoint.tree(&repo.id, &commit), &subject, stop)?;
        Ok(Listing {
            repo: repo.clone(),
            commit,
            gate,
            is_private: info.private,
            licence: info.licence(),
            page: endpoint.page(&repo.id),
            files,
        })
    }

    /// A small text file of a repository.
    ///
    /// # Errors
    /// [`HubError::NoFile`] when the listing has none of that path, [`HubError::BadAnswer`] when it is longer than
    /// `limit` bytes or no text, and whatever keeps it from coming in.
    pub fn text(&self, listing: &Listing, path: &str, limit: u64, stop: &Stop) -> Result<String, HubError> {
        let file = listing.files.iter().find(|file| file.path == path);
        let file = file.ok_or_else(|| HubError::NoFile { id: listing.repo.id.clone(), path: path.to_owned() })?;
        let refuse = |reason: &str| {
            let url = self.settings().endpoint.file(&listing.repo.id, &listing.commit, path);
            HubError::BadAnswer { url, reason: reason.to_owned() }
        };
        if file.bytes > limit {
            return Err(refuse("it is too long for a text of its kind"));
        }
        let bytes = self.retrying(stop, || {
            let mut body = self.open(listing, file, None, stop)?;
            let mut bytes = Vec::new();
            let mut buffer = [0; 16 << 10];
            while bytes.len() as u64 <= limit {
                match body.read_on(&mut buffer)? {
                    0 => return Ok(bytes),
                    amount => bytes.extend_from_slice(&buffer[..amount]),
                }
            }
            Err(refuse("it is longer than announced"))
        })?;
        String::from_utf8(bytes).map_err(|_garbled| refuse("it is no text"))
    }

    /// The name of the user whose token this is; absent when there is no token.
    ///
    /// # Errors
    /// [`HubError::BadToken`], or whatever keeps the hub from telling.
    pub fn user(&self, stop: &Stop) -> Result<Option<String>, HubError> {
        if self.settings().credentials.token().is_none() {
            return Ok(None);
        }
        let uri = parse(&self.settings().endpoint.whoami())?;
        let answer: User = self.retrying(stop, || {
            let answer = self.follow(uri.clone(), &[], stop)?;
            match answer.response.status().as_u16() {
                200 => json(answer),
                401 | 403 => Err(HubError::BadToken),
                _ => Err(self.general(answer)),
            }
        })?;
        Ok(answer.fullname.filter(|name| !name.is_empty()).map_or(Some(answer.name.clone()), |full| {
            Some(if full == answer.name { full } else { format!("{full} ({})", answer.name) })
        }))
    }

    /// Tries a question again while its failures may pass.
    fn retrying<T>(&self, stop: &Stop, question: impl Fn() -> Result<T, HubError>) -> Result<T, HubError> {
        let retry = &self.settings().retry;
        let mut n_failures = 0;
        loop {
            let error = match question() {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            n_failures += 1;
            match retry.wait_after(n_failures, &error) {
                Some(time) if n_failures < retry.attempts => {
                    log::info!("{error}; trying again in {:.1} s", time.as_secs_f64());
                    stop.wait(time)?;
                }
                _ => return Err(error),
            }
        }
    }

    /// One answer as JSON, with its headers.
    fn ask<T: DeserializeOwned>(
        &self,
        uri: &Uri,
        subject: &Subject<'_>,
        stop: &Stop,
    ) -> Result<(T, HeaderMap), HubError> {
        self.retrying(stop, || {
            let answer = self.follow(uri.clone(), &[], stop)?;
            if !answer.response.status().is_success() {
                return Err(self.refusal(answer, subject));
            }
            let headers = answer.response.headers().clone();
            Ok((json(answer)?, headers))
        })
    }

    /// All pages of a listing.
    fn files(&self, first: &str, subject: &Subject<'_>, stop: &Stop) -> Result<Vec<RemoteFile>, HubError> {
        let mut files = Vec::new();
        let (mut n_entries, mut n_pages) = (0, 0);
        let mut next = Some(parse(first)?);
        while let Some(uri) = next {
            let refuse = |reason: String| HubError::BadAnswer { url: shown(&uri), reason };
            let (entries, headers): (Vec<Entry>, _) = self.ask(&uri, subject, stop)?;
            n_entries += entries.len();
            n_pages += 1;
            if n_entries > MAX_ENTRIES || n_pages > MAX_PAGES {
                return Err(refuse("its list does not end".to_owned()));
            }
            for entry in entries.iter().filter(|entry| entry.kind == "file") {
                files.push(entry.file().map_err(&refuse)?);
            }
            let link = headers.get_all(header::LINK).iter().find_map(|link| next_page(link.to_str().ok()?));
            next = match link {
                Some(link) => Some(self.own(&link).ok_or_else(|| refuse("its list goes on elsewhere".to_owned()))?),
                None => None,
            };
        }
        path::usable(files, System::HERE)
            .map_err(|reason| HubError::BadAnswer { url: first.split('?').next().unwrap_or(first).to_owned(), reason })
    }

    /// An address of the hub's own; mirrors pass on addresses that name the hub they mirror.
    fn own(&self, address: &str) -> Option<Uri> {
        let endpoint = &self.settings().endpoint;
        let uri = address.parse::<Uri>().ok()?;
        if endpoint.owns(&uri) {
            return Some(uri);
        }
        let path = address.strip_prefix(PUBLIC).or_else(|| address.starts_with('/').then_some(address))?;
        format!("{}{path}", endpoint.as_str()).parse().ok()
    }
}

fn json<T: DeserializeOwned>(answer: Answer) -> Result<T, HubError> {
    let url = shown(&answer.uri);
    serde_json::from_slice(&answer.read(MAX_ANSWER)?).map_err(|error| HubError::BadAnswer {
        url,
        reason: format!("it is not the JSON that was expected, at line {}", error.line()),
    })
}

/// The address in `<ADDRESS>; rel="next"` (RFC 8288).
fn next_page(link: &str) -> Option<String> {
    link.split(',').find_map(|item| {
        let (address, rest) = item.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = rest.split(';').any(|param| matches!(param.trim(), "rel=\"next\"" | "rel=next"));
        is_next.then(|| address.to_owned())
    })
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What the hub tells about a repository; the rest is not read.
#[derive(Deserialize)]
struct Info {
    sha: Option<String>,
    #[serde(default)]
    gated: Value,
    #[serde(default)]
    private: bool,
    #[serde(default, rename = "cardData")]
    card: Value,
    #[serde(default)]
    tags: Value,
}

impl Info {
    fn gate(&self) -> Gate {
        match &self.gated {
            Value::String(kind) if kind == "manual" => Gate::Manual,
            Value::String(_) | Value::Bool(true) => Gate::Automatic,
            _ => Gate::Open,
        }
    }

    /// From the card, where `other` has a name of its own; from the tags where there is no card.
    fn licence(&self) -> Option<String> {
        let text = |value: &Value| value.as_str().or_else(|| value.as_array()?.first()?.as_str()).map(str::to_owned);
        let tag =
            || self.tags.as_array()?.iter().find_map(|tag| tag.as_str()?.strip_prefix("license:").map(str::to_owned));
        let name = text(&self.card["license"]).or_else(tag)?;
        let own = if name == "other" { text(&self.card["license_name"]) } else { None };
        Some(own.unwrap_or(name).chars().filter(|char| !char.is_control()).take(80).collect())
    }
}

/// A file or folder of a listing.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: String,
    lfs: Option<Lfs>,
}

/// What a large file's pointer says.
#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

#[derive(Deserialize)]
struct User {
    name: String,
    fullname: Option<String>,
}

impl Entry {
    fn file(&self) -> Result<RemoteFile, String> {
        if self.path.len() > MAX_PATH {
            return Err(format!("it lists a path of {} bytes", self.path.len()));
        }
        let bad = || format!("the checksum of {} makes no sense", self.path.escape_debug());
        let (bytes, sum) = match &self.lfs {
            Some(lfs) => (lfs.size, Sum::Sha256(unhex(lfs.oid.trim_start_matches("sha256:")).ok_or_else(bad)?)),
            None => (self.size, Sum::GitBlob(unhex(&self.oid).ok_or_else(bad)?)),
        };
        if bytes > MAX_FILE {
            return Err(format!("it says that {} has {bytes} bytes", self.path.escape_debug()));
        }
        Ok(RemoteFile { path: self.path.clone(), bytes, sum })
    }
}

/// Reads hex digits; exactly as many as the array holds.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, idx) in out.iter_mut().zip(0..) {
        *byte = u8::from_str_radix(text.get(2 * idx..2 * idx + 2)?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_links() {
        let link = "<https://h/a?x=1>; rel=\"prev\", <https://h/b?cursor=2>; rel=\"next\"";
        assert_eq!(next_page(link).as_deref(), Some("https://h/b?cursor=2"));
        assert_eq!(next_page("<https://h/a>; rel=\"last\""), None);
        assert_eq!(next_page("nonsense"), None);
    }

    #[test]
    fn gate_and_licence_are_read_from_card_and_tags() {
        for (text, gate, licence) in [
            (r#"{"sha": "a", "gated": false, "cardData": {"license": "apache-2.0"}}"#, Gate::Open, Some("apache-2.0")),
            (r#"{"sha": "a", "gated": "auto", "tags": ["x", "license:mit"]}"#, Gate::Automatic, Some("mit")),
            (
                r#"{"gated": "manual", "cardData": {"license": "other", "license_name": "own"}}"#,
                Gate::Manual,
                Some("own"),
            ),
            (r#"{"gated": true, "cardData": null, "tags": null}"#, Gate::Automatic, None),
            ("{}", Gate::Open, None),
        ] {
            let info: Info = serde_json::from_str(text).unwrap();
            assert_eq!((info.gate(), info.licence().as_deref()), (gate, licence), "{text}");
        }
    }

    #[test]
    fn checksums_have_exactly_their_length() {
        assert_eq!(unhex::<2>("0fA0"), Some([15, 160]));
        for bad in ["", "0", "0fa", "0fa00", "0g00", "é0", "+f00"] {
            assert_eq!(unhex::<2>(bad), None, "{bad}");
        }
    }
}
