//! What the list says.

use tiller_protocol::asset::{AssetKind, AssetOrigin};

use super::*;

#[test]
fn every_place_and_every_kind_is_listed() {
    let machine = Machine::new();
    let mut files = checkpoint("qwen2");
    files.push(("quantised/gemma2-q8_0.gguf", fixture("gguf/gemma2-q8_0.gguf")));
    for part in ["qwen2-q8_0-00001-of-00003.gguf", "qwen2-q8_0-00002-of-00003.gguf", "qwen2-q8_0-00003-of-00003.gguf"] {
        files.push((part, fixture("gguf").join(part)));
    }
    for file in ["cfg.json", "sae_weights.safetensors"] {
        files.push((
            if file == "cfg.json" { "sae/cfg.json" } else { "sae/sae_weights.safetensors" },
            demo_sae().join(file),
        ));
    }
    let snapshot = machine.repo("acme/tiny", COMMIT, &files);
    copy_checkpoint("llama3-v4", &machine.path("disk/publisher/Llama"));
    fs::copy(fixture("gguf/llama-q4_k_m.gguf"), machine.path("disk/publisher/llama-q4_k_m.gguf")).unwrap();
    machine.installed.add_folder(&machine.path("disk")).unwrap();
    machine.import(&fixture("gemma3"), false).unwrap();
    machine.import(&fixture("mistral"), true).unwrap();
    assert_eq!(
        machine.names(),
        ["gemma2-q8_0", "gemma3", "Llama", "llama-q4_k_m", "mistral", "qwen2-q8_0", "tiny", "tiny/sae"]
    );

    let tiny = machine.asset("tiny");
    let repo = tiller_protocol::asset::RepoRef { id: "acme/tiny".to_owned(), revision: None };
    assert_eq!(tiny.origin, AssetOrigin::Hub { repo, commit: COMMIT.to_owned() });
    assert_eq!((tiny.path.as_path(), tiny.folder.as_deref()), (&*snapshot, Some(&*machine.installed.cache)));
    assert_eq!((tiny.state.clone(), tiny.dtype.as_deref()), (AssetState::Ready, Some("bf16")));
    assert_eq!(tiny.architecture.as_deref(), Some("Qwen2ForCausalLM"));
    assert!(tiny.n_layers.is_some() && tiny.d_model.is_some() && tiny.context_len.is_some() && tiny.hash.is_none());
    let expected: u64 = checkpoint("qwen2").iter().map(|(_, from)| fs::metadata(from).unwrap().len()).sum();
    assert_eq!(tiny.bytes, expected, "several choices: each only its own files");
    assert_eq!(machine.asset("llama-q4_k_m").dtype.as_deref(), Some("Q4_K"));
    assert_eq!(machine.asset("gemma2-q8_0").dtype.as_deref(), Some("Q8_0"));
    assert_eq!(machine.asset("qwen2-q8_0").path, snapshot.join("qwen2-q8_0-00001-of-00003.gguf"));
    let sae = machine.asset("tiny/sae");
    assert_eq!((sae.kind, sae.d_sae, sae.d_model, sae.n_layers), (AssetKind::Sae, Some(1024), Some(192), Some(4)));
    assert_eq!((sae.architecture.as_deref(), sae.reads.as_deref()), (Some("topk"), Some("tiller-demo")));
    assert_eq!((machine.asset("gemma3").origin, machine.asset("gemma3").folder), (AssetOrigin::Linked, None));
    let copy = machine.asset("mistral");
    assert!(copy.is_deletable() && copy.hash.is_some() && machine.asset("Llama").is_deletable());

    let library = machine.library();
    assert_eq!(library.folders.len(), 3);
    assert!(library.folders[0].is_chosen && library.folders.iter().all(|folder| folder.is_present));
    let in_cache = library.assets.iter().filter(|asset| asset.folder.as_ref() == Some(&machine.installed.cache));
    assert_eq!(library.folders[0].used_bytes, in_cache.map(|asset| asset.bytes).sum::<u64>());
}

