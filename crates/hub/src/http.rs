//! Requests to the hub: which way they go, who may see the token, and what their answers mean.
//!
//! Redirects are followed here rather than by ureq, for the hub answers requests for large files with the address of a
//! store elsewhere, signed in its query and valid for a while. The token goes to the hub alone: same scheme, host and
//! port ([`Endpoint::owns`](crate::endpoint::Endpoint::owns)). No log line holds a query or a header.

mod answer;
mod body;
mod proxy;
mod settings;
mod wire;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use ureq::Agent;
use ureq::http::{Response, Uri, header};
use ureq::tls::{RootCerts, TlsConfig};

pub(crate) use self::answer::Subject;
pub use self::body::Body;
pub use self::proxy::Proxies;
use self::proxy::Route;
pub use self::settings::{Credentials, HubSettings};
use crate::error::HubError;
use crate::listing::{Listing, RemoteFile};
use crate::stop::Stop;

/// Redirects followed before it counts as a circle.
const MAX_REDIRECTS: u32 = 10;

/// Bytes that one connection reads at a time.
const BUFFER: usize = 1 << 20;

/// Connections to one host that are kept for the next request.
const MAX_IDLE: usize = 8;

/// Signed addresses remembered at a time.
const MAX_SIGNED: usize = 64;

/// The hub. Shared by all threads that talk to it.
pub struct Hub {
    settings: HubSettings,
    is_offline: AtomicBool,
    agents: Agents,
    /// Used instead when the system has no certificates at all.
    bundled: OnceLock<Agents>,
    /// Where large files were last found, by their address at the hub.
    signed: Mutex<HashMap<String, Uri>>,
}

/// One agent for each way, each with its own pool of connections.
struct Agents {
    direct: Agent,
    https: Agent,
    http: Agent,
}

/// The answer to a request that was followed to its end.
pub(crate) struct Answer {
    pub(crate) response: Response<ureq::Body>,
    /// Who answered.
    pub(crate) uri: Uri,
    /// Whether the token went along with the last request.
    pub(crate) signed_in: bool,
    /// Ends the reading of its body, too.
    stop: Stop,
}

impl Hub {
    /// Nothing is sent yet.
    pub fn new(settings: HubSettings) -> Self {
        let agents = Agents::new(&settings, &RootCerts::PlatformVerifier);
        let is_offline = AtomicBool::new(settings.is_offline);
        Self { settings, is_offline, agents, bundled: OnceLock::new(), signed: Mutex::default() }
    }

    /// Forbids or allows the network from the next request on.
    pub fn set_offline(&self, is_offline: bool) {
        self.is_offline.store(is_offline, Ordering::SeqCst);
    }

    /// Whether the network is forbidden.
    pub fn is_offline(&self) -> bool {
        self.is_offline.load(Ordering::SeqCst)
    }

    /// How it is reached. Whether the network is forbidden is told by [`Self::is_offline`].
    pub fn settings(&self) -> &HubSettings {
        &self.settings
    }

    /// Begins to read a file or, with `range`, a part of it; its address names the commit, so parts fit together.
    ///
    /// It is tried once, or once more through the hub when a remembered signed address has expired; whether to try
    /// again is the caller's to decide, see [`HubError::is_passing`].
    ///
    /// # Errors
    /// What kept the answer from coming, among them [`HubError::BadAnswer`] when the answer is not what was asked for
    /// or the file does not have the size of the listing.
    pub fn open(
        &self,
        listing: &Listing,
        file: &RemoteFile,
        range: Option<Range<u64>>,
        stop: &Stop,
    ) -> Result<Body, HubError> {
        let mut headers = vec![(header::ACCEPT_ENCODING, "identity".to_owned())];
        if let Some(range) = &range {
            headers.push((header::RANGE, format!("bytes={}-{}", range.start, range.end.saturating_sub(1))));
        }
        let address = self.settings.endpoint.file(&listing.repo.id, &listing.commit, &file.path);
        let remembered = self.signed.lock().unwrap_or_else(PoisonError::into_inner).get(&address).cloned();
        let subject =
            Subject { repo: &listing.repo, path: Some(&file.path), is_gated: listing.gate != Default::default() };
        let first = match remembered {
            Some(uri) => self.follow(uri, &headers, stop),
            None => self.follow(parse(&address)?, &headers, stop),
        };
        // The next try asks the hub: it may name another store than one that cannot be reached.
        let mut answer = first.inspect_err(|_error| self.forget(&address))?;
        if self.has_expired(&answer) {
            self.forget(&address);
            answer = self.follow(parse(&address)?, &headers, stop)?;
        }
        if !answer.response.status().is_success() {
            self.forget(&address);
            return Err(self.refusal(answer, &subject));
        }
        if !self.settings.endpoint.owns(&answer.uri) {
            let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
            if signed.len() >= MAX_SIGNED {
                signed.clear();
            }
            signed.insert(address, answer.uri.clone());
        }
        Body::new(answer, file, range)
    }

