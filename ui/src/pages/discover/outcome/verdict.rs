//! The result in sentences, with the uncertainty of every difference.

use tiller_protocol::discovery::{Heading, RunResult};
use tiller_protocol::evaluation::{ConditionKind, Rate};

use super::{held_out, is_found};
use crate::number::{decimal, percent};
use crate::pages::discover::view::{GARBLED, RunView};

/// What the discovered prompt does against no prompt.
pub(super) fn sentence(view: &RunView, run: &RunResult) -> String {
    let plain = run.conditions.iter().find(|condition| condition.kind == ConditionKind::NoPrompt).and_then(held_out);
    let found = run.conditions.iter().find(|condition| is_found(condition)).and_then(held_out);
    let (Some(plain), Some(found)) = (plain, found) else {
        return "The held-out table is below.".to_owned();
    };
    let gap = match run.settings.heading {
        Heading::Away => plain.minus(found),
        Heading::Toward => found.minus(plain),
    };
    let verb = match run.settings.heading {
        Heading::Away => "lowers",
        Heading::Toward => "raises",
    };
    let rates = format!("from {} to {}", percent(plain.rate), percent(found.rate));
    if gap.low > 0.0 {
        format!(
            "The discovered prompt {verb} the share of {} answers {rates}: by {:.0} points (95\u{a0}% interval {:.0} to \
             {:.0}).",
            view.poles.0,
            gap.value * 100.0,
            gap.low * 100.0,
            gap.high * 100.0
        )
    } else {
        format!("No clear effect: {rates}; the difference of {:.0} points could be chance.", gap.value * 100.0)
    }
}

/// The readable prompt, where the run names one besides its best.
pub(super) fn second_prompt(run: &RunResult) -> Option<String> {
    let second = run.conditions.iter().filter(|condition| is_found(condition)).nth(1)?;
    let (rate, prompt) = (held_out(second)?, second.prompt.as_ref()?);
    Some(format!("The most readable prompt chosen, \u{201c}{}\u{201d}, gives {}.", prompt.trim(), percent(rate.rate)))
}

/// Says so when the best prompt does not read as language.
pub(super) fn unreadable(run: &RunResult) -> Option<String> {
    let xent = run.conditions.iter().find(|condition| is_found(condition))?.xent?;
    (xent >= GARBLED).then(|| {
        format!(
            "It does not read as language ({} nats per token). The front lists more fluent ones with less effect.",
            decimal(xent, 1)
        )
    })
}

/// What it does against the plain manual prompts.
pub(super) fn against_manual(view: &RunView, run: &RunResult) -> Option<String> {
    let found = run.conditions.iter().find(|condition| is_found(condition)).and_then(held_out)?;
    let manual: Vec<&Rate> = run
        .conditions
        .iter()
        .filter(|condition| condition.kind == ConditionKind::Manual)
        .filter_map(held_out)
        .collect();
    if manual.is_empty() {
        return None;
    }
    let mean = manual.iter().map(|rate| rate.rate).sum::<f64>() / manual.len() as f64;
    if !view.manual_pulls_along {
        return Some(format!(
            "The persona's {} manual prompts were written the other way ({} on average), so they are no rivals here.",
            manual.len(),
            percent(mean)
        ));
    }
    let better = |one: f64, other: f64| match run.settings.heading {
        Heading::Away => one < other,
        Heading::Toward => one > other,
    };
    let best = manual.iter().copied().reduce(|one, other| if better(one.rate, other.rate) { one } else { other })?;
    let apart = best.low > found.high || found.low > best.high;
    let word = if better(found.rate, best.rate) { "better" } else { "not better" };
    let overlap = if apart { "their intervals part" } else { "their intervals overlap" };
    Some(format!(
        "{} plain manual prompts give {} on average; the best of them {}. The discovered prompt is {word} than that \
         one, and {overlap}.",
        manual.len(),
        percent(mean),
        percent(best.rate)
    ))
}
