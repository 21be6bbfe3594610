//! What the model is asked.

use std::ops::ControlFlow;
use std::sync::Arc;

use tiller_engine::Edit;
use tiller_engine::generate::{Reply, generate};
use tiller_engine::score::{Choice, answer_log_probs};
use tiller_protocol::chat::{Role, Sampling, Turn};
use tiller_protocol::problem::Problem;

use super::windows::Passage;
use crate::jobs::Sink;
use crate::models::Loaded;
use crate::problem;

/// Most words of a label.
const WORDS: usize = 8;
/// Longest answer that is read.
const MAX_TOKENS: usize = 32;
/// With fewer passages than this a label is a guess.
const LEAST_SHOWN: usize = 2;

/// Asks for a label, greedily. `None` when the answer is none, or the question is too long for the model.
///
/// # Errors
/// A failure of the model, or a stop.
pub(super) fn label(
    loaded: &Loaded,
    shown: &[Passage],
    promoted: &[String],
    sink: &dyn Sink,
) -> Result<Option<String>, Problem> {
    let mut n = shown.len();
    let prompt = loop {
        let prompt = opened(loaded, &question(&shown[..n], promoted))?;
        if prompt.len() + MAX_TOKENS <= loaded.info.context_len {
            break prompt;
        }
        n -= 1;
        if n < LEAST_SHOWN {
            return Ok(None);
        }
    };
    let none: Arc<Vec<Edit>> = Arc::default();
    let no_edits = || Arc::clone(&none);
    let sampling = Sampling { temperature: 0.0, max_tokens: MAX_TOKENS, seed: 0, ..Sampling::default() };
    let mut on_text = |_: usize, _: &str| {
        if sink.is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let replies = [Reply { prompt, edits: &no_edits }];
    let written =
        generate(&loaded.model, &replies, &sampling, &mut on_text).map_err(|error| problem::engine(&error))?;
    sink.check()?;
    Ok(written.first().and_then(|reply| read(&reply.text)))
}

fn question(shown: &[Passage], promoted: &[String]) -> String {
    let mut lines = vec!["Some words in these texts are marked with \u{ab} and \u{bb}.".to_owned()];
    lines.extend((1..).zip(shown).map(|(i, passage)| format!("{i}. {}", passage.marked())));
    if !promoted.is_empty() {
        let promoted: Vec<&str> = promoted.iter().map(|token| token.trim()).filter(|token| !token.is_empty()).collect();
        lines.push(format!("Words that often come next: {}.", promoted.join(", ")));
    }
    let asked = "What do the marked words have in common? Answer with a label of at most 8 words and nothing else.";
    lines.push(asked.to_owned());
    lines.join("\n")
}

/// The label in an answer: its first line without what models put around it. `None` when that is more than a label, or
/// nothing.
pub(super) fn read(answer: &str) -> Option<String> {
    let line = answer.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line = line.trim_start_matches(['-', '*', '#', '\u{2022}', ' ']);
    let lower = line.to_lowercase();
    let line = ["label:", "answer:", "the label is"]
        .iter()
        .find(|lead| lower.starts_with(**lead))
        .and_then(|lead| line.get(lead.len()..))
        .unwrap_or(line);
    let around =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '*' | '`' | '\u{201c}' | '\u{201d}' | '.' | ':');
    let line = line.trim_matches(around);
    // The letter of an option, with or without the option, answers another question.
    let is_option = line.starts_with('(') && line.chars().nth(2) == Some(')');
    let is_letter = line.chars().filter(|c| c.is_alphanumeric()).count() < 2 && line.is_ascii();
    let is_one_phrase = [". ", "! ", "? "].iter().all(|end| !line.contains(end));
    let is_label = line.chars().any(char::is_alphabetic)
        && !is_option
        && !is_letter
        && is_one_phrase
        && !line.contains(['\u{ab}', '\u{bb}'])
        && line.split_whitespace().count() <= WORDS;
    is_label.then(|| line.to_owned())
}

/// Of each passage, whether the model says that the label describes something in it: it prefers \u{201c}Yes\u{201d} to
/// \u{201c}No\u{201d}, on average over both orders in which the two can be named.
///
/// # Errors
/// A passage that does not fit the context, a failure of the model, or a stop.
pub(super) fn describes(
    loaded: &Loaded,
    label: &str,
    passages: &[Passage],
    sink: &dyn Sink,
) -> Result<Vec<bool>, Problem> {
    sink.check()?;
    let told = |error| problem::engine(&error);
    let answers = ["Yes", "No"].map(|answer| loaded.model.tokenizer().encode_continuation(answer));
    let [yes, no] = answers;
    let answers = vec![yes.map_err(told)?, no.map_err(told)?];
    let mut choices = Vec::new();
    for passage in passages {
        for order in ["Yes or No", "No or Yes"] {
            let text = format!(
                "Label: {label}\nText: {}\nDoes the label describe something in the text? Answer {order}.",
                passage.text()
            );
            choices.push(Choice { prompt: opened(loaded, &text)?, answers: answers.clone() });
        }
    }
    let scores = answer_log_probs(&loaded.model, &choices, &[]).map_err(told)?;
    let mean = |scores: &[f64], i: usize| scores[i] / answers[i].len().max(1) as f64;
    let margins: Vec<f64> = scores.iter().map(|scores| mean(scores, 0) - mean(scores, 1)).collect();
    Ok(margins.chunks(2).map(|orders| orders.iter().sum::<f64>() > 0.0).collect())
}

/// A question as the model is asked it, up to the beginning of its answer.
fn opened(loaded: &Loaded, text: &str) -> Result<Vec<u32>, Problem> {
    if loaded.model.template().is_some() {
        return loaded.prompt(&[Turn { role: Role::User, content: text.to_owned() }]);
    }
    let text = format!("{text}\nAnswer:");
    loaded.model.tokenizer().encode_whole(&text).map_err(|error| problem::engine(&error))
}
