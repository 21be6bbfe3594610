//! What was found, in sentences. A result that falls short is said as plainly as one that does not.

use tiller_discover::evaluate::is_letter_collapse;
use tiller_protocol::evaluation::{Condition, ConditionKind, Rate};

use super::results::{Curve, How, PersonaStudy, Results, Search};

/// A persona has moved when its rate falls by at least this.
const CLEAR_DROP: f64 = 0.15;
/// Replies count as intact while their perplexity is at most this many times the unsteered one.
const INTACT: f64 = 2.0;

/// All findings.
pub(super) fn all(results: &Results) -> Vec<String> {
    let mut findings: Vec<String> = results.personas.iter().flat_map(persona).collect();
    if let Some(steering) = &results.steering {
        findings.extend(steering.curves.iter().map(curve));
        findings.push(if steering.zero_is_identical {
            "A slider at 0 gives bit for bit the logits of the plain model.".to_owned()
        } else {
            "A slider at 0 does not give exactly the logits of the plain model: this is a fault.".to_owned()
        });
    }
    findings
}

fn persona(study: &PersonaStudy) -> Vec<String> {
    [moved(study), manual(study), letters(study), fluent(study), random_direction(study), proposers(study)]
        .into_iter()
        .flatten()
        .collect()
}

/// A rate with its interval.
pub(super) fn percent(rate: &Rate) -> String {
    format!("{:.0} % [{:.0}, {:.0}]", rate.rate * 100.0, rate.low * 100.0, rate.high * 100.0)
}

/// A prompt in quotation marks.
pub(super) fn quoted(condition: &Condition) -> String {
    format!("\u{201c}{}\u{201d}", condition.prompt.as_deref().unwrap_or_default().trim())
}

fn parts(a: &Rate, b: &Rate) -> bool {
    a.high < b.low || b.high < a.low
}

fn moved(study: &PersonaStudy) -> Option<String> {
    let (none, chosen) = (study.none()?, study.chosen?);
    let (found, condition) = (study.rate(chosen)?, &study.conditions[chosen]);
    let drop = none.rate - found.rate;
    let verdict = if drop >= CLEAR_DROP && parts(&none, &found) {
        format!("{:.0} points lower", drop * 100.0)
    } else if drop > 0.0 {
        format!("only {:.0} points lower, less than the {:.0} that were asked for", drop * 100.0, CLEAR_DROP * 100.0)
    } else {
        format!("not lower but {:.0} points higher", -drop * 100.0)
    };
    Some(format!(
        "{}: without a prompt {} of {} held-out decisions are {}; with {} ({}, chosen on selection items) {}: {verdict}.",
        study.name,
        percent(&none),
        none.n,
        study.positive,
        quoted(condition),
        condition.name,
        percent(&found),
    ))
}

fn manual(study: &PersonaStudy) -> Option<String> {
    let (summary, chosen) = (study.manual.as_ref()?, study.chosen?);
    let (found, best) = (study.rate(chosen)?, study.rate(summary.best)?);
    let against_mean = match (found.high < summary.low, found.rate < summary.mean) {
        (true, _) => "clearly below",
        (false, true) => "below, but not clearly,",
        (false, false) => "not below",
    };
    let against_best = match (parts(&found, &best), found.rate < best.rate) {
        (true, true) => "below it, and the intervals part",
        (false, true) => "below it, but the intervals overlap",
        (true, false) => "above it, and the intervals part",
        (false, false) => "not below it, and the intervals overlap",
    };
    Some(format!(
        "{}: {} manual prompts give {:.0} % on average [{:.0}, {:.0}]; the discovered prompt is {against_mean} that mean. \
         The best of them on these very items (picked after the fact, in its favour), {}, gives {}; the discovered \
         prompt is {against_best}.",
        study.name,
        summary.n,
        summary.mean * 100.0,
        summary.low * 100.0,
        summary.high * 100.0,
        quoted(&study.conditions[summary.best]),
        percent(&best),
    ))
}

fn letters(study: &PersonaStudy) -> Option<String> {
    let report = study.conditions[study.chosen?].report.as_ref()?;
    let (written, swapped) = (report.as_written?, report.swapped?);
    let gap = swapped.minus(&written);
    let is_inside = written.low <= swapped.rate && swapped.rate <= written.high;
    let verdict = match (is_inside, gap.spans_zero()) {
        (true, true) => "they agree within the interval as written",
        (false, true) => "they differ by more than the interval as written, though the difference could be chance",
        (_, false) => "they differ",
    };
    let collapse = if is_letter_collapse(report) {
        " The model nearly always says the same letter, so the rate means little."
    } else {
        ""
    };
    Some(format!(
        "{}: with letters as written {}, exchanged {}; the difference is {:+.1} points [{:+.1}, {:+.1}], {verdict}.{collapse}",
        study.name,
        percent(&written),
        percent(&swapped),
        gap.value * 100.0,
        gap.low * 100.0,
        gap.high * 100.0,
    ))
}

fn fluent(study: &PersonaStudy) -> Option<String> {
    let Some(index) = study.fluent else {
        return Some(format!("{}: no prompt below 3 nats per token was found on any front.", study.name));
    };
    let (condition, rate) = (&study.conditions[index], study.rate(index)?);
    Some(format!(
        "{}: the best fluent prompt ({:.2} nats per token) is {}; it gives {}.",
        study.name,
        condition.xent?,
        quoted(condition),
        percent(&rate)
    ))
}

