//! Every problem has its three parts, in the house style, and says the facts.

use std::path::PathBuf;

use tiller_protocol::model::{MemoryNeed, ModelCheck, ModelSource};

use super::*;

#[track_caller]
fn check(problem: &Problem, facts: &[&str]) {
    let Problem { title, cause, next_step } = problem;
    assert!(!title.is_empty() && !title.ends_with('.') && title.len() < 60, "title: {title}");
    for sentence in [cause, next_step] {
        assert!(sentence.ends_with('.') && !sentence.ends_with(".."), "sentence: {sentence}");
        assert!(sentence.chars().next().is_some_and(|c| !c.is_lowercase() || c == '/'), "capital: {sentence}");
        assert!(!sentence.contains('!') && !sentence.to_lowercase().contains("oops"), "tone: {sentence}");
    }
    for fact in facts {
        assert!(cause.contains(fact) || next_step.contains(fact), "\u{201c}{fact}\u{201d} is not told: {problem}");
    }
}

fn io_error(kind: io::ErrorKind) -> io::Error {
    io::Error::from(kind)
}

#[test]
fn engine_errors() {
    let path = || PathBuf::from("/models/x/model.safetensors");
    let cases: Vec<(EngineError, &[&str])> = vec![
        (
            EngineError::MissingFile { what: "the tokenizer", path: "/m/tokenizer.json".into() },
            &["The tokenizer", "/m/"],
        ),
        (EngineError::Io { path: path(), source: io_error(io::ErrorKind::PermissionDenied) }, &["right to read"]),
        (
            EngineError::BadFile { path: path(), reason: "the file is cut short in its header".to_owned() },
            &["cut short", "header"],
        ),
        (EngineError::BadFile { path: "/m/config.json".into(), reason: "no n".to_owned() }, &["config.json", "no n"]),
        (EngineError::BadFile { path: "/m/tokenizer.json".into(), reason: "bad".to_owned() }, &["tokenizer.json"]),
        (
            EngineError::UnknownArchitecture {
                name: "MambaForCausalLM".to_owned(),
                path: Some("/m/config.json".into()),
            },
            &["MambaForCausalLM", "/m/config.json"],
        ),
        (
            EngineError::BadTensor {
                path: PathBuf::from("/m/model.safetensors"),
                name: "model.norm.weight".to_owned(),
                expected: "f32 [8]".to_owned(),
                found: "i64 [8]".to_owned(),
            },
            &["model.norm.weight", "f32 [8]", "i64 [8]"],
        ),
        (EngineError::TokenizerMismatch("it has 300 ids, the model 256 rows".to_owned()), &["It has 300"]),
        (EngineError::Tokenizer("no unk".to_owned()), &["no unk"]),
        (EngineError::Template("undefined value".to_owned()), &["undefined value"]),
        (EngineError::ContextOverflow { len: 600, max: 512 }, &["600", "512", "Shorten"]),
        (EngineError::BadRequest("block 9 of 6".to_owned()), &["Block 9 of 6"]),
        (EngineError::NoDevice { name: "CUDA 0".to_owned(), reason: "no driver".to_owned() }, &["CUDA 0", "Settings"]),
        (EngineError::Stopped, &["stopped"]),
        (EngineError::Candle(candle_core::Error::Msg("shape mismatch".to_owned())), &["Shape mismatch"]),
    ];
    for (error, facts) in &cases {
        check(&engine(error), facts);
    }
}

#[test]
fn discovery_errors() {
    let cases: Vec<(DiscoverError, &[&str])> = vec![
        (DiscoverError::Engine(EngineError::ContextOverflow { len: 9, max: 8 }), &["9"]),
        (DiscoverError::BadSettings("population is 0".to_owned()), &["Population is 0"]),
        (DiscoverError::TooFew { what: "contrastive pairs", found: 0, needed: 2 }, &["Contrastive pairs", "0", "2"]),
        (DiscoverError::BadDirection("its length is 0".to_owned()), &["Its length is 0"]),
        (DiscoverError::NoPrompt { prompt_len: 8 }, &["8"]),
    ];
    for (error, facts) in &cases {
        check(&discover(error), facts);
    }
}

