//! Tokenizer and chat template.

use anyhow::{Context as _, Result};
use tiller_engine::{DType, Device, Request, TokenTree, load};
use tiller_protocol::chat::{Role, Turn};
use tiller_protocol::persona::Placement;

use super::fixture::{Golden, folder};

fn ids_of(value: &serde_json::Value) -> Result<Vec<u32>> {
    Ok(serde_json::from_value(value["ids"].clone())?)
}

fn list<'a>(golden: &'a Golden, name: &str) -> Result<&'a Vec<serde_json::Value>> {
    golden.facts[name].as_array().with_context(|| format!("golden.json lists {name}"))
}

#[test]
fn texts_encode_as_in_transformers() -> Result<()> {
    for golden in Golden::all()? {
        for case in list(&golden, "texts")? {
            let text = case["text"].as_str().context("a text")?;
            let ids = golden.model.tokenizer().encode(text)?;
            assert_eq!(ids, ids_of(case)?, "{}: {text:?}", golden.name);
            assert_eq!(golden.model.tokenizer().decode(&ids)?, text, "{}", golden.name);
        }
    }
    Ok(())
}

#[test]
fn chats_render_as_in_transformers() -> Result<()> {
    for golden in Golden::all()? {
        let template = golden.model.template().with_context(|| format!("{} has a template", golden.name))?;
        for case in list(&golden, "chats")? {
            let turns: Vec<Turn> = serde_json::from_value(case["turns"].clone())?;
            let opened = case["open_reply"].as_bool().context("open_reply")?;
            let text = template.render(&turns, opened)?;
            assert_eq!(text, case["text"].as_str().context("text")?, "{}: {turns:?}", golden.name);
            assert_eq!(golden.model.tokenizer().encode(&text)?, ids_of(case)?, "{}: {turns:?}", golden.name);
        }
    }
    Ok(())
}

#[test]
fn a_template_may_refuse() -> Result<()> {
    let golden = Golden::load("llama-tied", "llama-tied")?;
    let turn = |role| Turn { role, content: "text".to_owned() };
    let refused = golden.model.template().context("a template")?.render(&[turn(Role::Assistant)], true);
    let message = refused.err().context("roles in the wrong order are refused")?.to_string();
    assert!(message.contains("the roles must alternate"), "{message}");
    Ok(())
}

/// What is cut out and put together again is the rendered chat.
#[test]
fn slots_join_to_the_rendered_chat() -> Result<()> {
    for golden in Golden::all()? {
        let template = golden.model.template().context("a template")?;
        let tokenizer = golden.model.tokenizer();
        for placement in Placement::ALL {
            let slot = template.slotted(tokenizer, None, "What do you think?", placement)?;
            assert_eq!(tokenizer.encode(&slot.left)?, slot.left_ids, "{}: {placement:?}", golden.name);
            assert_eq!(tokenizer.encode(&slot.right)?, slot.right_ids, "{}: {placement:?}", golden.name);
            // Behind the user's text a prompt brings its own space.
            let prompt = if placement == Placement::UserSuffix { " be brief" } else { "be brief" };
            let joined = format!("{}{prompt}{}", slot.left, slot.right);
            let rendered = template.render_with(Some(prompt), "What do you think?", placement)?;
            assert_eq!(joined, rendered, "{}: {placement:?}", golden.name);
        }
    }
    Ok(())
}

/// Gemma 3's text models share a tokenizer with those that see pictures: its last added tokens have no embedding row.
#[test]
fn added_tokens_may_lie_beyond_the_embedding() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for entry in std::fs::read_dir(folder("llama-tied"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), dir.path().join(entry.file_name()))?;
    }
    let path = dir.path().join("tokenizer.json");
    let mut json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    let rows = Golden::load("llama-tied", "llama-tied")?.model.config().vocab_size;
    let picture = serde_json::json!({"id": rows, "content": "<picture>", "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false, "special": true});
    json["added_tokens"].as_array_mut().context("added_tokens")?.push(picture);
    std::fs::write(&path, json.to_string())?;
    let model = load::model(dir.path(), &Device::Cpu, DType::F32, &mut |_, _| true)?;
    let ids = model.tokenizer().encode("a <picture>")?;
    assert_eq!(ids.last(), Some(&(rows as u32)));
    // Such a token cannot be read; that is an error with a reason.
    let refused = model.forward(&Request::new(&TokenTree::sequence(&ids)));
    let reason = refused.err().context("a token without an embedding is refused")?.to_string();
    assert!(reason.contains(&rows.to_string()), "{reason}");
    Ok(())
}
