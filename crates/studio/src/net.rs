//! The hub as the application uses it: questions, downloads, the access token.
//!
//! One thread, `net`, owns the list of downloads and hands the work out: it waits for nobody, neither for the hub nor
//! for the keyring, so that a pause or a stop always acts at once. Whatever waits does so on a thread of its own
//! (`question`, `token`, up to two `download`s) and tells `net` when it is done. All of them look at stop flags, which
//! closing Tiller sets.
//!
//! Reading order: this file (what all share, and the thread), [`question`], [`token`], then [`crate::downloads`].

pub(crate) mod question;
mod token;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use tiller_hub::http::{Hub, HubSettings};
use tiller_hub::token::Tokens;
use tiller_protocol::asset::DownloadOrder;
use tiller_protocol::message::{Command, Event};
use tiller_protocol::problem::Problem;

use crate::downloads::{Downloads, News};
use crate::problem;
use crate::studio::Shared;
use question::Questions;
use token::TokenDesk;

/// Commands and reports that may wait for the thread.
const QUEUE: usize = 1024;
/// Least time between two lists of downloads, unless one of them does something else.
const POST_EVERY: Duration = Duration::from_millis(100);
/// How long the thread sleeps when nothing is to be told.
const IDLE: Duration = Duration::from_hours(1);

/// How the hub is reached and where its files are kept.
#[derive(Clone, Debug, Default)]
pub struct HubOptions {
    /// Open no connection, whatever the settings say.
    pub offline: bool,
    /// How the hub is reached, in place of what the environment says.
    pub settings: Option<HubSettings>,
    /// The access token, in place of what environment, keyring and the file of the hub's tools say.
    pub tokens: Option<Tokens>,
    /// Where its files are kept, in place of the folder that the hub's own tools use.
    pub cache: Option<PathBuf>,
}

/// What all threads know of the hub.
pub(crate) struct Net {
    /// Absent, with the reason, when the environment names an address that makes no sense.
    pub(crate) hub: Result<Arc<Hub>, Problem>,
    /// The access token; absent where it was given with the settings.
    tokens: Option<Tokens>,
    /// Offline whatever the settings say.
    is_forced_offline: bool,
    /// Orders that are being carried out, with the folder they go to.
    active: Mutex<Vec<(PathBuf, DownloadOrder)>>,
}

impl Net {
    /// As the options say, and where they say nothing the environment. Nothing is sent.
    pub(crate) fn new(options: &HubOptions, is_offline: bool) -> Self {
        let settings = match options.settings.clone() {
            Some(settings) => Ok(HubSettings { is_offline: settings.is_offline || options.offline, ..settings }),
            None => HubSettings::from_env(options.offline),
        };
        let usual = |settings: &HubSettings| Tokens::from_env(&settings.endpoint);
        let tokens = match &options.settings {
            Some(_) => options.tokens.clone(),
            None => options.tokens.clone().or_else(|| settings.as_ref().ok().map(usual)),
        };
        let settings = settings.map(|settings| match &tokens {
            Some(tokens) => HubSettings { credentials: Arc::new(tokens.clone()), ..settings },
            None => settings,
        });
        let is_forced_offline = settings.as_ref().is_ok_and(|settings| settings.is_offline);
        let hub = settings.map(|settings| Arc::new(Hub::new(settings))).map_err(|error| problem::hub(&error));
        let net = Self { hub, tokens, is_forced_offline, active: Mutex::default() };
        net.set_offline(is_offline);
        net
    }

    /// The hub.
    ///
    /// # Errors
    /// When the environment names an address that makes no sense.
    pub(crate) fn hub(&self) -> Result<Arc<Hub>, Problem> {
        self.hub.clone()
    }

    /// Follows the switch of the settings; options and environment come first.
    pub(crate) fn set_offline(&self, is_offline: bool) {
        if let Ok(hub) = &self.hub {
            hub.set_offline(is_offline || self.is_forced_offline);
        }
    }

    /// Downloads that are being carried out now, with the storage folder each goes to.
    pub(crate) fn active(&self) -> Vec<(PathBuf, DownloadOrder)> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes which downloads are being carried out.
    pub(crate) fn set_active(&self, active: Vec<(PathBuf, DownloadOrder)>) {
        *self.active.lock().unwrap_or_else(PoisonError::into_inner) = active;
    }
}

/// What the thread is told.
pub(crate) enum Order {
    /// By the window.
    Command(Command),
    /// By a thread that asked the hub: it has ended.
    Answered,
    /// By a thread that downloads.
    News(News),
    /// Tiller ends.
    End,
}

/// The thread's inbox and the thread itself.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(shared: Arc<Shared>) -> Result<(Sender<Order>, JoinHandle<()>), Problem> {
    let (orders, inbox) = crossbeam_channel::bounded(QUEUE);
    let (downloads, trouble) = Downloads::open(Arc::clone(&shared), orders.clone());
    if let Some(problem) = trouble {
        shared.outbox.post(Event::Failed { job: None, problem });
    }
    let questions = Questions::new(Arc::clone(&shared), orders.clone());
    let tokens = token::start(Arc::clone(&shared))?;
    let thread = Builder::new()
        .name("net".to_owned())
        .spawn(move || run(&shared, inbox, downloads, questions, tokens))
        .map_err(|error| problem::no_thread(&error))?;
    Ok((orders, thread))
}

fn run(shared: &Shared, inbox: Receiver<Order>, mut downloads: Downloads, mut questions: Questions, tokens: TokenDesk) {
    let mut posted = Instant::now();
    loop {
        let wait = if downloads.has_news() { POST_EVERY.saturating_sub(posted.elapsed()) } else { IDLE };
        let is_urgent = match inbox.recv_timeout(wait) {
            Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => break,
            Ok(Order::Answered) => {
                questions.next();
                tokens.learn();
                false
            }
            Ok(Order::News(news)) => downloads.take(news),
            Ok(Order::Command(command)) => match command {
                Command::AskHub(repo) => {
                    questions.ask(repo);
                    false
                }
                Command::SetToken(secret) => {
                    tokens.set(secret);
                    false
                }
                Command::Refresh => {
                    tokens.tell();
                    downloads.tell()
                }
                Command::SaveSettings(settings) => {
                    shared.net.set_offline(settings.offline);
                    shared.net.hub.as_ref().is_ok_and(|hub| hub.is_offline()) && downloads.pause_all()
                }
                command => downloads.carry_out(command),
            },
            Err(RecvTimeoutError::Timeout) => false,
        };
        if is_urgent || (downloads.has_news() && posted.elapsed() >= POST_EVERY) {
            shared.outbox.post(Event::Downloads(downloads.list()));
            posted = Instant::now();
        }
    }
    // Whoever still has something to tell is not to wait for a reader.
    drop(inbox);
    questions.end();
    tokens.end();
    downloads.end();
}
