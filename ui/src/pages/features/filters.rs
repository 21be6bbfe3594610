//! What is left out of the table: by density, label, bookmark, life.

use egui::{DragValue, Popup, PopupCloseBehavior, Ui};
use egui_material_icons::icons::ICON_EXPAND_MORE;
use tiller_protocol::feature::FeatureFilter;

use crate::number::small_percent;
use crate::shared::Shared;
use crate::theme::{self, space};
use crate::widgets::{button, chip};

/// Densities that are offered by name: the name, and from which share of tokens to which.
const DENSITIES: [(&str, Option<f32>, Option<f32>); 4] = [
    ("Any density", None, None),
    ("Rare: under 0.1 %", None, Some(0.001)),
    ("Usual: 0.1 to 10 %", Some(0.001), Some(0.1)),
    ("Not always on: under 10 %", None, Some(0.1)),
];

/// Draws the filters from the right; a change searches again.
pub(super) fn show(ui: &mut Ui, shared: &mut Shared) {
    let mut filter = shared.features.search.filter;
    density(ui, &mut filter);
    let alive = "Leave out features that are never active: no decoder row, or not once in the scan";
    chip::toggle(ui, "Alive", &mut filter.alive).on_hover_text(alive);
    chip::toggle(ui, "Bookmarked", &mut filter.bookmarked).on_hover_text("Only bookmarked features");
    chip::toggle(ui, "Labelled", &mut filter.labelled).on_hover_text("Only features with a label");
    if filter != shared.features.search.filter {
        change(shared, |search| search.filter = filter);
    }
}

/// Changes how the features are narrowed or ordered, and searches again, if that is possible now.
pub(super) fn change(shared: &mut Shared, change: impl FnOnce(&mut tiller_protocol::feature::FeatureSearch)) {
    if let Some(obstacle) = shared.search_obstacle(&shared.features.search.query) {
        shared.toasts.bad(format!("This search runs the model. {obstacle}"));
        return;
    }
    change(&mut shared.features.search);
    shared.search_features();
}

/// The range in words: `0.1 % to 10 %`.
fn in_words(filter: &FeatureFilter) -> String {
    let known = DENSITIES.iter().find(|(_, min, max)| (*min, *max) == (filter.min_density, filter.max_density));
    if let Some((name, ..)) = known {
        return (*name).to_owned();
    }
    let share = |share: f32| small_percent(f64::from(share));
    match (filter.min_density, filter.max_density) {
        (Some(min), Some(max)) => format!("Density {} to {}", share(min), share(max)),
        (Some(min), None) => format!("Density from {}", share(min)),
        (None, Some(max)) => format!("Density up to {}", share(max)),
        (None, None) => "Any density".to_owned(),
    }
}

fn density(ui: &mut Ui, filter: &mut FeatureFilter) {
    let words = in_words(filter);
    let opener = button::secondary(&words).icon(ICON_EXPAND_MORE);
    let opener = opener.hint("Share of tokens on which a feature is active; unknown densities pass").show(ui);
    Popup::menu(&opener).close_behavior(PopupCloseBehavior::CloseOnClickOutside).show(|ui| {
        ui.set_min_width(240.0);
        for (name, min, max) in DENSITIES {
            let is_on = (filter.min_density, filter.max_density) == (min, max);
            if ui.selectable_label(is_on, name).clicked() {
                (filter.min_density, filter.max_density) = (min, max);
                ui.close();
            }
        }
        ui.separator();
        ui.label(theme::note(ui, "Or in per cent of tokens"));
        ui.horizontal(|ui| {
            bound(ui, "At least", &mut filter.min_density, 0.0);
            ui.add_space(space::S);
            bound(ui, "At most", &mut filter.max_density, 1.0);
        });
    });
}

/// One end of the range; at `open`, there is none.
fn bound(ui: &mut Ui, name: &str, share: &mut Option<f32>, open: f32) {
    ui.label(name);
    let mut percent = share.unwrap_or(open) * 100.0;
    let number = DragValue::new(&mut percent).range(0.0..=100.0).speed(0.02).max_decimals(3).suffix("\u{a0}%");
    if ui.add(number).accessible_name(format!("{name}, per cent of tokens")).changed() {
        let chosen = percent / 100.0;
        *share = (chosen != open).then_some(chosen);
    }
}
