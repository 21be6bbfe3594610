//! The steering panel: one row for each vector or feature.

use egui::{Align, Layout, Ui};
use egui_material_icons::icons::{ICON_ADD, ICON_BADGE, ICON_CLOSE, ICON_RESTART_ALT, ICON_WARNING};
use tiller_protocol::feature::FeatureOp;
use tiller_protocol::steering::{Positions, RowSource, SteeringRow, VectorId};

use super::{ChatPage, PANEL, feature_row};
use crate::icon;
use crate::page::Page;
use crate::shared::{Handoff, Shared};
use crate::theme::{self, palette, space};
use crate::widgets::diverging::{self, Diverging, side_colour};
use crate::widgets::{button, card, field, stat};

/// Largest strength on either side, share of the residual norm.
pub(super) const LIMIT: f64 = 1.5;
/// Strengths up to here are usual.
pub(super) const USUAL: f64 = 0.5;
/// Strengths from here on are likely to break the text.
pub(super) const BREAKING: f64 = 1.0;

/// Whether a row means something in the loaded model.
pub(super) fn applies(shared: &Shared, row: &SteeringRow) -> bool {
    match &row.source {
        RowSource::Vector(id) => shared.vector(id).is_some_and(|vector| shared.fits(vector)),
        RowSource::Feature { feature, .. } => shared
            .features
            .sae(&feature.sae)
            .is_some_and(|sae| shared.model.as_ref().is_some_and(|model| model.d_model == sae.d_model)),
    }
}

/// Draws the panel.
pub(super) fn show(ui: &mut Ui, shared: &mut Shared, page: &mut ChatPage) {
    let fill = palette(ui).panel;
    egui::Panel::right("steering")
        .exact_size(PANEL)
        .resizable(false)
        .frame(egui::Frame::new().fill(fill).inner_margin(egui::Margin::same(16)))
        .show(ui, |ui| {
            let before = page.steering.clone();
            ui.horizontal(|ui| {
                ui.label(theme::section("Steering"));
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    let is_at_rest = !page.steering.rows.iter().any(feature_row::is_active);
                    let obstacle = is_at_rest.then(|| "Nothing is steered.".to_owned());
                    let reset = button::quiet("Reset").icon(ICON_RESTART_ALT).blocked_by(obstacle);
                    if reset.hint("Steer nothing: strengths go back to where they change nothing").show(ui).clicked() {
                        page.steering.rows.iter_mut().for_each(feature_row::rest);
                    }
                });
            });
            egui::ScrollArea::vertical().id_salt("rows").auto_shrink([false, false]).show(ui, |ui| {
                rows(ui, shared, page);
                add(ui, shared, page);
            });
            if page.steering != before {
                page.push_steering(shared);
            }
        });
}

fn rows(ui: &mut Ui, shared: &mut Shared, page: &mut ChatPage) {
    let mut removed = None;
    for (position, row) in page.steering.rows.iter_mut().enumerate() {
        ui.push_id(position, |ui| {
            if row_ui(ui, shared, row) {
                removed = Some(position);
            }
        });
        ui.add_space(space::S);
    }
    if let Some(position) = removed {
        page.steering.rows.remove(position);
    }
}

/// Draws a row; true when it is to be removed.
fn row_ui(ui: &mut Ui, shared: &mut Shared, row: &mut SteeringRow) -> bool {
    let mut remove = false;
    let mut card_of = None;
    let fits = shared.model.is_none() || applies(shared, row);
    let feature = row.feature().map(|(feature, _)| feature.clone());
    if let Some(feature) = &feature {
        shared.know_feature(feature);
        row.label = shared.feature_name(feature);
    }
    card::show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        ui.horizontal(|ui| {
            ui.checkbox(&mut row.enabled, "")
                .on_hover_text("Apply this row")
                .accessible_name(format!("Apply {}", row.label));
            let n_buttons = if feature.is_some() { 2.0 } else { 1.0 };
            let room = (ui.available_width() - n_buttons * (theme::size::CONTROL + space::S)).max(40.0);
            ui.scope(|ui| {
                ui.set_max_width(room);
                let source = row.vector().map_or_else(|| row.label.clone(), |id| id.0.clone());
                ui.add(egui::Label::new(theme::strong(&row.label)).truncate()).on_hover_text(source);
            });
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                remove = button::icon_only(ui, ICON_CLOSE, &format!("Remove {}", row.label)).clicked();
                if feature.is_some()
                    && button::icon_only(ui, ICON_BADGE, &format!("Open the card of {}", row.label)).clicked()
                {
                    card_of.clone_from(&feature);
                }
            });
        });
        ui.add_enabled_ui(row.enabled && fits, |ui| {
            if feature.is_some() {
                feature_row::slider(ui, shared, row);
                return;
            }
            let slider = Diverging {
                name: &row.label,
                range: (-LIMIT, LIMIT),
                rest: 0.0,
                usual: USUAL,
                breaking: BREAKING,
                unit: "Share of the residual norm that is added",
            };
            slider.show(ui, &mut row.strength);
            if let Some(vector) = row.vector().and_then(|id| shared.vector(id)) {
                poles(ui, &vector.negative, &vector.positive);
            }
        });
        notes(ui, shared, row, fits);
        where_ui(ui, shared, row);
    });
    if let Some(feature) = card_of {
        shared.handoff = Some(Handoff::Feature(feature));
    }
    remove
}

