//! Chat templates (Jinja, by minijinja), rendered as Hugging Face `apply_chat_template` does.
//!
//! Two things are done that transformers leaves to the caller. Instructions that a template refuses or drops are folded
//! into the first user turn: their text, an empty line, the user's text ([`SystemRole::Folded`] tells so). And where the
//! tokenizer begins texts with a token that the template does not print, it is put in front, once.
//!
//! There is no clock: `strftime_now` gives the day of [`TemplateOptions::date`], 26 July 2024 unless told otherwise, so
//! that a prompt is the same tomorrow.

mod date;
mod environment;
mod generation;
mod json;
mod python;
mod spans;

use std::sync::Arc;

use minijinja::Value;
use minijinja::value::Serde;
use serde_json::json;
use tiller_protocol::chat::{Date, Role, TemplateOptions, Turn};
use tiller_protocol::persona::Placement;

pub use self::spans::{Rendered, TextPart, TokenPart, TokenParts};

use self::environment::Compiled;
use self::spans::{core, locate, marked};
use crate::error::{EngineError, Result};
use crate::tokenizer::Tokenizer;

/// A checkpoint's chat template with the options it is rendered with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    inner: Arc<Inner>,
    options: TemplateOptions,
}

#[derive(Debug)]
struct Inner {
    compiled: Compiled,
    /// `bos_token`, `eos_token` and the like, by name; only those that there are.
    special_tokens: Vec<(String, String)>,
    /// Text of the token that every chat begins with, if the tokenizer asks for it.
    begins_with: Option<String>,
    content: Content,
    system_role: SystemRole,
}

/// Where a template comes from and what belongs to it.
#[derive(Clone, Debug, Default)]
pub struct TemplateSource {
    /// File that it stands in, for messages.
    pub file: String,
    /// The template.
    pub text: String,
    /// `bos_token`, `eos_token` and the like: name and text.
    pub special_tokens: Vec<(String, String)>,
    /// The tokenizer puts `bos_token` in front of every text.
    pub adds_bos: bool,
}

/// The form in which a template takes a turn's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// A string.
    Text,
    /// A list of parts, here always one of text.
    Parts,
}

/// What a template does with instructions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SystemRole {
    /// It has a place for them.
    Kept,
    /// It refuses them with these words, or drops them (`None`): they are put in front of the first user text, with an
    /// empty line between.
    Folded(Option<String>),
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
    /// Ids of `right` as it reads behind other text; empty when the slot ends the prompt.
    pub right_ids: Vec<u32>,
}

/// The day that templates are given unless they are told another.
const DAY: Date = match Date::new(2024, 7, 26) {
    Some(day) => day,
    None => unreachable!(),
};

/// Stands in the slot while its surroundings are rendered: no template alters it, no text contains it.
const MARKER: &str = "\u{e000}slot\u{e001}";

/// Another text that is found again.
const OTHER_MARKER: &str = "\u{e000}turn\u{e001}";

impl ChatTemplate {
    /// Compiles a template and tries what it does with instructions and with plain strings as content.
    ///
    /// # Errors
    /// [`EngineError::Template`] with file, line and cause when it does not parse.
    pub fn new(source: TemplateSource) -> Result<Self> {
        let TemplateSource { file, text, special_tokens, adds_bos } = source;
        let bos = special_tokens.iter().find(|(name, _)| name == "bos_token").map(|(_, text)| text.clone());
        let mut inner = Inner {
            compiled: Compiled::new(file, &text)?,
            begins_with: bos.filter(|bos| adds_bos && !bos.is_empty()),
            special_tokens,
            content: Content::Text,
            system_role: SystemRole::Kept,
        };
        inner.content = inner.probe_content();
        inner.system_role = inner.probe_system_role();
        Ok(Self { inner: Arc::new(inner), options: TemplateOptions::default() })
    }

    /// The template with other options.
    pub fn with_options(&self, options: TemplateOptions) -> Self {
        Self { inner: Arc::clone(&self.inner), options }
    }

    /// What it does with instructions.
    pub fn system_role(&self) -> &SystemRole {
        &self.inner.system_role
    }

    /// Renders a conversation; with `open_reply` the header of the assistant's turn is added.
    ///
    /// # Errors
    /// [`EngineError::Template`] with the template's own words when it refuses, or with file, line and cause.
    pub fn render(&self, turns: &[Turn], open_reply: bool) -> Result<String> {
        let contents: Vec<&str> = turns.iter().map(|turn| turn.content.as_str()).collect();
        self.render_contents(turns, &contents, open_reply)
    }

