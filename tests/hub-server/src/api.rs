//! The hub's answers: who may see what, listings, redirects, files.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::State;
use crate::http::{Answer, Request};
use crate::repo::{Repo, Stored, hex};

/// What is to be sent.
pub(crate) enum Reply {
    /// An answer that is complete by itself.
    Answer(Answer),
    /// A file's bytes.
    File(Box<Stored>, Vec<(&'static str, String)>),
}

/// Where a request leads.
struct Found<'a> {
    id: &'a str,
    repo: &'a Repo,
}

impl State {
    /// The hub's answer.
    pub(crate) fn hub(&self, request: &Request, storage: &str) -> Reply {
        let path = request.path.trim_start_matches('/');
        if let Some(rest) = path.strip_prefix("api/") {
            return Reply::Answer(self.api(rest, request));
        }
        let Some((id, rest)) = path.split_once("/resolve/") else {
            return Reply::Answer(Answer::error(404, "", "Not Found"));
        };
        match self.resolve(id, rest, request, storage) {
            Ok(reply) => reply,
            Err(answer) => Reply::Answer(answer),
        }
    }

    fn api(&self, rest: &str, request: &Request) -> Answer {
        if rest == "whoami-v2" {
            return match request.token().map(|token| self.user(token)) {
                Some(Some(user)) => Answer::json(&json!({ "type": "user", "name": user })),
                Some(None) => bad_token(),
                None => Answer::error(401, "", "Invalid username or password."),
            };
        }
        let Some(rest) = rest.strip_prefix("models/") else { return Answer::error(404, "", "Not Found") };
        let (id, what) = match (rest.split_once("/revision/"), rest.split_once("/tree/")) {
            (Some((id, revision)), _) => (id, What::Revision(revision)),
            (None, Some((id, revision))) => (id, What::Tree(revision)),
            (None, None) => (rest, What::Revision("main")),
        };
        if let Some(new) = self.renamed(id) {
            return moved(request, id, new);
        }
        let found = match self.find(id, what.revision(), request) {
            Ok(found) => found,
            Err(answer) => return answer,
        };
        match what {
            What::Revision(_) => Answer::json(&found.info()),
            What::Tree(revision) => self.tree(&found, revision, request),
        }
    }

    /// One page of a listing, with the address of the next one.
    fn tree(&self, found: &Found<'_>, revision: &str, request: &Request) -> Answer {
        let start = query(&request.query, "cursor").and_then(|at| at.parse().ok()).unwrap_or(0);
        let entries = entries(found.repo);
        let page: Vec<Value> = entries.iter().skip(start).take(self.page_len).cloned().collect();
        let next = start + page.len();
        let answer = Answer::json(&Value::Array(page));
        if next >= entries.len() {
            return answer;
        }
        let host = request.header("host").unwrap_or_default();
        let page = format!("http://{host}/api/models/{}/tree/{revision}?recursive=true&cursor={next}", found.id);
        answer.with("Link", format!("<{page}>; rel=\"next\""))
    }

    fn resolve(&self, id: &str, rest: &str, request: &Request, storage: &str) -> Result<Reply, Answer> {
        if let Some(new) = self.renamed(id) {
            return Err(moved(request, id, new));
        }
        let (revision, path) = rest.split_once('/').unwrap_or((rest, ""));
        let found = self.find(id, revision, request)?;
        if let Some(gate) = &found.repo.gate {
            let page = format!("https://huggingface.co/{id}");
            match request.token() {
                None => {
                    let message = format!("Access to model {id} is restricted. You must be authenticated: {page}");
                    return Err(Answer::error(401, "GatedRepo", &message));
                }
                Some(token) if !found.repo.granted.iter().any(|granted| granted == token) => {
                    let message = format!("Access to model {id} is restricted ({gate}). Ask for it: {page}");
                    return Err(Answer::error(403, "GatedRepo", &message));
                }
                Some(_) => {}
            }
        }
        let commit = found.repo.commit();
        let Some(file) = found.repo.files.get(path) else {
            return Err(Answer::error(404, "EntryNotFound", "Entry not found").with("X-Repo-Commit", commit));
        };
        let headers = vec![("X-Repo-Commit", commit.clone())];
        let Some(sum) = &file.sha256 else { return Ok(Reply::File(Box::new(file.clone()), headers)) };
        let place = format!("/repos/{id}/{commit}/{path}");
        let signature = self.signature(&place);
        let answer = Answer::new(302)
            .with("Location", format!("{storage}{}?Epoch={}&Signature={signature}", escape(&place), self.epoch))
            .with("X-Repo-Commit", commit)
            .with("X-Linked-Size", file.bytes.to_string())
            .with("X-Linked-ETag", format!("\"{sum}\""))
            .with("ETag", format!("\"{}\"", file.oid));
        Ok(Reply::Answer(answer))
    }