#[test]
fn one_broken_asset_hides_nothing() {
    let machine = Machine::new();
    machine.repo("acme/whole", COMMIT, &checkpoint("qwen2"));
    let strange = machine.path("outside/config.json");
    fs::write(&strange, r#"{"architectures": ["BertModel"]}"#).unwrap();
    let mut bert = checkpoint("qwen2");
    bert[0].1 = strange;
    machine.repo("acme/bert", COMMIT, &bert);
    let cut = machine.path("outside/cut.safetensors");
    fs::write(&cut, &fs::read(fixture("qwen2/model.safetensors")).unwrap()[..50_000]).unwrap();
    let mut short = checkpoint("qwen2");
    short[3].1 = cut;
    machine.repo("acme/cut", COMMIT, &short);
    let pickle = machine.path("outside/pytorch_model.bin");
    fs::write(&pickle, "pickle").unwrap();
    let old = [("config.json", fixture("qwen2/config.json")), ("pytorch_model.bin", pickle.clone())];
    machine.repo("acme/old", COMMIT, &old);
    machine.repo("acme/scope", COMMIT, &[("layer_3/params.npz", pickle.clone())]);
    let garbage = [("config.json", pickle.clone()), ("model.safetensors", pickle)];
    machine.repo("acme/garbage", COMMIT, &garbage);
    fs::create_dir_all(machine.path("cache/models--acme--empty/snapshots")).unwrap();
    fs::write(machine.path("cache/models--acme--file"), "not a folder").unwrap();

    let library = machine.library();
    let told = |name: &str| match machine.asset(name).state {
        AssetState::Broken(problem) => problem.cause,
        other => format!("{other:?}"),
    };
    assert!(told("bert").contains("BertModel"), "{}", told("bert"));
    assert!(told("cut").contains("cut short"), "{}", told("cut"));
    assert!(told("old").contains("pytorch_model.bin"));
    assert!(told("scope/layer_3").contains("no SAE"), "{}", told("scope/layer_3"));
    assert!(told("garbage").contains("not JSON") || told("garbage").contains("config.json"), "{}", told("garbage"));
    assert_eq!(machine.asset("whole").state, AssetState::Ready);
    assert_eq!(library.assets.len(), 6);
}

#[test]
fn what_is_missing_of_a_download_is_counted() {
    let machine = Machine::new();
    let mut files = checkpoint("qwen2");
    files.pop();
    machine.repo("acme/started", COMMIT, &files);
    let index = machine.path("outside/index.json");
    let map = r#"{"metadata": {"total_size": 900000}, "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
    fs::write(&index, map).unwrap();
    files.push(("model.safetensors.index.json", index));
    files.push(("model-00001-of-00002.safetensors", fixture("qwen2/model.safetensors")));
    let snapshot = machine.repo("acme/half", COMMIT, &files);
    let total = |name| match machine.asset(name).state {
        AssetState::Incomplete { done_bytes, total_bytes } => (done_bytes, total_bytes),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(total("started").1, None);
    let texts: u64 = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors.index.json"]
        .iter()
        .map(|name| fs::metadata(snapshot.join(name)).unwrap().len())
        .sum();
    let weights = fs::metadata(fixture("qwen2/model.safetensors")).unwrap().len();
    assert_eq!(total("half"), (texts + weights, Some(texts + 900_000)));
    let refused = machine.installed.hub_model("acme/half").unwrap_err();
    assert!(refused.next_step.contains("tiller model download acme/half"), "{refused}");
}

/// A newer commit of which only a small file was asked for does not hide the model.
#[test]
fn the_commit_with_weights_counts() {
    let machine = Machine::new();
    let whole = machine.repo("acme/tiny", COMMIT, &checkpoint("qwen2"));
    let newer = "f".repeat(40);
    machine.repo("acme/tiny", &newer, &checkpoint("qwen2")[..1]);
    assert_eq!(machine.names(), ["tiny"]);
    assert_eq!(machine.installed.hub_model("acme/tiny").unwrap(), whole);
    let other = machine.repo("acme/tiny", &newer, &checkpoint("qwen3"));
    assert_eq!(machine.installed.hub_model("acme/tiny").unwrap(), other, "the main branch comes first");
    assert_eq!(machine.installed.hub_model("acme/tiny@01234567").unwrap(), whole);
    assert_eq!(machine.names(), ["tiny", "tiny (0123456)"]);
}

#[test]
fn a_list_reads_nothing_twice_and_sees_every_change() {
    let machine = Machine::new();
    let snapshot = machine.repo("acme/tiny", COMMIT, &checkpoint("qwen2"));
    assert_eq!(machine.asset("tiny").state, AssetState::Ready);
    let weights = fs::canonicalize(snapshot.join("model.safetensors")).unwrap();
    let (bytes, changed) = (fs::read(&weights).unwrap(), fs::metadata(&weights).unwrap().modified().unwrap());
    fs::write(&weights, vec![0; bytes.len()]).unwrap();
    let set = |time| File::options().write(true).open(&weights).unwrap().set_modified(time).unwrap();
    set(changed);
    assert_eq!(machine.asset("tiny").state, AssetState::Ready, "size and time are as they were");
    set(std::time::UNIX_EPOCH);
    assert!(is_broken(&machine.asset("tiny")));
    // What is known may be lost, or come from another version.
    fs::write(machine.path("work/installed.json"), "{\"format\": 99}").unwrap();
    fs::write(&weights, bytes).unwrap();
    assert_eq!(machine.asset("tiny").state, AssetState::Ready);
}

#[test]
fn an_unplugged_disk_takes_nothing_with_it() {
    let machine = Machine::new();
    copy_checkpoint("qwen2", &machine.path("disk/Tiny"));
    machine.installed.add_folder(&machine.path("disk")).unwrap();
    copy_checkpoint("qwen3", &machine.path("outside/Linked"));
    machine.import(&machine.path("outside/Linked"), false).unwrap();
    let tiny = machine.asset("Tiny");
    machine.installed.verify(&tiny.path, &mut Quiet::default()).unwrap();
    let hash = machine.asset("Tiny").hash;
    assert!(hash.is_some());
    fs::rename(machine.path("disk"), machine.path("elsewhere")).unwrap();
    fs::rename(machine.path("outside/Linked"), machine.path("outside/Moved")).unwrap();
    for is_mount_point_there in [false, true] {
        if is_mount_point_there {
            fs::create_dir(machine.path("disk")).unwrap();
        }
        let (gone, linked) = (machine.asset("Tiny"), machine.asset("Linked"));
        assert_eq!((gone.state, linked.state), (AssetState::Missing, AssetState::Missing));
        assert_eq!((gone.n_layers, gone.hash), (tiny.n_layers, hash.clone()), "what is known is kept");
        let folder = machine.library().folders.into_iter().find(|folder| folder.path == machine.path("disk")).unwrap();
        assert!(!folder.is_present && folder.used_bytes == 0);
    }
    fs::remove_dir(machine.path("disk")).unwrap();
    fs::rename(machine.path("elsewhere"), machine.path("disk")).unwrap();
    let back = machine.asset("Tiny");
    assert_eq!((back.state, back.hash), (AssetState::Ready, hash));
    fs::remove_dir_all(machine.path("disk/Tiny")).unwrap();
    fs::write(machine.path("disk/note.txt"), "still in use").unwrap();
    assert_eq!(machine.names(), ["Linked"], "what was deleted while the disk is there is gone");
}

#[test]
fn folders_are_added_chosen_and_forgotten() {
    let machine = Machine::new();
    let (disk, cache) = (machine.path("disk"), machine.installed.cache.clone());
    assert_eq!(machine.installed.download_folder(), cache);
    assert!(machine.installed.choose_folder(&disk).is_err(), "not one of them yet");
    machine.installed.add_folder(&disk).unwrap();
    machine.installed.add_folder(&disk).unwrap();
    fs::create_dir(machine.path("disk/inner")).unwrap();
    for bad in [machine.path("disk/inner"), cache.clone(), machine.path("nowhere")] {
        assert!(machine.installed.add_folder(&bad).is_err(), "{}", bad.display());
    }
    machine.installed.choose_folder(&disk).unwrap();
    assert_eq!(machine.installed.download_folders(), [disk.clone(), cache.clone()]);
    assert!(machine.library().folders[0].path == disk && machine.library().folders.len() == 3);
    machine.installed.forget_folder(&disk).unwrap();
    assert_eq!(machine.installed.download_folder(), cache);
    assert!(machine.installed.forget_folder(&cache).is_err());
    // The folder above a cache means the cache.
    machine.repo("acme/tiny", COMMIT, &checkpoint("qwen2"));
    fs::create_dir(machine.path("home")).unwrap();
    fs::rename(&cache, machine.path("home/hub")).unwrap();
    assert_eq!(machine.installed.add_folder(&machine.path("home")).unwrap(), machine.path("home/hub"));
    assert_eq!(machine.names(), ["tiny"]);
    assert_eq!(machine.installed.hub_model("acme/tiny").unwrap(), machine.asset("tiny").path);
}

/// A document of the user's own that cannot be read is told and never replaced.
#[test]
fn a_library_that_cannot_be_read_is_left_alone() {
    let machine = Machine::new();
    let path = machine.path("work/library.toml");
    machine.repo("acme/tiny", COMMIT, &checkpoint("qwen2"));
    for text in ["format = 99\n", "folders = nonsense"] {
        fs::write(&path, text).unwrap();
        let listed = machine.installed.list();
        assert_eq!((listed.library.assets.len(), listed.troubles.len()), (1, 1));
        assert!(machine.installed.add_folder(&machine.path("disk")).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

/// What the hub offers as one choice is one asset of the list, at the path that the download ends with.
#[test]
fn choices_of_the_hub_are_assets_of_the_list() {
    use tiller_hub::listing::{RemoteFile, Sum};
    let paths = [
        "config.json",
        "model.safetensors",
        "q/tiny-Q4_K_M.gguf",
        "q/tiny-Q8_0-00001-of-00002.gguf",
        "q/tiny-Q8_0-00002-of-00002.gguf",
        "lens/cfg.json",
        "lens/sae_weights.safetensors",
        "layer_20/width_16k/average_l0_71/params.npz",
        "two/config.json",
        "two/params.safetensors",
        "L15R-8x/hyperparams.json",
        "L15R-8x/checkpoints/final.safetensors",
        "mix/L3R/config.json",
        "mix/L3R/sae_weights.safetensors",
        "trainer_1/ae.pt",
        "trainer_1/config.json",
        "layers.3.mlp/cfg.json",
        "layers.3.mlp/sae.safetensors",
        "layer3.sae.pt",
        "Llama-SAE-l19.pth",
    ];
    let machine = Machine::new();
    let file = |path: &'static str| {
        let from = machine.path("outside").join(path.replace('/', "-"));
        fs::write(&from, path).unwrap();
        (path, from)
    };
    let snapshot = machine.repo("acme/all", COMMIT, &paths.map(file));
    let remote = |path: &str| RemoteFile { path: path.to_owned(), bytes: 1, sum: Sum::GitBlob([0; 20]) };
    let choices = tiller_hub::select::choices(&paths.map(remote)).choices;
    let mut offered: Vec<(PathBuf, AssetKind)> =
        choices.iter().map(|choice| (crate::downloads::asset_path(&snapshot, &choice.id), choice.kind)).collect();
    let mut listed: Vec<(PathBuf, AssetKind)> =
        machine.library().assets.into_iter().map(|asset| (asset.path, asset.kind)).collect();
    offered.sort();
    listed.sort();
    assert_eq!(offered, listed);
    assert_eq!(offered.len(), 12);
}