/// The ends of the slider, under its track.
fn poles(ui: &mut Ui, negative: &str, positive: &str) {
    let colours = palette(ui);
    let half = diverging::track_width(ui) * 0.5;
    stat::row(ui, 16.0, |ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        for (text, colour, align) in [
            (format!("\u{2190} {negative}"), colours.away_text, Layout::left_to_right(Align::Center)),
            (format!("{positive} \u{2192}"), colours.toward_text, Layout::right_to_left(Align::Center)),
        ] {
            ui.allocate_ui_with_layout(egui::vec2(half, 16.0), align, |ui| {
                ui.set_width(half);
                ui.add(egui::Label::new(theme::note(ui, text).color(colour)).selectable(false).truncate());
            });
        }
    });
}

fn notes(ui: &mut Ui, shared: &Shared, row: &SteeringRow, fits: bool) {
    let colours = palette(ui);
    if !fits {
        let words = match row.source {
            RowSource::Vector(_) => "Made on another model: not applied.",
            RowSource::Feature { .. } => "Its SAE reads another width than this model has: not applied.",
        };
        ui.label(theme::note(ui, words).color(colours.warning));
        return;
    }
    let is_share = row.feature().is_none_or(|(_, op)| !matches!(op, FeatureOp::Multiply | FeatureOp::Ablate));
    if is_share && row.strength.abs() >= BREAKING {
        stat::row(ui, 16.0, |ui| {
            icon::show(ui, ICON_WARNING, 14.0, colours.warning);
            ui.label(theme::note(ui, "Likely to break the text").color(colours.warning));
        });
    }
    let Some(vector) = row.vector().and_then(|id| shared.vector(id)) else { return };
    let Some(block) = vector.blocks.iter().find(|block| block.block == row.block) else { return };
    let raw = row.strength * block.resid_norm;
    let times = raw / block.norm.max(f64::MIN_POSITIVE);
    let text = format!(
        "{} in residual units \u{00b7} {}\u{00d7} the vector",
        crate::number::signed(raw, 1),
        crate::number::signed(times, 1)
    );
    ui.label(theme::note(ui, text).color(side_colour(colours, row.strength)));
}

/// At which block and at which tokens; a feature acts at the block of its SAE.
fn where_ui(ui: &mut Ui, shared: &Shared, row: &mut SteeringRow) {
    if row.feature().is_some() {
        ui.horizontal(|ui| {
            feature_row::operator(ui, shared, row, 84.0);
            positions_ui(ui, row);
        });
        return;
    }
    let blocks = shared.model.as_ref().map_or(row.block + 1, |model| model.n_layers);
    let recommended = row.vector().and_then(|id| shared.vector(id)).map(|vector| vector.recommended_block);
    ui.horizontal(|ui| {
        let options: Vec<(usize, String)> = (0..blocks)
            .map(|block| {
                let star = if Some(block) == recommended { " (best)" } else { "" };
                (block, format!("Block {block}{star}"))
            })
            .collect();
        let name = format!("Block of {}", row.label);
        let shown = format!("Block {}", row.block);
        field::choice_shown_as(ui, (&name, &shown), &mut row.block, &options, 84.0);
        positions_ui(ui, row);
    });
}

fn positions_ui(ui: &mut Ui, row: &mut SteeringRow) {
    let options: Vec<(Positions, String)> =
        Positions::ALL.into_iter().map(|positions| (positions, positions.label().to_owned())).collect();
    let name = format!("Positions of {}", row.label);
    field::choice(ui, &name, &mut row.positions, &options, ui.available_width());
}

fn add(ui: &mut Ui, shared: &mut Shared, page: &mut ChatPage) {
    let offered: Vec<(VectorId, String)> = shared
        .vectors
        .iter()
        .filter(|vector| shared.fits(vector))
        .filter(|vector| page.steering.rows.iter().all(|row| row.vector() != Some(&vector.id)))
        .map(|vector| (vector.id.clone(), vector.name.clone()))
        .collect();
    if offered.is_empty() && page.steering.rows.is_empty() {
        ui.add_space(space::S);
        ui.label("No vector fits this model yet.");
        ui.label(theme::secondary(
            ui,
            "Extract one from a persona; it takes seconds on the demo model. Or pin features of a sparse autoencoder.",
        ));
        ui.horizontal(|ui| {
            if button::secondary("Go to Personas").icon(Page::Personas.icon()).show(ui).clicked() {
                shared.page = Page::Personas;
            }
            choose_features(ui, shared);
        });
        return;
    }
    let mut chosen = None;
    ui.horizontal(|ui| {
        if !offered.is_empty() {
            let opener = button::secondary("Add vector").icon(ICON_ADD).show(ui);
            egui::Popup::menu(&opener).show(|ui| {
                ui.set_min_width(200.0);
                for (id, name) in &offered {
                    if ui.button(name).on_hover_text(&id.0).clicked() {
                        chosen = Some(id.clone());
                    }
                }
            });
        }
        choose_features(ui, shared);
    });
    if let Some(id) = chosen {
        page.steer_with(shared, &id);
    }
}

/// Features are found, looked at and pinned on their own page.
fn choose_features(ui: &mut Ui, shared: &mut Shared) {
    let hint = "Find a feature on the page Features and pin it";
    if button::secondary("Features\u{2026}").icon(Page::Features.icon()).hint(hint).show(ui).clicked() {
        shared.page = Page::Features;
    }
}
