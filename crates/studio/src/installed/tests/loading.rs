//! Loading what is installed.

use tiller_protocol::model::{DeviceChoice, DtypeChoice, LoadOptions, ModelSource};

use super::*;
use crate::jobs::{Report, Sink};
use crate::models::{self, Held, Loaded, Sources};

fn load(machine: &Machine, source: &ModelSource, sink: &mut dyn Sink) -> Result<Loaded, Problem> {
    let assets = Assets::find();
    let sources = Sources { assets: &assets, installed: &machine.installed };
    let plan = models::plan(source, sources, (DeviceChoice::Cpu, DtypeChoice::Auto), &Held::default())?;
    models::load(&plan, sources, LoadOptions::default(), sink)
}

/// Steps as (done, total).
fn steps(sink: &Quiet) -> Vec<(u64, u64)> {
    let step = |report: &Report| match report {
        Report::Step { done, total, .. } => Some((*done, *total)),
        _ => None,
    };
    sink.reports.iter().filter_map(step).collect()
}

#[test]
fn a_model_that_has_not_changed_is_read_once() {
    let machine = Machine::new();
    let snapshot = machine.repo("acme/tiny", COMMIT, &checkpoint("qwen2"));
    let hub = ModelSource::Hub("acme/tiny".to_owned());
    let mut sink = Quiet::default();
    let first = load(&machine, &hub, &mut sink).unwrap().info;
    let total = steps(&sink).last().unwrap().1;
    let asset = machine.asset("tiny");
    assert_eq!(asset.hash.as_deref(), Some(first.hash.as_str()));
    assert!(asset.last_used.is_some());
    let mut sink = Quiet::default();
    let second = load(&machine, &hub, &mut sink).unwrap().info;
    assert_eq!((second.hash.as_str(), second.name.as_str()), (first.hash.as_str(), "tiny"));
    assert_eq!(steps(&sink).last().unwrap().1, total / 2, "the weights, and not the hash");
    assert!(steps(&sink).iter().all(|(done, total)| done <= total));

    // Another file of the same size: found out by its time, hashed again, and the old sum is forgotten.
    let weights = fs::canonicalize(snapshot.join("model.safetensors")).unwrap();
    spoil(&weights);
    File::options().write(true).open(&weights).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(machine.asset("tiny").hash, None);
    let mut sink = Quiet::default();
    let third = load(&machine, &hub, &mut sink).unwrap().info;
    assert_ne!(third.hash, first.hash);
    assert_eq!(steps(&sink).last().unwrap().1, total);
    assert_eq!(machine.asset("tiny").hash, Some(third.hash));
}

#[test]
fn a_folder_outside_the_library_is_remembered_as_well() {
    let machine = Machine::new();
    copy_checkpoint("qwen2", &machine.path("outside/Tiny"));
    let source = ModelSource::Folder(machine.path("outside/Tiny"));
    let mut sink = Quiet::default();
    load(&machine, &source, &mut sink).unwrap();
    let total = steps(&sink).last().unwrap().1;
    assert_eq!(machine.names(), <[&str; 0]>::default(), "opening is not importing");
    let mut sink = Quiet::default();
    load(&machine, &source, &mut sink).unwrap();
    assert_eq!(steps(&sink).last().unwrap().1, total / 2);
}

#[test]
fn a_stop_ends_every_stage() {
    let machine = Machine::new();
    machine.repo("acme/tiny", COMMIT, &checkpoint("qwen2"));
    let hub = ModelSource::Hub("acme/tiny".to_owned());
    let mut sink = Quiet::default();
    load(&machine, &hub, &mut sink).unwrap();
    fs::remove_file(machine.path("work/installed.json")).unwrap();
    let n = sink.reports.len();
    for stop_after in 0..n {
        let mut sink = Quiet { stop_after: Some(stop_after), ..Quiet::default() };
        assert_eq!(load(&machine, &hub, &mut sink).err(), Some(problem::stopped()), "after {stop_after} of {n}");
    }
}

/// Does something to the files once the weights are being read.
struct Meddling<F: FnMut()>(Option<F>);

impl<F: FnMut()> Sink for Meddling<F> {
    fn report(&mut self, report: Report) {
        if let Report::Step { done, total, .. } = report
            && 2 * done > total
            && let Some(mut meddle) = self.0.take()
        {
            meddle();
        }
    }

    fn is_stopped(&self) -> bool {
        false
    }
}

