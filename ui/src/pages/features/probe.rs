//! A feature on the user's own text, while it is typed.

use egui::{Sense, TextEdit, Ui};
use tiller_protocol::feature::{FeatureProbe, FeatureRef, SaeInfo};
use tiller_protocol::message::Command;

use crate::jobs::Purpose;
use crate::number::{decimal, plural, signed, significant};
use crate::shared::Shared;
use crate::theme::{self, space};
use crate::widgets::tokens::{self, HeatMap};
use crate::widgets::{problem, stat};

/// Seconds without a key before the text is worked out.
const PAUSE_SECS: f64 = 0.25;
/// Changes of loss below this are not told from none, nats.
const NEGLIGIBLE_NATS: f64 = 0.005;

/// The text and what was last asked.
#[derive(Default)]
pub(super) struct Probe {
    text: String,
    /// When it last changed.
    changed_at: f64,
    asked: Option<(FeatureRef, String)>,
}

impl Probe {
    /// Draws field and result, and asks for a new one when the text has changed and the engine is idle.
    pub(super) fn show(&mut self, ui: &mut Ui, shared: &mut Shared, sae: &SaeInfo, feature: &FeatureRef, largest: f32) {
        let now = ui.input(|input| input.time);
        let field = TextEdit::multiline(&mut self.text)
            .hint_text("Type or paste a text")
            .desired_rows(2)
            .desired_width(f32::INFINITY)
            .margin(egui::Margin::symmetric(8, 6));
        if ui.add(field).accessible_name("Text to try").changed() {
            self.changed_at = now;
        }
        if self.text.trim().is_empty() {
            shared.features.probe = None;
            self.asked = None;
            return;
        }
        if let Some(obstacle) = obstacle(shared, sae) {
            ui.label(theme::note(ui, obstacle));
            return;
        }
        self.ask(ui, shared, feature, now);
        let failed = shared.problem(|purpose| *purpose == Purpose::Probe).map(|(_, problem)| problem.clone());
        if let Some(failed) = failed {
            if problem::show(ui, &failed, Some("Try again")).is_some() {
                shared.clear_problem(&Purpose::Probe);
                self.asked = None;
            }
            return;
        }
        let probe = shared.features.probe.take();
        if let Some(probe) = probe.as_ref().filter(|probe| probe.feature == *feature) {
            result(ui, probe, largest);
        } else if let Some(job) = shared.job.as_ref().filter(|job| job.purpose != Purpose::Probe) {
            ui.label(theme::note(ui, format!("Waits for the model: {} is running.", job.title)));
        }
        if shared.features.probe.is_none() {
            shared.features.probe = probe;
        }
    }

    /// Asks, when there is something new to ask.
    fn ask(&mut self, ui: &Ui, shared: &mut Shared, feature: &FeatureRef, now: f64) {
        let is_asked = self.asked.as_ref().is_some_and(|(of, text)| of == feature && *text == self.text);
        if is_asked || shared.job.is_some() {
            return;
        }
        let waited = now - self.changed_at;
        if waited < PAUSE_SECS {
            ui.ctx().request_repaint_after_secs((PAUSE_SECS - waited) as f32 + 0.01);
            return;
        }
        self.asked = Some((feature.clone(), self.text.clone()));
        let (feature, text) = (feature.clone(), self.text.clone());
        shared.start_quietly(Purpose::Probe, "Trying your text", |job| Command::ProbeFeature { job, feature, text });
    }
}

/// Why nothing can be tried now; waiting for another job is none.
fn obstacle(shared: &Shared, sae: &SaeInfo) -> Option<String> {
    let Some(model) = &shared.model else {
        return Some("Open the model that the SAE reads to try texts.".to_owned());
    };
    (model.d_model != sae.d_model)
        .then(|| format!("{} does not fit this SAE: open the model that it was trained on to try texts.", model.name))
}

