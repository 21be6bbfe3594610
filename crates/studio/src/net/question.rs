//! Asking the hub what a repository offers.

use std::path::Path;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::Sender;
use tiller_engine::EngineError;
use tiller_engine::config::ModelConfig;
use tiller_hub::disk;
use tiller_hub::error::HubError;
use tiller_hub::http::Hub;
use tiller_hub::listing::{Choice, Listing, RemoteFile};
use tiller_hub::reference;
use tiller_hub::select::{self, Selection};
use tiller_hub::stop::Stop;
use tiller_hub::store::Store;
use tiller_protocol::asset::{AssetKind, HubChoice, HubFile, HubListing, RepoRef, ShapeNeed};
use tiller_protocol::message::Event;
use tiller_protocol::problem::Problem;

use super::Order;
use crate::studio::Shared;
use crate::{catalogue, memory, problem};

/// A larger `config.json` is none.
const CONFIG_LIMIT: u64 = 4 << 20;
/// Name of a model's configuration.
const CONFIG: &str = "config.json";

/// The window's questions, one at a time: a newer one overtakes those before it, which are never answered.
pub(super) struct Questions {
    shared: Arc<Shared>,
    orders: Sender<Order>,
    running: Option<(Stop, JoinHandle<()>)>,
    waiting: Option<RepoRef>,
}

impl Questions {
    /// None yet; the thread that asks reports to `orders`.
    pub(super) fn new(shared: Arc<Shared>, orders: Sender<Order>) -> Self {
        Self { shared, orders, running: None, waiting: None }
    }

    /// Asks, as soon as the question before has ended, which it is told to.
    pub(super) fn ask(&mut self, repo: RepoRef) {
        self.waiting = Some(repo);
        match &self.running {
            Some((stop, _)) => stop.set(),
            None => self.begin(),
        }
    }

    /// The thread that asked has ended.
    pub(super) fn next(&mut self) {
        if let Some((_, thread)) = self.running.take()
            && thread.join().is_err()
        {
            log::error!("a question to the hub ended with a panic");
        }
        self.begin();
    }

    /// Ends the question that is under way.
    pub(super) fn end(mut self) {
        self.waiting = None;
        if let Some((stop, _)) = &self.running {
            stop.set();
        }
        self.next();
    }

    fn begin(&mut self) {
        let Some(repo) = self.waiting.take() else { return };
        let (shared, stop, done) = (Arc::clone(&self.shared), Stop::new(), Done(self.orders.clone()));
        let (asked, stopped) = (repo.clone(), stop.clone());
        let thread = Builder::new().name("question".to_owned()).spawn(move || {
            let _done = done;
            let folder = shared.installed.download_folder();
            let answer = match shared.net.hub() {
                Ok(hub) => match offer(&hub, &asked, &stopped) {
                    Ok(offer) => Ok(Box::new(offer.tell(&folder))),
                    Err(error) => Err(problem::refusal(&error)),
                },
                Err(problem) => Err(problem.into()),
            };
            if !stopped.is_set() {
                shared.outbox.post(Event::HubAnswer { repo: asked, answer });
            }
        });
        match thread {
            Ok(thread) => self.running = Some((stop, thread)),
            Err(error) => {
                let answer = Err(problem::no_thread(&error).into());
                self.shared.outbox.post(Event::HubAnswer { repo, answer });
            }
        }
    }
}

/// Tells that the thread has ended, even after a panic.
struct Done(Sender<Order>);

impl Drop for Done {
    fn drop(&mut self) {
        // Nobody listens any more when Tiller ends.
        drop(self.0.send(Order::Answered));
    }
}

/// The repository that is meant: in place of its id there may stand what a person has pasted.
///
/// # Errors
/// When it is nothing of the kind.
pub(crate) fn repo(asked: &RepoRef) -> Result<RepoRef, HubError> {
    let found = reference::parse(&asked.id)?;
    Ok(RepoRef { revision: asked.revision.clone().or(found.revision), ..found })
}

/// What a repository offers.
pub(crate) struct Offer {
    /// All that it holds.
    pub(crate) listing: Listing,
    /// What of it can be opened.
    pub(crate) selection: Selection,
    /// Why its files are not handed out.
    pub(crate) locked: Option<Problem>,
    /// Why it could not be run.
    pub(crate) obstacle: Option<Problem>,
    shape: Option<ShapeNeed>,
}

/// Asks what a repository offers.
///
/// # Errors
/// Whatever keeps the hub from telling.
pub(crate) fn offer(hub: &Hub, repo: &RepoRef, stop: &Stop) -> Result<Offer, HubError> {
    let listing = hub.listing(&self::repo(repo)?, stop)?;
    let mut selection = select::choices(&listing.files);
    let (locked, facts) = match facts(hub, &listing, &selection, stop) {
        Ok(facts) => (None, facts),
        Err(error @ (HubError::Gated { .. } | HubError::NoRight { .. } | HubError::BadToken)) => {
            (Some(problem::hub(&error)), Facts::default())
        }
        Err(error) => return Err(error),
    };
    let checkpoint = selection.choices.iter_mut().find(|choice| choice.id == select::SAFETENSORS);
    if let (Some(checkpoint), Some(dtype)) = (checkpoint, facts.dtype) {
        checkpoint.label = format!("{}, {dtype}", checkpoint.label);
    }
    Ok(Offer { listing, selection, locked, obstacle: facts.obstacle, shape: facts.shape })
}

