//! Downloads through the application, against a hub on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tiller_hub::endpoint::Endpoint;
use tiller_hub::http::HubSettings;
use tiller_hub::listing::{Listing, Sum};
use tiller_hub::retry::Retry;
use tiller_hub::token::{Keyring, Tokens};
use tiller_hub_server::{Fault, HubServer, Repo};
use tiller_protocol::asset::{
    AssetKind, AssetLibrary, AssetState, Gate, HubListing, HubRefusal, RepoRef, Secret, TokenSource, TokenState,
};
use tiller_protocol::settings::AppSettings;

use super::*;
use crate::net::HubOptions;
use crate::studio::{Studio, StudioOptions};
use crate::workspace::{KeptDownload, KeptPlan, Workspace};

const PATIENCE: Duration = Duration::from_mins(1);
/// Slow enough for a person's commands to come between.
const SLOW: u64 = 10_000;
const ID: &str = "tiny/qwen3";

/// A workspace, a cache and a hub.
struct Desk {
    dir: tempfile::TempDir,
    server: HubServer,
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/qwen3")).join(name)
}

/// A whole model, with a file that nothing here needs.
fn model() -> Repo {
    Repo::new()
        .file("config.json", fixture("config.json"))
        .file("tokenizer_config.json", fixture("tokenizer_config.json"))
        .file("chat_template.jinja", fixture("chat_template.jinja"))
        .large("tokenizer.json", fixture("tokenizer.json"))
        .large("model.safetensors", fixture("model.safetensors"))
        .large("pytorch_model.bin", "a duplicate")
        .licence("apache-2.0")
}

