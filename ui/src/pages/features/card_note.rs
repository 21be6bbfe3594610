//! The user's note on a feature: saved after a pause, on leaving the field, and when another feature is opened.

use egui::{TextEdit, Ui};
use tiller_protocol::feature::{FeatureCard, FeatureRef};
use tiller_protocol::message::Command;

use crate::shared::Shared;
use crate::theme;

/// Seconds without a key before the note is saved.
const PAUSE_SECS: f64 = 0.8;

/// The note in the field.
#[derive(Default)]
pub(super) struct Note {
    of: Option<FeatureRef>,
    text: String,
    /// What was last saved or reported.
    saved: String,
    /// A card that has what was saved is awaited: those before it are older than the field.
    unconfirmed: bool,
    changed_at: f64,
}

impl Note {
    /// Takes in what the card says, unless the user is further.
    fn take(&mut self, shared: &mut Shared, card: &FeatureCard) {
        if self.of.as_ref() != Some(&card.feature) {
            self.save(shared);
            *self = Self { of: Some(card.feature.clone()), ..Self::default() };
        }
        self.unconfirmed &= self.saved != card.note;
        if self.text == self.saved && !self.unconfirmed {
            self.text.clone_from(&card.note);
            self.saved.clone_from(&card.note);
        }
    }

    /// Saves it if it has changed.
    pub(super) fn save(&mut self, shared: &mut Shared) {
        let Some(feature) = self.of.clone().filter(|_| self.text != self.saved) else { return };
        self.saved.clone_from(&self.text);
        self.unconfirmed = true;
        shared.send(Command::SetNote { feature, text: self.text.clone() });
    }

    /// Draws the field.
    pub(super) fn show(&mut self, ui: &mut Ui, shared: &mut Shared, card: &FeatureCard) {
        self.take(shared, card);
        let now = ui.input(|input| input.time);
        let field = TextEdit::multiline(&mut self.text)
            .hint_text("What you found out")
            .desired_rows(2)
            .desired_width(f32::INFINITY)
            .margin(egui::Margin::symmetric(8, 6));
        let response = ui.add(field).accessible_name("Your note");
        if response.changed() {
            self.changed_at = now;
        }
        if self.text == self.saved {
            let words = if self.text.is_empty() { "Saved by itself while you type." } else { "Saved." };
            ui.label(theme::note(ui, words));
            return;
        }
        let waited = now - self.changed_at;
        if response.lost_focus() || waited >= PAUSE_SECS {
            self.save(shared);
        } else {
            ui.ctx().request_repaint_after_secs((PAUSE_SECS - waited) as f32 + 0.01);
        }
        ui.label(theme::note(ui, "Not saved yet\u{2026}"));
    }
}
