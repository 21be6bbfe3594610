//! Texts on which a feature fires: the strongest first, then some of every strength.

use egui::{CollapsingHeader, Label, Sense, Ui, vec2};
use tiller_protocol::feature::{Example, FeatureCard};

use crate::number::significant;
use crate::theme::{self, palette, space};
use crate::widgets::tokens::{self, HeatMap};
use crate::widgets::{button, stat};

/// Tokens shown on either side of the peak until the whole text is asked for.
const AROUND: usize = 16;
/// Strongest examples shown until more are asked for.
const FIRST: usize = 8;
/// Width of the figure before each example.
const FIGURE: f32 = 44.0;

/// Which examples are shown in full.
#[derive(Default)]
pub(super) struct Examples {
    /// Positions in the card.
    whole: Vec<usize>,
    all: bool,
}

impl Examples {
    /// Draws them; whether a scan was asked for.
    pub(super) fn show(&mut self, ui: &mut Ui, card: &FeatureCard) -> bool {
        if card.examples.is_empty() {
            let words = "There are none yet. Let the model read texts, and note on what each feature fires.";
            ui.label(theme::secondary(ui, words));
            return button::secondary("Scan texts\u{2026}").show(ui).clicked();
        }
        let seen =
            card.examples.iter().flat_map(|example| &example.values).fold(0.0_f32, |most, value| most.max(value.abs()));
        let largest = card.row.max_activation.unwrap_or(0.0).max(seen);
        tokens::scale(ui, &format!("{} (largest)", significant(f64::from(largest))));
        let strongest: Vec<usize> = positions(card, |decile| decile.is_none());
        let shown = if self.all { strongest.len() } else { FIRST.min(strongest.len()) };
        for position in &strongest[..shown] {
            self.one(ui, card, *position, largest);
        }
        if shown < strongest.len() {
            let more = format!("Show {} more", strongest.len() - shown);
            self.all |= button::quiet(&more).show(ui).clicked();
        }
        self.deciles(ui, card, largest);
        false
    }

    /// Examples of every tenth of the activations, folded, the strongest tenth first.
    fn deciles(&mut self, ui: &mut Ui, card: &FeatureCard, largest: f32) {
        let sampled = positions(card, |decile| decile.is_some());
        if sampled.is_empty() {
            return;
        }
        CollapsingHeader::new("Weaker ones, too: samples of every strength").id_salt("deciles").show_unindented(
            ui,
            |ui| {
                let words =
                    "The strongest texts flatter a feature. These are drawn evenly from all activations above zero.";
                ui.label(theme::note(ui, words));
                for tenth in (0..10_u8).rev() {
                    let of_tenth = positions(card, |decile| decile == Some(tenth));
                    if of_tenth.is_empty() {
                        continue;
                    }
                    ui.add_space(space::XS);
                    ui.label(theme::note(ui, tenth_in_words(tenth)));
                    for position in of_tenth {
                        self.one(ui, card, position, largest);
                    }
                }
            },
        );
    }

    fn one(&mut self, ui: &mut Ui, card: &FeatureCard, position: usize, largest: f32) {
        let example = &card.examples[position];
        let peak = example.values.get(example.peak).copied().unwrap_or(0.0);
        let around = example.peak.saturating_sub(AROUND)..(example.peak + AROUND + 1).min(example.tokens.len());
        let is_cut = around.len() < example.tokens.len();
        let whole = self.whole.contains(&position);
        let range = if whole { 0..example.tokens.len() } else { around };
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = space::S;
            ui.allocate_ui(vec2(FIGURE, 21.0), |ui| {
                ui.set_width(FIGURE);
                ui.set_height(21.0);
                let figure = theme::mono(significant(f64::from(peak))).color(palette(ui).secondary);
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    ui.add(Label::new(figure).selectable(false));
                });
            });
            ui.vertical(|ui| {
                let name = in_words(example);
                let heat = HeatMap {
                    tokens: &example.tokens,
                    values: &example.values,
                    largest,
                    peak: Some(example.peak),
                    range,
                    name: &name,
                };
                let sense = if is_cut { Sense::click() } else { Sense::hover() };
                let shown = heat.show(ui, sense);
                let hovered = shown.hovered;
                let clicked = shown.response.clicked();
                let mut response = shown.response;
                if is_cut {
                    response = response.on_hover_cursor(egui::CursorIcon::PointingHand);
                }
                response.on_hover_ui_at_pointer(|ui| hint(ui, example, hovered, is_cut.then_some(whole)));
                if clicked && whole {
                    self.whole.retain(|other| *other != position);
                } else if clicked {
                    self.whole.push(position);
                }
            });
        });
    }
}

/// What is under the pointer: the token, its activation, and what a click does.
fn hint(ui: &mut Ui, example: &Example, hovered: Option<usize>, whole: Option<bool>) {
    if let Some((token, value)) = hovered.and_then(|at| Some((example.tokens.get(at)?, example.values.get(at)?))) {
        stat::row(ui, 20.0, |ui| {
            ui.label(theme::mono(tokens::visible(token)));
            ui.label(format!("activation {}", significant(f64::from(*value))));
        });
    }
    if let Some(whole) = whole {
        let words = if whole { "Click to show the part around the peak only" } else { "Click to show the whole text" };
        ui.label(theme::note(ui, words));
    }
}

fn positions(card: &FeatureCard, wanted: impl Fn(Option<u8>) -> bool) -> Vec<usize> {
    let kept = card.examples.iter().enumerate().filter(|(_, example)| wanted(example.decile));
    kept.map(|(position, _)| position).collect()
}

fn tenth_in_words(tenth: u8) -> String {
    match tenth {
        9 => "Strongest tenth".to_owned(),
        0 => "Weakest tenth".to_owned(),
        tenth => format!("Activations between {} and {} of 100 in strength", tenth * 10, (tenth + 1) * 10),
    }
}

/// An example as accessibility tools read it.
fn in_words(example: &Example) -> String {
    let peak = example.tokens.get(example.peak).map_or_else(String::new, |token| tokens::visible(token));
    let value = example.values.get(example.peak).copied().unwrap_or(0.0);
    format!(
        "Example, strongest on \u{201c}{peak}\u{201d} ({}): {}",
        significant(f64::from(value)),
        example.tokens.concat()
    )
}
