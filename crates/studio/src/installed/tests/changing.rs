//! Importing, moving, verifying.

use tiller_protocol::asset::AssetKind;

use super::*;
use crate::jobs::{Report, Sink};

#[test]
fn whatever_is_one_thing_is_understood() {
    let machine = Machine::new();
    let linked = |path: &Path| machine.import(path, false).unwrap();
    let gguf = fixture("gguf/qwen2-q8_0-00002-of-00003.gguf");
    let first = fixture("gguf/qwen2-q8_0-00001-of-00003.gguf");
    assert_eq!(linked(&gguf), Imported { path: first.clone(), kind: AssetKind::Model, was_known: false });
    assert_eq!(linked(&first), Imported { path: first, kind: AssetKind::Model, was_known: true });
    assert_eq!(linked(&demo_sae()).kind, AssetKind::Sae);
    assert_eq!(linked(&fixture("gemma2/config.json")).path, fixture("gemma2"), "a file of it stands for it");
    copy_checkpoint("qwen3", &machine.path("outside/deep/er/Tiny"));
    assert_eq!(linked(&machine.path("outside")).path, machine.path("outside/deep/er/Tiny"), "the only one below");
    copy_checkpoint("qwen2", &machine.path("outside/Other"));
    let several = machine.import(&machine.path("outside"), false).unwrap_err();
    assert!(several.cause.contains("deep/er/Tiny") && several.cause.contains("Other"), "{several}");
    fs::create_dir(machine.path("disk/inner")).unwrap();
    fs::copy(fixture("gguf/gemma2-q8_0.gguf"), machine.path("disk/a.gguf")).unwrap();
    fs::copy(fixture("gguf/llama-q4_k_m.gguf"), machine.path("disk/inner/b.gguf")).unwrap();
    let several = machine.import(&machine.path("disk"), false).unwrap_err();
    assert!(several.cause.contains("a.gguf") && several.cause.contains("inner/b.gguf"), "{several}");
    fs::remove_dir_all(machine.path("disk")).unwrap();
    fs::create_dir(machine.path("disk")).unwrap();
    let nothing = machine.import(&machine.path("disk"), false).unwrap_err();
    assert!(nothing.next_step.contains("config.json") && nothing.next_step.contains("GGUF"), "{nothing}");
    assert!(machine.import(&machine.path("gone"), false).unwrap_err().cause.contains("not there"));
    assert_eq!(machine.library().assets.len(), 4);
}

#[test]
fn what_cannot_be_opened_is_refused_in_the_engines_words() {
    let machine = Machine::new();
    copy_checkpoint("qwen2", &machine.path("outside/Tiny"));
    fs::remove_file(machine.path("outside/Tiny/tokenizer.json")).unwrap();
    let refused = machine.import(&machine.path("outside/Tiny"), false).unwrap_err();
    assert!(refused.cause.contains("tokenizer.json"), "{refused}");
    copy_checkpoint("qwen2", &machine.path("outside/Tiny"));
    fs::copy(fixture("qwen3/model.safetensors"), machine.path("outside/Tiny/model.safetensors")).unwrap();
    assert!(machine.import(&machine.path("outside/Tiny"), true).is_err(), "tensors of another model");
    fs::create_dir(machine.path("outside/sae")).unwrap();
    fs::copy(demo_sae().join("sae_weights.safetensors"), machine.path("outside/sae/sae_weights.safetensors")).unwrap();
    let cfg = fs::read_to_string(demo_sae().join("cfg.json")).unwrap();
    fs::write(machine.path("outside/sae/cfg.json"), cfg.replace("\"d_sae\": 1024", "\"d_sae\": 512")).unwrap();
    let refused = machine.import(&machine.path("outside/sae"), false).unwrap_err();
    assert!(refused.cause.contains("512") && refused.cause.contains("1024"), "{refused}");
    assert_eq!(machine.names(), <[&str; 0]>::default());
}

