//! A row of the steering panel that works with a feature: what is done with it, how strongly, and what that means.

use egui::Ui;
use tiller_protocol::feature::{FeatureOp, FeatureRef};
use tiller_protocol::steering::{RowSource, SteeringRow};

use super::panel::{BREAKING, LIMIT, USUAL};
use crate::features::Fit;
use crate::number::{decimal, signed, significant};
use crate::shared::Shared;
use crate::theme::{self, palette};
use crate::widgets::diverging::{Diverging, side_colour};
use crate::widgets::field;

/// Strength that a feature is set to at first, where its largest activation is not known.
const SET: f64 = 0.3;
/// Largest factor.
const FACTOR: f64 = 5.0;

/// Whether a row changes anything.
pub(super) fn is_active(row: &SteeringRow) -> bool {
    row.enabled
        && match row.feature() {
            None | Some((_, FeatureOp::Add)) => row.strength != 0.0,
            Some((_, FeatureOp::AtLeast)) => row.strength > 0.0,
            Some((_, FeatureOp::Multiply)) => row.strength != 1.0,
            Some((_, FeatureOp::Set | FeatureOp::Ablate)) => true,
        }
}

/// Makes a row change nothing.
pub(super) fn rest(row: &mut SteeringRow) {
    match row.feature().map(|(_, op)| op) {
        None | Some(FeatureOp::Add | FeatureOp::AtLeast) => row.strength = 0.0,
        Some(FeatureOp::Multiply) => row.strength = 1.0,
        Some(FeatureOp::Set | FeatureOp::Ablate) => row.enabled = false,
    }
}

/// A row in a few words: `+0.40 pirate`, `#12 set to 0.30`.
pub(super) fn in_words(row: &SteeringRow) -> String {
    let label = &row.label;
    match row.feature() {
        None | Some((_, FeatureOp::Add)) => format!("{} {label}", signed(row.strength, 2)),
        Some((_, FeatureOp::Set)) => format!("{label} set to {}", decimal(row.strength, 2)),
        Some((_, FeatureOp::AtLeast)) => format!("{label} at least {}", decimal(row.strength, 2)),
        Some((_, FeatureOp::Multiply)) => format!("{label} \u{00d7} {}", decimal(row.strength, 2)),
        Some((_, FeatureOp::Ablate)) => format!("{label} off"),
    }
}

/// What is done with the feature.
pub(super) fn operator(ui: &mut Ui, shared: &Shared, row: &mut SteeringRow, width: f32) {
    let Some((feature, op)) = row.feature().map(|(feature, op)| (feature.clone(), op)) else { return };
    let mut chosen = op;
    let options: Vec<_> = FeatureOp::ALL.into_iter().map(|op| (op, op.label().to_owned())).collect();
    let name = format!("What is done with {}", row.label);
    if field::choice(ui, &name, &mut chosen, &options, width) && chosen != op {
        row.strength = first_strength(shared, &feature, chosen);
        row.source = RowSource::Feature { feature, op: chosen };
    }
}

/// Strength that an operator starts with: no effect, or, for what is set, its largest activation.
fn first_strength(shared: &Shared, feature: &FeatureRef, op: FeatureOp) -> f64 {
    match op {
        FeatureOp::Multiply => 1.0,
        FeatureOp::Set => {
            let share = largest(shared, feature).zip(norm(shared, feature)).map(|(largest, norm)| largest / norm);
            share.map_or(SET, |share| ((share * 100.0).round() / 100.0).clamp(0.01, LIMIT))
        }
        FeatureOp::Add | FeatureOp::AtLeast | FeatureOp::Ablate => 0.0,
    }
}

/// The slider that fits the operator, and what its value means.
pub(super) fn slider(ui: &mut Ui, shared: &Shared, row: &mut SteeringRow) {
    let Some((feature, op)) = row.feature().map(|(feature, op)| (feature.clone(), op)) else { return };
    let share = "Share of the residual norm";
    let slider =
        Diverging { name: &row.label, range: (0.0, LIMIT), rest: 0.0, usual: USUAL, breaking: BREAKING, unit: share };
    match op {
        FeatureOp::Add => {
            Diverging { range: (-LIMIT, LIMIT), ..slider }.show(ui, &mut row.strength);
        }
        FeatureOp::Set | FeatureOp::AtLeast => {
            slider.show(ui, &mut row.strength);
        }
        FeatureOp::Multiply => {
            let unit = "Factor; 1 changes nothing";
            let far = FACTOR * 2.0;
            let slider = Diverging { range: (0.0, FACTOR), rest: 1.0, usual: 1.0, breaking: far, unit, ..slider };
            slider.show(ui, &mut row.strength);
        }
        FeatureOp::Ablate => {}
    }
    let colour = match op {
        FeatureOp::Multiply => row.strength - 1.0,
        FeatureOp::Ablate => 0.0,
        _ => row.strength,
    };
    let words = meaning(shared, &feature, op, row.strength);
    let label = ui.label(theme::note(ui, words).color(side_colour(palette(ui), colour)));
    if let Some(largest) = largest(shared, &feature) {
        label.on_hover_text(format!("Its largest activation seen is {} residual units.", significant(largest)));
    }
    if shared.features.sae(&feature.sae).is_some_and(|sae| shared.fit_of(sae) == Fit::Untried) {
        ui.label(theme::note(ui, "Its SAE was not tried on this model yet.").color(palette(ui).warning));
    }
}

/// What a strength does, in words and in residual units.
fn meaning(shared: &Shared, feature: &FeatureRef, op: FeatureOp, strength: f64) -> String {
    match op {
        FeatureOp::Ablate => return "Set to 0 wherever it fires.".to_owned(),
        FeatureOp::Multiply if strength == 1.0 => return "A factor of 1 changes nothing.".to_owned(),
        FeatureOp::Multiply => return format!("Fires {} times as strongly, where it fires.", decimal(strength, 2)),
        _ => {}
    }
    let Some(norm) = norm(shared, feature) else {
        return "Share of the residual norm; its size shows once the SAE was tried.".to_owned();
    };
    let raw = strength * norm;
    let amount = match op {
        FeatureOp::Add => signed(raw, 1),
        _ => decimal(raw, 1),
    };
    let mut words = format!("{amount} residual units");
    if let Some(largest) = largest(shared, feature) {
        words = format!("{words} \u{00b7} {}\u{00d7} its largest", decimal(raw / largest, 1));
    }
    words
}

/// Median residual norm where the SAE reads.
fn norm(shared: &Shared, feature: &FeatureRef) -> Option<f64> {
    shared.features.sae(&feature.sae)?.resid_norm.filter(|norm| *norm > 0.0)
}

/// Largest activation seen.
fn largest(shared: &Shared, feature: &FeatureRef) -> Option<f64> {
    let row = shared.features.rows.pinned(feature)?;
    row.max_activation.map(f64::from).filter(|largest| *largest > 0.0)
}
