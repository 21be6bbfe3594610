//! The card of the open feature: all that is known of it, and what can be done with it.

use egui::{Key, Modifiers, ScrollArea, Ui};
use tiller_protocol::feature::{FeatureCard, FeatureRef, SaeInfo};
use tiller_protocol::message::Command;
use tiller_protocol::problem::Problem;

use super::card_note::Note;
use super::examples::Examples;
use super::probe::Probe;
use super::{Sheet, card_head, effects, histogram, labels, similar};
use crate::number::count;
use crate::shared::Shared;
use crate::theme::{self, palette, space};
use crate::widgets::badge::Tone;
use crate::widgets::{badge, button, card, problem};

/// What is drawn of the open feature: its card, or why there is none.
type Known = Option<Result<Box<FeatureCard>, Problem>>;

/// State of the card: what is typed and unfolded there.
#[derive(Default)]
pub(super) struct Card {
    /// The feature that was drawn last.
    shown: Option<FeatureRef>,
    /// The model that was loaded when the card was asked for: the effects come from it.
    model: Option<String>,
    label: String,
    note: Note,
    probe: Probe,
    examples: Examples,
}

impl Card {
    /// Another page is in sight, or the window closes.
    pub(super) fn leave(&mut self, shared: &mut Shared) {
        self.note.save(shared);
    }

    /// Draws the card over the room left; a form that it asks for.
    pub(super) fn show(&mut self, ui: &mut Ui, shared: &mut Shared) -> Option<Sheet> {
        let (Some(open), Some(sae)) = (shared.features.open.clone(), shared.features.current().cloned()) else {
            self.leave(shared);
            self.shown = None;
            nothing_open(ui);
            return None;
        };
        if self.shown.as_ref() != Some(&open) {
            self.note.save(shared);
            self.label.clear();
            self.examples = Examples::default();
            self.shown = Some(open.clone());
            self.model = shared.model.as_ref().map(|model| model.hash.clone());
        }
        self.follow_model(shared, &open);
        step_by_keys(ui, shared);
        // Taken out while it is drawn: drawing asks for things, which needs all of the rest.
        let mut known = shared.features.card.take();
        let mut asked = None;
        theme::card_frame(ui).inner_margin(egui::Margin { left: 16, right: 8, top: 12, bottom: 8 }).show(ui, |ui| {
            ui.set_min_size(ui.available_size());
            card_head::show(ui, shared, &open, known.as_mut().and_then(|known| known.as_mut().ok()));
            ui.add_space(space::XS);
            ScrollArea::vertical().id_salt("feature card").auto_shrink([false, false]).show(ui, |ui| {
                ui.set_width(ui.available_width() - space::S);
                asked = self.body(ui, shared, &sae, &open, &known);
                ui.add_space(space::S);
            });
        });
        if shared.features.card.is_none() && shared.features.open.as_ref() == Some(&open) {
            shared.features.card = known;
        }
        asked
    }

    fn body(
        &mut self,
        ui: &mut Ui,
        shared: &mut Shared,
        sae: &SaeInfo,
        open: &FeatureRef,
        known: &Known,
    ) -> Option<Sheet> {
        match known {
            None => {
                ui.horizontal(|ui| {
                    ui.spinner();
                    ui.label(theme::secondary(ui, "Reading what is known of it\u{2026}"));
                });
                None
            }
            Some(Err(failed)) => {
                if problem::show(ui, failed, Some("Try again")) == Some(problem::Answer::Act) {
                    shared.features.card = None;
                    shared.send(Command::OpenFeature(open.clone()));
                }
                None
            }
            Some(Ok(card)) => self.sections(ui, shared, sae, card),
        }
    }

    /// The effects on tokens come from the loaded model: another one, another card.
    fn follow_model(&mut self, shared: &mut Shared, open: &FeatureRef) {
        let model = shared.model.as_ref().map(|model| model.hash.clone());
        if self.model != model {
            self.model = model;
            shared.send(Command::OpenFeature(open.clone()));
        }
    }