#[test]
fn a_copy_is_whole_or_not_there() {
    let machine = Machine::new();
    copy_checkpoint("qwen2", &machine.path("outside/Tiny"));
    let from = machine.path("outside/Tiny");
    let mut stopping = Quiet { stop_after: Some(1), ..Quiet::default() };
    assert_eq!(machine.installed.import(&from, true, &mut stopping), Err(problem::stopped()));
    let left = || fs::read_dir(machine.path("work/imports")).unwrap().flatten().map(|entry| entry.file_name());
    assert_eq!(left().collect::<Vec<_>>(), [".lock"], "a stop leaves nothing");
    // A crash leaves a folder; the next import clears it away.
    copy_checkpoint("qwen2", &machine.path("work/imports/.importing-abc"));
    assert_eq!(machine.names(), <[&str; 0]>::default(), "it is not taken for a model");
    let copied = machine.import(&from, true).unwrap();
    assert_eq!(copied.path, machine.path("work/imports/Tiny"));
    assert_eq!(left().count(), 2);
    assert_eq!(machine.import(&from, true).unwrap(), Imported { was_known: true, ..copied.clone() });
    assert_eq!(machine.import(&from, false).unwrap(), Imported { was_known: true, ..copied.clone() });
    let sum = WeightSum::of(&[from.join("model.safetensors")], &mut |_, _| Ok(())).unwrap();
    assert_eq!(machine.asset("Tiny").hash, Some(sum.hash), "copying has read every byte");
    fs::remove_dir_all(&from).unwrap();
    assert_eq!(machine.asset("Tiny").state, AssetState::Ready);
    let gguf = machine.import(&fixture("gguf/qwen2-q8_0-00001-of-00003.gguf"), true).unwrap();
    assert_eq!(gguf.path, machine.path("work/imports/qwen2-q8_0/qwen2-q8_0-00001-of-00003.gguf"));
    assert_eq!(machine.asset("qwen2-q8_0").state, AssetState::Ready);
}

#[test]
fn a_disk_without_room_is_told_before_the_first_byte() {
    let machine = Machine::new();
    let from = machine.path("outside/Large");
    copy_checkpoint("qwen2", &from);
    File::options().write(true).open(from.join("model.safetensors")).unwrap().set_len(1 << 43).unwrap();
    let refused = machine.import(&from, true).unwrap_err();
    assert!(refused.cause.contains("8.8 TB") && refused.next_step.contains("without copying"), "{refused}");
    assert_eq!(fs::read_dir(machine.path("work/imports")).unwrap().count(), 1, "nothing but the lock");
    assert!(!machine.import(&from, false).unwrap().was_known, "linking takes no room");
}

