//! The table of conditions: persona rate with interval, letter controls, fluency.

use egui::{Label, TextWrapMode, Ui};
use egui_extras::{Column, TableRow};
use tiller_protocol::evaluation::{Condition, ConditionKind, Rate};

use super::{held_out, is_found};
use crate::number::{decimal, percent};
use crate::theme::{self, palette};
use crate::widgets::{interval, table};

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

/// Draws the table of the judged conditions; `each` lists every manual prompt.
pub(super) fn show(ui: &mut Ui, judged: &[&Condition], each: bool) {
    let rows = rows(judged, each);
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
            for row in &rows {
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
