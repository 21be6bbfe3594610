//! What a condition does to behaviour: which of two answers the model prefers (methods.md §7.1).
//!
//! A/B questions are asked as written and with their letters exchanged, because half of a balanced set is also what a
//! model scores that always says the same letter (§2.6). Answers are scored by the sum of their tokens'
//! log-probabilities at the beginning of the reply; lettered answers of unequal length by the mean.

use std::ops::ControlFlow;

use tiller_engine::score::{Choice, answer_log_probs};
use tiller_engine::{Edit, Model};
use tiller_protocol::evaluation::{Behaviour, Rate};
use tiller_protocol::persona::{Item, Placement};

use crate::error::{DiscoverError, Result};
use crate::place::chat_template;
use crate::stats::{mean, wilson};

/// Items measured between two calls of the observer.
const CHUNK: usize = 32;
/// A first-letter share whose whole interval is outside this range is a collapse to one letter.
const BALANCED_LETTERS: (f64, f64) = (0.2, 0.8);

/// What is done to the model while it answers.
#[derive(Clone, Copy, Debug)]
pub struct Treatment<'a> {
    /// A prompt added to every item.
    pub prompt: Option<&'a str>,
    /// Where it stands.
    pub placement: Placement,
    /// Additions to the residual stream.
    pub edits: &'a [Edit],
}

/// Which reading of an item a decision belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Written,
    Swapped,
    Free,
}

/// A question with two answers.
struct Question<'a> {
    reading: Reading,
    user: &'a str,
    persona: &'a str,
    other: &'a str,
}

impl Question<'_> {
    /// Whether the persona's answer has the letter that comes first in the alphabet; `None` without two letters.
    fn persona_is_first(&self) -> Option<bool> {
        if self.reading == Reading::Free {
            return None;
        }
        let (persona, other) = (letter(self.persona)?, letter(self.other)?);
        (persona != other).then_some(persona < other)
    }
}