#[test]
fn files_that_change_or_vanish_meanwhile_are_told_and_nothing_is_lost() {
    let machine = Machine::new();
    copy_checkpoint("qwen2", &machine.path("disk/Tiny"));
    let dir = machine.path("disk/Tiny");
    let source = ModelSource::Folder(dir.clone());
    let weights = dir.join("model.safetensors");
    let changed = load(
        &machine,
        &source,
        &mut Meddling(Some(|| {
            File::options().write(true).open(&weights).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        })),
    );
    assert_eq!(changed.err(), Some(problem::changed_while_loading(&dir)));
    let gone = load(&machine, &source, &mut Meddling(Some(|| fs::remove_dir_all(&dir).unwrap())));
    let gone = gone.err().unwrap();
    assert!(gone.cause.contains("Tiny") && !gone.next_step.is_empty(), "{gone}");
    assert!(load(&machine, &source, &mut Quiet::default()).err().unwrap().cause.contains("Tiny"));

    copy_checkpoint("qwen2", &dir);
    let loaded = load(&machine, &source, &mut Quiet::default()).unwrap();
    fs::remove_dir_all(&dir).unwrap();
    let ids = loaded.model.tokenizer().encode("a model without files").unwrap();
    assert!(!ids.is_empty() && loaded.model.weights_bytes() > 0);
}

#[test]
fn hub_models_are_found_in_all_folders_and_forms() {
    let machine = Machine::new();
    let hub = |id: &str| machine.installed.hub_model(id);
    let missing = hub("acme/tiny").unwrap_err();
    assert!(missing.cause.contains("cache") && missing.next_step.contains("tiller model download acme/tiny"));
    let only = [("a-q8_0.gguf", fixture("gguf/gemma2-q8_0.gguf"))];
    let snapshot = machine.repo("acme/one", COMMIT, &only);
    assert_eq!(hub("acme/one").unwrap(), snapshot.join("a-q8_0.gguf"));
    assert_eq!(hub("A-Q8_0").unwrap(), snapshot.join("a-q8_0.gguf"), "by its name in the library");
    let two = [("a.gguf", fixture("gguf/gemma2-q8_0.gguf")), ("b.gguf", fixture("gguf/llama-q4_k_m.gguf"))];
    machine.repo("acme/two", COMMIT, &two);
    let several = hub("acme/two").unwrap_err();
    assert!(several.cause.contains("a.gguf") && several.cause.contains("b.gguf"), "{several}");
    for bad in ["../x", "a/../../b", "", "/etc/passwd", "a\\b"] {
        assert!(hub(bad).is_err(), "{bad}");
    }
    // No reference, one commit.
    let plain = machine.repo("acme/plain", COMMIT, &checkpoint("qwen2"));
    fs::remove_dir_all(machine.path("cache/models--acme--plain/refs")).unwrap();
    assert_eq!(hub("acme/plain").unwrap(), plain);
    let find = |text: &str| machine.installed.find(text).map(|asset| asset.path);
    assert_eq!(find("acme/plain"), Ok(plain.clone()));
    assert_eq!(find("plain"), Ok(plain.clone()));
    assert_eq!(find(&plain.join("../0123456789abcdef0123456789abcdef01234567").display().to_string()), Ok(plain));
    assert!(find("acme/two").unwrap_err().cause.contains("b.gguf"));
    assert!(find("nobody").unwrap_err().next_step.contains("tiller model installed"));
}

#[test]
fn a_folder_stands_for_the_one_model_in_it() {
    let machine = Machine::new();
    let folder = |path: &Path| {
        let assets = Assets::find();
        let sources = Sources { assets: &assets, installed: &machine.installed };
        models::folder(&ModelSource::Folder(path.to_owned()), sources)
    };
    assert_eq!(folder(&fixture("qwen2")), Ok(fixture("qwen2")));
    assert_eq!(folder(&machine.path("disk")), Ok(machine.path("disk")), "the engine tells what it lacks");
    copy_checkpoint("qwen2", &machine.path("disk/down/Tiny"));
    assert_eq!(folder(&machine.path("disk")), Ok(machine.path("disk/down/Tiny")));
    copy_checkpoint("qwen3", &machine.path("disk/Other"));
    assert!(folder(&machine.path("disk")).unwrap_err().cause.contains("down/Tiny"));
    assert!(folder(&fixture("gguf")).unwrap_err().cause.contains("gemma2-q8_0.gguf"));
    let sae = folder(&demo_sae()).unwrap_err();
    assert!(sae.title.contains("SAE") && sae.next_step.contains("library"), "{sae}");
}
