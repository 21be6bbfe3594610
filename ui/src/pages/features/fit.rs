//! How well an SAE fits the loaded model: a badge with words and figures, and what to do about it.

use egui::Ui;
use egui_material_icons::icons::{ICON_CHECK, ICON_ERROR, ICON_HELP, ICON_WARNING};
use tiller_protocol::feature::{SaeInfo, SelfTest, SelfTestVerdict};

use crate::features::Fit;
use crate::jobs::Purpose;
use crate::number::{count, decimal};
use crate::shared::Shared;
use crate::widgets::badge::{self, Tone};
use crate::widgets::button;

/// What the figures mean, for whoever points at them.
const MEANING: &str = "FVU is the share of the variance that the SAE does not explain: 0 is perfect, 1 no better than the \
                       mean. Active a token is how many features fire on a token on average.";

/// The state as a badge.
pub(super) fn badge(ui: &mut Ui, shared: &Shared, info: &SaeInfo) {
    let (tone, words) = state(shared, info);
    let sign = match tone {
        Tone::Good => ICON_CHECK,
        Tone::Caution => ICON_WARNING,
        Tone::Bad => ICON_ERROR,
        Tone::Neutral => ICON_HELP,
    };
    ui.scope(|ui| badge::with_icon(ui, tone, Some(sign), &words)).response.on_hover_text(explanation(info));
}

/// The badge, and a button where something can be done.
pub(super) fn show(ui: &mut Ui, shared: &mut Shared, info: &SaeInfo) {
    badge(ui, shared, info);
    let is_trying =
        shared.job.as_ref().is_some_and(|job| matches!(&job.purpose, Purpose::TrySae(id) if *id == info.id));
    match (shared.fit_of(info), info.self_test.as_ref().map(|test| test.verdict)) {
        (Fit::Untried, _) => {
            let obstacle = if is_trying { Some("It is being tried.".to_owned()) } else { shared.busy() };
            let hint = "Runs a few hundred tokens through the model and looks how well the SAE rebuilds them";
            if button::secondary("Try it").hint(hint).blocked_by(obstacle).show(ui).clicked() {
                shared.try_sae(&info.id);
            }
        }
        (Fit::Tried, Some(SelfTestVerdict::Elsewhere { block })) => {
            let label = format!("Use block {block}");
            let hint = "Files and their readers sometimes count blocks differently. The SAE is read there from now on.";
            if button::secondary(&label).hint(hint).blocked_by(shared.busy()).show(ui).clicked() {
                shared.move_sae(&info.id, block);
            }
        }
        _ => {}
    }
}

fn state(shared: &Shared, info: &SaeInfo) -> (Tone, String) {
    match (shared.fit_of(info), &info.self_test) {
        (Fit::OtherWidth { width }, _) => {
            let (reads, has) = (count(info.d_model as u64), count(width as u64));
            (Tone::Caution, format!("Not for this model: reads width {reads}, it has {has}"))
        }
        (Fit::Tried, Some(test)) => tried(test),
        (Fit::NoModel, Some(test)) => (Tone::Neutral, format!("Tried on {}: {}", test.model_name, tried(test).1)),
        (Fit::NoModel, None) => (Tone::Neutral, "Not tried: no model is open".to_owned()),
        (Fit::Untried | Fit::Tried, _) => (Tone::Neutral, "Not tried on this model".to_owned()),
    }
}

fn tried(test: &SelfTest) -> (Tone, String) {
    let figures = test.at_claimed().map_or_else(String::new, |fit| {
        format!(" \u{00b7} FVU {} \u{00b7} {} active a token", decimal(fit.fvu, 2), decimal(fit.l0, 1))
    });
    match test.verdict {
        SelfTestVerdict::Good => (Tone::Good, format!("Fits block {}{figures}", test.claimed)),
        SelfTestVerdict::Elsewhere { block } => {
            let fvu = |block| {
                let fit = test.fits.iter().find(|fit| fit.block == block);
                fit.map_or_else(|| "\u{2013}".to_owned(), |fit| decimal(fit.fvu, 2))
            };
            let (there, here, claimed) = (fvu(block), fvu(test.claimed), test.claimed);
            (Tone::Caution, format!("Fits block {block} better: FVU {there} there, {here} at block {claimed}"))
        }
        SelfTestVerdict::Poor => (Tone::Bad, format!("Does not fit this model{figures}")),
    }
}

/// All that the self-test has found, a line each.
fn explanation(info: &SaeInfo) -> String {
    let Some(test) = &info.self_test else {
        return format!("An SAE is tried by rebuilding the activations of neutral text with it. {MEANING}");
    };
    let mut lines = vec![format!("Tried on {} with {} tokens:", test.model_name, count(test.n_tokens as u64))];
    for fit in &test.fits {
        let mark = if fit.block == test.claimed { " (as its file says)" } else { "" };
        let (fvu, l0) = (decimal(fit.fvu, 3), decimal(fit.l0, 1));
        lines.push(format!("block {}{mark}: FVU {fvu}, {l0} active a token", fit.block));
    }
    lines.push(MEANING.to_owned());
    lines.join("\n")
}
