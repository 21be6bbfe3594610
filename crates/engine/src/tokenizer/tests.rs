use super::{StreamDecoder, Tokenizer};

/// Tokenizers of the fixtures, with the files that hold them.
const FILES: [(&str, &str); 5] = [
    ("llama3", include_str!("../../../../tests/fixtures/tokenizers/llama3.json")),
    ("qwen", include_str!("../../../../tests/fixtures/tokenizers/qwen.json")),
    ("gemma", include_str!("../../../../tests/fixtures/tokenizers/gemma.json")),
    ("mistral", include_str!("../../../../tests/fixtures/tokenizers/mistral.json")),
    ("metaspace", include_str!("../../../../tests/fixtures/tokenizers/metaspace.json")),
];

/// Name of the tokenizer, text and its ids, as transformers encoded them.
fn cases() -> Vec<(String, String, Vec<u32>)> {
    let text = include_str!("../../../../tests/fixtures/tokenizers/encoded.json");
    let cases: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let ids = |value: &serde_json::Value| serde_json::from_value(value.clone()).unwrap();
    cases.iter().map(|case| (text(&case["tokenizer"]), text(&case["text"]), ids(&case["ids"]))).collect()
}

fn json(name: &str) -> &'static str {
    FILES.iter().find(|(known, _)| *known == name).unwrap().1
}

fn load(name: &str) -> Tokenizer {
    Tokenizer::from_json(json(name).as_bytes()).unwrap()
}

#[test]
fn what_comes_token_by_token_is_the_whole() {
    for (name, text, ids) in cases() {
        let tokenizer = load(&name);
        let mut decoder = StreamDecoder::default();
        let mut shown = String::new();
        for id in &ids {
            let piece = decoder.push(&tokenizer, *id).unwrap();
            assert!(!piece.contains('\u{fffd}'), "{name}: {text:?} shows {piece:?}");
            shown += &piece;
        }
        shown += &decoder.finish(&tokenizer).unwrap();
        assert_eq!(shown, tokenizer.decode(&ids).unwrap(), "{name}: {text:?}");
    }
}

#[test]
fn added_tokens_are_told_apart() {
    let tokenizer = load("gemma");
    let id = |token: &str| tokenizer.token_id(token).unwrap();
    assert!(tokenizer.is_special(id("<|eot|>")) && tokenizer.is_special(id("<both>")));
    assert!(tokenizer.is_added(id("<left>")) && !tokenizer.is_special(id("<left>")));
    assert!(!tokenizer.is_added(id("▁the")));
    assert_eq!((tokenizer.len(), tokenizer.model_len()), (id("<word>") as usize + 1, id("<left>") as usize));
}

#[test]
fn a_broken_file_is_refused() {
    for text in ["", "{}", "[1]", "{\"model\": {\"type\": \"BPE\"}}", "\u{0}"] {
        assert!(Tokenizer::from_json(text.as_bytes()).is_err(), "{text:?}");
    }
}

/// Some checkpoints ask for texts to be cut or filled up; a prompt never is.
#[test]
fn nothing_is_cut_or_filled_up() {
    let mut json: serde_json::Value = serde_json::from_str(json("llama3")).unwrap();
    json["truncation"] =
        serde_json::json!({"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0});
    json["padding"] = serde_json::json!({"strategy": {"Fixed": 40}, "direction": "Left", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "<|begin|>"});
    let tokenizer = Tokenizer::from_json(json.to_string().as_bytes()).unwrap();
    let text = "the tiller of a small boat";
    assert_eq!(tokenizer.encode(text).unwrap(), load("llama3").encode(text).unwrap());
}
