//! The settings of a run that are folded away.

use egui::{TextEdit, Ui};
use tiller_protocol::discovery::{DiscoverySettings, Objective, Proposer, TargetDirection};

use crate::pages::scaffold;
use crate::theme::{self, space};
use crate::widgets::field;

/// Draws all of them; `warm_start` is the text being typed.
pub(super) fn show(ui: &mut Ui, settings: &mut DiscoverySettings, warm_start: &mut String) {
    scaffold::columns(ui, 3, |ui, column| match column {
        0 => {
            number(ui, "Prompt length", "tokens", &mut settings.prompt_len, 1..=64);
            number(ui, "Population", "members, one for each weight of fluency", &mut settings.population, 2..=64);
            number(ui, "Children", "of each member and iteration", &mut settings.children, 1..=512);
            number(ui, "Iterations", "", &mut settings.iterations, 1..=5000);
        }
        1 => {
            number(ui, "Contexts", "questions the effect is averaged over", &mut settings.n_contexts, 1..=128);
            number(ui, "Tokens by gradient", "considered at each position", &mut settings.top_k, 1..=4096);
            number(ui, "Restart every", "iterations; 0 never", &mut settings.restart_every, 0..=1000);
            number(ui, "Check every", "iterations, on selection questions", &mut settings.check_every, 0..=1000);
        }
        _ => {
            field::show(ui, "Least weight of fluency", "\u{03c3} per nat", |ui| {
                field::decimal(ui, "Least weight of fluency", &mut settings.lambda_min, 0.0..=20.0);
            });
            field::show(ui, "Greatest weight of fluency", "\u{03c3} per nat", |ui| {
                field::decimal(ui, "Greatest weight of fluency", &mut settings.lambda_max, 0.0..=20.0);
            });
            number(ui, "Latents", "kept by SAEGA", &mut settings.n_latents, 1..=256);
            field::show(ui, "Seed", "of every random draw", |ui| field::seed(ui, &mut settings.seed));
        }
    });
    words(ui, settings, warm_start);
    science(ui, settings);
}

fn words(ui: &mut Ui, settings: &mut DiscoverySettings, warm_start: &mut String) {
    ui.label(theme::strong("Tokens allowed"));
    ui.horizontal_wrapped(|ui| {
        ui.checkbox(&mut settings.ascii_only, "ASCII only");
        ui.checkbox(&mut settings.whole_words, "Whole words only");
        ui.checkbox(&mut settings.ban_persona_words, "Not the persona's own words");
    });
    ui.add_space(space::XS);
    let help = "Leave empty to start from random tokens.";
    field::show(ui, "Start from this text", help, |ui| {
        let text = TextEdit::singleline(warm_start).desired_width(f32::INFINITY);
        if ui.add(text).changed() {
            let trimmed = warm_start.trim();
            settings.warm_start = (!trimmed.is_empty()).then(|| warm_start.clone());
        }
    });
}

fn science(ui: &mut Ui, settings: &mut DiscoverySettings) {
    scaffold::columns(ui, 3, |ui, column| {
        let width = ui.available_width() - 8.0;
        match column {
            0 => field::show(ui, "What is climbed", "", |ui| {
                let options = [
                    (Objective::ProjectionSigma, "Shift in \u{03c3} (default)".to_owned()),
                    (Objective::CosineDifference, "Shift of the cosine".to_owned()),
                    (Objective::RawDot, "Raw dot product (as published)".to_owned()),
                ];
                field::choice(ui, "What is climbed", &mut settings.objective, &options, width);
            }),
            1 => field::show(ui, "Proposals", "", |ui| {
                let options = [
                    (Proposer::Gradient, "By gradient".to_owned()),
                    (Proposer::RandomMutation, "Random (control)".to_owned()),
                ];
                field::choice(ui, "Proposals", &mut settings.proposer, &options, width);
            }),
            _ => field::show(ui, "Direction followed", "", |ui| {
                let options = [
                    (TargetDirection::Persona, "The persona's".to_owned()),
                    (TargetDirection::Random, "A random one (control)".to_owned()),
                ];
                field::choice(ui, "Direction followed", &mut settings.target, &options, width);
            }),
        }
    });
}

/// A number with its label; the box is wide enough to be found.
fn number(ui: &mut Ui, label: &str, help: &str, value: &mut usize, range: std::ops::RangeInclusive<usize>) {
    field::show(ui, label, help, |ui| field::whole(ui, label, value, range));
}