impl Desk {
    fn new() -> Self {
        let desk = Self { dir: tempfile::tempdir().unwrap(), server: HubServer::start() };
        desk.server.add_repo(ID, model());
        desk
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    /// The document that holds the unfinished downloads.
    fn list(&self) -> PathBuf {
        self.dir.path().join("workspace/downloads.json")
    }

    fn options(&self, token: Option<&str>) -> StudioOptions {
        let settings = HubSettings {
            credentials: Arc::new(token.map(|token| Secret(token.to_owned()))),
            retry: Retry::at_once(2),
            ..HubSettings::at(Endpoint::parse(&self.server.endpoint()).unwrap())
        };
        StudioOptions {
            workspace: Some(self.dir.path().join("workspace")),
            hub: HubOptions { settings: Some(settings), cache: Some(self.cache()), ..HubOptions::default() },
            ..StudioOptions::default()
        }
    }

    fn open(&self) -> Studio {
        Studio::open(&self.options(None), Arc::new(|| ())).unwrap()
    }

    fn file_requests(&self) -> usize {
        self.server.requests().iter().filter(|request| request.path.contains("/resolve/")).count()
    }
}

/// The first event of which `pick` makes something.
#[track_caller]
fn wait<T>(studio: &Studio, mut pick: impl FnMut(Event) -> Option<T>) -> T {
    let began = Instant::now();
    let mut seen = Vec::new();
    while began.elapsed() < PATIENCE {
        match studio.try_event() {
            Some(event) => {
                seen.push(format!("{event:?}"));
                if let Some(found) = pick(event) {
                    return found;
                }
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    panic!("no such event; got {seen:#?}");
}

/// The download of this number, as soon as it is as wanted.
#[track_caller]
fn wait_for(studio: &Studio, id: u64, wanted: impl Fn(&Download) -> bool) -> Download {
    wait(studio, |event| match event {
        Event::Downloads(list) => list.into_iter().find(|download| download.id == DownloadId(id) && wanted(download)),
        _ => None,
    })
}

#[track_caller]
fn ask(studio: &Studio, id: &str) -> Result<Box<HubListing>, HubRefusal> {
    let repo = RepoRef { id: id.to_owned(), revision: None };
    studio.send(Command::AskHub(repo.clone()));
    wait(studio, |event| match event {
        Event::HubAnswer { repo: asked, answer } if asked == repo => Some(answer),
        _ => None,
    })
}

fn order(choice: &str) -> DownloadOrder {
    DownloadOrder { repo: RepoRef { id: ID.to_owned(), revision: None }, choice: choice.to_owned(), folder: None }
}

fn start(studio: &Studio, id: u64) {
    studio.send(Command::StartDownload { id: DownloadId(id), order: order("safetensors") });
}

fn is_done(download: &Download) -> bool {
    matches!(download.phase, DownloadPhase::Done { .. })
}

fn has_some(download: &Download) -> bool {
    download.phase == DownloadPhase::Running && download.done_bytes() > 0
}

fn failure(download: &Download) -> Option<&Problem> {
    match &download.phase {
        DownloadPhase::Failed(problem) => Some(problem),
        _ => None,
    }
}

#[test]
fn from_the_question_to_the_library() {
    let desk = Desk::new();
    let studio = desk.open();
    let listing = ask(&studio, ID).unwrap();
    assert_eq!((listing.gate, listing.licence.as_deref()), (Gate::Open, Some("apache-2.0")));
    assert_eq!((listing.left_out_files, listing.left_out_bytes), (1, 11));
    assert_eq!((listing.obstacle, listing.locked), (None, None));
    let shape = listing.shape.unwrap();
    assert_eq!((shape.architecture.as_str(), shape.n_layers), ("Qwen3ForCausalLM", 3));
    assert_eq!(listing.folder, desk.cache());
    let choice = &listing.choices[0];
    assert_eq!((listing.choices.len(), choice.id.as_str(), choice.kind), (1, "safetensors", AssetKind::Model));
    let bytes: u64 = choice.files.iter().map(|file| fixture(&file.path).metadata().unwrap().len()).sum();
    assert_eq!((choice.files.len(), choice.total_bytes(), choice.missing_bytes()), (5, bytes, bytes));

    desk.server.set_rate(Some(SLOW));
    start(&studio, 1);
    wait_for(&studio, 1, has_some);
    studio.send(Command::PauseDownload(DownloadId(1)));
    let paused = wait_for(&studio, 1, |download| download.phase == DownloadPhase::Paused);
    assert!(paused.done_bytes() > 0 && paused.done_bytes() < bytes, "{paused:?}");
    assert_eq!((paused.total_bytes(), paused.bytes_per_sec), (bytes, None));
    desk.server.set_rate(None);
    studio.send(Command::ResumeDownload(DownloadId(1)));
    let (mut done, mut assets) = (None, None);
    wait(&studio, |event| {
        match event {
            Event::Downloads(list) => done = list.into_iter().find(is_done).or(done.take()),
            Event::Assets(library) => assets = Some(library),
            Event::Notice(notice) => assert!(notice.contains(ID), "{notice}"),
            _ => {}
        }
        (done.is_some() && assets.is_some()).then_some(())
    });
    let (done, assets) = (done.unwrap(), assets.unwrap());
    let DownloadPhase::Done { path } = &done.phase else { panic!("{done:?}") };
    assert!(done.files.iter().all(|file| file.is_complete && file.done_bytes == file.total_bytes));
    for file in &done.files {
        assert_eq!(std::fs::read(path.join(&file.path)).unwrap(), std::fs::read(fixture(&file.path)).unwrap());
    }
    let asset = assets.assets.iter().find(|asset| asset.path == *path).expect("it is listed");
    assert_eq!((&asset.state, asset.kind), (&AssetState::Ready, AssetKind::Model));
    let listing = ask(&studio, ID).unwrap();
    assert_eq!(listing.choices[0].missing_bytes(), 0);

    studio.send(Command::DismissDownload(DownloadId(1)));
    wait(&studio, |event| (event == Event::Downloads(vec![])).then_some(()));
}

#[test]
fn what_was_under_way_when_tiller_ended_is_there_again_and_goes_on() {
    let desk = Desk::new();
    desk.server.set_rate(Some(SLOW));
    {
        let studio = desk.open();
        start(&studio, 7);
        wait_for(&studio, 7, has_some);
        // Nobody pauses it, and what a kill would have left is what is opened next.
        let list = std::fs::read(desk.list()).unwrap();
        drop(studio);
        std::fs::write(desk.list(), list).unwrap();
    }
    desk.server.clear_requests();
    let studio = desk.open();
    studio.send(Command::Refresh);
    let found = wait_for(&studio, 7, |_| true);
    assert_eq!(found.phase, DownloadPhase::Paused);
    assert!(found.done_bytes() > 0 && found.total_bytes() > found.done_bytes(), "{found:?}");
    assert_eq!((found.files.len(), found.label.contains("safetensors")), (5, true));
    assert!(desk.server.requests().is_empty(), "the network is left alone");
    desk.server.set_rate(None);
    studio.send(Command::ResumeDownload(DownloadId(7)));
    wait_for(&studio, 7, is_done);
    drop(studio);
    let studio = desk.open();
    studio.send(Command::Refresh);
    wait(&studio, |event| (event == Event::Downloads(vec![])).then_some(()));
}

#[test]
fn the_same_order_twice_is_one_download_and_numbers_are_unique() {
    let desk = Desk::new();
    desk.server.add_repo("tiny/other", Repo::new().large("a.gguf", vec![1; 200_000]).large("b.gguf", vec![2; 200_000]));
    desk.server.set_rate(Some(SLOW));
    let studio = desk.open();
    start(&studio, 1);
    start(&studio, 2);
    wait(&studio, |event| matches!(event, Event::Notice(text) if text.contains("already")).then_some(()));
    let other = |choice: &str| DownloadOrder {
        repo: RepoRef { id: "tiny/other".to_owned(), revision: Some("main".to_owned()) },
        ..order(choice)
    };
    // The number is taken; this one waits, since two run.
    studio.send(Command::StartDownload { id: DownloadId(1), order: other("a.gguf") });
    studio.send(Command::StartDownload { id: DownloadId(9), order: other("b.gguf") });
    let list = wait(&studio, |event| match event {
        Event::Downloads(list) if list.len() == 3 && list[..2].iter().all(has_some) => Some(list),
        _ => None,
    });
    let ids: Vec<u64> = list.iter().map(|download| download.id.0).collect();
    assert_eq!((ids, &list[2].phase), (vec![1, 2, 9], &DownloadPhase::Waiting));
    studio.send(Command::PauseDownload(DownloadId(1)));
    wait_for(&studio, 9, has_some);
    start(&studio, 4);
    wait(&studio, |event| matches!(event, Event::Notice(text) if text.contains("Going on")).then_some(()));
}

#[test]
fn a_cancelled_download_leaves_nothing_behind() {
    let desk = Desk::new();
    desk.server.set_rate(Some(SLOW));
    let studio = desk.open();
    start(&studio, 1);
    wait_for(&studio, 1, |download| download.done_bytes() > 2_000);
    studio.send(Command::CancelDownload(DownloadId(1)));
    wait(&studio, |event| (event == Event::Downloads(vec![])).then_some(()));
    drop(studio);
    let blobs = desk.cache().join("models--tiny--qwen3/blobs");
    let large = fixture("model.safetensors").metadata().unwrap().len();
    let left = std::fs::read_dir(blobs).into_iter().flatten().flatten();
    let left: Vec<_> = left.filter(|file| file.metadata().unwrap().len() >= large / 10).collect();
    assert!(left.is_empty(), "{left:?}");
    let studio = desk.open();
    studio.send(Command::Refresh);
    wait(&studio, |event| (event == Event::Downloads(vec![])).then_some(()));
}

#[test]
fn a_folder_on_a_disk_that_is_not_plugged_in_is_not_made_anew() {
    let desk = Desk::new();
    let disk = desk.dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let studio = desk.open();
    studio.send(Command::AddFolder(disk.clone()));
    studio.send(Command::ChooseFolder(disk.clone()));
    let is_chosen =
        |library: &AssetLibrary| library.folders.iter().any(|folder| folder.path == disk && folder.is_chosen);
    wait(&studio, |event| matches!(event, Event::Assets(library) if is_chosen(&library)).then_some(()));
    assert_eq!(ask(&studio, ID).unwrap().folder, disk);
    std::fs::remove_dir(&disk).unwrap();
    start(&studio, 1);
    let failed = wait_for(&studio, 1, |download| failure(download).is_some());
    assert!(failure(&failed).unwrap().cause.contains("disk") && !disk.exists(), "{failed:?}");
    std::fs::create_dir(&disk).unwrap();
    studio.send(Command::ResumeDownload(DownloadId(1)));
    let done = wait_for(&studio, 1, is_done);
    assert!(matches!(done.phase, DownloadPhase::Done { path } if path.starts_with(&disk)));
}

#[test]
fn every_refusal_has_its_own_words() {
    let desk = Desk::new();
    desk.server.add_repo("tiny/gated", model().gated("manual").granted("hf_good"));
    desk.server.add_repo("tiny/private", model().private().granted("hf_good"));
    desk.server.add_token("hf_good", "ada");
    desk.server.add_token("hf_other", "bob");
    let asked = |token: Option<&str>, id: &str| {
        let studio = Studio::open(&desk.options(token), Arc::new(|| ())).unwrap();
        ask(&studio, id)
    };
    let locked = asked(None, "tiny/gated").unwrap().locked.unwrap();
    assert!(locked.next_step.contains(&format!("{}/tiny/gated", desk.server.endpoint())), "{locked}");
    let not_granted = asked(Some("hf_other"), "tiny/gated").unwrap().locked.unwrap();
    assert!(not_granted.title.contains("not accepted yet") && not_granted != locked, "{not_granted}");
    assert_eq!(asked(Some("hf_good"), "tiny/gated").unwrap().locked, None);

    let hidden = asked(None, "tiny/private").unwrap_err();
    let missing = asked(Some("hf_good"), "tiny/nothing").unwrap_err();
    let refused = asked(Some("hf_bad"), "tiny/private").unwrap_err();
    assert!(hidden.may_sign_in && hidden.problem.title.contains("private"), "{hidden:?}");
    assert!(missing.problem.title == "There is no such repository", "{missing:?}");
    assert!(refused.may_sign_in && refused.problem.title.contains("token"), "{refused:?}");
    assert!(asked(Some("hf_good"), "tiny/private").is_ok());
    let nonsense = asked(None, "no name at all").unwrap_err();
    assert!(nonsense.problem.cause.contains("no name at all"), "{nonsense:?}");

    let studio = Studio::open(&desk.options(Some("hf_other")), Arc::new(|| ())).unwrap();
    let repo = RepoRef { id: "tiny/gated".to_owned(), revision: None };
    let order = DownloadOrder { repo, choice: "safetensors".to_owned(), folder: None };
    studio.send(Command::StartDownload { id: DownloadId(1), order });
    let failed = wait_for(&studio, 1, |download| failure(download).is_some());
    assert_eq!(failure(&failed).unwrap(), &not_granted);
}

#[test]
fn what_cannot_be_opened_is_told_before_anything_is_downloaded() {
    let desk = Desk::new();
    let config = "{\"architectures\": [\"MambaForCausalLM\"]}";
    let weights = || Repo::new().large("model.safetensors", vec![0; 100]);
    desk.server.add_repo("odd/mamba", weights().file("config.json", config).file("tokenizer.json", "{}"));
    desk.server.add_repo("odd/mute", model_without_tokenizer());
    desk.server.add_repo("odd/pickle", Repo::new().file("config.json", "{}").large("pytorch_model.bin", vec![0; 9]));
    desk.server.add_repo("odd/empty", Repo::new().file("README.md", "nothing"));
    let studio = desk.open();
    let obstacle = |id: &str| ask(&studio, id).unwrap().obstacle.unwrap();
    for (id, word) in [
        ("odd/mamba", "MambaForCausalLM"),
        ("odd/mute", "tokenizer"),
        ("odd/pickle", "pickle"),
        ("odd/empty", "no safetensors"),
    ] {
        let problem = obstacle(id);
        assert!(problem.cause.contains(word), "{id}: {problem}");
    }
    studio.send(Command::StartDownload { id: DownloadId(1), order: order("nothing") });
    let failed = wait_for(&studio, 1, |download| failure(download).is_some());
    assert!(failure(&failed).unwrap().next_step.contains("safetensors"), "{failed:?}");
}

fn model_without_tokenizer() -> Repo {
    let weights = Repo::new().large("model.safetensors", fixture("model.safetensors"));
    weights.file("config.json", fixture("config.json")).large("tokenizer.model", vec![1; 50])
}

#[test]
fn a_newer_question_overtakes_older_ones() {
    let desk = Desk::new();
    desk.server.fault("/api/models/slow", Fault::Late(Duration::from_secs(30)), 9);
    let studio = desk.open();
    for id in ["slow/one", "slow/two"] {
        studio.send(Command::AskHub(RepoRef { id: id.to_owned(), revision: None }));
    }
    let address = format!("{}/{ID}/tree/main", desk.server.endpoint());
    studio.send(Command::AskHub(RepoRef { id: address.clone(), revision: None }));
    // Questions that were not overtaken would be answered first.
    let (asked, answer) = wait(&studio, |event| match event {
        Event::HubAnswer { repo, answer } => Some((repo, answer)),
        _ => None,
    });
    assert_eq!((asked.id, answer.unwrap().repo.id.as_str()), (address, ID));
}

#[test]
fn offline_nothing_is_asked_and_everything_local_works() {
    let desk = Desk::new();
    {
        let studio = desk.open();
        start(&studio, 1);
        wait_for(&studio, 1, is_done);
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let knocks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&knocks);
    let door = Builder::new().spawn(move || {
        for stream in listener.incoming() {
            drop(stream);
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    drop(door.unwrap());
    let mut options = desk.options(None);
    options.hub.settings = Some(HubSettings::at(Endpoint::parse(&endpoint).unwrap()));
    options.hub.offline = true;
    let studio = Studio::open(&options, Arc::new(|| ())).unwrap();
    let refused = ask(&studio, ID).unwrap_err();
    assert!(refused.problem.title.contains("switched off") && refused.problem.next_step.contains("Settings"));
    // All of it is here; of the other, nothing is.
    start(&studio, 2);
    let other = RepoRef { id: "tiny/other".to_owned(), revision: None };
    let order = DownloadOrder { repo: other, choice: "safetensors".to_owned(), folder: None };
    studio.send(Command::StartDownload { id: DownloadId(3), order });
    let failed = wait_for(&studio, 3, |download| failure(download).is_some());
    assert_eq!(failure(&failed).unwrap().title, refused.problem.title);
    studio.send(Command::ListAssets);
    wait(&studio, |event| match event {
        Event::Assets(library) => library.assets.iter().any(|asset| asset.name.contains("qwen3")).then_some(()),
        _ => None,
    });
    // The settings cannot switch on what was switched off from outside.
    studio.send(Command::SaveSettings(AppSettings::default()));
    wait(&studio, |event| matches!(event, Event::Settings(_)).then_some(()));
    assert!(ask(&studio, ID).is_err());
    assert_eq!(knocks.load(Ordering::SeqCst), 0);
    drop(std::net::TcpStream::connect(endpoint.trim_start_matches("http://")));
    let began = Instant::now();
    while knocks.load(Ordering::SeqCst) == 0 {
        assert!(began.elapsed() < PATIENCE, "the counter counts");
        std::thread::yield_now();
    }
}

#[test]
fn switching_the_network_off_pauses_what_runs() {
    let desk = Desk::new();
    desk.server.set_rate(Some(SLOW));
    let studio = desk.open();
    start(&studio, 1);
    wait_for(&studio, 1, has_some);
    studio.send(Command::SaveSettings(AppSettings { offline: true, ..AppSettings::default() }));
    wait_for(&studio, 1, |download| download.phase == DownloadPhase::Paused);
    assert!(ask(&studio, ID).unwrap_err().problem.title.contains("switched off"));
    studio.send(Command::ResumeDownload(DownloadId(1)));
    wait_for(&studio, 1, |download| failure(download).is_some());
    desk.server.set_rate(None);
    studio.send(Command::SaveSettings(AppSettings::default()));
    studio.send(Command::ResumeDownload(DownloadId(1)));
    wait_for(&studio, 1, is_done);
}

#[test]
fn a_disk_that_is_too_small_is_told_before_the_first_byte() {
    let desk = Desk::new();
    let repo = RepoRef { id: ID.to_owned(), revision: None };
    let file = |path: &str, bytes| RemoteFile { path: path.to_owned(), bytes, sum: Sum::Sha256([1; 32]) };
    let listing = Listing {
        repo: repo.clone(),
        commit: "1".repeat(40),
        gate: Gate::Open,
        is_private: false,
        licence: None,
        page: String::new(),
        files: vec![file("config.json", 10), file("model.safetensors", 1 << 60)],
    };
    {
        let workspace = Workspace::open(Some(&desk.dir.path().join("workspace"))).unwrap();
        let plan = Some(KeptPlan::new(AssetKind::Model, "safetensors", &listing));
        let kept = KeptDownload { id: DownloadId(5), order: order("safetensors"), folder: desk.cache(), plan };
        workspace.save_downloads(vec![kept]).unwrap();
    }
    let studio = desk.open();
    studio.send(Command::ResumeDownload(DownloadId(5)));
    let failed = wait_for(&studio, 5, |download| failure(download).is_some());
    let problem = failure(&failed).unwrap();
    assert!(problem.title.contains("room on the disk") && problem.cause.contains("more than 1000 TB"), "{problem}");
    assert_eq!(desk.file_requests(), 0);
}

/// A keyring in memory, or none at all.
#[derive(Clone, Default)]
struct Keyrings {
    kept: Arc<std::sync::Mutex<Option<Secret>>>,
    is_missing: bool,
}

impl Keyring for Keyrings {
    fn read(&self) -> Result<Option<Secret>, String> {
        if self.is_missing { Err("there is none".to_owned()) } else { Ok(self.kept.lock().unwrap().clone()) }
    }

    fn write(&self, secret: &Secret) -> Result<(), String> {
        *self.kept.lock().unwrap() = Some(secret.clone());
        if self.is_missing { Err("there is none".to_owned()) } else { Ok(()) }
    }

    fn delete(&self) -> Result<(), String> {
        *self.kept.lock().unwrap() = None;
        Ok(())
    }
}

fn token(studio: &Studio) -> TokenState {
    wait(studio, |event| match event {
        Event::Token(state) => Some(state),
        _ => None,
    })
}

#[test]
fn a_token_is_kept_in_the_keyring_told_with_its_owner_and_used() {
    let desk = Desk::new();
    desk.server.add_repo("tiny/private", model().private().granted("hf_good"));
    desk.server.add_token("hf_good", "ada");
    let keyring = Keyrings::default();
    let open = |keyring: &Keyrings| {
        let mut options = desk.options(None);
        options.hub.tokens = Some(Tokens::from_vars(&|_| None, Box::new(keyring.clone())));
        Studio::open(&options, Arc::new(|| ())).unwrap()
    };
    let studio = open(&keyring);
    studio.send(Command::Refresh);
    assert_eq!(token(&studio), TokenState::default());
    assert!(desk.server.requests().is_empty(), "opening asks the hub nothing");
    assert!(ask(&studio, "tiny/private").is_err());
    studio.send(Command::SetToken(Secret("hf_good".to_owned())));
    let state = token(&studio);
    assert_eq!((state.source, state.note), (TokenSource::Keyring, None));
    assert!(state.user.is_some_and(|user| user.contains("ada")));
    assert!(ask(&studio, "tiny/private").is_ok());
    assert_eq!(*keyring.kept.lock().unwrap(), Some(Secret("hf_good".to_owned())));
    let files = walk(desk.dir.path());
    assert!(files.iter().all(|file| !file.windows(7).any(|part| part == b"hf_good")), "no file holds it");

    studio.send(Command::SetToken(Secret("hf_bad".to_owned())));
    let problem = wait(&studio, |event| match event {
        Event::Failed { problem, .. } => Some(problem),
        _ => None,
    });
    assert!(problem.title.contains("token") && !problem.to_string().contains("hf_bad"), "{problem}");
    studio.send(Command::SetToken(Secret(String::new())));
    wait(&studio, |event| matches!(event, Event::Token(state) if state == TokenState::default()).then_some(()));
    assert_eq!(*keyring.kept.lock().unwrap(), None);
    drop(studio);

    let studio = open(&Keyrings { is_missing: true, ..Keyrings::default() });
    studio.send(Command::SetToken(Secret("hf_good".to_owned())));
    let state = token(&studio);
    assert_eq!(state.source, TokenSource::Session);
    assert!(state.note.is_some_and(|note| note.contains("until Tiller ends")));
    assert!(ask(&studio, "tiny/private").is_ok());
}

/// Contents of all files below a folder.
fn walk(folder: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![std::fs::read(&path).unwrap()] }).collect()
}
