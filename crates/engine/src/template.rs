//! Chat templates (Jinja, by minijinja), rendered as Hugging Face `apply_chat_template` does.
//!
//! Differences that matter are set here: blocks are trimmed, Python's string methods exist, `tojson` writes Python's
//! separators and keeps `<`, `>`, `&` and non-ASCII, `raise_exception` fails the rendering. There is no clock:
//! `strftime_now` and `date_string` give one fixed day, so that a prompt is the same tomorrow.

use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, Error, ErrorKind, Value, context};
use tiller_protocol::chat::{Role, Turn};
use tiller_protocol::persona::Placement;

use crate::error::{EngineError, Result};
use crate::tokenizer::Tokenizer;

/// A checkpoint's chat template. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ChatTemplate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    environment: Environment<'static>,
    bos_token: String,
    eos_token: String,
}

/// A rendered prompt, cut at the place where a searched prompt stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slotted {
    /// Text before the slot.
    pub left: String,
    /// Text after the slot, up to and including the generation header.
    pub right: String,
    /// Ids of `left`.
    pub left_ids: Vec<u32>,
    /// Ids of `right`; empty when the slot ends the prompt.
    pub right_ids: Vec<u32>,
}

/// The fixed day of `date_string` and `strftime_now`, in the form that Llama templates use.
const DATE: &str = "26 Jul 2024";

/// Stands in the slot while its surroundings are rendered: no template alters it, no text contains it.
const MARKER: &str = "\u{e000}slot\u{e001}";

impl ChatTemplate {
    /// Compiles a template.
    ///
    /// # Errors
    /// [`EngineError::Template`] when it does not parse.
    pub fn new(source: String, bos_token: String, eos_token: String) -> Result<Self> {
        let mut environment = Environment::new();
        let syntax =
            SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(|error| failed(&error))?;
        environment.set_syntax(syntax);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("tojson", to_json);
        environment.add_function("raise_exception", |reason: String| -> std::result::Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, reason))
        });
        environment.add_function("strftime_now", |_format: String| DATE);
        environment.add_template_owned("chat", source).map_err(|error| failed(&error))?;
        Ok(Self(Arc::new(Inner { environment, bos_token, eos_token })))
    }

    /// Renders a conversation; with `open_reply` the header of the assistant's turn is added.
    ///
    /// # Errors
    /// [`EngineError::Template`] with the template's own reason, e.g. for a role it does not know.
    pub fn render(&self, turns: &[Turn], open_reply: bool) -> Result<String> {
        let template = self.0.environment.get_template("chat").map_err(|error| failed(&error))?;
        template
            .render(context! {
                messages => Value::from(Serde(turns)),
                add_generation_prompt => open_reply,
                bos_token => &self.0.bos_token,
                eos_token => &self.0.eos_token,
                date_string => DATE,
            })
            .map_err(|error| failed(&error))
    }

    /// Renders `user` with a slot at `placement` and cuts there. `system` is used unless the slot is the system turn.
    ///
    /// The slot takes the prompt's text as it is: as the whole system text; before the user's text, with a space
    /// between; right after the user's text, so that it begins with its own space; or right after the reply's header.
    ///
    /// # Errors
    /// [`EngineError::Template`] when rendering fails or the template drops the slot.
    pub fn slotted(
        &self,
        tokenizer: &Tokenizer,
        system: Option<&str>,
        user: &str,
        placement: Placement,
    ) -> Result<Slotted> {
        let text = self.placed(MARKER, system, user, placement)?;
        let (left, right) = text.split_once(MARKER).filter(|(_, right)| !right.contains(MARKER)).ok_or_else(|| {
            EngineError::Template(format!("it does not keep a text placed as: {}", placement.label()))
        })?;
        Ok(Slotted {
            left_ids: tokenizer.encode(left)?,
            right_ids: tokenizer.encode(right)?,
            left: left.to_owned(),
            right: right.to_owned(),
        })
    }

    /// Renders `user` with `prompt` at `placement` (`None`: no prompt at all) and opens the reply.
    ///
    /// This is what a person gets who pastes the prompt at that place. It equals `left + prompt + right` of
    /// [`Self::slotted`] unless the template trims the prompt or, behind the user's text, the prompt does not begin
    /// with white space (a space is put between then): such a prompt does not survive its place.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn render_with(&self, prompt: Option<&str>, user: &str, placement: Placement) -> Result<String> {
        match prompt {
            None => self.render(&[turn(Role::User, user)], true),
            Some(prompt) if placement == Placement::UserSuffix && !prompt.starts_with(char::is_whitespace) => {
                self.placed(&format!(" {prompt}"), None, user, placement)
            }
            Some(prompt) => self.placed(prompt, None, user, placement),
        }
    }

    fn placed(&self, prompt: &str, system: Option<&str>, user: &str, placement: Placement) -> Result<String> {
        let mut turns = Vec::new();
        match (placement, system) {
            (Placement::System, _) => turns.push(turn(Role::System, prompt)),
            (_, Some(system)) => turns.push(turn(Role::System, system)),
            (_, None) => {}
        }
        turns.push(turn(
            Role::User,
            &match placement {
                Placement::UserPrefix => format!("{prompt} {user}"),
                Placement::UserSuffix => format!("{user}{prompt}"),
                Placement::System | Placement::AssistantPrefill => user.to_owned(),
            },
        ));
        let text = self.render(&turns, true)?;
        Ok(if placement == Placement::AssistantPrefill { text + prompt } else { text })
    }
}

fn turn(role: Role, content: &str) -> Turn {
    Turn { role, content: content.to_owned() }
}

fn failed(error: &Error) -> EngineError {
    EngineError::Template(error.detail().map_or_else(|| error.to_string(), str::to_owned))
}

/// `tojson` as Python's `json.dumps(value, ensure_ascii=False, indent=indent)` writes it.
#[expect(clippy::needless_pass_by_value, reason = "the form that minijinja's filters have")]
fn to_json(value: &Value, kwargs: Kwargs) -> std::result::Result<String, Error> {
    let indent: Option<usize> = kwargs.get("indent")?;
    kwargs.assert_all_used()?;
    let json = serde_json::to_value(value)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, "not a JSON value").with_source(error))?;
    let mut out = String::new();
    write_json(&json, indent, 0, &mut out);
    Ok(out)
}

fn write_json(value: &serde_json::Value, indent: Option<usize>, depth: usize, out: &mut String) {
    use serde_json::Value as Json;
    let entries: Vec<(Option<&String>, &Json)> = match value {
        Json::Array(list) => list.iter().map(|entry| (None, entry)).collect(),
        Json::Object(map) => map.iter().map(|(key, entry)| (Some(key), entry)).collect(),
        other => {
            out.push_str(&other.to_string());
            return;
        }
    };
    let (open, close) = if value.is_array() { ('[', ']') } else { ('{', '}') };
    let line = |depth: usize| indent.map(|width| format!("\n{}", " ".repeat(width * depth)));
    out.push(open);
    let is_empty = entries.is_empty();
    for (i, (key, entry)) in entries.into_iter().enumerate() {
        if i > 0 {
            out.push_str(if indent.is_some() { "," } else { ", " });
        }
        out.push_str(&line(depth + 1).unwrap_or_default());
        if let Some(key) = key {
            out.push_str(&Json::from(key.as_str()).to_string());
            out.push_str(": ");
        }
        write_json(entry, indent, depth + 1, out);
    }
    if !is_empty {
        out.push_str(&line(depth).unwrap_or_default());
    }
    out.push(close);
}

#[cfg(test)]
mod tests;
