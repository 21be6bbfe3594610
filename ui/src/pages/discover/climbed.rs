//! The features that a run by SAEGA climbs, with their weights.

use egui::{DragValue, Label, Ui};
use egui_material_icons::icons::ICON_CLOSE;
use tiller_protocol::feature::FeatureWeight;

use crate::page::Page;
use crate::shared::Shared;
use crate::theme;
use crate::widgets::diverging::side_colour;
use crate::widgets::{button, field, stat};

/// Largest weight on either side.
const MOST: f64 = 5.0;

/// Draws them; without any, what is climbed instead.
pub(super) fn show(ui: &mut Ui, shared: &mut Shared, features: &mut Vec<FeatureWeight>) {
    let help = if features.is_empty() {
        "None is chosen: the features that tell the persona's pairs apart are climbed."
    } else {
        "These are climbed in place of those that the persona's pairs pick. A negative weight asks for less of one."
    };
    field::show(ui, "Features", help, |ui| {
        let mut removed = None;
        for (position, chosen) in features.iter_mut().enumerate() {
            shared.know_feature(&chosen.feature);
            let name = shared.feature_name(&chosen.feature);
            ui.horizontal(|ui| {
                let colour = side_colour(theme::palette(ui), chosen.weight);
                let number = DragValue::new(&mut chosen.weight)
                    .range(-MOST..=MOST)
                    .speed(0.02)
                    .custom_formatter(|value, _| crate::number::signed(value, 2))
                    .custom_parser(|text| text.replace('\u{2212}', "-").trim().parse().ok());
                let size = [62.0, theme::size::CONTROL - 4.0];
                ui.scope(|ui| {
                    ui.visuals_mut().widgets.inactive.fg_stroke.color = colour;
                    ui.add_sized(size, number).accessible_name(format!("Weight of {name}"));
                });
                let room = (ui.available_width() - theme::size::CONTROL - 24.0).max(60.0);
                ui.scope(|ui| {
                    ui.set_max_width(room);
                    ui.add(Label::new(&name).truncate()).on_hover_text(&name);
                });
                if button::icon_only(ui, ICON_CLOSE, &format!("Do not climb {name}")).clicked() {
                    removed = Some(position);
                }
            });
        }
        if let Some(position) = removed {
            features.remove(position);
        }
        stat::row(ui, theme::size::CONTROL, |ui| {
            let choose = button::secondary("Choose features\u{2026}").icon(Page::Features.icon());
            if choose
                .hint("Mark features on the page Features, then \u{201c}Use in discovery\u{201d}")
                .show(ui)
                .clicked()
            {
                shared.page = Page::Features;
            }
        });
    });
}
