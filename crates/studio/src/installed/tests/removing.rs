//! Deleting and forgetting, and everything that must survive them.

use super::*;

/// Every file below a folder with its content, links as what they lead to.
fn content(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for path in scan::sorted(dir) {
        if path.is_dir() && !path.is_symlink() {
            all.extend(content(&path));
        } else {
            all.push((path.clone(), fs::read(&path).unwrap_or_default()));
        }
    }
    all
}

#[test]
fn exactly_the_files_of_one_choice_go() {
    let machine = Machine::new();
    let mut files = checkpoint("qwen2");
    files.push(("README.md", fixture("README.md")));
    files.push(("gemma2-q8_0.gguf", fixture("gguf/gemma2-q8_0.gguf")));
    let snapshot = machine.repo("acme/tiny", COMMIT, &files);
    machine.repo("acme/other", COMMIT, &checkpoint("qwen3"));
    let gguf = machine.asset("gemma2-q8_0");
    assert_eq!(machine.installed.would_free(&gguf.path), Ok(gguf.bytes));
    assert_eq!(machine.installed.remove(&gguf.path), Ok(gguf.bytes));
    assert_eq!(machine.names(), ["other", "tiny"]);
    assert_eq!(fs::read_dir(machine.path("cache/models--acme--tiny/blobs")).unwrap().count(), 5);
    let tiny = machine.asset("tiny");
    assert_eq!(tiny.state, AssetState::Ready);
    let readme = fs::metadata(fixture("README.md")).unwrap().len();
    assert!(tiny.bytes > readme, "the last one takes the rest with it");
    assert_eq!(machine.installed.remove(&snapshot), Ok(tiny.bytes));
    assert_eq!(machine.names(), ["other"]);
    assert!(!machine.path("cache/models--acme--tiny").exists(), "no empty folders stay");
    let gone = machine.installed.remove(&snapshot).unwrap_err();
    assert!(gone.title.contains("not in the library"), "{gone}");
}

#[test]
fn copies_are_deleted_and_links_forgotten() {
    let machine = Machine::new();
    copy_checkpoint("qwen2", &machine.path("outside/Linked"));
    let before = content(&machine.path("outside"));
    machine.import(&machine.path("outside/Linked"), false).unwrap();
    assert_eq!(machine.installed.remove(&machine.path("outside/Linked")), Ok(0));
    assert_eq!(machine.names(), <[&str; 0]>::default());
    let copy = machine.import(&machine.path("outside/Linked"), true).unwrap().path;
    let bytes = machine.asset("Linked").bytes;
    assert_eq!((machine.installed.would_free(&copy), machine.installed.remove(&copy)), (Ok(bytes), Ok(bytes)));
    assert!(!copy.exists() && machine.path("work/imports").is_dir());
    assert_eq!(content(&machine.path("outside")), before);
    assert!(!machine.import(&machine.path("outside/Linked"), true).unwrap().was_known, "it can come back");
    // A link that leads nowhere can be forgotten, too.
    copy_checkpoint("qwen3", &machine.path("outside/Gone"));
    machine.import(&machine.path("outside/Gone"), false).unwrap();
    machine.names();
    fs::remove_dir_all(machine.path("outside/Gone")).unwrap();
    assert_eq!(machine.asset("Gone").state, AssetState::Missing);
    assert_eq!(machine.installed.remove(&machine.path("outside/Gone")), Ok(0));
    assert_eq!(machine.names(), ["Linked"]);
}

/// A model folder may hold other things of the user's.
#[test]
fn what_does_not_belong_to_the_asset_stays() {
    let machine = Machine::new();
    copy_checkpoint("qwen2", &machine.path("disk/Tiny"));
    fs::write(machine.path("disk/Tiny/notes.txt"), "mine").unwrap();
    fs::copy(fixture("gguf/gemma2-q8_0.gguf"), machine.path("disk/Tiny/gemma2-q8_0.gguf")).unwrap();
    machine.installed.add_folder(&machine.path("disk")).unwrap();
    let bytes = machine.asset("Tiny").bytes;
    assert_eq!(machine.installed.remove(&machine.path("disk/Tiny")), Ok(bytes));
    assert_eq!(machine.names(), ["gemma2-q8_0"]);
    machine.installed.remove(&machine.path("disk/Tiny/gemma2-q8_0.gguf")).unwrap();
    assert_eq!(fs::read_to_string(machine.path("disk/Tiny/notes.txt")).unwrap(), "mine");
}

#[test]
fn what_ships_stays() {
    let machine = Machine::new();
    let assets = Assets::find().unwrap();
    let installed = Installed { shipped: Some(assets.clone()), ..machine.installed };
    for path in [assets.demo_model(), assets.demo_sae()] {
        assert!(installed.remove(&path).unwrap_err().cause.contains("part of Tiller"));
    }
    assert_eq!(installed.list().library.assets.len(), 2);
}

