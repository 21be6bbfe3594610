//! The access token: where it comes from, and where it is kept.
//!
//! Looked for in this order: the environment (`HF_TOKEN`), what was typed in while there was no keyring, the keyring,
//! the file that the hub's own tools write on signing in. That file is read and never written. The token stands in no
//! other file, in no log and in no `Debug` output.
//!
//! A keyring may ask its owner for a password before it answers, for as long as that takes. It is asked on a thread of
//! its own, waited for briefly, and its answer is used when it comes.

mod keyring;

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tiller_protocol::asset::{Secret, TokenSource, TokenState};

pub use self::keyring::{Keyring, SystemKeyring};
use crate::endpoint::Endpoint;
use crate::error::HubError;
use crate::home;
use crate::http::Credentials;

/// How long requests wait for a keyring that has not answered yet.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long keeping a token may take; somebody may have to type a password.
const LONG_PATIENCE: Duration = Duration::from_mins(1);

/// The token, wherever it is. Clones are the same.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    from_environment: Option<Secret>,
    /// The file of the hub's own tools.
    file: Option<PathBuf>,
    keyring: Box<dyn Keyring>,
    kept: Mutex<Kept>,
    answered: Condvar,
    patience: Duration,
    long_patience: Duration,
}

/// What is known of the keyring.
#[derive(Default)]
struct Kept {
    /// What it holds; absent until it was asked.
    found: Option<Result<Option<Secret>, String>>,
    /// It was asked and has not answered.
    is_asked: bool,
    /// Typed in and not in the keyring.
    session: Option<Secret>,
    /// What the user should know.
    note: Option<String>,
}

impl Tokens {
    /// As the environment says, with the system's keyring; a token there belongs to one hub.
    pub fn from_env(endpoint: &Endpoint) -> Self {
        Self::from_vars(&|name| std::env::var(name).ok(), Box::new(SystemKeyring::new(endpoint)))
    }

