//! Tokenizers of the published kinds against transformers; `make_tokenizers.py` beside them writes the expectations.

use std::ops::Range;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tiller_engine::tokenizer::Tokenizer;

use super::fixture::folder;

const NAMES: [&str; 5] = ["llama3", "qwen", "gemma", "mistral", "metaspace"];

fn tokenizer(name: &str) -> Result<Tokenizer> {
    Ok(Tokenizer::from_json(&std::fs::read(folder("tokenizers").join(format!("{name}.json")))?)?)
}

fn cases(name: &str) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(folder("tokenizers").join("encoded.json"))?;
    let cases: Vec<Value> = serde_json::from_str(&text)?;
    Ok(cases.into_iter().filter(|case| case["tokenizer"] == name).collect())
}

fn ids(value: &Value) -> Result<Vec<u32>> {
    Ok(serde_json::from_value(value.clone())?)
}

/// A range of bytes as the characters that it touches.
fn chars(text: &str, bytes: &Range<usize>) -> (usize, usize) {
    let holding = |byte: usize| text.char_indices().take_while(|(at, _)| *at <= byte).count().saturating_sub(1);
    (holding(bytes.start), holding(bytes.end.max(bytes.start + 1) - 1) + 1)
}

#[test]
fn texts_encode_and_decode_as_in_transformers() -> Result<()> {
    for name in NAMES {
        let (tokenizer, cases) = (tokenizer(name)?, cases(name)?);
        assert!(cases.len() >= 16, "{name}");
        for case in &cases {
            let text = case["text"].as_str().context("a text")?;
            let expected = ids(&case["ids"])?;
            assert_eq!(tokenizer.encode(text)?, expected, "{name}: {text:?}");
            assert_eq!(tokenizer.decode(&expected)?, case["decoded"].as_str().context("decoded")?, "{name}: {text:?}");
        }
    }
    Ok(())
}

#[test]
fn tokens_stand_where_transformers_puts_them() -> Result<()> {
    for name in NAMES {
        let tokenizer = tokenizer(name)?;
        for case in cases(name)? {
            let text = case["text"].as_str().context("a text")?;
            let (found_ids, places) = tokenizer.encode_with_places(text)?;
            assert_eq!(found_ids, ids(&case["ids"])?, "{name}: {text:?}");
            let expected: Vec<(usize, usize)> = serde_json::from_value(case["offsets"].clone())?;
            let found: Vec<(usize, usize)> = places.iter().map(|bytes| chars(text, bytes)).collect();
            assert_eq!(found, expected, "{name}: {text:?}");
        }
    }
    Ok(())
}

/// What transformers puts in front of a text of its own accord is known, and nothing else is added.
#[test]
fn the_leading_token_is_known() -> Result<()> {
    for name in NAMES {
        let tokenizer = tokenizer(name)?;
        let leading: Vec<u32> = tokenizer.leading_token()?.into_iter().collect();
        assert_eq!(leading.is_empty(), name == "qwen", "{name}");
        for case in cases(name)? {
            let expected = ids(&case["with_bos"])?;
            assert_eq!(expected, [leading.clone(), ids(&case["ids"])?].concat(), "{name}: {case}");
            // Unless the text begins with it already, which transformers doubles.
            let text = case["text"].as_str().context("a text")?;
            let doubled = text.starts_with("<|begin|>") && !leading.is_empty();
            assert_eq!(tokenizer.encode_whole(text)?, expected[usize::from(doubled)..], "{name}: {text:?}");
        }
    }
    Ok(())
}

/// A text behind another one is read without the space that some tokenizers put in front of a text.
#[test]
fn a_continuation_gets_no_space_of_its_own() -> Result<()> {
    for name in NAMES {
        let tokenizer = tokenizer(name)?;
        let alone = tokenizer.encode("? the boat")?;
        let behind = tokenizer.encode_continuation("? the boat")?;
        let whole = tokenizer.encode("tell? the boat")?;
        assert!(whole.ends_with(&behind), "{name}: {behind:?} in {whole:?}");
        assert_eq!(alone != behind, ["mistral", "metaspace"].contains(&name), "{name}: {alone:?}");
        // A special token begins a new text for the older form, whatever stands before it.
        let after_special = tokenizer.encode_continuation("<|eot|>the boat")?;
        assert!(tokenizer.encode("tell<|eot|>the boat")?.ends_with(&after_special), "{name}");
    }
    Ok(())
}

/// The text of a token tells its leading space, also where a whole text loses it.
#[test]
fn a_token_keeps_its_leading_space() -> Result<()> {
    for name in NAMES {
        let tokenizer = tokenizer(name)?;
        let ids = tokenizer.encode_continuation(" the boat")?;
        let texts: Vec<String> = ids.iter().filter_map(|id| tokenizer.token_text(*id)).collect();
        assert_eq!(texts.concat(), " the boat", "{name}: {texts:?}");
        assert_eq!(tokenizer.token_text(tokenizer.len() as u32), None);
    }
    Ok(())
}
