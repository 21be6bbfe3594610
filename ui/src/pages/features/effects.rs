//! What a feature does to the next token: promoted and suppressed tokens, by the logit lens.

use egui::{Label, Rect, Sense, TextWrapMode, Ui, pos2, vec2};
use tiller_protocol::feature::{LogitEffects, SaeInfo, TokenEffect};

use crate::number::{count, signed};
use crate::pages::scaffold;
use crate::shared::Shared;
use crate::theme::{self, palette, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::{stat, tokens};

/// Below this width the columns stand one below the other.
const TWO_COLUMNS: f32 = 300.0;
/// Height of a row.
const ROW: f32 = 20.0;
/// Width of a figure.
const FIGURE: f32 = 44.0;

/// Why there are no effects to show, in words that say what to do.
pub(super) fn why_absent(shared: &Shared, sae: &SaeInfo) -> String {
    let Some(model) = &shared.model else {
        let reads = sae.reads.as_deref().map_or_else(|| "it reads".to_owned(), |name| format!("it reads ({name})"));
        return format!(
            "They are worked out with the unembedding of the model that {reads}. Open that model to see them."
        );
    };
    if model.d_model == sae.d_model {
        return "They are not worked out yet.".to_owned();
    }
    format!(
        "{} is {} wide, this SAE reads a width of {}. Open the model that it was trained on{} to see them.",
        model.name,
        count(model.d_model as u64),
        count(sae.d_model as u64),
        sae.reads.as_deref().map_or_else(String::new, |name| format!(", {name},"))
    )
}

/// Draws promoted and suppressed tokens.
pub(super) fn show(ui: &mut Ui, effects: &LogitEffects) {
    if effects.low_confidence {
        stat::row(ui, 22.0, |ui| {
            badge::show(ui, Tone::Caution, "Low confidence");
        });
        ui.label(theme::note(
            ui,
            "The SAE sits early in the model: the blocks after it may turn this round. Trust the examples more.",
        ));
    }
    let both = effects.promoted.iter().chain(&effects.suppressed);
    let largest = both.map(|effect| effect.effect.abs()).fold(f32::MIN_POSITIVE, f32::max);
    let sides = [("Makes more likely", &effects.promoted), ("Makes less likely", &effects.suppressed)];
    if ui.available_width() < TWO_COLUMNS {
        for (title, side) in sides {
            column(ui, title, side, largest);
            ui.add_space(space::S);
        }
    } else {
        scaffold::columns(ui, 2, |ui, position| column(ui, sides[position].0, sides[position].1, largest));
    }
    ui.label(theme::note(ui, "Change of the logit per unit of activation, the vocabulary\u{2019}s mean taken away."));
}

fn column(ui: &mut Ui, title: &str, effects: &[TokenEffect], largest: f32) {
    ui.spacing_mut().item_spacing.y = 1.0;
    ui.label(theme::strong(title));
    if effects.is_empty() {
        ui.label(theme::secondary(ui, "None"));
    }
    for effect in effects {
        row(ui, effect, largest);
    }
}

/// A token, its effect as a figure with its sign, and as a bar.
fn row(ui: &mut Ui, effect: &TokenEffect, largest: f32) {
    let palette = palette(ui);
    let (fill, ink) =
        if effect.effect > 0.0 { (palette.toward, palette.toward_text) } else { (palette.away, palette.away_text) };
    let token = tokens::visible(&effect.token);
    let figure = signed(f64::from(effect.effect), 2);
    let (whole, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
    let mut parts =
        ui.new_child(egui::UiBuilder::new().max_rect(whole).layout(egui::Layout::left_to_right(egui::Align::Center)));
    let bar_width = (whole.width() * 0.3).clamp(24.0, 90.0);
    let text_width = (whole.width() - bar_width - FIGURE - 2.0 * 6.0).max(30.0);
    parts.spacing_mut().item_spacing.x = 6.0;
    parts.spacing_mut().interact_size.y = ROW;
    parts.allocate_ui(vec2(text_width, ROW), |ui| {
        ui.set_width(text_width);
        ui.add(Label::new(theme::mono(&token)).selectable(false).truncate());
    });
    let text = theme::mono(format!("{figure:>6}")).color(ink);
    parts.allocate_ui(vec2(FIGURE, ROW), |ui| {
        ui.set_width(FIGURE);
        ui.add(Label::new(text).selectable(false).wrap_mode(TextWrapMode::Extend));
    });
    let share = (effect.effect.abs() / largest).clamp(0.0, 1.0);
    let left = whole.right() - bar_width;
    let bar = Rect::from_min_max(
        pos2(left, whole.center().y - 3.0),
        pos2(left + bar_width * share.max(0.02), whole.center().y + 3.0),
    );
    ui.painter().rect_filled(bar, 2.0, fill);
    response.on_hover_text(format!("{token}: {figure} to its logit for each unit of activation"));
}