#[test]
fn disk_problems() {
    let path = PathBuf::from("/w/runs/run.toml");
    check(&write_failed(&path, &io_error(io::ErrorKind::StorageFull)), &["disk is full", "/w/runs/run.toml", "Free"]);
    check(&write_failed(&path, &io_error(io::ErrorKind::ReadOnlyFilesystem)), &["may write"]);
    check(&write_failed(&path, &io_error(io::ErrorKind::Other)), &["/w/runs"]);
    for kind in [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied, io::ErrorKind::Other] {
        check(&read_failed(&path, &io_error(kind)), &["/w/runs/run.toml"]);
    }
    check(&unwritable(&path, "NaN"), &["NaN"]);
    check(&unreadable(&path, "expected a table."), &["expected a table"]);
    check(&unknown_format(&path, 7), &["7", "newer"]);
    check(&bad_safetensors(&path, "no tensor direction"), &["no tensor direction"]);
    let reason = unreadable(&path, "x");
    check(&settings_kept_aside(&reason, Some(&path)), &["/w/runs/run.toml"]);
    check(&settings_kept_aside(&reason, None), &["replaces"]);
    check(&downloads_kept_aside(&reason, Some(&path)), &["/w/runs/run.toml", "go on"]);
    check(&downloads_kept_aside(&reason, None), &["replaces"]);
    check(&workspace_in_use(&path), &["--workspace"]);
    check(&no_home(), &["--workspace"]);
    check(&no_assets(std::slice::from_ref(&path)), &["TILLER_ASSETS", "/w/runs"]);
}

#[test]
fn problems_of_use() {
    let path = PathBuf::from("/w/x");
    check(&bad_name("../x"), &["../x"]);
    check(&unknown_vector("v-1"), &["v-1"]);
    check(&nothing_to_restore("v-1"), &["v-1"]);
    check(&foreign_vector("Warmth", "A", "B"), &["Warmth", "A", "B"]);
    check(&unfit_vector("Warmth", "width 2, the model has 4"), &["width 2"]);
    check(&unknown_persona("x", &["a".to_owned(), "b".to_owned()]), &["a, b"]);
    check(&empty_persona("Warmth", "contrastive pairs", &path), &["contrastive pairs", "/w/x"]);
    check(&empty_persona_part("Warmth", "held-out items"), &["held-out items"]);
    check(&no_model(), &["demo"]);
    check(&no_template("Tiny"), &["Tiny"]);
    check(&busy("Extracting Warmth"), &["Extracting Warmth"]);
    check(&panicked("Chat", "index out of bounds"), &["index out of bounds"]);
    check(&no_thread(&io_error(io::ErrorKind::WouldBlock)), &["thread"]);
    check(&not_in_cache("a/b", std::slice::from_ref(&path)), &["a/b", "tiller model download a/b", "config.json"]);
    check(&no_folder(&path), &["config.json"]);
    check(&bad_pattern("Warmth", "unclosed group"), &["unclosed group"]);
    check(&no_picture("Empty size"), &["Empty size"]);
    check(&no_sae("Tiny"), &["RESGA"]);
    check(&no_gradient("q4_k"), &["q4_k", "--dtype"]);
    check(&bad_input("the conversation is empty", "Write something first."), &["The conversation is empty"]);
    check(&stopped(), &["stopped"]);
}

