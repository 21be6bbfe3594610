//! What a condition does to behaviour, for every kind of item.
//!
//! Two-answer items are scored by log-probability (discover's `evaluate`). Items that only ask are answered by
//! sampling, and the reply is judged by the persona's patterns.

use std::ops::ControlFlow;
use std::sync::Arc;

use regex::Regex;
use tiller_discover::evaluate::{self, Treatment};
use tiller_engine::generate::{Reply, generate};
use tiller_engine::{Edit, score};
use tiller_protocol::chat::Sampling;
use tiller_protocol::evaluation::Behaviour;
use tiller_protocol::persona::{Item, Judge, Persona, PromptText};
use tiller_protocol::problem::Problem;

use super::{Sink, flow};
use crate::models::Loaded;
use crate::problem;

/// Replies written together.
const BATCH: usize = 32;
/// Longest sampled reply.
const MAX_TOKENS: usize = 40;

/// Compiled patterns of a persona.
#[derive(Debug)]
pub(crate) struct Patterns {
    persona: Option<Regex>,
    other: Option<Regex>,
}

impl Patterns {
    /// Compiles a judge's patterns.
    ///
    /// # Errors
    /// A pattern that is not a regular expression.
    pub(crate) fn new(name: &str, judge: &Judge) -> Result<Self, Problem> {
        let compile = |pattern: &Option<String>| {
            let compiled = pattern.as_deref().map(Regex::new).transpose();
            compiled.map_err(|error| problem::bad_pattern(name, &error.to_string()))
        };
        Ok(Self { persona: compile(&judge.persona_pattern)?, other: compile(&judge.other_pattern)? })
    }

    /// Whether a reply shows the persona; `None` when neither pattern decides it. Marks of the opposite weigh more:
    /// \u{201c}I do not know what it is\u{201d} names a thing and yet admits not to know it.
    pub(crate) fn verdict(&self, reply: &str) -> Option<bool> {
        let reply = reply.trim();
        let matches = |pattern: &Option<Regex>| pattern.as_ref().map(|pattern| pattern.is_match(reply));
        match (matches(&self.persona), matches(&self.other)) {
            // With one pattern only, what does not match it is the opposite.
            (_, Some(true)) | (Some(false), None) => Some(false),
            (Some(true), _) | (None, Some(false)) => Some(true),
            (Some(false), Some(false)) | (None, None) => None,
        }
    }
}

/// Sampled replies with their verdicts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sampled {
    /// User text and reply, in item order.
    pub(crate) replies: Vec<(String, String)>,
    /// Tokens of each reply.
    pub(crate) ids: Vec<Vec<u32>>,
    /// Verdict of each; `None` where the patterns do not decide.
    pub(crate) verdicts: Vec<Option<bool>>,
}

/// Measures a condition on items.
///
/// # Errors
/// No items, a failure of the model, or a stop.
pub(crate) fn behaviour(
    loaded: &Loaded,
    persona: &Persona,
    items: &[Item],
    treatment: &Treatment<'_>,
    sink: &mut dyn Sink,
) -> Result<Behaviour, Problem> {
    if items.iter().all(|item| matches!(item, Item::Prompt { .. })) {
        let users: Vec<&str> = items.iter().map(Item::user).collect();
        let sampled = sample(loaded, persona, &users, treatment, sink)?;
        let decided: Vec<bool> = sampled.verdicts.iter().map(|verdict| *verdict == Some(true)).collect();
        return Ok(evaluate::counted(&decided));
    }
    let found = evaluate::behaviour(&loaded.model, items, treatment, &mut |_, _| flow(sink));
    found.map_err(|error| problem::discover(&error))?.ok_or_else(problem::stopped)
}

