//! Commands about installed assets, and the events that answer them.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tiller_protocol::asset::{AssetKind, AssetLibrary};
use tiller_protocol::model::{LoadOptions, ModelSource};

use super::*;
use crate::{HubOptions, Studio, StudioOptions};

const PATIENCE: Duration = Duration::from_mins(1);

struct Desk {
    dir: tempfile::TempDir,
    studio: Studio,
}

impl Desk {
    fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hub = HubOptions { offline: true, cache: Some(dir.path().join("cache")), ..HubOptions::default() };
        let workspace = Some(dir.path().join("work"));
        let options = StudioOptions { workspace, hub, ..StudioOptions::default() };
        Self { studio: Studio::open(&options, Arc::new(|| ())).unwrap(), dir }
    }

    /// A checkpoint of the fixtures in a folder of its own.
    fn checkpoint(&self, name: &str) -> PathBuf {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name);
        let to = self.dir.path().join(name);
        fs::create_dir(&to).unwrap();
        for file in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
        to
    }

    /// Waits for an event that `wanted` takes.
    #[track_caller]
    fn wait<T>(&self, wanted: impl Fn(&Event) -> Option<T>) -> T {
        let began = Instant::now();
        let mut seen = Vec::new();
        while began.elapsed() < PATIENCE {
            match self.studio.try_event() {
                Some(event) => match wanted(&event) {
                    Some(found) => return found,
                    None => seen.push(event),
                },
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        panic!("no such event within {PATIENCE:?}; got {seen:?}");
    }

    #[track_caller]
    fn library(&self) -> AssetLibrary {
        self.wait(|event| match event {
            Event::Assets(library) => Some(library.as_ref().clone()),
            _ => None,
        })
    }

    #[track_caller]
    fn failure(&self, wanted: Option<JobId>) -> Problem {
        self.wait(|event| match event {
            Event::Failed { job, problem } if *job == wanted => Some(problem.clone()),
            _ => None,
        })
    }

    fn import(&self, job: u64, path: &Path) {
        self.studio.send(Command::ImportAsset { job: JobId(job), path: path.to_owned(), copy: false });
    }
}

#[test]
fn an_import_is_told_from_beginning_to_end() {
    let desk = Desk::open();
    let path = desk.checkpoint("qwen2");
    desk.import(1, &path);
    desk.wait(|event| {
        matches!(event, Event::Started { job: JobId(1), title } if title == "Importing qwen2").then_some(())
    });
    let expected = Event::Imported { job: JobId(1), kind: AssetKind::Model, path: path.clone() };
    desk.wait(|event| (*event == expected).then_some(()));
    assert!(desk.library().assets.iter().any(|asset| asset.path == path));
    desk.import(2, &path);
    desk.wait(|event| matches!(event, Event::Notice(text) if text.contains("already")).then_some(()));
    desk.wait(|event| matches!(event, Event::Imported { job: JobId(2), .. }).then_some(()));
    desk.import(3, desk.dir.path().join("nothing").as_path());
    assert!(desk.failure(Some(JobId(3))).cause.contains("not there"));
    desk.studio.send(Command::Refresh);
    assert_eq!(desk.library().assets.len(), 3, "the demo model, its SAE and the import");
}

/// Bytes behind the tensors belong to no tensor; they only make the file take long to read.
fn blow_up(path: &Path) {
    fs::OpenOptions::new().write(true).open(path.join("model.safetensors")).unwrap().set_len(1 << 36).unwrap();
}

#[test]
fn work_is_stopped_whether_it_has_begun_or_not() {
    let desk = Desk::open();
    let path = desk.checkpoint("qwen2");
    desk.import(1, &path);
    desk.wait(|event| matches!(event, Event::Imported { .. }).then_some(()));
    blow_up(&path);
    for job in [2, 3] {
        desk.studio.send(Command::VerifyAsset { job: JobId(job), path: path.clone() });
    }
    desk.studio.send(Command::Cancel(JobId(3)));
    desk.wait(|event| matches!(event, Event::Progress { job: JobId(2), .. }).then_some(()));
    desk.studio.send(Command::Cancel(JobId(2)));
    for job in [2, 3] {
        desk.wait(|event| (*event == Event::Stopped { job: JobId(job) }).then_some(()));
    }
    // Closing stops what runs and passes over what waits.
    for job in [4, 5] {
        desk.studio.send(Command::VerifyAsset { job: JobId(job), path: path.clone() });
    }
    desk.wait(|event| matches!(event, Event::Progress { job: JobId(4), .. }).then_some(()));
    drop(desk);
}

#[test]
fn a_model_in_use_is_not_removed() {
    let desk = Desk::open();
    let path = desk.checkpoint("qwen2");
    desk.import(1, &path);
    let source = ModelSource::Folder(path.clone());
    desk.studio.send(Command::LoadModel { job: JobId(2), source, options: LoadOptions::default() });
    desk.wait(|event| matches!(event, Event::ModelReady { .. }).then_some(()));
    desk.studio.send(Command::RemoveAsset(path.clone()));
    assert_eq!(desk.failure(None), problem::in_use("qwen2"));
    let used = desk.library();
    assert!(used.assets.iter().any(|asset| asset.path == path && asset.last_used.is_some() && asset.hash.is_some()));
    desk.studio.send(Command::UnloadModel);
    desk.wait(|event| matches!(event, Event::ModelUnloaded).then_some(()));
    desk.studio.send(Command::RemoveAsset(path.clone()));
    let removed = Event::AssetRemoved { path: path.clone(), freed_bytes: 0 };
    desk.wait(|event| (*event == removed).then_some(()));
    assert!(desk.library().assets.iter().all(|asset| asset.path != path) && path.join("config.json").is_file());
    desk.studio.send(Command::RemoveAsset(path));
    assert!(desk.failure(None).title.contains("not in the library"));
}

#[test]
fn folders_and_links_follow_their_commands() {
    let desk = Desk::open();
    let path = desk.checkpoint("qwen2");
    desk.import(1, &path);
    desk.library();
    let to = desk.dir.path().join("moved");
    fs::rename(&path, &to).unwrap();
    desk.studio.send(Command::MoveAsset { from: path.clone(), to: to.clone() });
    assert!(desk.library().assets.iter().any(|asset| asset.path == to));
    let disk = desk.dir.path().join("disk");
    desk.studio.send(Command::AddFolder(disk.clone()));
    assert!(desk.failure(None).cause.contains("disk"));
    fs::create_dir(&disk).unwrap();
    desk.studio.send(Command::AddFolder(disk.clone()));
    assert_eq!(desk.library().folders.len(), 3);
    desk.studio.send(Command::ChooseFolder(disk.clone()));
    assert!(desk.library().folders[0].path == disk);
    desk.studio.send(Command::ForgetFolder(disk));
    assert_eq!(desk.library().folders.len(), 2);
}
