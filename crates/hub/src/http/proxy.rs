//! Which proxy a connection goes through.
//!
//! The variables are those that curl, git and the hub's own tools read. ureq's own reading of them is not used: it takes
//! one proxy for both schemes, and an exception in `NO_PROXY` neither covers subdomains nor bears a space.

use std::net::IpAddr;

use ureq::http::Uri;

use crate::error::HubError;

/// Proxies by the scheme of the address that is wanted, and who is reached without.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// For `https://`.
    pub(super) https: Option<ureq::Proxy>,
    /// For `http://`.
    pub(super) http: Option<ureq::Proxy>,
    exceptions: Vec<String>,
}

/// A way to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Without a proxy.
    Direct,
    /// Through [`Proxies::https`].
    Https,
    /// Through [`Proxies::http`].
    Http,
}

impl Proxies {
    /// Reads `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, small letters first as curl does; without any of
    /// them, what Windows has set for all programs.
    ///
    /// # Errors
    /// [`HubError::BadAddress`] that names the variable, not its value, which may hold a password.
    pub fn from_vars(var: &dyn Fn(&str) -> Option<String>) -> Result<Self, HubError> {
        let any = read(var, "ALL_PROXY")?;
        let https = read(var, "HTTPS_PROXY")?.or_else(|| any.clone());
        let http = read(var, "HTTP_PROXY")?.or(any);
        let exceptions = either(var, "NO_PROXY").map(|(_, text)| split(&text)).unwrap_or_default();
        if https.is_none() && http.is_none() && cfg!(windows) {
            let system = ureq::Proxy::try_from_env();
            return Ok(Self { https: system.clone(), http: system, exceptions });
        }
        Ok(Self { https, http, exceptions })
    }

    /// The way to an address. A loopback address is never given to a proxy, which could not reach it.
    pub(super) fn route(&self, uri: &Uri) -> Route {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        let is_https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let address = host.parse::<IpAddr>().ok();
        let is_local = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        let (proxy, route) = if is_https { (&self.https, Route::Https) } else { (&self.http, Route::Http) };
        match proxy {
            Some(proxy) if !is_local && !proxy.is_no_proxy(uri) => {
                let is_exception = self.exceptions.iter().any(|rule| covers(rule, &host, port, address));
                if is_exception { Route::Direct } else { route }
            }
            _ => Route::Direct,
        }
    }
}

/// The value of a variable in small or capital letters, whichever is set to something, with its name.
fn either(var: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<(String, String)> {
    [name.to_ascii_lowercase(), name.to_owned()].into_iter().find_map(|name| {
        let text = var(&name)?.trim().to_owned();
        (!text.is_empty()).then_some((name, text))
    })
}

fn read(var: &dyn Fn(&str) -> Option<String>, name: &str) -> Result<Option<ureq::Proxy>, HubError> {
    let Some((name, text)) = either(var, name) else { return Ok(None) };
    ureq::Proxy::new(&text).map(Some).map_err(|_hidden| HubError::BadAddress {
        text: name,
        reason: "it should be http://host:port or socks5://host:port".to_owned(),
    })
}

fn split(text: &str) -> Vec<String> {
    text.split([',', ' ', ';']).filter(|rule| !rule.is_empty()).map(str::to_ascii_lowercase).collect()
}

/// Whether a rule of `NO_PROXY` covers a host: `*`, a domain with everything below it (a leading dot or `*.` says the
/// same), an address, a network such as `198.51.0.0/16`; each may end in `:port`.
fn covers(rule: &str, host: &str, port: u16, address: Option<IpAddr>) -> bool {
    if rule == "*" {
        return true;
    }
    if let Some(address) = address {
        let bare = rule.trim_start_matches('[').replace(']', "");
        if let Some((network, bits)) = rule.split_once('/') {
            return network.parse().ok().zip(bits.parse().ok()).is_some_and(|(of, bits)| within(address, of, bits));
        }
        return bare.parse() == Ok(address) || *rule == with_port(address, port);
    }
    let (name, rule_port) = match rule.rsplit_once(':') {
        Some((name, digits)) => (name, digits.parse().ok()),
        None => (rule, None),
    };
    let name = name.trim_start_matches('*').trim_start_matches('.');
    let is_below = host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    !name.is_empty() && is_below && rule_port.is_none_or(|wanted: u16| wanted == port)
}

fn with_port(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}

/// Whether the first `bits` of two addresses agree.
fn within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) if bits <= 32 => {
            u32::from(a).checked_shr(32 - bits).unwrap_or(0) == u32::from(b).checked_shr(32 - bits).unwrap_or(0)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) if bits <= 128 => {
            u128::from(a).checked_shr(128 - bits).unwrap_or(0) == u128::from(b).checked_shr(128 - bits).unwrap_or(0)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(vars: &[(&str, &str)]) -> Result<Proxies, HubError> {
        Proxies::from_vars(&|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn each_scheme_has_its_proxy_and_small_letters_come_first() {
        let set = proxies(&[
            ("ALL_PROXY", "socks5h://any:1"),
            ("https_proxy", "http://small:2"),
            ("HTTPS_PROXY", "http://capital:3"),
            ("http_proxy", ""),
        ])
        .unwrap();
        assert_eq!(set.https.unwrap().host(), "small");
        assert_eq!(set.http.unwrap().host(), "any");
    }

    #[test]
    fn exceptions_cover_domains_addresses_networks_and_ports() {
        let set = proxies(&[
            ("HTTPS_PROXY", "http://proxy:1"),
            ("NO_PROXY", "example.org, .dot.net,*.star.net:8443,198.51.0.0/16,192.0.2.7 [fd00::1],bare.io:80"),
        ])
        .unwrap();
        for (address, expected) in [
            ("https://example.org/x", Route::Direct),
            ("https://cdn.Example.org/x", Route::Direct),
            ("https://notexample.org/x", Route::Https),
            ("https://a.dot.net/", Route::Direct),
            ("https://a.star.net:8443/", Route::Direct),
            ("https://a.star.net/", Route::Https),
            ("https://198.51.8.7/", Route::Direct),
            ("https://198.52.8.7/", Route::Https),
            ("https://192.0.2.7/", Route::Direct),
            ("https://192.0.2.77/", Route::Https),
            ("https://[fd00::1]/", Route::Direct),
            ("https://[fd00::2]/", Route::Https),
            ("https://bare.io/", Route::Https),
            ("https://[::1]:9/", Route::Direct),
            ("https://localhost:9/", Route::Direct),
            ("http://example.com/", Route::Direct),
        ] {
            assert_eq!(set.route(&address.parse().unwrap()), expected, "{address}");
        }
        let loopback = format!("https://{}:9/", std::net::Ipv4Addr::LOCALHOST);
        assert_eq!(set.route(&loopback.parse().unwrap()), Route::Direct);
        let all = proxies(&[("HTTPS_PROXY", "http://proxy:1"), ("no_proxy", "*")]).unwrap();
        assert_eq!(all.route(&"https://any.host/".parse().unwrap()), Route::Direct);
    }

    #[test]
    fn a_bad_proxy_is_told_without_its_password() {
        let error = proxies(&[("HTTPS_PROXY", "gopher://me:secret@host:1")]).unwrap_err();
        assert!(matches!(&error, HubError::BadAddress { text, .. } if text == "HTTPS_PROXY"), "{error}");
        let good = proxies(&[("HTTPS_PROXY", "http://me:secret@host:1")]).unwrap();
        assert!(!format!("{error:?} {good:?}").contains("secret"));
    }
}
