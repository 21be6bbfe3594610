//! The rules of commands and events, with the demo model.

use std::time::{Duration, Instant};

use tiller_hub::endpoint::Endpoint;
use tiller_hub::http::HubSettings;
use tiller_protocol::chat::{Role, Sampling, Side, Turn};
use tiller_protocol::model::{LoadOptions, ModelSource};
use tiller_protocol::settings::ThemeChoice;

use super::*;

const PATIENCE: Duration = Duration::from_mins(1);

/// Without the network, the keyring, and what is in the cache of this computer.
fn options(dir: &tempfile::TempDir) -> StudioOptions {
    let nowhere = HubSettings { is_offline: true, ..HubSettings::at(Endpoint::default()) };
    let hub = HubOptions { settings: Some(nowhere), cache: Some(dir.path().join("hub")), ..HubOptions::default() };
    StudioOptions { workspace: Some(dir.path().to_owned()), hub, ..StudioOptions::default() }
}

fn open(dir: &tempfile::TempDir) -> Studio {
    Studio::open(&options(dir), Arc::new(|| ())).unwrap()
}

/// Takes events until one of them satisfies `last`; returns all of them.
#[track_caller]
fn until(studio: &Studio, mut last: impl FnMut(&Event) -> bool) -> Vec<Event> {
    let began = Instant::now();
    let mut events = Vec::new();
    while began.elapsed() < PATIENCE {
        match studio.try_event() {
            Some(event) => {
                let is_last = last(&event);
                events.push(event);
                if is_last {
                    return events;
                }
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    panic!("no such event within {PATIENCE:?}; got {events:?}");
}

fn is_end(event: &Event, wanted: JobId) -> bool {
    match event {
        Event::ModelReady { job, .. }
        | Event::VectorReady { job, .. }
        | Event::DiscoveryDone { job, .. }
        | Event::Evaluated { job, .. }
        | Event::ChatDone { job }
        | Event::Stopped { job }
        | Event::Failed { job: Some(job), .. } => *job == wanted,
        _ => false,
    }
}

fn load(studio: &Studio) {
    studio.send(Command::LoadModel { job: JobId(1), source: ModelSource::Demo, options: LoadOptions::default() });
    let events = until(studio, |event| is_end(event, JobId(1)));
    assert!(matches!(events.last(), Some(Event::ModelReady { .. })), "{:?}", events.last());
}

fn say(job: u64, max_tokens: usize) -> Command {
    Command::Say {
        job: JobId(job),
        turns: vec![Turn { role: Role::User, content: "Tell me about the fox.".to_owned() }],
        sampling: Sampling { max_tokens, temperature: 1.5, top_p: 1.0, ..Sampling::default() },
        side_by_side: true,
        plain_turns: None,
    }
}

#[test]
fn a_second_job_is_refused_with_the_name_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let studio = open(&dir);
    studio.send(Command::LoadModel { job: JobId(1), source: ModelSource::Demo, options: LoadOptions::default() });
    studio.send(say(2, 8));
    let events = until(&studio, |event| is_end(event, JobId(2)));
    match events.last() {
        Some(Event::Failed { problem, .. }) => assert!(problem.cause.contains("Loading the model"), "{problem}"),
        other => panic!("{other:?}"),
    }
    until(&studio, |event| is_end(event, JobId(1)));
    studio.send(say(3, 8));
    let events = until(&studio, |event| is_end(event, JobId(3)));
    assert_eq!(events.last(), Some(&Event::ChatDone { job: JobId(3) }));
    let ends = events.iter().filter(|event| is_end(event, JobId(3))).count();
    assert_eq!(ends, 1);
}

#[test]
fn a_job_without_a_model_fails_and_the_next_one_runs() {
    let dir = tempfile::tempdir().unwrap();
    let studio = open(&dir);
    studio.send(say(7, 8));
    let events = until(&studio, |event| is_end(event, JobId(7)));
    assert!(matches!(events.last(), Some(Event::Failed { problem, .. }) if problem.title == "No model is loaded"));
    studio.send(Command::LoadModel {
        job: JobId(8),
        source: ModelSource::Folder(dir.path().to_owned()),
        options: LoadOptions::default(),
    });
    let events = until(&studio, |event| is_end(event, JobId(8)));
    assert!(matches!(events.last(), Some(Event::Failed { .. })));
    load(&studio);
}

#[test]
fn a_reply_is_stopped_and_its_beginning_kept() {
    let dir = tempfile::tempdir().unwrap();
    let studio = open(&dir);
    load(&studio);
    studio.send(say(2, 100_000));
    until(&studio, |event| matches!(event, Event::ChatDelta { .. } | Event::ChatDone { .. }));
    studio.send(Command::Cancel(JobId(99)));
    studio.send(Command::Cancel(JobId(2)));
    let asked = Instant::now();
    let events = until(&studio, |event| is_end(event, JobId(2)));
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert_eq!(events.last(), Some(&Event::ChatDone { job: JobId(2) }));
    let sides = events.iter().filter(|event| matches!(event, Event::ChatSideDone { .. })).count();
    assert_eq!(sides, 2);
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, Event::ChatDelta { side: Side::Plain, text, .. } if text.is_empty()))
    );
}

#[test]
fn refresh_answers_with_everything() {
    let dir = tempfile::tempdir().unwrap();
    let studio = open(&dir);
    let settings = AppSettings { theme: ThemeChoice::Light, ..AppSettings::default() };
    studio.send(Command::SaveSettings(settings.clone()));
    until(&studio, |event| *event == Event::Settings(settings.clone()));
    studio.send(Command::Refresh);
    let mut left = vec!["settings", "catalogue", "assets", "downloads", "token"];
    let events = until(&studio, |event| {
        let name = match event {
            Event::Settings(_) => "settings",
            Event::Catalogue { entries, .. } if entries.len() > 20 => "catalogue",
            Event::Assets(_) => "assets",
            Event::Downloads(_) => "downloads",
            Event::Token(_) => "token",
            _ => return false,
        };
        left.retain(|wanted| *wanted != name);
        left.is_empty()
    });
    assert!(events.iter().any(|event| matches!(event, Event::Personas(list) if list.len() >= 4)));
    assert!(events.contains(&Event::Vectors(vec![])) && events.contains(&Event::Runs(vec![])));
    studio.send(Command::OpenRun { id: "../settings".to_owned() });
    let events = until(&studio, |event| matches!(event, Event::Failed { .. }));
    assert!(
        matches!(events.last(), Some(Event::Failed { job: None, problem }) if problem.cause.contains("../settings"))
    );
    studio.send(Command::ExportText { path: dir.path().join("prompt.txt"), text: "Be kind.".to_owned() });
    until(&studio, |event| *event == Event::Notice("Saved prompt.txt".to_owned()));
    assert_eq!(std::fs::read_to_string(dir.path().join("prompt.txt")).unwrap(), "Be kind.");
}

#[test]
fn a_second_window_is_told_and_closing_the_first_frees_the_workspace() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(&dir);
    let problem = Studio::open(&options(&dir), Arc::new(|| ())).err().unwrap();
    assert_eq!(problem.title, "Tiller is already open");
    drop(first);
    drop(open(&dir));
}
