//! What decides how the hub is reached.

use std::sync::Arc;
use std::time::Duration;

use tiller_protocol::asset::Secret;

use super::proxy::Proxies;
use crate::endpoint::Endpoint;
use crate::error::HubError;
use crate::retry::Retry;

/// Whoever knows the access token. It is asked before each request that may carry one, so it should answer at once.
pub trait Credentials: Send + Sync {
    /// The token to sign in with.
    fn token(&self) -> Option<Secret>;
}

/// The same token always, or none.
impl Credentials for Option<Secret> {
    fn token(&self) -> Option<Secret> {
        self.clone()
    }
}

/// How the hub is reached.
#[derive(Clone)]
pub struct HubSettings {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Through which proxies.
    pub proxies: Proxies,
    /// Whether to answer every question with [`HubError::Offline`].
    pub is_offline: bool,
    /// Who signs in.
    pub credentials: Arc<dyn Credentials>,
    /// How long a connection may be silent before it counts as lost.
    pub stall: Duration,
    /// How long looking up a name and connecting may take, each.
    pub connect: Duration,
    /// When to try again.
    pub retry: Retry,
}

impl HubSettings {
    /// As the environment says, see [`Self::from_vars`].
    ///
    /// # Errors
    /// As [`Self::from_vars`].
    pub fn from_env(is_offline: bool) -> Result<Self, HubError> {
        let settings = Self::from_vars(&|name| std::env::var(name).ok())?;
        Ok(Self { is_offline: is_offline || settings.is_offline, ..settings })
    }

    /// As variables say: `HF_ENDPOINT`, `HF_HUB_OFFLINE` and those of [`Proxies::from_vars`]. Nobody signs in.
    ///
    /// # Errors
    /// [`HubError::BadAddress`] when an endpoint or a proxy makes no sense.
    pub fn from_vars(var: &dyn Fn(&str) -> Option<String>) -> Result<Self, HubError> {
        let endpoint = match var("HF_ENDPOINT").filter(|text| !text.trim().is_empty()) {
            Some(text) => Endpoint::parse(&text)?,
            None => Endpoint::default(),
        };
        let is_offline = var("HF_HUB_OFFLINE").is_some_and(|text| is_true(&text));
        Ok(Self { is_offline, proxies: Proxies::from_vars(var)?, ..Self::at(endpoint) })
    }

    /// A hub at this address, reached without a proxy and without signing in.
    pub fn at(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            proxies: Proxies::default(),
            is_offline: false,
            credentials: Arc::new(None::<Secret>),
            stall: Duration::from_secs(30),
            connect: Duration::from_secs(15),
            retry: Retry::default(),
        }
    }
}

impl std::fmt::Debug for HubSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubSettings")
            .field("endpoint", &self.endpoint.as_str())
            .field("proxies", &self.proxies)
            .field("is_offline", &self.is_offline)
            .finish_non_exhaustive()
    }
}

/// The words that the hub's own tools take for yes.
fn is_true(text: &str) -> bool {
    ["1", "on", "yes", "true"].iter().any(|word| text.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(vars: &[(&str, &str)]) -> Result<HubSettings, HubError> {
        HubSettings::from_vars(&|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_environment_names_endpoint_and_offline_mode() {
        let plain = settings(&[("HF_ENDPOINT", " ")]).unwrap();
        assert_eq!((plain.endpoint.as_str(), plain.is_offline), (crate::endpoint::PUBLIC, false));
        let set = settings(&[("HF_ENDPOINT", "http://mirror:80/"), ("HF_HUB_OFFLINE", "True")]).unwrap();
        assert_eq!((set.endpoint.as_str(), set.is_offline), ("http://mirror:80", true));
        assert!(!settings(&[("HF_HUB_OFFLINE", "0")]).unwrap().is_offline);
        assert!(settings(&[("HF_ENDPOINT", "mirror")]).is_err());
    }
}
