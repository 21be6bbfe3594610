//! A GGUF file's vocabulary as the `tokenizer.json` and `tokenizer_config.json` that the same model has as a checkpoint
//! folder.
//!
//! Two kinds exist in the supported families: byte-level BPE (`gpt2`), whose way of cutting text into words stands in
//! the file as a name only, and `SentencePiece` BPE (`llama`), whose merges are not in the file and follow from the
//! scores as in Hugging Face's converter.

use std::collections::HashMap;

use serde_json::{Map, Value as Json, json};

use super::value::Metadata;
use crate::error::{EngineError, Result};

/// A tokenizer in the words of a checkpoint folder.
#[derive(Debug)]
pub(crate) struct TokenizerFiles {
    /// The text of `tokenizer.json`.
    pub(crate) tokenizer: Vec<u8>,
    /// `tokenizer_config.json`: special tokens, whether BOS is added, and the chat template.
    pub(crate) config: Json,
}

/// Meaning of `tokenizer.ggml.token_type`.
mod kind {
    pub(super) const NORMAL: i64 = 1;
    pub(super) const UNKNOWN: i64 = 2;
    pub(super) const CONTROL: i64 = 3;
    pub(super) const USER_DEFINED: i64 = 4;
    pub(super) const UNUSED: i64 = 5;
}

/// The way words are cut before the merges, by the name of `tokenizer.ggml.pre`.
struct Cut {
    names: &'static [&'static str],
    /// Regular expression of a word; `None` where the byte-level step's own does.
    pattern: Option<&'static str>,
    /// Digits are cut off one by one first.
    digits: bool,
    /// Unicode's form that text is brought to first.
    form: Option<&'static str>,
    /// A word that is a token needs no merges.
    whole_words: bool,
    /// BOS is added where the file does not say.
    adds_bos: bool,
}

const GPT2: Cut =
    Cut { names: &["gpt-2", "gpt2"], pattern: None, digits: false, form: None, whole_words: false, adds_bos: false };

const CUTS: [Cut; 5] = [
    GPT2,
    Cut { names: &["smollm"], digits: true, ..GPT2 },
    Cut {
        names: &["llama-bpe", "llama3", "llama-v3"],
        pattern: Some(concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|",
            r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )),
        whole_words: true,
        adds_bos: true,
        ..GPT2
    },
    Cut {
        names: &["qwen2", "qwen"],
        pattern: Some(concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|",
            r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )),
        form: Some("NFC"),
        ..GPT2
    },
    Cut {
        names: &["tekken"],
        pattern: Some(concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )),
        whole_words: true,
        adds_bos: true,
        ..GPT2
    },
];

/// Translates the vocabulary.
///
/// # Errors
/// [`EngineError::Tokenizer`] for a kind that is not supported, [`EngineError::BadRequest`] for metadata that is missing
/// or malformed.
pub(crate) fn files(metadata: &Metadata) -> Result<TokenizerFiles> {
    let vocabulary = Vocabulary::read(metadata)?;
    let model = metadata.need_text("tokenizer.ggml.model")?;
    let (mut tokenizer, adds_bos) = match model {
        "gpt2" => byte_level(metadata, &vocabulary)?,
        "llama" => (sentence_piece(metadata, &vocabulary)?, true),
        other => return Err(unsupported(&format!("vocabularies of the kind \u{201c}{other}\u{201d}"))),
    };
    let adds_bos = metadata.flag("tokenizer.ggml.add_bos_token")?.unwrap_or(adds_bos);
    let special = |name: &str| -> Result<Option<&str>> {
        let id = metadata.id(&format!("tokenizer.ggml.{name}_token_id"))?;
        Ok(id.and_then(|id| vocabulary.tokens.get(id as usize)).map(String::as_str))
    };
    let (bos, eos) = (special("bos")?, special("eos")?);
    if let (true, Some(bos), Some(id)) = (adds_bos, bos, metadata.id("tokenizer.ggml.bos_token_id")?) {
        let token = |id: &str| json!({"SpecialToken": {"id": id, "type_id": 0}});
        let text = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
        tokenizer["post_processor"] = json!({
            "type": "TemplateProcessing",
            "single": [token(bos), text("A")],
            "pair": [token(bos), text("A"), token(bos), text("B")],
            "special_tokens": {bos: {"id": bos, "ids": [id], "tokens": [bos]}},
        });
    }
    tokenizer["added_tokens"] = vocabulary.added(model == "llama");
    let config = json!({
        "bos_token": bos,
        "eos_token": eos,
        "add_bos_token": adds_bos && bos.is_some(),
        "chat_template": metadata.text("tokenizer.chat_template")?,
    });
    let tokenizer = serde_json::to_vec(&tokenizer).map_err(|error| EngineError::Tokenizer(error.to_string()))?;
    Ok(TokenizerFiles { tokenizer, config })
}

fn unsupported(what: &str) -> EngineError {
    EngineError::Tokenizer(format!(
        "{what} in GGUF files are not supported; put the model's own tokenizer.json beside the file"
    ))
}

/// Tokens and what each is.
struct Vocabulary<'a> {
    tokens: &'a [String],
    kinds: &'a [i64],
}

impl<'a> Vocabulary<'a> {
    fn read(metadata: &'a Metadata) -> Result<Self> {
        let tokens = metadata.need_texts("tokenizer.ggml.tokens")?;
        let kinds = metadata.ints("tokenizer.ggml.token_type")?.unwrap_or_default();
        if !kinds.is_empty() && kinds.len() != tokens.len() {
            let (n, of) = (kinds.len(), tokens.len());
            return Err(EngineError::BadRequest(format!("its metadata has {n} token types for {of} tokens")));
        }
        Ok(Self { tokens, kinds })
    }

