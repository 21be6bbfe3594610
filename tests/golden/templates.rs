//! Chat templates against transformers' `apply_chat_template`; `make_templates.py` beside them writes the expectations.

use anyhow::{Context as _, Result};
use serde_json::Value;
use tiller_engine::EngineError;
use tiller_engine::template::{ChatTemplate, SystemRole, TemplateSource};
use tiller_engine::tokenizer::Tokenizer;
use tiller_protocol::chat::{Date, Role, TemplateOptions, Turn};
use tiller_protocol::persona::Placement;

use super::fixture::folder;

struct Golden {
    facts: Value,
}

impl Golden {
    fn load() -> Result<Self> {
        let text = std::fs::read_to_string(folder("templates").join("rendered.json"))?;
        Ok(Self { facts: serde_json::from_str(&text)? })
    }

    fn cases(&self) -> Result<&Vec<Value>> {
        self.facts["cases"].as_array().context("cases")
    }

    fn template(&self, case: &Value) -> Result<ChatTemplate> {
        let file = format!("{}.jinja", case["template"].as_str().context("a template")?);
        let text = std::fs::read_to_string(folder("templates").join(&file))?;
        let token = |name: &str| (name.to_owned(), self.facts[name].as_str().unwrap_or_default().to_owned());
        let special_tokens = vec![token("bos_token"), token("eos_token")];
        let options = TemplateOptions {
            thinking: case["thinking"].as_bool(),
            date: case["date"].as_array().and_then(|date| {
                let number = |i: usize| date[i].as_u64().unwrap_or_default();
                Date::new(number(0) as u16, number(1) as u8, number(2) as u8)
            }),
        };
        let source = TemplateSource { file, text, special_tokens, adds_bos: false };
        Ok(ChatTemplate::new(source)?.with_options(options))
    }

    fn turns(&self, case: &Value) -> Result<Vec<Turn>> {
        let title = case["conversation"].as_str().context("a conversation")?;
        Ok(serde_json::from_value(self.facts["conversations"][title].clone())?)
    }
}

/// Text, or the words of a refusal.
fn found(template: &ChatTemplate, turns: &[Turn], case: &Value) -> Result<Value> {
    Ok(match template.render(turns, case["open_reply"].as_bool().context("open_reply")?) {
        Ok(text) => serde_json::json!({ "text": text }),
        Err(EngineError::Template(reason)) => serde_json::json!({ "refuses": reason }),
        Err(other) => return Err(other.into()),
    })
}