#[test]
fn weights_that_do_not_fit_are_told_by_name() {
    let path = || PathBuf::from("/m/model.safetensors");
    let missing = |alike: Option<&str>| EngineError::MissingTensors {
        path: PathBuf::from("/m"),
        missing: vec![("model.norm.weight".to_owned(), alike.map(str::to_owned))],
        n_missing: 9,
        n_expected: 12,
    };
    check(&engine(&missing(Some("norm.weight"))), &["model.norm.weight", "there is norm.weight", "8 more", "convert"]);
    check(&engine(&missing(None)), &["9 of the 12", "belong together"]);
    let broken =
        EngineError::NotFinite { path: path(), name: "lm_head.weight".to_owned(), value: f32::NAN, index: 3, len: 8 };
    check(&engine(&broken), &["/m/model.safetensors", "lm_head.weight", "NaN", "value 3 of 8"]);
    let twice = EngineError::DuplicateTensor { name: "a.b".to_owned(), first: path(), second: PathBuf::from("/m/x") };
    check(&engine(&twice), &["a.b", "/m/model.safetensors", "/m/x"]);
}

#[test]
fn memory_is_told_in_amounts() {
    let need = MemoryNeed {
        weights_bytes: 16_060_000_000,
        context_tokens: 4096,
        cache_bytes: 1_073_741_824,
        ..MemoryNeed::default()
    };
    let facts = ModelCheck {
        name: "Llama-3.1-8B-Instruct".to_owned(),
        source: ModelSource::Demo,
        architecture: "LlamaForCausalLM".to_owned(),
        n_layers: 32,
        d_model: 4096,
        context_len: 131_072,
        n_params: 8_030_261_248,
        file_bytes: 16_060_522_496,
        dtype: "bf16".to_owned(),
        has_gradients: true,
        device: "CPU (2 threads)".to_owned(),
        note: None,
        need,
        free_bytes: Some(8_000_000_000),
    };
    assert!(!facts.fits() && ModelCheck { free_bytes: None, ..facts.clone() }.fits());
    check(&does_not_fit(&facts), &["16.1 GB", "17.1 GB", "8.0 GB", "4096 tokens", "--load-anyway"]);
    check(&no_room("The reply", 2_000_000_000, 500_000_000, "Shorten the text."), &["2.0 GB", "500 MB", "Shorten"]);
    let gone = EngineError::OutOfMemory { device: "The NVIDIA GPU".to_owned(), needed: None, free: Some(1_000_000) };
    check(&engine(&gone), &["NVIDIA", "1.0 MB", "free again"]);
}

