//! Sample pairs, mirrored: the away side at the left, the toward side at the right.

use egui::{Color32, CornerRadius, Frame, Margin, Ui};
use egui_material_icons::icons::{ICON_CHEVRON_LEFT, ICON_CHEVRON_RIGHT};
use tiller_protocol::persona::{PersonaSummary, PromptText};

use crate::pages::scaffold;
use crate::theme::{self, palette, space};
use crate::widgets::{button, card};

/// Which pair is in sight.
#[derive(Default)]
pub(crate) struct PairBrowser {
    position: usize,
}

/// Draws one of the sample pairs, with a way to leaf through them.
pub(super) fn show(ui: &mut Ui, persona: &PersonaSummary, browser: &mut PairBrowser) {
    card::show(ui, |ui| {
        let total = persona.sample_pairs.len();
        browser.position = browser.position.min(total.saturating_sub(1));
        ui.horizontal(|ui| {
            ui.label(theme::section("Pairs it is made from"));
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let at_end = (browser.position + 1 >= total).then_some("this is the last sample");
                if button::icon_only_if(ui, ICON_CHEVRON_RIGHT, "Next pair", at_end).clicked() {
                    browser.position += 1;
                }
                if total > 0 {
                    ui.label(theme::note(ui, format!("sample {} of {total}", browser.position + 1)));
                }
                let at_start = (browser.position == 0).then_some("this is the first sample");
                if button::icon_only_if(ui, ICON_CHEVRON_LEFT, "Previous pair", at_start).clicked() {
                    browser.position -= 1;
                }
            });
        });
        ui.label(theme::secondary(
            ui,
            "The same question under opposite instructions. What differs between the two sides becomes the direction.",
        ));
        let Some(pair) = persona.sample_pairs.get(browser.position) else {
            ui.label(theme::secondary(ui, "This persona has no sample pairs."));
            return;
        };
        ui.add_space(space::XS);
        let colours = palette(ui);
        let sides = [
            (&pair.negative, format!("\u{2212} {}", persona.card.negative), colours.away_text, colours.away),
            (&pair.positive, format!("+ {}", persona.card.positive), colours.toward_text, colours.toward),
        ];
        scaffold::columns(ui, 2, |ui, position| {
            let (text, pole, text_colour, line) = &sides[position];
            side(ui, text, pole, *text_colour, *line);
        });
    });
}

fn side(ui: &mut Ui, text: &PromptText, pole: &str, text_colour: Color32, line: Color32) {
    let colours = palette(ui);
    let shown = Frame::new()
        .fill(colours.background)
        .corner_radius(CornerRadius::same(theme::RADIUS))
        .inner_margin(Margin { left: 16, right: 12, top: 10, bottom: 10 })
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = space::XS;
            ui.label(theme::strong(pole).color(text_colour));
            ui.label(theme::note(ui, "System"));
            match &text.system {
                Some(system) => ui.label(system),
                None => ui.label(theme::secondary(ui, "none")),
            };
            ui.label(theme::note(ui, "User"));
            ui.label(&text.user);
        });
    let rect = shown.response.rect;
    let bar = egui::Rect::from_min_max(rect.min, egui::pos2(rect.left() + 3.0, rect.bottom()));
    ui.painter().rect_filled(bar, 1.5, line);
}
