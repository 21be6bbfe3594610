//! Every problem has its three parts, in the house style, and says the facts.

use std::path::PathBuf;

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
        (EngineError::BadFile { path: path(), reason: "header too large".to_owned() }, &["cut short", "header"]),
        (EngineError::BadFile { path: "/m/config.json".into(), reason: "no n".to_owned() }, &["config.json", "no n"]),
        (EngineError::BadFile { path: "/m/tokenizer.json".into(), reason: "bad".to_owned() }, &["tokenizer.json"]),
        (EngineError::UnknownArchitecture("MambaForCausalLM".to_owned()), &["MambaForCausalLM"]),
        (
            EngineError::BadTensor {
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
    check(&not_in_cache("a/b", &path), &["a/b", "hf download", "config.json"]);
    check(&no_folder(&path), &["config.json"]);
    check(&bad_pattern("Warmth", "unclosed group"), &["unclosed group"]);
    check(&no_picture("Empty size"), &["Empty size"]);
    check(&no_sae("Tiny"), &["RESGA"]);
    check(&bad_input("the conversation is empty", "Write something first."), &["The conversation is empty"]);
    check(&stopped(), &["stopped"]);
}
