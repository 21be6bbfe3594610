//! What a run found, on held-out questions, beside the baselines.

use egui::{Label, TextWrapMode, Ui};
use egui_extras::{Column, TableRow};
use egui_material_icons::icons::{ICON_DOWNLOAD, ICON_INFO};
use tiller_protocol::discovery::{Heading, RunResult};
use tiller_protocol::evaluation::{Behaviour, Condition, ConditionKind, Rate};

use super::view::RunView;
use crate::icon;
use crate::number::{decimal, percent};
use crate::shared::Shared;
use crate::theme::{self, palette, space};
use crate::widgets::{button, card, interval, table};

/// Draws the judgement of the run.
pub(super) fn show(ui: &mut Ui, shared: &mut Shared, view: &mut RunView) {
    let Some(run) = view.result.take() else { return };
    judgement(ui, shared, view, &run);
    view.result = Some(run);
}

fn judgement(ui: &mut Ui, shared: &mut Shared, view: &mut RunView, run: &RunResult) {
    let judged: Vec<&Condition> = run.conditions.iter().filter(|condition| condition.report.is_some()).collect();
    if judged.is_empty() {
        let why = if run.stopped {
            "The run was stopped before its prompts were measured on held-out questions. The front and all scores of \
             the search are kept."
        } else {
            "No held-out questions were measured in this run."
        };
        ui.label(theme::secondary(ui, why));
        return;
    }
    ui.add_space(space::XS);
    card::show(ui, |ui| {
        ui.label(theme::figure(verdict(view, run)));
        if let Some(fluent) = second_prompt(run) {
            ui.label(theme::secondary(ui, fluent));
        }
        if let Some(second) = against_manual(run) {
            ui.label(theme::secondary(ui, second));
        }
    });
    ui.add_space(space::S);
    card::show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.label(theme::section("Persona rate on held-out questions"));
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if button::quiet("Export table\u{2026}").icon(ICON_DOWNLOAD).show(ui).clicked() {
                    shared.export_text("Export results", &format!("{}.csv", run.id), csv(run));
                }
            });
        });
        let each = view.each_manual;
        conditions(ui, &rows(&judged, each));
        let manual = judged.iter().filter(|condition| condition.kind == ConditionKind::Manual).count();
        if manual > 2 {
            ui.checkbox(&mut view.each_manual, format!("Show each of the {manual} manual prompts"));
        }
    });
    ui.add_space(space::S);
    caveats(ui, run);
}

/// Whether a condition came out of this run's search, controls included.
fn is_found(condition: &Condition) -> bool {
    condition.seed.is_some() || matches!(condition.kind, ConditionKind::Resga | ConditionKind::Saega)
}

fn held_out(condition: &Condition) -> Option<&Rate> {
    condition.report.as_ref().map(|behaviour| &behaviour.persona)
}

/// Difference `from − to` of two shares with Newcombe's interval from their Wilson intervals.
fn difference(from: &Rate, to: &Rate) -> (f64, f64, f64) {
    let gap = from.rate - to.rate;
    let low = gap - (from.rate - from.low).hypot(to.high - to.rate);
    let high = gap + (from.high - from.rate).hypot(to.rate - to.low);
    (gap, low, high)
}

fn verdict(view: &RunView, run: &RunResult) -> String {
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
fn second_prompt(run: &RunResult) -> Option<String> {
    let second = run.conditions.iter().filter(|condition| is_found(condition)).nth(1)?;
    let (rate, prompt) = (held_out(second)?, second.prompt.as_ref()?);
    Some(format!("Its most readable prompt, \u{201c}{}\u{201d}, gives {}.", prompt.trim(), percent(rate.rate)))
}

fn against_manual(run: &RunResult) -> Option<String> {
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

/// A row of the table.
enum Row<'a> {
    /// One condition.
    One(&'a Condition),
    /// All manual prompts together: the mean, from the lowest to the highest.
    Manual(Rate, usize),
}

/// The shown rows in the order of their kinds; the manual prompts as one row unless `each` of them is wanted.
fn rows<'a>(judged: &[&'a Condition], each: bool) -> Vec<Row<'a>> {
    let mut sorted = judged.to_vec();
    sorted.sort_by_key(|condition| condition.kind);
    let manual: Vec<&Rate> = sorted
        .iter()
        .copied()
        .filter(|condition| condition.kind == ConditionKind::Manual)
        .filter_map(held_out)
        .collect();
    let mut rows = Vec::new();
    let mut summed = each || manual.len() < 3;
    for condition in sorted {
        if condition.kind != ConditionKind::Manual || each || manual.len() < 3 {
            rows.push(Row::One(condition));
        } else if !std::mem::replace(&mut summed, true) {
            let count = manual.len() as f64;
            rows.push(Row::Manual(
                Rate {
                    hits: manual.iter().map(|rate| rate.hits).sum(),
                    n: manual.iter().map(|rate| rate.n).sum(),
                    rate: manual.iter().map(|rate| rate.rate).sum::<f64>() / count,
                    low: manual.iter().map(|rate| rate.rate).fold(f64::INFINITY, f64::min),
                    high: manual.iter().map(|rate| rate.rate).fold(f64::NEG_INFINITY, f64::max),
                },
                manual.len(),
            ));
        }
    }
    rows
}