/// Samples one reply to each user text and judges it.
///
/// # Errors
/// A prompt that does not fit the context, a failure of the model, or a stop.
pub(crate) fn sample(
    loaded: &Loaded,
    persona: &Persona,
    users: &[&str],
    treatment: &Treatment<'_>,
    sink: &mut dyn Sink,
) -> Result<Sampled, Problem> {
    let patterns = Patterns::new(&persona.card.name, &persona.card.judge)?;
    let template = loaded.model.template().ok_or_else(|| problem::no_template(&loaded.info.name))?;
    let edits: Arc<Vec<Edit>> = Arc::new(treatment.edits.to_vec());
    let edits_now = || Arc::clone(&edits);
    let engine = |error| problem::engine(&error);
    let mut sampled = Sampled::default();
    for (batch, users) in users.chunks(BATCH).enumerate() {
        let encode = |user: &&str| -> Result<Vec<u32>, Problem> {
            let text = template.render_with(treatment.prompt, user, treatment.placement).map_err(engine)?;
            loaded.model.tokenizer().encode(&text).map_err(engine)
        };
        let prompts: Vec<Vec<u32>> = users.iter().map(encode).collect::<Result<_, _>>()?;
        let reply = |prompt: &Vec<u32>| Reply { prompt: prompt.clone(), edits: &edits_now };
        let replies: Vec<Reply<'_>> = prompts.iter().map(reply).collect();
        let sampling = Sampling {
            temperature: 0.7,
            top_p: 1.0,
            max_tokens: MAX_TOKENS,
            seed: batch as u64,
            ..Sampling::default()
        };
        let mut on_text = |_: usize, _: &str| -> ControlFlow<()> { flow(sink) };
        let written = generate(&loaded.model, &replies, &sampling, &mut on_text).map_err(engine)?;
        sink.check()?;
        for (user, reply) in users.iter().zip(written) {
            sampled.verdicts.push(patterns.verdict(&reply.text));
            sampled.replies.push(((*user).to_owned(), reply.text));
            sampled.ids.push(reply.ids);
        }
    }
    Ok(sampled)
}

/// Mean cross-entropy of sampled replies under the unsteered model after the same questions, with `system` as its
/// instruction, nats per token.
///
/// # Errors
/// A failure of the model.
pub(crate) fn xent_under(loaded: &Loaded, sampled: &Sampled, system: Option<&str>) -> Result<f64, Problem> {
    let (mut nats, mut n_tokens) = (0.0, 0);
    for ((user, _), reply) in sampled.replies.iter().zip(&sampled.ids).filter(|(_, reply)| !reply.is_empty()) {
        let text = PromptText { system: system.map(str::to_owned), user: user.clone() };
        let prompt = loaded.prompt(&super::turns(&text))?;
        let whole = [prompt.as_slice(), reply].concat();
        let mean =
            score::cross_entropy(&loaded.model, &whole, prompt.len()).map_err(|error| problem::engine(&error))?;
        nats += mean * reply.len() as f64;
        n_tokens += reply.len();
    }
    Ok(nats / n_tokens.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use tiller_protocol::persona::Placement;

    use super::*;
    use crate::jobs::tests::{Quiet, demo, persona};

    #[test]
    fn verdicts() {
        let judge = |persona: Option<&str>, other: Option<&str>| Judge {
            persona_pattern: persona.map(str::to_owned),
            other_pattern: other.map(str::to_owned),
        };
        let both = Patterns::new("x", &judge(Some("is"), Some("do not know"))).unwrap();
        assert_eq!(both.verdict("The capital is Oslo."), Some(true));
        assert_eq!(both.verdict("I do not know what it is."), Some(false));
        assert_eq!(both.verdict("Hm."), None);
        let style = Patterns::new("x", &judge(Some("(?i)arr"), None)).unwrap();
        assert_eq!((style.verdict("Arr!"), style.verdict("Hello.")), (Some(true), Some(false)));
        assert!(Patterns::new("x", &judge(Some("("), None)).unwrap_err().cause.contains('('));
    }

    #[test]
    fn a_style_is_judged_by_its_replies() {
        let pirate = persona("pirate");
        let items = &pirate.select[..24];
        let rate = |prompt: Option<&str>| {
            let treatment = Treatment { prompt, placement: Placement::System, edits: &[] };
            behaviour(demo(), &pirate, items, &treatment, &mut Quiet::default()).unwrap().persona.rate
        };
        let (plain, prompted) = (rate(None), rate(Some("Talk like a pirate.")));
        assert!(plain < 0.2 && prompted > 0.7, "{plain} without, {prompted} with the prompt");
    }
}