fn result(ui: &mut Ui, probe: &FeatureProbe, largest: f32) {
    let here = probe.values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let peak = probe.values.iter().position(|value| value.abs() == here && here > 0.0);
    let name = format!("Your text, coloured by activation: {}", probe.tokens.concat());
    let heat = HeatMap {
        tokens: &probe.tokens,
        values: &probe.values,
        largest: largest.max(here),
        peak,
        range: 0..probe.tokens.len(),
        name: &name,
    };
    let shown = heat.show(ui, Sense::hover());
    let hovered = shown.hovered;
    shown.response.on_hover_ui_at_pointer(|ui| {
        let Some(at) = hovered else { return };
        let Some(token) = probe.tokens.get(at) else { return };
        stat::row(ui, 20.0, |ui| {
            ui.label(theme::mono(tokens::visible(token)));
            ui.label(format!("activation {}", significant(value_at(&probe.values, at))));
        });
        if at > 0 {
            let change = signed(value_at(&probe.loss_change, at), 2);
            ui.label(theme::note(ui, format!("{change} nats of surprise at this token without the feature")));
        }
    });
    ui.add_space(space::XS);
    ui.label(fires_in_words(probe));
    if here > 0.0 {
        ui.label(loss_in_words(probe));
    }
}

fn value_at(values: &[f32], at: usize) -> f64 {
    values.get(at).copied().map_or(0.0, f64::from)
}

/// Where it fires: `Fires on 3 of 15 tokens, most on “␣arr” (12.4).`
fn fires_in_words(probe: &FeatureProbe) -> String {
    let n_active = probe.values.iter().filter(|value| **value != 0.0).count();
    if n_active == 0 {
        return "It does not fire on this text.".to_owned();
    }
    let most = |a: &(usize, &f32), b: &(usize, &f32)| a.1.abs().total_cmp(&b.1.abs());
    let peak = probe.values.iter().enumerate().max_by(most).map_or(0, |(at, _)| at);
    let token = probe.tokens.get(peak).map_or_else(String::new, |token| tokens::visible(token));
    format!(
        "Fires on {n_active} of {}, most on \u{201c}{token}\u{201d} ({}).",
        plural(probe.values.len(), "token"),
        significant(value_at(&probe.values, peak))
    )
}

/// What it is good for there: the mean change of loss without it.
fn loss_in_words(probe: &FeatureProbe) -> String {
    // Nothing comes before the first token, so nothing predicts it.
    let changes = probe.loss_change.get(1..).unwrap_or_default();
    if changes.is_empty() {
        return "One token alone has nothing to be predicted from.".to_owned();
    }
    let mean = changes.iter().map(|change| f64::from(*change)).sum::<f64>() / changes.len() as f64;
    let over = format!("mean over {}", plural(changes.len(), "token"));
    if mean.abs() < NEGLIGIBLE_NATS {
        return format!("Without it the next tokens are as hard to predict as with it ({over}).");
    }
    let word = if mean > 0.0 { "harder" } else { "easier" };
    format!("Without it the next tokens are {} nats {word} to predict ({over}).", decimal(mean.abs(), 2))
}

#[cfg(test)]
mod tests {
    use tiller_protocol::feature::SaeId;

    use super::*;

    fn probe(values: &[f32], loss_change: &[f32]) -> FeatureProbe {
        FeatureProbe {
            tokens: values.iter().map(|_| " arr".to_owned()).collect(),
            values: values.to_vec(),
            loss_change: loss_change.to_vec(),
            feature: FeatureRef { sae: SaeId::default(), latent: 0 },
        }
    }

    #[test]
    fn the_first_token_does_not_count_for_the_loss() {
        let said = loss_in_words(&probe(&[0.0, 2.0, 4.0], &[9.0, 0.1, 0.3]));
        assert_eq!(said, "Without it the next tokens are 0.20 nats harder to predict (mean over 2 tokens).");
        let said = loss_in_words(&probe(&[0.0, 2.0], &[0.0, -0.25]));
        assert_eq!(said, "Without it the next tokens are 0.25 nats easier to predict (mean over 1 token).");
        assert!(loss_in_words(&probe(&[1.0], &[0.0])).starts_with("One token"));
    }

    #[test]
    fn a_text_it_does_not_fire_on_is_said_so() {
        assert_eq!(fires_in_words(&probe(&[0.0, 0.0], &[])), "It does not fire on this text.");
        let said = fires_in_words(&probe(&[0.0, 12.43, 1.0], &[]));
        assert_eq!(said, "Fires on 2 of 3 tokens, most on \u{201c}\u{2423}arr\u{201d} (12.4).");
    }
}