    /// As [`Self::render`], with the place of every turn's text.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn render_parts(&self, turns: &[Turn], open_reply: bool) -> Result<Rendered> {
        let text = self.render(turns, open_reply)?;
        let contents: Option<Vec<String>> =
            turns.iter().enumerate().map(|(i, turn)| marked(&turn.content, i)).collect();
        let with_marks = contents.and_then(|contents| {
            let contents: Vec<&str> = contents.iter().map(String::as_str).collect();
            // A template that does not bear the marks is read without them.
            self.render_contents(turns, &contents, open_reply).ok()
        });
        let cores: Vec<&str> = turns.iter().map(|turn| core(&turn.content)).collect();
        let parts = locate(&text, with_marks.as_deref(), &cores)
            .into_iter()
            .map(|(turn, bytes)| TextPart { turn, role: turns[turn].role, bytes })
            .collect();
        let folded_system = self.folds(turns);
        Ok(Rendered { text, parts, folded_system })
    }

    fn folds(&self, turns: &[Turn]) -> bool {
        self.inner.system_role != SystemRole::Kept && turns.first().is_some_and(|turn| turn.role == Role::System)
    }

    /// Renders `turns` with other texts in them.
    fn render_contents(&self, turns: &[Turn], contents: &[&str], open_reply: bool) -> Result<String> {
        let with_roles: Vec<(Role, &str)> = turns.iter().map(|turn| turn.role).zip(contents.iter().copied()).collect();
        let merged;
        let with_roles = match with_roles.as_slice() {
            [(Role::System, ""), rest @ ..] if self.folds(turns) && !rest.is_empty() => rest.to_vec(),
            [(Role::System, system), (Role::User, user), rest @ ..] if self.folds(turns) => {
                merged = format!("{system}\n\n{user}");
                [&[(Role::User, merged.as_str())], rest].concat()
            }
            [(Role::System, system), rest @ ..] if self.folds(turns) => [&[(Role::User, *system)], rest].concat(),
            _ => with_roles,
        };
        let text = self.inner.render(&with_roles, open_reply, self.options)?;
        Ok(match &self.inner.begins_with {
            Some(bos) if !text.trim_start().starts_with(bos.as_str()) => format!("{bos}{text}"),
            _ => text,
        })
    }

    /// Renders `user` with a slot at `placement` and cuts there. `system` is used unless the slot is the system turn.
    ///
    /// The slot takes the prompt's text as it is: as the whole system text; before the user's text, with a space
    /// between; right after the user's text, so that it begins with its own space; or right after the reply's header.
    ///
    /// # Errors
    /// [`EngineError::Template`] when rendering fails or the template drops or repeats the slot.
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
            right_ids: tokenizer.encode_continuation(right)?,
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

impl Inner {
    fn render(&self, turns: &[(Role, &str)], open_reply: bool, options: TemplateOptions) -> Result<String> {
        let messages: Vec<serde_json::Value> = turns
            .iter()
            .map(|(role, text)| match self.content {
                Content::Text => json!({ "role": role, "content": text }),
                Content::Parts => json!({ "role": role, "content": [{ "type": "text", "text": text }] }),
            })
            .collect();
        let mut variables = vec![
            ("messages".to_owned(), Value::from(Serde(&messages))),
            ("add_generation_prompt".to_owned(), open_reply.into()),
            // There are none, and templates distinguish that from not being told.
            ("tools".to_owned(), Value::from(())),
            ("documents".to_owned(), Value::from(())),
        ];
        variables.extend(self.special_tokens.iter().map(|(name, text)| (name.clone(), text.as_str().into())));
        if let Some(thinking) = options.thinking {
            // Both names are in use.
            variables.extend(["enable_thinking", "thinking"].map(|name| (name.to_owned(), thinking.into())));
        }
        if let Some(date) = options.date {
            variables.push(("date_string".to_owned(), date::strftime(date, "%d %b %Y").into()));
        }
        self.compiled.render(variables, options.date.unwrap_or(DAY))
    }

    /// Whether a plain question comes through as a string, or only as a part.
    fn probe_content(&mut self) -> Content {
        let keeps_question = |inner: &Self| {
            let text = inner.render(&[(Role::User, MARKER)], true, TemplateOptions::default());
            text.is_ok_and(|text| text.contains(MARKER))
        };
        if keeps_question(self) {
            return Content::Text;
        }
        self.content = Content::Parts;
        if keeps_question(self) { Content::Parts } else { Content::Text }
    }

    /// Whether instructions come through in a short and in a longer conversation.
    fn probe_system_role(&self) -> SystemRole {
        let (system, user) = ((Role::System, MARKER), (Role::User, OTHER_MARKER));
        let longer = [system, user, (Role::Assistant, OTHER_MARKER), user];
        let render = |turns: &[(Role, &str)]| self.render(turns, true, TemplateOptions::default());
        for turns in [&longer[..2], &longer] {
            match render(turns) {
                Ok(text) if text.contains(MARKER) => {}
                // Only if it is the instructions that it does not like.
                tried if render(&turns[1..]).is_ok() => {
                    return SystemRole::Folded(tried.err().map(|error| match error {
                        EngineError::Template(reason) => reason,
                        other => other.to_string(),
                    }));
                }
                _ => {}
            }
        }
        SystemRole::Kept
    }
}

fn turn(role: Role, content: &str) -> Turn {
    Turn { role, content: content.to_owned() }
}

#[cfg(test)]
mod tests;