    /// The answer of the storage behind the hub: signed addresses only, and no token.
    pub(crate) fn storage(&self, request: &Request) -> Reply {
        if request.header("authorization").is_some() {
            return Reply::Answer(Answer::error(400, "", "Only one auth mechanism allowed"));
        }
        let signature = query(&request.query, "Signature");
        if signature != Some(self.signature(&request.path).as_str()) {
            return Reply::Answer(Answer::error(403, "", "Request has expired"));
        }
        let place = request.path.trim_start_matches("/repos/");
        let found = self.repos.iter().find_map(|(id, repo)| {
            let rest = place.strip_prefix(id.as_str())?.strip_prefix('/')?;
            repo.files.get(rest.strip_prefix(&repo.commit())?.strip_prefix('/')?)
        });
        match found {
            Some(file) => Reply::File(Box::new(file.clone()), Vec::new()),
            None => Reply::Answer(Answer::error(404, "", "NoSuchKey")),
        }
    }

    /// A signature of an address, good until the next [`HubServer::expire`](crate::HubServer::expire).
    fn signature(&self, path: &str) -> String {
        use sha1::Digest as _;
        hex(&sha1::Sha1::digest(format!("{} {path}", self.epoch)))
    }

    fn user(&self, token: &str) -> Option<&str> {
        self.tokens.iter().find(|(known, _)| known == token).map(|(_, user)| user.as_str())
    }

    fn renamed(&self, id: &str) -> Option<&str> {
        self.repos.iter().find(|(_, repo)| repo.former.iter().any(|former| former == id)).map(|(new, _)| new.as_str())
    }

    fn find<'a>(&'a self, id: &'a str, revision: &str, request: &Request) -> Result<Found<'a>, Answer> {
        if request.token().is_some_and(|token| self.user(token).is_none()) {
            return Err(bad_token());
        }
        let may_see = |repo: &Repo| {
            !repo.is_private || request.token().is_some_and(|token| repo.granted.iter().any(|known| known == token))
        };
        let mut known = self.repos.iter().rev().filter(|(known, repo)| known == id && may_see(repo)).peekable();
        if known.peek().is_none() {
            return Err(match request.token() {
                None => Answer::error(401, "RepoNotFound", "Invalid username or password."),
                Some(_) => Answer::error(404, "RepoNotFound", "Repository not found"),
            });
        }
        known
            .find(|(_, repo)| repo.commit() == revision || repo.revisions.iter().any(|name| name == revision))
            .map(|(_, repo)| Found { id, repo })
            .ok_or_else(|| Answer::error(404, "RevisionNotFound", &format!("Invalid rev id: {revision}")))
    }

    /// The file that a request is about.
    pub(crate) fn file_of<'a>(&self, request: &'a Request) -> Option<&'a str> {
        let rest = if let Some((_, rest)) = request.path.split_once("/resolve/") {
            rest
        } else {
            // After `/repos/owner/name`.
            let place = request.path.strip_prefix("/repos/")?;
            self.repos.iter().find_map(|(id, _)| place.strip_prefix(id.as_str())?.strip_prefix('/'))?
        };
        rest.split_once('/').map(|(_, path)| path)
    }
}

enum What<'a> {
    Revision(&'a str),
    Tree(&'a str),
}

impl<'a> What<'a> {
    fn revision(&self) -> &'a str {
        match self {
            Self::Revision(revision) | Self::Tree(revision) => revision,
        }
    }
}

impl Found<'_> {
    fn info(&self) -> Value {
        let repo = self.repo;
        let gated = repo.gate.as_ref().map_or(Value::Bool(false), |gate| Value::String(gate.clone()));
        let mut info = json!({
            "id": self.id,
            "modelId": self.id,
            "sha": repo.commit(),
            "private": repo.is_private,
            "gated": gated,
            "disabled": false,
            "tags": [],
            "siblings": repo.files.keys().map(|path| json!({ "rfilename": path })).collect::<Vec<_>>(),
        });
        if let Some(licence) = &repo.licence {
            info["cardData"] = json!({ "license": licence });
            info["tags"] = json!([format!("license:{licence}")]);
        }
        info
    }
}

/// Folders and files, each folder before the first file in it.
fn entries(repo: &Repo) -> Vec<Value> {
    let mut entries = Vec::new();
    let mut folders = BTreeSet::new();
    for (path, file) in &repo.files {
        for (at, _) in path.match_indices('/') {
            if folders.insert(&path[..at]) {
                entries.push(json!({ "type": "directory", "oid": repo.commit(), "size": 0, "path": path[..at] }));
            }
        }
        entries.push(entry(path, file));
    }
    entries
}

fn entry(path: &str, file: &Stored) -> Value {
    let mut entry = json!({ "type": "file", "oid": file.oid, "size": file.bytes, "path": path });
    if let Some(sum) = &file.sha256 {
        entry["lfs"] = json!({ "oid": sum, "size": file.bytes, "pointerSize": 135 });
    }
    entry
}

fn bad_token() -> Answer {
    Answer::error(401, "", "Invalid credentials in Authorization header")
}

/// The hub redirects former names with an address that names no host.
fn moved(request: &Request, old: &str, new: &str) -> Answer {
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    Answer::new(307).with("Location", escape(&request.path.replacen(old, new, 1)) + &query)
}

fn query<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// Percent escapes for what may not stand in an address.
fn escape(path: &str) -> String {
    use std::fmt::Write as _;
    path.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("writing to a string never fails");
        }
        text
    })
}