const HEADS: [(&str, &str); 5] = [
    ("Condition", "Hover for the prompt"),
    ("Persona rate", "Share of answers that match the persona, with Wilson 95 % interval; the thin line is 50 %"),
    ("Swapped", "The same with answer letters exchanged: it should agree"),
    ("Said (A)", "Share of answers that took the first letter; 50 % is balanced"),
    ("Fluency", "Cross-entropy of the prompt, nats per token"),
];

fn conditions(ui: &mut Ui, rows: &[Row<'_>]) {
    let columns = [
        Column::remainder().at_least(96.0).clip(true),
        Column::exact((0.28 * ui.available_width()).clamp(120.0, 190.0)),
        Column::exact(62.0),
        Column::exact(62.0),
        Column::exact(54.0),
    ];
    table::builder(ui, "conditions", &columns)
        .vscroll(false)
        .header(24.0, |mut row| {
            for (text, hint) in HEADS {
                row.col(|ui| table::head(ui, text, hint));
            }
        })
        .body(|mut body| {
            for row in rows {
                body.row(table::ROW, |mut cells| match row {
                    Row::Manual(rate, count) => {
                        cells.col(|ui| {
                            let text = format!("Manual, mean of {count}");
                            ui.add(Label::new(text).selectable(false).truncate());
                        });
                        cells.col(|ui| {
                            let words = format!(
                                "{} on average, from {} to {}",
                                percent(rate.rate),
                                percent(rate.low),
                                percent(rate.high)
                            );
                            interval::described(ui, rate, palette(ui).secondary, &words);
                        });
                        for _ in 0..3 {
                            cells.col(|ui| share(ui, None));
                        }
                    }
                    Row::One(condition) => one(&mut cells, condition),
                });
            }
        });
}

fn one(cells: &mut TableRow<'_, '_>, condition: &Condition) {
    let Some(behaviour) = &condition.report else { return };
    cells.set_selected(is_found(condition));
    cells.col(|ui| condition_name(ui, condition));
    cells.col(|ui| {
        let colours = palette(ui);
        let colour = if is_found(condition) { colours.accent } else { colours.secondary };
        interval::show(ui, &behaviour.persona, colour);
    });
    cells.col(|ui| share(ui, behaviour.swapped.as_ref()));
    cells.col(|ui| share(ui, behaviour.first_letter.as_ref()));
    cells.col(|ui| {
        let text = condition.xent.map_or_else(|| "\u{2013}".to_owned(), |xent| decimal(xent, 2));
        ui.add(Label::new(theme::mono(text)).selectable(false));
    });
}

fn condition_name(ui: &mut Ui, condition: &Condition) {
    let text = if is_found(condition) { theme::strong(&condition.name) } else { condition.name.as_str().into() };
    let response = ui.add(Label::new(text).selectable(false).wrap_mode(TextWrapMode::Truncate));
    let prompt = condition.prompt.as_deref().map_or_else(String::new, |prompt| format!("\n{}", prompt.trim()));
    response.on_hover_text(format!("{}{prompt}", condition.name));
}

fn share(ui: &mut Ui, rate: Option<&Rate>) {
    let text = rate.map_or_else(|| "\u{2013}".to_owned(), |rate| percent(rate.rate));
    let response = ui.add(Label::new(theme::mono(text)).selectable(false));
    if let Some(rate) = rate {
        response.on_hover_text(interval::in_words(rate));
    }
}

fn caveats(ui: &mut Ui, run: &RunResult) {
    let fill = palette(ui).hover;
    card::callout(ui, fill, |ui| {
        ui.horizontal_top(|ui| {
            icon::show(ui, ICON_INFO, theme::size::RAIL_ICON, palette(ui).secondary);
            ui.vertical(|ui| {
                ui.set_width(ui.available_width());
                ui.label(theme::strong("What this does not show"));
                let lines = [
                    "The held-out questions are of the same kind as those the prompt was chosen on; other tasks may \
                     differ.",
                    "The rate counts preferred answers, not what the model writes in a free conversation. Try the \
                     prompt in the chat.",
                    "Other traits may have moved too: a prompt against one persona can bring another.",
                ];
                for line in lines {
                    ui.label(theme::secondary(ui, line));
                }
                let seed = format!(
                    "One search with seed {}; another seed can find another prompt, better or worse.",
                    run.settings.seed
                );
                ui.label(theme::secondary(ui, seed));
            });
        });
    });
}

fn csv(run: &RunResult) -> String {
    let mut text = String::from(
        "condition,kind,prompt,cross_entropy_nats,persona_rate,low,high,hits,n,swapped_rate,first_letter_rate\n",
    );
    for condition in &run.conditions {
        let Some(Behaviour { persona, swapped, first_letter, .. }) = &condition.report else { continue };
        let optional = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
        let fields = [
            quoted(&condition.name),
            format!("{:?}", condition.kind),
            quoted(condition.prompt.as_deref().unwrap_or_default()),
            optional(condition.xent),
            format!("{:.4}", persona.rate),
            format!("{:.4}", persona.low),
            format!("{:.4}", persona.high),
            persona.hits.to_string(),
            persona.n.to_string(),
            optional(swapped.as_ref().map(|rate| rate.rate)),
            optional(first_letter.as_ref().map(|rate| rate.rate)),
        ];
        text.push_str(&fields.join(","));
        text.push('\n');
    }
    text
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
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
