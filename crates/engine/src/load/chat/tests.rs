use std::fs;
use std::path::Path;

use serde_json::json;
use tiller_protocol::chat::{Role, Turn};

use super::{chat_template, tokenizer};
use crate::EngineError;
use crate::load::file::optional_json;
use crate::template::ChatTemplate;

const LLAMA3: &str = include_str!("../../../../../tests/fixtures/tokenizers/llama3.json");
const QWEN: &str = include_str!("../../../../../tests/fixtures/tokenizers/qwen.json");

/// What a folder of these files renders for the question `?`.
fn rendered(files: &[(&str, &str)]) -> Result<Option<String>, EngineError> {
    let render =
        |template: ChatTemplate| template.render(&[Turn { role: Role::User, content: "?".to_owned() }], true).unwrap();
    load(files).map(|template| template.map(render))
}

fn load(files: &[(&str, &str)]) -> Result<Option<ChatTemplate>, EngineError> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let config = optional_json(&dir.path().join("tokenizer_config.json"))?;
    chat_template(dir.path(), &config, &tokenizer(dir.path())?)
}

fn config(more: &serde_json::Value) -> String {
    let mut config = json!({"bos_token": {"content": "<|begin|>"}, "eos_token": "<|eot|>"});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config.to_string()
}

#[test]
fn a_template_is_found_wherever_it_is_written() {
    let template = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}";
    let named = json!([{"name": "tool_use", "template": "tools"}, {"name": "default", "template": template}]);
    let first = json!([{"name": "rag", "template": template}, {"name": "tool_use", "template": "tools"}]);
    let own_file = json!({ "chat_template": template }).to_string();
    let plain = config(&json!({}));
    for files in [
        vec![("tokenizer_config.json", config(&json!({ "chat_template": template })))],
        vec![("tokenizer_config.json", config(&json!({ "chat_template": named })))],
        vec![("tokenizer_config.json", config(&json!({ "chat_template": first })))],
        vec![("tokenizer_config.json", config(&json!({ "chat_template": {"x": template} })))],
        vec![("tokenizer_config.json", plain.clone()), ("chat_template.json", own_file.clone())],
        // A file of its own counts more than the configuration, and that more than the older form.
        vec![
            ("tokenizer_config.json", config(&json!({ "chat_template": "other" }))),
            ("chat_template.jinja", template.to_owned()),
            ("chat_template.json", json!({"chat_template": "oldest"}).to_string()),
        ],
        vec![
            ("tokenizer_config.json", config(&json!({ "chat_template": template }))),
            ("chat_template.json", json!({"chat_template": "oldest"}).to_string()),
        ],
    ] {
        let mut all: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        all.push(("tokenizer.json", LLAMA3));
        assert_eq!(rendered(&all).unwrap().unwrap(), "<|begin|>?<|eot|>", "{files:?}");
    }
    assert_eq!(rendered(&[("tokenizer.json", LLAMA3)]).unwrap(), None);
    assert_eq!(rendered(&[("tokenizer.json", LLAMA3), ("tokenizer_config.json", &plain)]).unwrap(), None);
}

#[test]
fn special_tokens_come_from_all_three_places() {
    let text = "{{ bos_token }}{{ image_token }}{{ unk_token }}{{ messages[0].content }}{{ pad_token is defined }}";
    let config = json!({"chat_template": text, "extra_special_tokens": {"image_token": "<image>"}, "pad_token": null});
    let map = json!({"bos_token": "<|begin|>", "unk_token": {"content": "<unk>", "lstrip": false}}).to_string();
    let files =
        [("tokenizer.json", QWEN), ("tokenizer_config.json", &config.to_string()), ("special_tokens_map.json", &map)];
    assert_eq!(rendered(&files).unwrap().unwrap(), "<|begin|><image><unk>?False");
}

#[test]
fn a_chat_begins_with_one_bos_if_the_tokenizer_asks_for_it() {
    let first = |tokenizer: &str, text: &str, more: serde_json::Value| {
        let mut more = more;
        more["chat_template"] = text.into();
        rendered(&[("tokenizer.json", tokenizer), ("tokenizer_config.json", &config(&more))]).unwrap().unwrap()
    };
    let (printing, silent) = ("{{ bos_token }}{{ messages[0].content }}", "{{ messages[0].content }}");
    // By the post-processor, unless the configuration says otherwise.
    assert_eq!(first(LLAMA3, printing, json!({})), "<|begin|>?");
    assert_eq!(first(LLAMA3, silent, json!({})), "<|begin|>?");
    assert_eq!(first(LLAMA3, silent, json!({"add_bos_token": false})), "?");
    assert_eq!(first(QWEN, silent, json!({})), "?");
    assert_eq!(first(QWEN, silent, json!({"add_bos_token": true})), "<|begin|>?");
    assert_eq!(first(QWEN, printing, json!({"add_bos_token": true})), "<|begin|>?");
}

#[test]
fn a_broken_template_is_told_with_its_file_and_line() {
    let config = config(&json!({ "chat_template": "fine\n{% for %}" }));
    let error = load(&[("tokenizer.json", LLAMA3), ("tokenizer_config.json", &config)]).unwrap_err().to_string();
    assert!(error.contains("tokenizer_config.json is not usable: chat template, line 2: syntax error"), "{error}");
    let error = load(&[("tokenizer.json", LLAMA3), ("chat_template.jinja", "{{ 'x }}")]).unwrap_err().to_string();
    assert!(error.contains("chat_template.jinja is not usable: chat template, line 1: syntax error"), "{error}");
    let error = load(&[("tokenizer.json", LLAMA3), ("chat_template.json", "{")]).unwrap_err().to_string();
    assert!(error.contains("chat_template.json is not usable: it is not JSON"), "{error}");
}

#[test]
fn a_tokenizer_of_another_form_is_named() {
    let found = |files: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        for name in files {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        tokenizer(dir.path()).unwrap_err()
    };
    for (files, wanted) in [
        (&["tokenizer.model"][..], "tokenizer.model"),
        (&["vocab.json", "merges.txt"], "vocab.json and merges.txt"),
        (&["vocab.txt"], "vocab.txt"),
        (&["tekken.json"], "tekken.json"),
    ] {
        match found(files) {
            EngineError::OtherTokenizer { found, .. } => assert_eq!(found, wanted),
            other => panic!("{other:?}"),
        }
    }
    match found(&[]) {
        EngineError::MissingFile { path, .. } => assert_eq!(path.file_name(), Path::new("tokenizer.json").file_name()),
        other => panic!("{other:?}"),
    }
    // One that is there is read, or its fault is told.
    match found(&["tokenizer.json", "tokenizer.model"]) {
        EngineError::BadFile { path, .. } => assert!(path.ends_with("tokenizer.json")),
        other => panic!("{other:?}"),
    }
}
