//! How good a vector is: plain words first, then every block.

use egui::Ui;
use egui_extras::Column;
use tiller_protocol::steering::{BlockDiagnostics, VectorInfo};

use crate::number::{decimal, percent};
use crate::pages::scaffold;
use crate::theme::{self, palette, space};
use crate::widgets::badge::Tone;
use crate::widgets::{meter, stat, table};

/// Draws the diagnostics of a vector.
pub(super) fn show(ui: &mut Ui, vector: &VectorInfo) {
    let Some(best) = vector.blocks.iter().find(|block| block.block == vector.recommended_block) else {
        ui.label(theme::secondary(ui, "The vector carries no diagnostics."));
        return;
    };
    let figures = figures(best);
    scaffold::columns(ui, figures.len(), |ui, position| {
        let figure = &figures[position];
        stat::show(ui, figure.name, &figure.value, Some(figure.verdict), figure.meaning);
    });
    ui.add_space(space::XS);
    ui.label(theme::secondary(ui, reason(vector, best)));
    ui.add_space(space::S);
    blocks(ui, vector);
}

struct Figure {
    name: &'static str,
    value: String,
    verdict: (Tone, &'static str),
    meaning: &'static str,
}

/// A verdict from two limits; `high` is good when `value` is at least that.
fn grade(value: f64, high: f64, middle: f64) -> (Tone, &'static str) {
    if value >= high {
        (Tone::Good, "Good")
    } else if value >= middle {
        (Tone::Caution, "Fair")
    } else {
        (Tone::Bad, "Weak")
    }
}

fn figures(best: &BlockDiagnostics) -> [Figure; 4] {
    [
        Figure {
            name: "Separation (AUROC)",
            value: decimal(best.auroc, 2),
            verdict: grade(best.auroc, 0.9, 0.75),
            meaning: "How surely the direction tells the two sides apart on pairs it was not made from. 0.5 is chance.",
        },
        Figure {
            name: "Stability (cosine)",
            value: decimal(best.split_half_cos, 2),
            verdict: grade(best.split_half_cos, 0.8, 0.5),
            meaning: "Likeness of two vectors made from two halves of the pairs. 1 is the same direction.",
        },
        Figure {
            name: "Agreement",
            value: percent(best.agreement),
            verdict: grade(best.agreement, 0.9, 0.75),
            meaning: "Share of pairs that point the same way as the whole.",
        },
        Figure {
            name: "Letter leak (cosine)",
            value: decimal(best.letter_cos, 2),
            verdict: grade(1.0 - best.letter_cos.abs(), 0.8, 0.6),
            meaning: "Likeness with the direction from answer (A) to (B). Near 0 is good: it is not about letters.",
        },
    ]
}

fn reason(vector: &VectorInfo, best: &BlockDiagnostics) -> String {
    let blocks = vector.blocks.len();
    let strength = best.norm / best.resid_norm.max(f64::MIN_POSITIVE);
    let widest = vector.blocks.iter().map(|block| block.auroc).fold(f64::NEG_INFINITY, f64::max);
    let why = if best.auroc >= widest - 0.005 {
        "no block separates the pairs better".to_owned()
    } else {
        format!(
            "another block separates the pairs better ({widest:.2}), but the persona's card names this one for steering"
        )
    };
    format!(
        "Block {} of {blocks} (counted from 0) is offered first: {why}. The two sides differ by {} of the usual \
         residual norm there. Made from {} pairs on {} ({}).",
        best.block,
        percent(strength),
        vector.n_pairs,
        vector.model_name,
        vector.id.0
    )
}

fn blocks(ui: &mut Ui, vector: &VectorInfo) {
    let columns = [
        Column::exact(44.0),
        Column::remainder().at_least(74.0).clip(true),
        Column::remainder().at_least(74.0).clip(true),
        Column::remainder().at_least(74.0).clip(true),
        Column::remainder().at_least(74.0).clip(true),
        Column::remainder().at_least(74.0).clip(true),
    ];
    let heads = [
        ("Block", "Counted from 0"),
        ("Separation", "AUROC on pairs left out; 0.5 is chance"),
        ("Split halves", "Cosine of the vectors of two halves of the pairs"),
        ("Agreement", "Share of pairs that point the same way"),
        ("Size", "Length of the vector as a share of the median residual norm"),
        ("Letter leak", "Cosine with the direction between answers (A) and (B)"),
    ];
    let colours = palette(ui);
    ui.push_id(("blocks", &vector.id.0), |ui| {
        table::builder(ui, "vector blocks", &columns)
            .max_scroll_height(240.0)
            .header(22.0, |mut row| {
                for (text, hint) in heads {
                    row.col(|ui| table::head(ui, text, hint));
                }
            })
            .body(|body| {
                body.rows(24.0, vector.blocks.len(), |mut row| {
                    let block = &vector.blocks[row.index()];
                    let best = block.block == vector.recommended_block;
                    row.set_selected(best);
                    row.col(|ui| {
                        let text = theme::mono(block.block.to_string());
                        ui.label(if best { text.color(colours.accent_text).strong() } else { text });
                    });
                    let size = block.norm / block.resid_norm.max(f64::MIN_POSITIVE);
                    for (value, colour) in [
                        (block.auroc, colours.accent),
                        (block.split_half_cos, colours.accent),
                        (block.agreement, colours.accent),
                        (size, colours.secondary),
                        (block.letter_cos, colours.warning),
                    ] {
                        row.col(|ui| meter::show(ui, value, colour));
                    }
                });
            });
    });
}