#[test]
fn hub_failures() {
    use tiller_hub::error::HubError;
    let (id, page) =
        (|| "google/gemma-3-4b-it".to_owned(), || "https://huggingface.co/google/gemma-3-4b-it".to_owned());
    let text = |text: &str| text.to_owned();
    let cases: Vec<(HubError, &[&str])> = vec![
        (HubError::Offline, &["--offline", "HF_HUB_OFFLINE", "Settings"]),
        (HubError::BadAddress { text: text("a b"), reason: text("a blank") }, &["a b", "a blank"]),
        (
            HubError::Unreachable { host: text("hub:443"), reason: text("refused.") },
            &["hub:443", "refused", "HTTPS_PROXY"],
        ),
        (
            HubError::Untrusted { host: text("hub:443"), reason: text("Expired") },
            &["hub:443", "Expired", "SSL_CERT_FILE"],
        ),
        (HubError::NoRepo { id: id(), signed_in: false }, &["google/gemma-3-4b-it", "HF_TOKEN", "private"]),
        (HubError::NoRepo { id: id(), signed_in: true }, &["google/gemma-3-4b-it", "your account"]),
        (HubError::NoRevision { id: id(), revision: text("v9") }, &["v9"]),
        (HubError::NoFile { id: id(), path: text("config.json") }, &["config.json"]),
        (HubError::Gated { id: id(), page: page(), signed_in: false }, &["https://huggingface.co/google/", "HF_TOKEN"]),
        (
            HubError::Gated { id: id(), page: page(), signed_in: true },
            &["https://huggingface.co/google/", "yours has not"],
        ),
        (HubError::NoRight { id: id(), message: text("Token settings.") }, &["google/", "Token settings", "gated"]),
        (HubError::BadToken, &["HF_TOKEN"]),
        (HubError::Busy { secs: 7 }, &["7 seconds"]),
        (HubError::Status { url: text("https://h/x"), status: 503, message: text("Down.") }, &["503", "Down"]),
        (HubError::BadAnswer { url: text("https://h/x"), reason: text("no sizes") }, &["no sizes"]),
        (HubError::BadSum { path: text("a.gguf"), expected: text("00"), found: text("ff") }, &["a.gguf", "ff"]),
        (
            HubError::DiskFull { folder: "/m".into(), needed: 8_000_000_000, free: 1_000_000_000 },
            &["8.0 GB", "1.0 GB", "/m"],
        ),
        (HubError::Disk { path: "/m/x".into(), reason: text("no right") }, &["/m/x", "no right"]),
        (HubError::Locked { path: text("a.gguf") }, &["a.gguf"]),
        (HubError::Stopped, &["stopped"]),
    ];
    for (error, facts) in &cases {
        check(&hub(error), facts);
    }
    let titles: std::collections::BTreeSet<String> = cases.iter().map(|(error, _)| hub(error).title).collect();
    assert_eq!(titles.len(), cases.len(), "each has words of its own");
    for (error, may_sign_in) in [
        (HubError::BadToken, true),
        (HubError::NoRepo { id: id(), signed_in: false }, true),
        (HubError::Offline, false),
    ] {
        assert_eq!(refusal(&error).may_sign_in, may_sign_in, "{error}");
    }
    let gated = refusal(&HubError::Gated { id: id(), page: page(), signed_in: false });
    assert_eq!((gated.may_sign_in, gated.page), (true, Some(page())));
    let choices = ["a.gguf".to_owned(), "b.gguf".to_owned()];
    check(&no_choice("x/y", "c", &choices), &["c", "a.gguf, b.gguf"]);
    check(&which_choice("x/y", &choices), &["a.gguf, b.gguf", "--choice"]);
    for problem in [only_pickles("x/y"), nothing_to_open("x/y"), no_tokenizer("x/y"), cannot_run("x/y", "why")] {
        check(&problem, &["x/y"]);
    }
}

#[test]
fn problems_of_installed_assets() {
    use tiller_protocol::asset::{Asset, AssetKind, AssetOrigin, AssetState};
    let (path, root) = (PathBuf::from("/m/Tiny"), PathBuf::from("/disk"));
    let asset = Asset {
        path: path.clone(),
        kind: AssetKind::Model,
        name: "Tiny".to_owned(),
        origin: AssetOrigin::Linked,
        folder: None,
        state: AssetState::Ready,
        bytes: 0,
        dtype: None,
        architecture: None,
        n_layers: None,
        d_model: None,
        d_sae: None,
        context_len: None,
        has_chat_template: None,
        reads: None,
        hash: None,
        last_used: None,
    };
    check(&not_in_cache("a/b", &[root.clone(), path.clone()]), &["/disk, /m/Tiny", "tiller model download a/b"]);
    check(&incomplete("a/b"), &["a/b", "tiller model download a/b"]);
    check(&several_forms("a/b", &[&path, &root]), &["a/b", "Tiny, disk"]);
    check(&ambiguous("t", &vec![asset; 9]), &["/m/Tiny", "and 3 more"]);
    check(&not_installed("x"), &["x", "tiller model installed"]);
    check(&nothing_at(&path), &["/m/Tiny"]);
    check(&nothing_in(&path), &["/m/Tiny", "cfg.json"]);
    check(&several_in(&root, &[&path, &root.join("in/a.gguf")]), &["/m/Tiny", "in/a.gguf"]);
    check(&an_sae(&path), &["/m/Tiny"]);
    check(&pickled(&path), &["/m/Tiny", "pytorch_model.bin", "safetensors"]);
    check(&told_by_its_path(&path), &["/m/Tiny", "without copying"]);
    let bad = vec![("a.gguf".to_owned(), "its checksum is other".to_owned()); 8];
    check(&damaged(&bad, true), &["a.gguf", "2 more", "Download it again"]);
    check(&damaged(&bad, false), &["a.gguf", "import it again"]);
    check(&changed_while_loading(&path), &["/m/Tiny"]);
    check(&in_use("Tiny"), &["Tiny", "Unload"]);
    check(&downloading("Tiny"), &["Tiny", "Cancel"]);
    check(&ships_with_tiller("Tiller demo"), &["Tiller demo"]);
    check(&behind_a_link(&path), &["/m/Tiny", "link"]);
    check(&outside_folders(&path, &root), &["/m/Tiny", "/disk"]);
    check(&no_storage_folder(&root), &["/disk"]);
    check(&folder_known(&path, &root), &["/m/Tiny", "/disk"]);
    check(&folder_stays(&root), &["/disk"]);
    check(&not_linked(&path), &["/m/Tiny"]);
    check(&other_kind(&path, &root, AssetKind::Sae), &["/m/Tiny", "/disk", "an SAE"]);
    check(&other_kind(&path, &root, AssetKind::Model), &["a model"]);
    check(&no_room_to_copy(&root, 8_000_000_000, 1_000_000_000), &["8.0 GB", "1.0 GB", "without copying"]);
    check(&another_import(), &["imports"]);
}