#[cfg(unix)]
#[test]
fn links_and_folders_without_write_permission_are_taken() {
    use std::os::unix::fs::PermissionsExt as _;
    let machine = Machine::new();
    copy_checkpoint("qwen2", &machine.path("outside/Real"));
    link(&machine.path("outside/Real"), &machine.path("disk/Tiny"));
    let set = |mode| {
        for path in ["outside/Real", "outside/Real/model.safetensors", "outside/Real/config.json"] {
            fs::set_permissions(machine.path(path), fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    set(0o555);
    assert_eq!(machine.import(&machine.path("disk/Tiny"), false).unwrap().path, machine.path("disk/Tiny"));
    assert!(machine.import(&machine.path("outside/Real"), false).unwrap().was_known, "the same place by another name");
    let copy = machine.import(&machine.path("disk/Tiny"), true).unwrap();
    set(0o755);
    assert!(!copy.was_known && copy.path == machine.path("work/imports/Tiny"));
    assert_eq!(machine.names(), ["Tiny"], "the copy takes the link's place");
    fs::OpenOptions::new().append(true).open(copy.path.join("config.json")).unwrap();
}

/// Tells how far it is and stops when told.
struct Counting(usize);

impl Sink for Counting {
    fn report(&mut self, report: Report) {
        self.0 += usize::from(matches!(report, Report::Step { .. }));
    }

    fn is_stopped(&self) -> bool {
        false
    }
}

#[test]
fn verifying_finds_the_bad_file() {
    let machine = Machine::new();
    let snapshot = machine.repo("acme/tiny", COMMIT, &checkpoint("qwen2"));
    copy_checkpoint("qwen3", &machine.path("outside/Linked"));
    machine.import(&machine.path("outside/Linked"), false).unwrap();
    let verify = |path: &Path| machine.installed.verify(path, &mut Quiet::default()).unwrap();
    let verdict = verify(&snapshot);
    assert_eq!((verdict.good.len(), verdict.bad.len(), verdict.unknown.len()), (4, 0, 0));
    let mut counting = Counting(0);
    machine.installed.verify(&snapshot, &mut counting).unwrap();
    assert!(counting.0 >= 4, "it tells how far it is");

    let weights = fs::canonicalize(snapshot.join("model.safetensors")).unwrap();
    spoil(&weights);
    let verdict = verify(&snapshot);
    assert_eq!(verdict.bad.len(), 1);
    assert_eq!(verdict.bad[0].0, "model.safetensors");
    let AssetState::Broken(problem) = machine.asset("tiny").state else { panic!("it is not shown as broken") };
    assert!(
        problem.cause.contains("model.safetensors") && problem.next_step.contains("Download it again"),
        "{problem}"
    );
    spoil(&weights);
    assert_eq!(verify(&snapshot).bad, []);
    assert_eq!(machine.asset("tiny").state, AssetState::Ready, "spoilt twice is as it was");

    let linked = machine.path("outside/Linked");
    let first = verify(&linked);
    assert_eq!((first.good.len(), first.bad.len(), first.unknown.len()), (0, 0, 4), "nobody has told a checksum");
    assert!(machine.asset("Linked").hash.is_some());
    assert_eq!(verify(&linked).good.len(), 4);
    spoil(&linked.join("model.safetensors"));
    let verdict = verify(&linked);
    assert_eq!((verdict.good.len(), verdict.bad[0].0.as_str()), (3, "model.safetensors"));
    assert!(is_broken(&machine.asset("Linked")));
    // Bad things in form, told by the engine, when there are no sums to compare with.
    fs::write(linked.join("tokenizer.json"), "{}").unwrap();
    assert!(!verify(&linked).bad.is_empty());

    let mut stopping = Quiet { stop_after: Some(0), ..Quiet::default() };
    assert_eq!(machine.installed.verify(&snapshot, &mut stopping), Err(problem::stopped()));
    assert!(machine.installed.verify(&machine.path("disk"), &mut Quiet::default()).is_err());
}

#[test]
fn a_moved_link_is_found_again() {
    let machine = Machine::new();
    let mut go_on = |_, _| Ok(());
    copy_checkpoint("qwen2", &machine.path("outside/Tiny"));
    let from = machine.path("outside/Tiny");
    machine.import(&from, false).unwrap();
    machine.installed.verify(&from, &mut Quiet::default()).unwrap();
    let to = machine.path("disk/Tiny");
    fs::rename(&from, &to).unwrap();
    assert_eq!(machine.asset("Tiny").state, AssetState::Missing);
    let refused = machine.installed.move_link(&from, &demo_sae(), &mut go_on).unwrap_err();
    assert!(refused.cause.contains("an SAE"), "{refused}");
    assert_eq!(machine.installed.move_link(&from, &to, &mut go_on), Ok(None));
    let moved = machine.asset("Tiny");
    assert_eq!((moved.path.clone(), moved.state), (to.clone(), AssetState::Ready));
    let other = machine.installed.move_link(&to, &fixture("qwen3"), &mut go_on).unwrap();
    assert!(other.is_some_and(|warning| warning.contains("not those")), "other weights are told");
    assert!(machine.installed.move_link(&to, &fixture("gemma2"), &mut go_on).is_err(), "no longer a link");
}
