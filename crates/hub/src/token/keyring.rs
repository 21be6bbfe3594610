//! The keyring of the system: Keychain, Credential Manager, or the Secret Service over D-Bus.

use keyring::{Entry, Error};
use tiller_protocol::asset::Secret;

use crate::endpoint::Endpoint;

/// A place that keeps one token. Its answers may take as long as its owner takes to unlock it.
pub trait Keyring: Send + Sync {
    /// The token, if one is kept.
    ///
    /// # Errors
    /// Why the keyring cannot be used.
    fn read(&self) -> Result<Option<Secret>, String>;

    /// Keeps a token instead of the one before.
    ///
    /// # Errors
    /// Why the keyring cannot be used.
    fn write(&self, secret: &Secret) -> Result<(), String>;

    /// Forgets the token, if one is kept.
    ///
    /// # Errors
    /// Why the keyring cannot be used.
    fn delete(&self) -> Result<(), String>;
}

/// The keyring of the system, with one entry for each hub.
#[derive(Debug)]
pub struct SystemKeyring {
    account: String,
}

/// What the entry is filed under.
const SERVICE: &str = "Tiller";

impl SystemKeyring {
    /// Nothing is asked of the system yet.
    pub fn new(endpoint: &Endpoint) -> Self {
        Self { account: endpoint.as_str().to_owned() }
    }

    fn entry(&self) -> Result<Entry, String> {
        if let Err(error) = Entry::store_status() {
            return Err(words(error));
        }
        Entry::new(SERVICE, &self.account).map_err(|error| words(&error))
    }
}

impl Keyring for SystemKeyring {
    fn read(&self) -> Result<Option<Secret>, String> {
        match self.entry()?.get_password() {
            Ok(text) => Ok(Some(Secret(text))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(words(&error)),
        }
    }

    fn write(&self, secret: &Secret) -> Result<(), String> {
        self.entry()?.set_password(&secret.0).map_err(|error| words(&error))
    }

    fn delete(&self) -> Result<(), String> {
        match self.entry()?.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(words(&error)),
        }
    }
}

/// The reason for people; some of the crate's errors hold what the keyring holds, and are not passed on.
fn words(error: &Error) -> String {
    match error {
        Error::NoStorageAccess(_) => "it is locked or refuses access".to_owned(),
        Error::PlatformFailure(_) | Error::NoDefaultStore => "there is none, or it does not run".to_owned(),
        Error::TooLong(..) => "it takes no text of this length".to_owned(),
        Error::Ambiguous(_) => "it holds several tokens of this name".to_owned(),
        _ => "it failed".to_owned(),
    }
}