    /// Forgets the signed address of a file.
    fn forget(&self, address: &str) {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner).remove(address);
    }

    /// A store's refusal means that its signed address has expired; the hub gives a new one.
    fn has_expired(&self, answer: &Answer) -> bool {
        !self.settings.endpoint.owns(&answer.uri) && matches!(answer.response.status().as_u16(), 401 | 403 | 404)
    }

    /// Sends a GET request and follows its redirects.
    ///
    /// # Errors
    /// [`HubError::Offline`], [`HubError::Stopped`], [`HubError::Unreachable`], or [`HubError::BadAnswer`] for a
    /// redirect that is not followed.
    pub(crate) fn follow(
        &self,
        mut uri: Uri,
        headers: &[(header::HeaderName, String)],
        stop: &Stop,
    ) -> Result<Answer, HubError> {
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.send(uri, headers, stop)?;
            if !matches!(answer.response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let next = answer.response.headers().get(header::LOCATION).and_then(|place| place.to_str().ok());
            uri = next
                .ok_or("it redirects to nowhere")
                .and_then(|place| target(&answer.uri, place))
                .map_err(|reason| HubError::BadAnswer { url: shown(&answer.uri), reason: reason.to_owned() })?;
        }
        Err(HubError::BadAnswer { url: shown(&uri), reason: format!("it redirects more than {MAX_REDIRECTS} times") })
    }

    fn send(&self, uri: Uri, headers: &[(header::HeaderName, String)], stop: &Stop) -> Result<Answer, HubError> {
        if self.is_offline() {
            return Err(HubError::Offline);
        }
        stop.check()?;
        let token = if self.settings.endpoint.owns(&uri) { self.settings.credentials.token() } else { None };
        log::debug!("GET {}", shown(&uri));
        let signed_in = token.is_some();
        let request = |agents: &Agents| {
            let mut request = agents.of(self.settings.proxies.route(&uri)).get(&uri);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            if let Some(token) = &token {
                request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.0));
            }
            wire::watching(stop, || request.call())
        };
        let mut result = request(self.bundled.get().unwrap_or(&self.agents));
        if let Err(ureq::Error::Rustls(reason)) = &result
            && reason.to_string().contains("No CA certificates")
            && self.bundled.get().is_none()
        {
            log::warn!("this system has no certificates of authorities; those that came with Tiller are used");
            result = request(self.bundled.get_or_init(|| Agents::new(&self.settings, &RootCerts::WebPki)));
        }
        match result {
            Ok(response) => Ok(Answer { response, uri, signed_in, stop: stop.clone() }),
            Err(_) if stop.is_set() => Err(HubError::Stopped),
            Err(error) => Err(answer::lost(host(&uri), &error)),
        }
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Agents {
    fn new(settings: &HubSettings, roots: &RootCerts) -> Self {
        let agent = |proxy: Option<&ureq::Proxy>| {
            let tls = TlsConfig::builder().root_certs(roots.clone()).build();
            let config = Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .user_agent(concat!("tiller/", env!("CARGO_PKG_VERSION")))
                .input_buffer_size(BUFFER)
                .output_buffer_size(16 << 10)
                .max_idle_connections_per_host(MAX_IDLE)
                .timeout_resolve(Some(settings.connect))
                .timeout_connect(Some(settings.connect))
                .timeout_per_read(Some(settings.stall))
                .timeout_per_write(Some(settings.stall))
                .tls_config(tls)
                .proxy(proxy.cloned());
            wire::agent(config.build())
        };
        let proxies = &settings.proxies;
        Self { direct: agent(None), https: agent(proxies.https.as_ref()), http: agent(proxies.http.as_ref()) }
    }

    fn of(&self, route: Route) -> &Agent {
        match route {
            Route::Direct => &self.direct,
            Route::Https => &self.https,
            Route::Http => &self.http,
        }
    }
}

/// An address of the hub's, built by its endpoint.
pub(crate) fn parse(address: &str) -> Result<Uri, HubError> {
    address
        .parse()
        .map_err(|_bad| HubError::BadAddress { text: address.to_owned(), reason: "it is no address".to_owned() })
}

/// An address for people and logs: without user name and query, which may hold secrets.
pub(crate) fn shown(uri: &Uri) -> String {
    format!("{}://{}{}", uri.scheme_str().unwrap_or("?"), host(uri), uri.path())
}

/// Host and, where it is not the usual one, port.
pub(crate) fn host(uri: &Uri) -> String {
    let name = uri.host().unwrap_or("?");
    uri.port_u16().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

/// Where a redirect leads (RFC 3986, section 5.2, without relative paths that do not begin with a slash).
fn target(from: &Uri, place: &str) -> Result<Uri, &'static str> {
    let scheme = from.scheme_str().unwrap_or("https");
    let place = place.split('#').next().unwrap_or_default();
    let absolute = if place.starts_with("//") {
        format!("{scheme}:{place}")
    } else if place.starts_with('/') {
        format!("{scheme}://{}{place}", host(from))
    } else {
        place.to_owned()
    };
    let uri = absolute.parse::<Uri>().map_err(|_bad| "it redirects to something that is no address")?;
    match (scheme, uri.scheme_str()) {
        (_, Some("https")) | ("http", Some("http")) => {}
        ("https", Some("http")) => return Err("it redirects to an unprotected address"),
        _ => return Err("it redirects to something that is no address"),
    }
    if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return Err("it redirects to something that is no address");
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_to_http_addresses_and_never_down_from_https() {
        let from = "https://hub.example:8443/a/b?q=1".parse().unwrap();
        for (place, expected) in [
            ("/c?d=1#e", Some("https://hub.example:8443/c?d=1")),
            ("//cdn.example/x", Some("https://cdn.example/x")),
            ("https://cdn.example/x?s=1", Some("https://cdn.example/x?s=1")),
            ("http://cdn.example/x", None),
            ("file:///etc/passwd", None),
            ("https://me@cdn.example/", None),
            ("", None),
        ] {
            let found = target(&from, place).ok().map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{place}");
        }
        assert!(target(&"http://a/".parse().unwrap(), "http://b/").is_ok());
    }

    #[test]
    fn shown_addresses_hold_no_query() {
        let uri = "https://me:pw@cdn.example:8443/x/y?Signature=s".parse().unwrap();
        assert_eq!(shown(&uri), "https://cdn.example:8443/x/y");
    }
}