    fn kind(&self, id: usize) -> i64 {
        self.kinds.get(id).copied().unwrap_or(kind::NORMAL)
    }

    /// Texts to ids, without the tokens that only fill the embedding up.
    fn ids(&self) -> Map<String, Json> {
        let used = self.tokens.iter().enumerate().filter(|(id, _)| self.kind(*id) != kind::UNUSED);
        used.map(|(id, token)| (token.clone(), Json::from(id))).collect()
    }

    /// Tokens that are found in a text before anything else happens to it.
    fn added(&self, is_sentence_piece: bool) -> Json {
        let entry = |(id, content): (usize, &String)| {
            let kind = self.kind(id);
            let special = matches!(kind, kind::CONTROL | kind::UNKNOWN);
            let written = matches!(kind, kind::CONTROL | kind::USER_DEFINED) || (special && is_sentence_piece);
            written.then(|| {
                // Runs of spaces are tokens in some vocabularies, there in the form that the normaliser gives them.
                let normalized = is_sentence_piece && !special && content.contains('\u{2581}');
                json!({
                    "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": normalized, "special": special,
                })
            })
        };
        self.tokens.iter().enumerate().filter_map(entry).collect()
    }
}

/// Byte-level BPE, and whether BOS is added by default.
fn byte_level(metadata: &Metadata, vocabulary: &Vocabulary<'_>) -> Result<(Json, bool)> {
    let name = metadata.text("tokenizer.ggml.pre")?.unwrap_or("default");
    let cut = CUTS.iter().find(|cut| cut.names.contains(&name));
    let cut = cut.ok_or_else(|| unsupported(&format!("vocabularies cut in the way \u{201c}{name}\u{201d}")))?;
    let merges = metadata.need_texts("tokenizer.ggml.merges")?;
    let merges = merges
        .iter()
        .map(|merge| {
            let bad =
                || EngineError::BadRequest(format!("its metadata has the malformed merge \u{201c}{merge}\u{201d}"));
            let (left, right) = merge.split_once(' ').ok_or_else(bad)?;
            Ok(json!([left, right]))
        })
        .collect::<Result<Vec<_>>>()?;
    let level = |uses_regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": uses_regex});
    let mut steps = Vec::new();
    if cut.digits {
        steps.push(json!({"type": "Digits", "individual_digits": true}));
    }
    if let Some(pattern) = cut.pattern {
        steps.push(json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false}));
    }
    steps.push(level(cut.pattern.is_none()));
    let tokenizer = json!({
        "version": "1.0",
        "normalizer": cut.form.map(|form| json!({"type": form})),
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "decoder": level(true),
        "model": {
            "type": "BPE", "vocab": vocabulary.ids(), "merges": merges, "ignore_merges": cut.whole_words,
            "byte_fallback": false, "fuse_unk": false,
        },
    });
    Ok((tokenizer, cut.adds_bos))
}

/// `SentencePiece` BPE with bytes for unknown characters.
fn sentence_piece(metadata: &Metadata, vocabulary: &Vocabulary<'_>) -> Result<Json> {
    let scores = metadata.need_floats("tokenizer.ggml.scores")?;
    if scores.len() != vocabulary.tokens.len() {
        let (n, of) = (scores.len(), vocabulary.tokens.len());
        return Err(EngineError::BadRequest(format!("its metadata has {n} scores for {of} tokens")));
    }
    let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"});
    let back = json!({"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "});
    let mut decoders = vec![back, json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
    let mut normalizer = spaces;
    if metadata.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true) {
        let front = json!({"type": "Prepend", "prepend": "\u{2581}"});
        normalizer = json!({"type": "Sequence", "normalizers": [front, normalizer]});
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    let unknown = metadata.id("tokenizer.ggml.unknown_token_id")?;
    let unknown = match unknown {
        Some(id) => vocabulary.tokens.get(id as usize),
        None => {
            vocabulary.tokens.iter().enumerate().find(|(i, _)| vocabulary.kind(*i) == kind::UNKNOWN).map(|(_, t)| t)
        }
    };
    Ok(json!({
        "version": "1.0",
        "normalizer": normalizer,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE", "vocab": vocabulary.ids(), "merges": merges(vocabulary, scores), "unk_token": unknown,
            "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
        },
    }))
}

/// All pairs of ordinary tokens that make a third, best score first; among equals longer left parts first, then longer
/// right parts.
fn merges(vocabulary: &Vocabulary<'_>, scores: &[f32]) -> Vec<[String; 2]> {
    let ordinary = |id: usize| vocabulary.kind(id) == kind::NORMAL;
    let ids: HashMap<&str, usize> = vocabulary
        .tokens
        .iter()
        .enumerate()
        .filter(|(id, _)| ordinary(*id))
        .map(|(id, token)| (token.as_str(), id))
        .collect();
    let mut found = Vec::new();
    for (id, token) in vocabulary.tokens.iter().enumerate().filter(|(id, _)| ordinary(*id)) {
        let mut cuts: Vec<(usize, usize, usize)> = token
            .char_indices()
            .skip(1)
            .filter_map(|(at, _)| Some((*ids.get(&token[..at])?, *ids.get(&token[at..])?, at)))
            .collect();
        cuts.sort_unstable();
        let n_chars = token.chars().count();
        found.extend(cuts.into_iter().map(|(.., at)| (scores[id], token[..at].chars().count(), n_chars, token, at)));
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)).then((b.2 - b.1).cmp(&(a.2 - a.1))));
    found.into_iter().map(|(.., token, at)| [token[..at].to_owned(), token[at..].to_owned()]).collect()
}