    fn sections(&mut self, ui: &mut Ui, shared: &mut Shared, sae: &SaeInfo, card: &FeatureCard) -> Option<Sheet> {
        let mut asked = None;
        dead(ui, sae, card);
        section(ui, "Labels", "What people or models say it stands for.", |ui| {
            labels::show(ui, shared, card, &mut self.label);
        });
        let words = "Texts on which it fires. The fill says how strongly, the ring marks the peak.";
        section(ui, "What makes it fire", words, |ui| {
            if self.examples.show(ui, card) {
                asked = Some(Sheet::Scan);
            }
        });
        let words = "Tokens that it makes more or less likely when it is active, read off its direction (logit lens).";
        section(ui, "What it does to the next token", words, |ui| match &card.effects {
            Some(effects) => effects::show(ui, effects),
            None => {
                ui.label(theme::secondary(ui, effects::why_absent(shared, sae)));
            }
        });
        let words = "Where it fires in a text of your own, and what the model loses without it.";
        section(ui, "Try your own text", words, |ui| {
            let largest = card.row.max_activation.unwrap_or(0.0);
            self.probe.show(ui, shared, sae, &card.feature, largest);
        });
        section(ui, "How often and how strongly", "Counted over the texts of the scan or of the import.", |ui| {
            if statistics(ui, sae, card) {
                asked = Some(Sheet::Scan);
            }
        });
        section(ui, "Similar features", "Features that write in nearly the same direction (cosine).", |ui| {
            if card.similar.is_empty() {
                ui.label(theme::secondary(ui, "None were found."));
            }
            if let Some(latent) = similar::show(ui, &card.similar) {
                shared.open_latent(latent);
            }
            ui.add_space(space::XS);
            if button::secondary("Rank all by similarity").hint("Lists them in the table").show(ui).clicked() {
                shared.features.similar_to = Some(card.feature.latent);
            }
        });
        section(ui, "Note", "For yourself; it stays with this SAE.", |ui| {
            self.note.show(ui, shared, card);
        });
        asked
    }
}

/// A part of the card: what it is called, what it is in plain words, and what is in it.
fn section(ui: &mut Ui, title: &str, words: &str, contents: impl FnOnce(&mut Ui)) {
    ui.add_space(space::S);
    let (rule, _) = ui.allocate_exact_size(egui::vec2(ui.available_width(), 1.0), egui::Sense::hover());
    ui.painter().rect_filled(rule, 0.0, palette(ui).hairline);
    ui.add_space(space::XS);
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 1.0;
        ui.label(theme::section(title));
        ui.label(theme::note(ui, words));
    });
    ui.add_space(2.0);
    ui.push_id(title, |ui| contents(ui));
}

/// Says of a dead latent that it is one.
fn dead(ui: &mut Ui, sae: &SaeInfo, card: &FeatureCard) {
    let words = if card.decoder_norm == 0.0 {
        "Its decoder row is zero: whatever makes it fire, it writes nothing. Nothing can be steered with it.".to_owned()
    } else if card.row.dead {
        format!("It did not fire once in {} tokens.", count(sae.scanned_tokens))
    } else {
        return;
    };
    card::callout(ui, palette(ui).warning_soft, |ui| {
        badge::show(ui, Tone::Caution, "Dead feature");
        ui.label(words);
    });
}

/// Density, largest activation and histogram; whether a scan was asked for.
fn statistics(ui: &mut Ui, sae: &SaeInfo, card: &FeatureCard) -> bool {
    let mut scan = false;
    if let Some(words) = histogram::density_in_words(&card.row) {
        ui.label(words);
    } else {
        ui.label(theme::secondary(ui, "Not known yet: scan texts, or import statistics that were published."));
        scan = button::secondary("Scan texts\u{2026}").show(ui).clicked();
    }
    if let Some(words) = histogram::largest_in_words(&card.row, sae) {
        ui.label(words);
    }
    if let Some(histogram) = &card.histogram {
        histogram::show(ui, histogram);
    }
    scan
}

fn nothing_open(ui: &mut Ui) {
    theme::card_frame(ui).show(ui, |ui| {
        ui.set_min_size(ui.available_size());
        let hint = crate::widgets::empty::Empty {
            icon: egui_material_icons::icons::ICON_BADGE,
            title: "No feature is open",
            hint: "Choose one in the table to see what makes it fire and what it does.",
        };
        hint.show(ui, None);
    });
}

/// Previous and next by keys, unless something is being typed.
fn step_by_keys(ui: &Ui, shared: &mut Shared) {
    let is_covered = ui.ctx().memory(|memory| memory.top_modal_layer().is_some());
    if ui.ctx().text_edit_focused() || is_covered {
        return;
    }
    let steps = ui.input_mut(|input| {
        let mut pressed = |modifiers, key| input.consume_key(modifiers, key);
        let back = pressed(Modifiers::ALT, Key::ArrowLeft) || pressed(Modifiers::NONE, Key::OpenBracket);
        let on = pressed(Modifiers::ALT, Key::ArrowRight) || pressed(Modifiers::NONE, Key::CloseBracket);
        isize::from(on) - isize::from(back)
    });
    if steps != 0
        && let Some(latent) = shared.features.neighbour(steps)
    {
        shared.open_latent(latent);
    }
}