impl Offer {
    /// The same for people, with what getting it into `folder` would cost.
    pub(crate) fn tell(self, folder: &Path) -> HubListing {
        let Self { listing, selection, locked, obstacle, shape } = self;
        let store = Store::new(folder);
        let choice = |choice: &Choice| HubChoice {
            id: choice.id.clone(),
            kind: choice.kind,
            label: choice.label.clone(),
            files: choice.files.iter().map(|file| told(&store, &listing, file)).collect(),
        };
        HubListing {
            choices: selection.choices.iter().map(choice).collect(),
            left_out_files: selection.left_out_files,
            left_out_bytes: selection.left_out_bytes,
            folder: folder.to_owned(),
            free_disk_bytes: disk::free_bytes(folder).ok(),
            shape,
            free_memory_bytes: memory::free_bytes(),
            locked,
            obstacle,
            repo: listing.repo,
            commit: listing.commit,
            page: listing.page,
            gate: listing.gate,
            licence: listing.licence,
        }
    }
}

fn told(store: &Store, listing: &Listing, file: &RemoteFile) -> HubFile {
    let present_bytes = store.present_bytes(&listing.repo.id, &listing.commit, file);
    HubFile { path: file.path.clone(), bytes: file.bytes, present_bytes }
}

/// What small files tell.
#[derive(Default)]
struct Facts {
    shape: Option<ShapeNeed>,
    /// Number format of the checkpoint, as its configuration names it.
    dtype: Option<&'static str>,
    obstacle: Option<Problem>,
}

/// Reads the model's configuration; where there is none, a gated repository is asked for another small file, to see
/// whether it hands files out.
fn facts(hub: &Hub, listing: &Listing, selection: &Selection, stop: &Stop) -> Result<Facts, HubError> {
    let id = &listing.repo.id;
    let Some(first) = selection.choices.first() else {
        let none = if selection.is_pickle_only { problem::only_pickles(id) } else { problem::nothing_to_open(id) };
        return Ok(Facts { obstacle: Some(none), ..Facts::default() });
    };
    let has = |name: &str| listing.files.iter().any(|file| file.path == name);
    let models = || selection.choices.iter().filter(|choice| choice.kind == AssetKind::Model);
    let is_gguf = |choice: &Choice| has_gguf(&choice.id);
    if models().next().is_some() && has(CONFIG) {
        let text = hub.text(listing, CONFIG, CONFIG_LIMIT, stop)?;
        // A GGUF file brings its tokenizer along.
        let is_mute = !has("tokenizer.json") && !models().any(is_gguf);
        let dtype = dtype(&text);
        return Ok(match ModelConfig::from_json(&text) {
            Ok(config) => Facts {
                shape: Some(catalogue::shape(&config)),
                dtype,
                obstacle: is_mute.then(|| problem::no_tokenizer(id)),
            },
            Err(error) => Facts { shape: None, dtype, obstacle: Some(unrunnable(id, &error)) },
        });
    }
    if listing.gate != Default::default()
        && let Some(smallest) = first.files.iter().min_by_key(|file| file.bytes)
    {
        let part = 0..smallest.bytes.min(1);
        drop(hub.open(listing, smallest, Some(part).filter(|part| !part.is_empty()), stop)?);
    }
    Ok(Facts::default())
}

/// The number format that a configuration names.
fn dtype(config: &str) -> Option<&'static str> {
    let config: serde_json::Value = serde_json::from_str(config).ok()?;
    let named = |value: &serde_json::Value| {
        let name = value["dtype"].as_str().or_else(|| value["torch_dtype"].as_str());
        match name {
            Some("bfloat16") => Some("bf16"),
            Some("float16") => Some("f16"),
            Some("float32") => Some("f32"),
            _ => None,
        }
    };
    named(&config).or_else(|| named(&config["text_config"]))
}

/// Whether a choice is a GGUF file.
pub(crate) fn has_gguf(choice: &str) -> bool {
    Path::new(choice).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

/// Why a configuration cannot be run.
fn unrunnable(id: &str, error: &EngineError) -> Problem {
    match error {
        EngineError::UnknownArchitecture { name, .. } => {
            let path = Some(Path::new(id).join(CONFIG));
            problem::engine(&EngineError::UnknownArchitecture { name: name.clone(), path })
        }
        EngineError::BadRequest(reason) => problem::cannot_run(id, reason),
        other => problem::cannot_run(id, &other.to_string()),
    }
}