#[test]
fn problems_of_opened_saes() {
    use tiller_index::IndexError;
    let path = PathBuf::from("/m/sae");
    check(&unknown_sae("demo-1"), &["demo-1", "tiller sae list"]);
    check(&no_such_sae("x"), &["x", "tiller sae list"]);
    check(&another_opening(), &["workspace"]);
    check(&a_model(&path), &["/m/sae", "Models"]);
    check(&sae_in_use("demo"), &["demo", "stop it"]);
    check(&dead_feature(7), &["7", "alive"]);
    check(&no_room_to_convert(&path, 8_000_000_000, 1_000_000_000), &["8.0 GB", "1.0 GB", "--workspace"]);
    let bad = |reason: &str| EngineError::BadFile { path: path.clone(), reason: reason.to_owned() };
    check(&sae(&path, &bad("it is cut short: …")), &["/m/sae", "cut short", "Fetch the file again"]);
    check(&sae(&path, &bad("it is a transcoder (it holds W_skip)")), &["W_skip", "residual stream"]);
    check(&converted_sae("demo", &bad("it is cut short: …")), &["demo", "cut short", "open its published file again"]);
    let missing = EngineError::MissingFile { what: "the SAE's weights", path: path.clone() };
    check(&sae(&path, &missing), &["/m/sae", "all its files"]);
    let found = || ("gpt2".to_owned(), "tiller-demo".to_owned());
    for (error, words) in [
        (IndexError::Damaged("malformed".to_owned()), ["malformed", "features.db"]),
        (IndexError::Newer { found: 9, known: 1, path: path.clone() }, ["9", "newer version"]),
        (IndexError::Busy, ["another process", "Wait"]),
        (IndexError::Full, ["disk", "Free some space"]),
        (IndexError::Empty, ["text", "Write"]),
        (
            IndexError::Mismatch { what: "model", found: found().0, expected: found().1, path: path.clone() },
            ["gpt2", "anyway"],
        ),
        (
            IndexError::OutOfRange { largest: 999, d_sae: 10, may_be_width: true, path: path.clone() },
            ["999", "width of the model"],
        ),
        (
            IndexError::TooLarge { reason: "a line without end".to_owned(), path: path.clone() },
            ["without end", "Fetch"],
        ),
        (
            IndexError::Unrecognised { reason: "it is no JSON".to_owned(), path: path.clone() },
            ["no JSON", "Neuronpedia"],
        ),
    ] {
        check(&index("demo", &error), &words);
    }
}