fn random_direction(study: &PersonaStudy) -> Option<String> {
    let index = study.conditions.iter().position(|c| c.kind == ConditionKind::RandomDirection)?;
    let (rate, chosen) = (study.rate(index)?, study.rate(study.chosen?)?);
    let collapse = study.conditions[index].report.as_ref().is_some_and(is_letter_collapse);
    let verdict = match (parts(&rate, &chosen), rate.rate > chosen.rate) {
        (true, true) => "clearly worse",
        (false, true) => "worse, though the intervals overlap",
        (_, false) => "not worse",
    };
    Some(format!(
        "{}: a random direction as target gives {}, {verdict} than the persona's{}.",
        study.name,
        percent(&rate),
        if collapse { ", and the model nearly always says the same letter" } else { "" }
    ))
}

/// Best held-out rate of a search's choices that were best on selection items.
fn rate_of(study: &PersonaStudy, search: &Search) -> Option<Rate> {
    study.rate(*search.conditions.first()?)
}

fn proposers(study: &PersonaStudy) -> Option<String> {
    let of = |kind: ConditionKind| -> Vec<&Search> { study.searches.iter().filter(|s| s.kind == kind).collect() };
    let (gradient, mutation) = (of(ConditionKind::Resga), of(ConditionKind::RandomMutation));
    if mutation.is_empty() {
        return None;
    }
    let rates = |searches: &[&Search]| -> Vec<f64> {
        searches.iter().filter_map(|search| Some(rate_of(study, search)?.rate * 100.0)).collect()
    };
    let list = |values: &[f64]| values.iter().map(|v| format!("{v:.0}")).collect::<Vec<_>>().join(", ");
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let (g, m) = (rates(&gradient), rates(&mutation));
    let volume = |searches: &[&Search]| mean(&searches.iter().map(|s| s.hypervolume).collect::<Vec<_>>());
    let (volume_g, volume_m) = (volume(&gradient), volume(&mutation));
    let winner = if volume_g > volume_m { "the gradient" } else { "random mutation" };
    Some(format!(
        "{}: at equal numbers of evaluated candidates over {} seeds the gradient's prompts give {} %, random mutation's {} % \
         (means {:.0} and {:.0}); by hypervolume of the front {winner} is ahead ({volume_g:.1} against {volume_m:.1}).",
        study.name,
        gradient.len(),
        list(&g),
        list(&m),
        mean(&g),
        mean(&m),
    ))
}

fn curve(curve: &Curve) -> String {
    let rates: Vec<String> = curve.points.iter().map(|dose| format!("{:.0}", dose.rate.rate * 100.0)).collect();
    let shape =
        if curve.is_monotone { "never falls from one strength to the next" } else { "falls somewhere on the way" };
    let harm = match (curve.how, curve.perplexity_ratio) {
        (How::Letters, _) | (_, None) => String::new(),
        (How::Replies, Some(ratio)) if ratio <= INTACT => {
            format!("; the replies' perplexity under the plain model stays within {ratio:.1} times that at 0")
        }
        (How::Replies, Some(ratio)) => {
            format!("; the replies' perplexity under the plain model reaches {ratio:.1} times that at 0")
        }
    };
    let told = curve.points.last().and_then(|dose| dose.perplexity_told).map_or_else(String::new, |told| {
        format!(
            " (a plain model told to speak so finds the replies at the strongest step ordinary: perplexity {told:.2})"
        )
    });
    let times: Vec<String> = curve.points.iter().map(|dose| format!("{}", dose.times)).collect();
    format!(
        "Steering, {}: at {} times the vector the rate is {} %: it {shape}{harm}{told}.",
        curve.name,
        times.join(", "),
        rates.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use tiller_discover::stats::wilson;

    use super::*;
    use crate::demo::tests::{rated, study};

    #[test]
    fn a_clear_result_and_a_poor_one_are_told_as_such() {
        let good = study(&[80, 30, 50, 10], 100);
        let told = persona(&good).join("\n");
        for part in
            ["80 % [71, 87]", "70 points lower", "clearly below", "the intervals part", "no prompt below 3 nats"]
        {
            assert!(told.contains(part), "{part}: {told}");
        }
        let poor = persona(&study(&[80, 30, 50, 78], 100)).join("\n");
        assert!(poor.contains("only 2 points lower") && poor.contains("above it, and the intervals part"), "{poor}");
        let worse = persona(&study(&[60, 30, 50, 70], 100)).join("\n");
        assert!(worse.contains("not lower but 10 points higher"), "{worse}");
    }

    #[test]
    fn letters_agree_within_the_interval_as_written() {
        let told = |written: usize, swapped: usize| {
            let mut study = study(&[80, 30, 50, 10], 100);
            let mut report = rated(10, 360);
            (report.as_written, report.swapped) = (Some(wilson(written, 180)), Some(wilson(swapped, 180)));
            study.conditions[3].report = Some(report);
            letters(&study).unwrap_or_default()
        };
        assert!(told(0, 0).contains("they agree within"), "{}", told(0, 0));
        let narrow = told(1, 0);
        assert!(narrow.contains("-0.6 points [-3.1, +1.6], they differ by more than"), "{narrow}");
        assert!(told(0, 12).contains("they differ"), "{}", told(0, 12));
    }

    #[test]
    fn a_letter_collapse_is_said() {
        let mut study = study(&[80, 30, 50, 50], 100);
        let mut report = rated(50, 100);
        (report.as_written, report.swapped) = (Some(wilson(50, 50)), Some(wilson(0, 50)));
        report.first_letter = Some(wilson(100, 100));
        study.conditions[3].report = Some(report);
        let told = letters(&study).unwrap_or_default();
        assert!(told.contains("they differ") && told.contains("same letter"), "{told}");
    }
}