    /// As variables say: `HF_TOKEN` or `HUGGING_FACE_HUB_TOKEN`, and for the file `HF_TOKEN_PATH` or `token` in
    /// `HF_HOME`.
    pub fn from_vars(var: &dyn Fn(&str) -> Option<String>, keyring: Box<dyn Keyring>) -> Self {
        let from_environment = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].iter().find_map(|name| clean(&var(name)?));
        let named = home::read(var, "HF_TOKEN_PATH").and_then(|path| home::expand(var, &path));
        let file = named.or_else(|| home::folder(var).map(|folder| folder.join("token")));
        Self::new(from_environment, file, keyring, (PATIENCE, LONG_PATIENCE))
    }

    fn new(
        from_environment: Option<Secret>,
        file: Option<PathBuf>,
        keyring: Box<dyn Keyring>,
        (patience, long_patience): (Duration, Duration),
    ) -> Self {
        let (kept, answered) = Default::default();
        Self(Arc::new(Inner { from_environment, file, keyring, kept, answered, patience, long_patience }))
    }

    /// Where the token comes from. Whose it is, only the hub knows.
    pub fn state(&self) -> TokenState {
        let source = self.find().map_or(TokenSource::None, |(_, source)| source);
        let kept = self.lock();
        let refused = || kept.found.as_ref()?.as_ref().err().map(|reason| no_keyring(reason));
        let waiting = || kept.is_asked.then(|| "The keyring has not answered yet.".to_owned());
        let note = kept.note.clone().or_else(|| if source == TokenSource::None { refused() } else { None });
        TokenState { source, user: None, note: note.or_else(waiting) }
    }

    /// Keeps a token in the keyring, or until Tiller ends where there is none; an empty one forgets what is kept.
    ///
    /// # Errors
    /// [`HubError::BadToken`] when it cannot be a token, as a text with a space in it.
    pub fn set(&self, secret: &Secret) -> Result<TokenState, HubError> {
        let secret = match clean(&secret.0) {
            None if !secret.0.trim().is_empty() => return Err(HubError::BadToken),
            other => other,
        };
        let (asked, given) = (self.clone(), secret.clone());
        let outcome = aside(self.0.long_patience, move || match &given {
            Some(secret) => asked.0.keyring.write(secret),
            None => asked.0.keyring.delete(),
        });
        let mut kept = self.lock();
        kept.session = None;
        kept.note = None;
        match outcome {
            Ok(()) => kept.found = Some(Ok(secret.clone())),
            Err(reason) => {
                let held_one = matches!(kept.found, Some(Ok(Some(_))));
                kept.note = match &secret {
                    Some(_) => Some(no_keyring(&reason)),
                    None => held_one.then(|| format!("The keyring still holds the token ({reason}).")),
                };
                kept.session.clone_from(&secret);
                kept.found = Some(Err(reason));
            }
        }
        if self.0.from_environment.is_some() {
            kept.note = Some("HF_TOKEN is set in the environment and is used instead.".to_owned());
        } else if secret.is_none()
            && let Some((_, path)) = self.in_file()
        {
            kept.note = Some(format!("The token in {} is still used; Tiller leaves that file alone.", path.display()));
        }
        drop(kept);
        Ok(self.state())
    }

    fn find(&self) -> Option<(Secret, TokenSource)> {
        if let Some(secret) = &self.0.from_environment {
            return Some((secret.clone(), TokenSource::Environment));
        }
        let kept = self.asked();
        if let Some(secret) = &kept.session {
            return Some((secret.clone(), TokenSource::Session));
        }
        if let Some(Ok(Some(secret))) = &kept.found {
            return Some((secret.clone(), TokenSource::Keyring));
        }
        drop(kept);
        self.in_file().map(|(secret, _)| (secret, TokenSource::File))
    }

    /// Read anew each time, so that signing in with another tool is seen.
    fn in_file(&self) -> Option<(Secret, &PathBuf)> {
        let path = self.0.file.as_ref()?;
        Some((clean(&std::fs::read_to_string(path).ok()?)?, path))
    }

    /// What is known once the keyring was asked; asks it the first time and waits a little.
    fn asked(&self) -> MutexGuard<'_, Kept> {
        let mut kept = self.lock();
        if kept.found.is_none() && kept.session.is_none() && !kept.is_asked {
            kept.is_asked = true;
            let tokens = self.clone();
            let ask = move || tokens.answer(tokens.0.keyring.read());
            if let Err(error) = std::thread::Builder::new().name("keyring".to_owned()).spawn(ask) {
                kept.is_asked = false;
                kept.found = Some(Err(error.to_string()));
            }
            let end = Instant::now() + self.0.patience;
            while kept.is_asked {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                kept = self.0.answered.wait_timeout(kept, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        kept
    }

    /// The keyring has answered, unless a token was set meanwhile.
    fn answer(&self, found: Result<Option<Secret>, String>) {
        let mut kept = self.lock();
        kept.is_asked = false;
        if kept.found.is_none() {
            kept.found = Some(found);
        }
        self.0.answered.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Credentials for Tokens {
    fn token(&self) -> Option<Secret> {
        self.find().map(|(secret, _)| secret)
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("file", &self.0.file).finish_non_exhaustive()
    }
}

/// A token without the space around it; absent when what is left cannot stand in a header.
fn clean(text: &str) -> Option<Secret> {
    let text = text.trim();
    let is_token = !text.is_empty() && text.len() < 4096 && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_token.then(|| Secret(text.to_owned()))
}

fn no_keyring(reason: &str) -> String {
    format!("This system's keyring cannot be used ({reason}), so a token is kept only until Tiller ends.")
}

/// Does something that may hang on a thread of its own, and gives up waiting for it.
fn aside(patience: Duration, work: impl FnOnce() -> Result<(), String> + Send + 'static) -> Result<(), String> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let spawned = std::thread::Builder::new().name("keyring".to_owned()).spawn(move || sender.send(work()).ok());
    spawned.map_err(|error| error.to_string())?;
    receiver.recv_timeout(patience).unwrap_or_else(|_late| Err("it does not answer".to_owned()))
}

#[cfg(test)]
mod tests;