/// Measures a condition on items; `None` when the observer stopped it. Items judged by sampling are passed over: see
/// [`counted`].
///
/// # Errors
/// No items of the two-answer kinds, one that does not fit the context, or a failure of the model.
pub fn behaviour(
    model: &Model,
    items: &[Item],
    treatment: &Treatment<'_>,
    progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Option<Behaviour>> {
    let questions: Vec<Question<'_>> = items.iter().flat_map(questions).collect();
    if questions.is_empty() {
        return Err(DiscoverError::TooFew { what: "items with two answers", found: 0, needed: 1 });
    }
    let mut margins = Vec::with_capacity(questions.len());
    for chunk in questions.chunks(CHUNK) {
        margins.extend(log_odds(model, chunk, treatment)?.into_iter().map(|(_, odds)| odds));
        if progress(margins.len(), questions.len()).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(summary(&questions, &margins)))
}

/// Behaviour from decisions made elsewhere: for each sampled reply, whether it shows the persona.
pub fn counted(shows_persona: &[bool]) -> Behaviour {
    let rate = rate(shows_persona.iter().copied());
    Behaviour {
        persona: rate,
        as_written: None,
        swapped: None,
        free: Some(rate),
        first_letter: None,
        mean_margin: 0.0,
        mean_abs_margin: 0.0,
        decisions: shows_persona.to_vec(),
    }
}

/// Whether the model has collapsed to one letter: then its persona rate on balanced items says nothing.
pub fn is_letter_collapse(behaviour: &Behaviour) -> bool {
    let (low, high) = BALANCED_LETTERS;
    behaviour.first_letter.is_some_and(|share| share.high < low || share.low > high)
}

/// For every A/B question of the items, in both letter orders: the rendered prompt and the log-odds of the first
/// letter against the second.
pub(crate) fn letter_log_odds(
    model: &Model,
    items: &[Item],
    treatment: &Treatment<'_>,
) -> Result<Vec<(Vec<u32>, f64)>> {
    let questions: Vec<(Question<'_>, bool)> =
        items.iter().flat_map(questions).filter_map(|q| q.persona_is_first().map(|first| (q, first))).collect();
    let (questions, persona_is_first): (Vec<_>, Vec<_>) = questions.into_iter().unzip();
    let odds = log_odds(model, &questions, treatment)?;
    let signed = odds.into_iter().zip(persona_is_first);
    Ok(signed.map(|((prompt, odds), first)| (prompt, if first { odds } else { -odds })).collect())
}

/// The questions an item asks, the written one first.
fn questions(item: &Item) -> Vec<Question<'_>> {
    match item {
        Item::Ab { user, persona, other, swapped, .. } => {
            let written = Question { reading: Reading::Written, user, persona, other };
            let exchanged = swapped.as_ref().map(|s| Question {
                reading: Reading::Swapped,
                user: &s.user,
                persona: &s.persona,
                other: &s.other,
            });
            [Some(written), exchanged].into_iter().flatten().collect()
        }
        Item::Free { user, persona, other, .. } => {
            vec![Question { reading: Reading::Free, user, persona, other }]
        }
        Item::Prompt { .. } => Vec::new(),
    }
}

/// Rendered prompt and log P(persona answer) − log P(other answer) of each question.
fn log_odds(model: &Model, questions: &[Question<'_>], treatment: &Treatment<'_>) -> Result<Vec<(Vec<u32>, f64)>> {
    let choices: Vec<Choice> = questions.iter().map(|q| choice(model, q, treatment)).collect::<Result<_>>()?;
    let scores = answer_log_probs(model, &choices, treatment.edits)?;
    let odds = questions.iter().zip(choices).zip(scores).map(|((question, choice), scores)| {
        let per_token = question.reading != Reading::Free && choice.answers[0].len() != choice.answers[1].len();
        let score = |i: usize| if per_token { scores[i] / choice.answers[i].len() as f64 } else { scores[i] };
        (score(0) - score(1), choice.prompt)
    });
    Ok(odds.map(|(odds, prompt)| (prompt, odds)).collect())
}

fn choice(model: &Model, question: &Question<'_>, treatment: &Treatment<'_>) -> Result<Choice> {
    let text = chat_template(model)?.render_with(treatment.prompt, question.user, treatment.placement)?;
    let prompt = model.tokenizer().encode(&text)?;
    // A reply that has been begun goes on after a space.
    let begun = treatment.placement == Placement::AssistantPrefill
        && treatment.prompt.is_some_and(|prompt| !prompt.ends_with(char::is_whitespace));
    let space = if begun { " " } else { "" };
    let answer = |answer: &str| -> Result<Vec<u32>> {
        let whole = model.tokenizer().encode(&format!("{text}{space}{answer}"))?;
        Ok(match whole.strip_prefix(prompt.as_slice()) {
            Some(ids) if !ids.is_empty() => ids.to_vec(),
            // The last token of the prompt merged with the answer's first: score the answer by its own tokens.
            _ => model.tokenizer().encode_continuation(&format!("{space}{answer}"))?,
        })
    };
    let answers = vec![answer(question.persona)?, answer(question.other)?];
    Ok(Choice { prompt, answers })
}

fn summary(questions: &[Question<'_>], margins: &[f64]) -> Behaviour {
    let decisions: Vec<bool> = margins.iter().map(|margin| *margin > 0.0).collect();
    let of = |wanted: Reading| -> Option<Rate> {
        let chosen = questions.iter().zip(&decisions).filter(|(q, _)| q.reading == wanted);
        let rate = rate(chosen.map(|(_, decision)| *decision));
        (rate.n > 0).then_some(rate)
    };
    let first = questions
        .iter()
        .zip(&decisions)
        .filter_map(|(question, chose_persona)| Some(question.persona_is_first()? == *chose_persona));
    let first_letter = Some(rate(first)).filter(|rate| rate.n > 0);
    let sizes: Vec<f64> = margins.iter().map(|margin| margin.abs()).collect();
    Behaviour {
        persona: rate(decisions.iter().copied()),
        as_written: of(Reading::Written),
        swapped: of(Reading::Swapped),
        free: of(Reading::Free),
        first_letter,
        mean_margin: mean(margins),
        mean_abs_margin: mean(&sizes),
        decisions,
    }
}

fn rate(decisions: impl Iterator<Item = bool>) -> Rate {
    let (mut hits, mut n) = (0, 0);
    for decision in decisions {
        hits += usize::from(decision);
        n += 1;
    }
    wilson(hits, n)
}

/// The letter of an answer such as `(A)`, ` B` or `C.`.
fn letter(answer: &str) -> Option<char> {
    let core = answer.trim().trim_start_matches('(');
    core.chars().next().filter(char::is_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(reading: Reading, persona: &'static str, other: &'static str) -> Question<'static> {
        Question { reading, user: "?", persona, other }
    }

    #[test]
    fn a_model_that_always_says_b_is_found_out() {
        // Balanced items, each in both orders: the persona's answer is (A) in one and (B) in the other.
        let mut questions = Vec::new();
        let mut margins = Vec::new();
        for _ in 0..50 {
            questions.push(question(Reading::Written, "(A)", "(B)"));
            margins.push(-2.0);
            questions.push(question(Reading::Swapped, "(B)", "(A)"));
            margins.push(2.0);
        }
        let behaviour = summary(&questions, &margins);
        assert!((behaviour.persona.rate - 0.5).abs() < 1e-12);
        assert!((behaviour.mean_abs_margin - 2.0).abs() < 1e-12 && behaviour.mean_margin.abs() < 1e-12);
        assert_eq!(behaviour.first_letter.map(|r| r.hits), Some(0));
        assert!(is_letter_collapse(&behaviour));
    }

    #[test]
    fn a_model_that_reads_the_options_is_not() {
        let questions: Vec<_> = (0..40)
            .map(|i| match i % 4 {
                0 => question(Reading::Written, "(A)", "(B)"),
                1 => question(Reading::Swapped, "(B)", "(A)"),
                2 => question(Reading::Written, "(B)", "(A)"),
                _ => question(Reading::Swapped, "(A)", "(B)"),
            })
            .collect();
        let behaviour = summary(&questions, &vec![1.5; 40]);
        assert_eq!((behaviour.persona.hits, behaviour.persona.n), (40, 40));
        assert_eq!(behaviour.first_letter.map(|r| (r.hits, r.n)), Some((20, 40)));
        assert_eq!(behaviour.as_written.map(|r| r.n), Some(20));
        assert!(behaviour.free.is_none() && !is_letter_collapse(&behaviour));
    }

    #[test]
    fn letters_of_answers() {
        for (answer, expected) in
            [("(A)", Some('A')), (" (B)", Some('B')), ("C.", Some('C')), ("yes", None), ("", None)]
        {
            assert_eq!(letter(answer), expected, "{answer}");
        }
    }

    #[test]
    fn free_answers_have_no_letter() {
        let behaviour = summary(&[question(Reading::Free, "Yes", "No")], &[1.0]);
        assert_eq!((behaviour.first_letter, behaviour.free.map(|r| r.hits)), (None, Some(1)));
        assert!(!is_letter_collapse(&behaviour));
        assert_eq!(counted(&[true, false, true]).persona.hits, 2);
    }
}