#[cfg(unix)]
#[test]
fn nothing_outside_the_storage_folders_is_ever_deleted() {
    let machine = Machine::new();
    copy_checkpoint("qwen2", &machine.path("outside/Precious"));
    fs::copy(fixture("gguf/gemma2-q8_0.gguf"), machine.path("outside/precious.gguf")).unwrap();
    let before = content(&machine.path("outside"));
    let disk = machine.path("disk");
    machine.installed.add_folder(&disk).unwrap();
    // A folder that is a link to elsewhere; files that are links; a folder of such; a chain.
    link(&machine.path("outside/Precious"), &disk.join("Folder"));
    link(&machine.path("outside/precious.gguf"), &disk.join("file.gguf"));
    link(&machine.path("outside"), &disk.join("chain"));
    link(&disk.join("chain/Precious"), &disk.join("Twice"));
    fs::create_dir(disk.join("Files")).unwrap();
    for (file, _) in checkpoint("qwen2") {
        link(&machine.path("outside/Precious").join(file), &disk.join("Files").join(file));
    }
    // An import whose folder was replaced by a link.
    fs::create_dir_all(machine.path("work/imports")).unwrap();
    link(&machine.path("outside/Precious"), &machine.path("work/imports/Swapped"));
    // A repository whose folder, snapshot, file or blob leads out.
    let cache = machine.installed.cache.clone();
    fs::create_dir_all(machine.path("outside/models--evil--repo/snapshots")).unwrap();
    link(&machine.path("outside/models--evil--repo"), &cache.join("models--evil--repo"));
    let snapshot = machine.repo("acme/files", COMMIT, &checkpoint("qwen3")[..1]);
    link(&machine.path("outside/Precious/model.safetensors"), &snapshot.join("model.safetensors"));
    link(&machine.path("outside/precious.gguf"), &snapshot.join("precious.gguf"));
    let repo = machine.repo("acme/snapshot", COMMIT, &[]);
    fs::remove_dir(&repo).unwrap();
    link(&machine.path("outside/Precious"), &repo);
    let blob = machine.repo("acme/blob", COMMIT, &checkpoint("qwen3"));
    let weights = fs::canonicalize(blob.join("model.safetensors")).unwrap();
    fs::remove_file(&weights).unwrap();
    link(&machine.path("outside/Precious/model.safetensors"), &weights);
    let before_links = content(&machine.path("outside"));

    for asset in machine.library().assets {
        // Whether it is done, or refused in words: what lies outside stays.
        if let Err(problem) = machine.installed.remove(&asset.path) {
            assert!(!problem.next_step.is_empty());
        }
        assert_eq!(content(&machine.path("outside")), before_links, "after {}", asset.path.display());
    }
    for path in ["disk/../outside/Precious", "outside/Precious", "outside", "/", "", "disk", "work"] {
        let path = if path.len() > 1 { machine.path(path) } else { path.into() };
        assert!(machine.installed.remove(&path).is_err(), "{}", path.display());
    }
    for (path, bytes) in before {
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    assert!(fs::metadata(machine.path("work/imports")).unwrap().is_dir() && disk.is_dir() && cache.is_dir());
}

/// Its files appear all at once at the end; until then only Tiller's own note says what it is going to be.
#[test]
fn a_download_that_was_given_up_can_be_seen_and_deleted() {
    let machine = Machine::new();
    let repo = machine.installed.cache.join("models--acme--tiny");
    fs::create_dir_all(repo.join("blobs")).unwrap();
    fs::create_dir_all(repo.join(".tiller")).unwrap();
    let (mut files, mut total) = (serde_json::Map::new(), 0);
    for (name, from) in checkpoint("qwen2") {
        let bytes = fs::read(from).unwrap();
        let sum = tiller_hub::listing::Sum::Sha256(Sha256::digest(&bytes).into()).hex();
        files.insert(name.to_owned(), serde_json::json!({"bytes": bytes.len(), "sum": sum}));
        total += bytes.len() as u64;
        if name == "tokenizer.json" {
            fs::write(repo.join("blobs").join(sum), bytes).unwrap();
        }
    }
    let note = serde_json::json!({"format": 1, "files": files});
    fs::write(repo.join(".tiller").join(format!("{COMMIT}.json")), note.to_string()).unwrap();
    let tiny = machine.asset("tiny");
    let there = fs::metadata(fixture("qwen2/tokenizer.json")).unwrap().len();
    assert_eq!(tiny.state, AssetState::Incomplete { done_bytes: there, total_bytes: Some(total) });
    assert_eq!(machine.installed.would_free(&tiny.path), Ok(there));
    assert_eq!(machine.installed.remove(&tiny.path), Ok(there));
    assert_eq!(machine.names(), <[&str; 0]>::default());
    assert!(!repo.exists(), "nothing of it stays");
}

/// A cache that another tool keeps somewhere below an added folder is not taken apart link by link.
#[test]
fn a_cache_below_an_added_folder_is_left_alone() {
    let machine = Machine::new();
    machine.repo("acme/tiny", COMMIT, &checkpoint("qwen2"));
    fs::create_dir_all(machine.path("disk/tools")).unwrap();
    fs::rename(machine.path("cache/models--acme--tiny"), machine.path("disk/tools/models--acme--tiny")).unwrap();
    let before = content(&machine.path("disk"));
    machine.installed.add_folder(&machine.path("disk")).unwrap();
    let assets = machine.library().assets;
    assert_eq!(assets.len(), 1, "{assets:#?}");
    assert!(!assets[0].is_deletable(), "{:?}", assets[0]);
    drop(machine.installed.remove(&assets[0].path));
    assert_eq!(content(&machine.path("disk")), before);
}
