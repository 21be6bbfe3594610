use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::*;

/// Keeps its token in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Option<Secret>>>);

impl Keyring for Memory {
    fn read(&self) -> Result<Option<Secret>, String> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn write(&self, secret: &Secret) -> Result<(), String> {
        *self.0.lock().unwrap() = Some(secret.clone());
        Ok(())
    }

    fn delete(&self) -> Result<(), String> {
        *self.0.lock().unwrap() = None;
        Ok(())
    }
}

/// No keyring at all.
struct Missing;

impl Keyring for Missing {
    fn read(&self) -> Result<Option<Secret>, String> {
        Err("there is none".to_owned())
    }

    fn write(&self, _: &Secret) -> Result<(), String> {
        Err("there is none".to_owned())
    }

    fn delete(&self) -> Result<(), String> {
        Err("there is none".to_owned())
    }
}

/// Answers when the test lets it.
struct Locked(Mutex<Receiver<()>>);

impl Locked {
    fn new() -> (Self, SyncSender<()>) {
        let (sender, receiver) = sync_channel(4);
        (Self(Mutex::new(receiver)), sender)
    }

    fn wait(&self) -> Result<(), String> {
        self.0.lock().unwrap().recv().map_err(|_gone| "locked".to_owned())
    }
}

impl Keyring for Locked {
    fn read(&self) -> Result<Option<Secret>, String> {
        self.wait().map(|()| Some(secret("hf_locked")))
    }

    fn write(&self, _: &Secret) -> Result<(), String> {
        self.wait()
    }

    fn delete(&self) -> Result<(), String> {
        self.wait()
    }
}

fn secret(text: &str) -> Secret {
    Secret(text.to_owned())
}

fn tokens(vars: &[(&str, &str)], keyring: impl Keyring + 'static) -> Tokens {
    let var = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Tokens::from_vars(&var, Box::new(keyring))
}

#[test]
fn the_environment_comes_first_then_the_keyring_then_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().to_str().unwrap();
    std::fs::write(folder.path().join("token"), "hf_file\n").unwrap();
    let named = folder.path().join("named");
    std::fs::write(&named, "hf_named").unwrap();
    let keyring = Memory::default();
    let told = |tokens: &Tokens| (tokens.token().map(|secret| secret.0), tokens.state().source);

    let file = tokens(&[("HF_HOME", home)], keyring.clone());
    assert_eq!(told(&file), (Some("hf_file".to_owned()), TokenSource::File));
    let path = tokens(&[("HF_HOME", home), ("HF_TOKEN_PATH", named.to_str().unwrap())], keyring.clone());
    assert_eq!(told(&path), (Some("hf_named".to_owned()), TokenSource::File));
    keyring.write(&secret("hf_kept")).unwrap();
    let kept = tokens(&[("HF_HOME", home)], keyring.clone());
    assert_eq!(told(&kept), (Some("hf_kept".to_owned()), TokenSource::Keyring));
    let old = tokens(&[("HF_HOME", home), ("HUGGING_FACE_HUB_TOKEN", "hf_old")], keyring.clone());
    assert_eq!(told(&old), (Some("hf_old".to_owned()), TokenSource::Environment));
    let set = tokens(&[("HUGGING_FACE_HUB_TOKEN", "hf_old"), ("HF_TOKEN", " hf_env\n")], keyring);
    assert_eq!(told(&set), (Some("hf_env".to_owned()), TokenSource::Environment));
    let none = tokens(&[("HF_HOME", "/nowhere"), ("HF_TOKEN", "not a\u{e4} token")], Memory::default());
    assert_eq!(told(&none), (None, TokenSource::None));
}

#[test]
fn a_token_is_kept_and_forgotten_and_the_file_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "hf_file").unwrap();
    let keyring = Memory::default();
    let tokens = tokens(&[("HF_HOME", folder.path().to_str().unwrap())], keyring.clone());

    let state = tokens.set(&secret(" hf_new ")).unwrap();
    assert_eq!((state.source, state.note), (TokenSource::Keyring, None));
    assert_eq!(keyring.read().unwrap(), Some(secret("hf_new")));
    assert!(matches!(tokens.set(&secret("two words")), Err(HubError::BadToken)));
    assert_eq!(tokens.token(), Some(secret("hf_new")));

    let state = tokens.set(&secret("")).unwrap();
    assert_eq!(state.source, TokenSource::File);
    assert!(state.note.unwrap().contains("still used"));
    assert_eq!(keyring.read().unwrap(), None);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "hf_file");
}

#[test]
fn without_a_keyring_a_token_lives_until_the_end_and_this_is_said() {
    let tokens = tokens(&[], Missing);
    assert!(tokens.state().note.unwrap().contains("there is none"));
    let state = tokens.set(&secret("hf_new")).unwrap();
    assert_eq!(state.source, TokenSource::Session);
    assert!(state.note.unwrap().contains("only until Tiller ends"));
    assert_eq!(tokens.token(), Some(secret("hf_new")));
    assert_eq!(tokens.set(&secret("")).unwrap().source, TokenSource::None);
}

#[test]
fn a_token_that_is_set_beside_the_environments_is_said_to_wait() {
    let tokens = tokens(&[("HF_TOKEN", "hf_env")], Memory::default());
    let state = tokens.set(&secret("hf_new")).unwrap();
    assert_eq!(state.source, TokenSource::Environment);
    assert!(state.note.unwrap().contains("HF_TOKEN"));
}

#[test]
fn a_keyring_that_waits_for_its_owner_holds_nobody_up_and_is_heard_later() {
    let (keyring, unlock) = Locked::new();
    let short = (Duration::from_millis(1), Duration::from_millis(1));
    let tokens = Tokens::new(None, None, Box::new(keyring), short);
    assert_eq!(tokens.token(), None);
    assert!(tokens.state().note.unwrap().contains("not answered"));
    unlock.send(()).unwrap();
    let mut kept = tokens.lock();
    while kept.is_asked {
        kept = tokens.0.answered.wait(kept).unwrap();
    }
    drop(kept);
    assert_eq!(tokens.state().source, TokenSource::Keyring);
    assert_eq!(tokens.token(), Some(secret("hf_locked")));

    let state = tokens.set(&secret("hf_new")).unwrap();
    assert_eq!(state.source, TokenSource::Session);
    assert!(state.note.unwrap().contains("does not answer"));
    drop(unlock);
}

#[test]
fn a_keyring_that_will_not_forget_is_told_of() {
    let (keyring, unlock) = Locked::new();
    unlock.send(()).unwrap();
    let tokens = Tokens::new(None, None, Box::new(keyring), (Duration::from_mins(1), Duration::from_mins(1)));
    assert_eq!(tokens.token(), Some(secret("hf_locked")));
    drop(unlock);
    let state = tokens.set(&secret("")).unwrap();
    assert_eq!((state.source, tokens.token()), (TokenSource::None, None));
    assert!(state.note.unwrap().contains("still holds"));
}

#[test]
fn no_debug_output_holds_the_token() {
    let tokens = tokens(&[("HF_TOKEN", "hf_env")], Memory::default());
    let settings = crate::http::HubSettings {
        credentials: Arc::new(tokens.clone()),
        ..crate::http::HubSettings::at(Endpoint::default())
    };
    let hub = crate::http::Hub::new(settings.clone());
    let shown = format!("{tokens:?} {settings:?} {hub:?} {:?} {:?}", tokens.state(), tokens.token());
    assert!(!shown.contains("hf_env"), "{shown}");
}