#[test]
fn templates_render_as_in_transformers() -> Result<()> {
    let golden = Golden::load()?;
    let mut wrong = Vec::new();
    for case in golden.cases()? {
        let expected = if case["folded"].is_object() { &case["folded"] } else { case };
        let found = found(&golden.template(case)?, &golden.turns(case)?, case)?;
        for kind in ["text", "refuses"] {
            if found[kind] != expected[kind] {
                wrong.push(format!("{case}\n  found {found}"));
                break;
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n{}",
        wrong.len(),
        golden.cases()?.len(),
        wrong[..wrong.len().min(5)].join("\n")
    );
    Ok(())
}

/// What transformers says to instructions is what the template is known to do with them.
#[test]
fn instructions_without_a_place_are_noticed() -> Result<()> {
    let golden = Golden::load()?;
    let mut folding = 0;
    for case in golden.cases()?.iter().filter(|case| case["conversation"] == "instructed") {
        let template = golden.template(case)?;
        let role = template.system_role();
        if case["folded"].is_object() {
            folding += 1;
            assert_eq!(*role, SystemRole::Folded(case["refuses"].as_str().map(str::to_owned)), "{case}");
        } else {
            assert_eq!(*role, SystemRole::Kept, "{case}");
        }
    }
    assert_eq!(folding, 4, "two templates, with and without the reply opened");
    Ok(())
}

/// Every turn that a template keeps is found, and what is found is the turn's own text.
#[test]
fn every_text_is_found_in_the_rendered_chat() -> Result<()> {
    let golden = Golden::load()?;
    for case in golden.cases()? {
        let (template, turns) = (golden.template(case)?, golden.turns(case)?);
        let Ok(rendered) = template.render_parts(&turns, case["open_reply"] == true) else { continue };
        for part in &rendered.parts {
            let text = &rendered.text[part.bytes.clone()];
            assert!(turns[part.turn].content.contains(text), "{case}: {text:?}");
            assert_eq!(part.role, turns[part.turn].role);
        }
        // These change their texts or leave some out.
        let name = case["template"].as_str().unwrap_or_default();
        if ["strings", "json", "macros", "lists"].contains(&name) {
            continue;
        }
        for (i, turn) in turns.iter().enumerate() {
            let is_found = rendered.parts.iter().any(|part| {
                part.turn == i && rendered.text[part.bytes.clone()] == *turn.content.trim_matches(is_python_space)
            });
            let is_unanswered = turns.last().is_some_and(|last| last.role == Role::User);
            let is_cut = turn.content.contains("<think>");
            let is_dropped = turn.role == Role::System
                && (i > 0 || turn.content.is_empty() || name == "last_user" && !is_unanswered);
            assert!(is_found || is_dropped || is_cut, "{case}: turn {i} in {:?}", rendered.text);
        }
    }
    Ok(())
}

/// A text that a template repeats is found each time, and of one that it cuts what is left.
#[test]
fn repeated_and_cut_texts_are_found() -> Result<()> {
    let golden = Golden::load()?;
    let parts = |template: &str, conversation: &str| -> Result<Vec<(usize, String)>> {
        let case = serde_json::json!({ "template": template, "conversation": conversation });
        let rendered = golden.template(&case)?.render_parts(&golden.turns(&case)?, true)?;
        Ok(rendered.parts.iter().map(|part| (part.turn, rendered.text[part.bytes.clone()].to_owned())).collect())
    };
    let of = |wanted: &[(usize, &str)]| -> Vec<(usize, String)> {
        wanted.iter().map(|(turn, text)| (*turn, (*text).to_owned())).collect()
    };
    let repeated = [
        (0, "Be brief."),
        (1, "Where does the sun rise?"),
        (2, "In the east."),
        (0, "Be brief."),
        (3, "And where does it set?"),
    ];
    assert_eq!(parts("repeating", "instructed longer")?, of(&repeated));
    for template in ["repeating", "thinking"] {
        let found = parts(template, "thoughts")?;
        assert_eq!(found[..3], of(&[(0, "2 + 2?"), (1, "4"), (2, "3 + 3?")]), "{template}");
    }
    Ok(())
}

fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// A prompt in a slot is read as what stands before the slot, the prompt's own tokens, and what stands behind it.
#[test]
fn a_slot_is_cut_where_its_tokens_are() -> Result<()> {
    let golden = Golden::load()?;
    let case = |name: &str| serde_json::json!({ "template": name });
    for (template, tokenizer) in [
        ("dated", "llama3"),
        ("thinking", "qwen"),
        ("refusing", "gemma"),
        ("parts", "gemma"),
        ("last_user", "mistral"),
        ("last_user", "metaspace"),
    ] {
        let json = std::fs::read(folder("tokenizers").join(format!("{tokenizer}.json")))?;
        let (template_name, tokenizer_name) = (template, tokenizer);
        let (template, tokenizer) = (golden.template(&case(template))?, Tokenizer::from_json(&json)?);
        for placement in Placement::ALL {
            let what = format!("{template_name} with {tokenizer_name}: {placement:?}");
            let prompt = if placement == Placement::UserSuffix { " tell me what" } else { "Tell me what" };
            let slot = template.slotted(&tokenizer, None, "the boat?", placement)?;
            let whole = tokenizer.encode(&template.render_with(Some(prompt), "the boat?", placement)?)?;
            let inner = whole
                .strip_prefix(slot.left_ids.as_slice())
                .and_then(|rest| rest.strip_suffix(slot.right_ids.as_slice()))
                .with_context(|| format!("{what}: {whole:?} is not {slot:?}"))?;
            let texts: Vec<String> = inner.iter().filter_map(|id| tokenizer.token_text(*id)).collect();
            assert_eq!(texts.concat(), prompt, "{what}");
        }
    }
    Ok(())
}
