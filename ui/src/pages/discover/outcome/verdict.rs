//! The result in sentences, with the uncertainty of every difference.

use tiller_protocol::discovery::{Heading, RunResult};
use tiller_protocol::evaluation::{ConditionKind, Rate};

use super::{held_out, is_found};
use crate::number::{decimal, percent};
use crate::pages::discover::view::{GARBLED, RunView};

/// Difference `from − to` of two shares with Newcombe's interval from their Wilson intervals.
fn difference(from: &Rate, to: &Rate) -> (f64, f64, f64) {
    let gap = from.rate - to.rate;
    let low = gap - (from.rate - from.low).hypot(to.high - to.rate);
    let high = gap + (from.high - from.rate).hypot(to.rate - to.low);
    (gap, low, high)
}

/// What the discovered prompt does against no prompt.
pub(super) fn sentence(view: &RunView, run: &RunResult) -> String {
    let plain = run.conditions.iter().find(|condition| condition.kind == ConditionKind::NoPrompt).and_then(held_out);
    let found = run.conditions.iter().find(|condition| is_found(condition)).and_then(held_out);
    let (Some(plain), Some(found)) = (plain, found) else {
        return "The held-out table is below.".to_owned();
    };
    let (gap, low, high) = difference(plain, found);
    let (gap, low, high) = match run.settings.heading {
        Heading::Away => (gap, low, high),
        Heading::Toward => (-gap, -high, -low),
    };
    let verb = match run.settings.heading {
        Heading::Away => "lowers",
        Heading::Toward => "raises",
    };
    let rates = format!("from {} to {}", percent(plain.rate), percent(found.rate));
    if low > 0.0 {
        format!(
            "The discovered prompt {verb} the share of {} answers {rates}: by {:.0} points (95\u{a0}% interval {:.0} to \
             {:.0}).",
            view.poles.0,
            gap * 100.0,
            low * 100.0,
            high * 100.0
        )
    } else {
        format!("No clear effect: {rates}; the difference of {:.0} points could be chance.", gap * 100.0)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(hits: usize, n: usize, low: f64, high: f64) -> Rate {
        Rate { hits, n, rate: hits as f64 / n as f64, low, high }
    }

    #[test]
    fn difference_of_equal_rates_spans_zero() {
        let one = rate(50, 100, 0.404, 0.596);
        let (gap, low, high) = difference(&one, &one);
        assert_eq!(gap, 0.0);
        assert!(low < 0.0 && high > 0.0);
    }

    #[test]
    fn newcombe_interval_matches_the_published_example() {
        // Newcombe 1998, table II, row (a): 56/70 against 48/80 gives 0.0524 to 0.3339.
        let (gap, low, high) = difference(&rate(56, 70, 0.692_1, 0.876_7), &rate(48, 80, 0.490_4, 0.700_4));
        assert!((gap - 0.2).abs() < 1e-9);
        assert!((low - 0.0524).abs() < 2e-3, "{low}");
        assert!((high - 0.3339).abs() < 2e-3, "{high}");
    }
}
