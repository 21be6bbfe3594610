//! What a model would take of the memory that is free, before it is loaded.

use egui::{Rect, Sense, Ui, vec2};
use egui_material_icons::icons::{ICON_CHECK, ICON_WARNING};
use tiller_protocol::model::ModelCheck;
use tiller_protocol::problem::Problem;

use crate::number::{bytes, count, parameters};
use crate::theme::{self, palette, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::{problem, stat};

/// Height of the bar.
const BAR: f32 = 10.0;

/// The facts, a bar of what is taken and free, and a verdict; or why the model cannot be loaded.
pub(super) fn show(ui: &mut Ui, check: &Result<Box<ModelCheck>, Problem>) {
    match check {
        Ok(check) => facts(ui, check),
        Err(problem) => problem::fixed(ui, problem, |_| {}),
    }
}

/// As [`show`], without the name and the facts.
pub(super) fn memory(ui: &mut Ui, check: &Result<Box<ModelCheck>, Problem>) {
    match check {
        Ok(check) => {
            let (tone, sign, verdict) = verdict(check);
            badge::with_icon(ui, tone, sign, verdict);
            amounts_ui(ui, check);
        }
        Err(problem) => problem::fixed(ui, problem, |_| {}),
    }
}

fn facts(ui: &mut Ui, check: &ModelCheck) {
    stat::row(ui, 24.0, |ui| {
        let name = egui::Label::new(theme::strong(&check.name)).truncate();
        // The verdict must not be pushed out of sight by a long name.
        ui.scope(|ui| {
            ui.set_max_width(ui.available_width() - 190.0);
            ui.add(name).on_hover_text(&check.name);
        });
        let (tone, sign, verdict) = verdict(check);
        badge::with_icon(ui, tone, sign, verdict);
    });
    let facts = format!(
        "{} \u{00b7} {} parameters \u{00b7} {} blocks of width {} \u{00b7} {} on {}",
        check.architecture,
        parameters(check.n_params),
        check.n_layers,
        count(check.d_model as u64),
        check.dtype,
        check.device
    );
    ui.label(theme::secondary(ui, facts));
    ui.add_space(space::XS);
    amounts_ui(ui, check);
}

/// The bar, and the same in words.
fn amounts_ui(ui: &mut Ui, check: &ModelCheck) {
    bar(ui, check);
    ui.label(amounts(check));
    if let Some(more) = caution(check) {
        ui.label(egui::RichText::new(more).color(palette(ui).warning));
    }
    if let Some(note) = &check.note {
        ui.label(theme::note(ui, note));
    }
}

fn verdict(check: &ModelCheck) -> (Tone, Option<egui_material_icons::MaterialIcon>, &'static str) {
    match check.free_bytes {
        None => (Tone::Neutral, None, "Free memory unknown"),
        Some(_) if !check.fits() => (Tone::Bad, Some(ICON_WARNING), "Does not fit"),
        Some(_) if check.has_gradients && !check.fits_discovery() => {
            (Tone::Caution, Some(ICON_WARNING), "Fits for chat")
        }
        Some(_) => (Tone::Good, Some(ICON_CHECK), "Fits"),
    }
}

/// What is taken by what, and what is free.
fn amounts(check: &ModelCheck) -> String {
    let need = &check.need;
    let talk = need.cache_bytes.saturating_add(need.chat_bytes);
    let free = check.free_bytes.map_or_else(String::new, |free| format!("; {} free now", bytes(free)));
    let sae =
        if need.sae_bytes > 0 { format!(", {} sparse autoencoder", bytes(need.sae_bytes)) } else { String::new() };
    format!(
        "Needs about {}: {} weights{sae}, {} for a conversation of {} tokens{free}.",
        bytes(need.to_chat()),
        bytes(need.weights_bytes),
        bytes(talk),
        count(need.context_tokens as u64)
    )
}

/// What to know before loading it in spite of the estimate, or before a search.
fn caution(check: &ModelCheck) -> Option<String> {
    if !check.fits() {
        return Some(
            "Close other programs or choose a smaller or quantised model. If you load it anyway, the system may become \
             slow or end Tiller."
                .to_owned(),
        );
    }
    if !check.has_gradients {
        return Some(
            "Quantised: for chat, steering, extraction and measuring. For discovery choose the number format bf16 or \
             f32 below, which takes more memory."
                .to_owned(),
        );
    }
    let search = bytes(check.need.to_discover());
    (!check.fits_discovery()).then(|| format!("A discovery run with the default settings needs about {search}."))
}

/// Weights and conversation beside the memory that is free, to one scale.
fn bar(ui: &mut Ui, check: &ModelCheck) {
    let need = &check.need;
    let Some(free) = check.free_bytes else { return };
    let colours = palette(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width().min(520.0), BAR), Sense::hover());
    let name = format!("Memory of {}", check.name);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, &name));
    let scale = rect.width() / need.to_chat().max(free).max(1) as f32;
    let painter = ui.painter_at(rect);
    let part = |from: u64, to: u64| {
        let x = |at: u64| rect.left() + at as f32 * scale;
        Rect::from_x_y_ranges(x(from)..=x(to), rect.y_range())
    };
    let radius = BAR * 0.5;
    painter.rect_filled(part(0, need.to_chat().max(free)), radius, colours.hover);
    let (weights, all) = (need.weights_bytes.saturating_add(need.sae_bytes), need.to_chat());
    let ink = if check.fits() { colours.accent } else { colours.error };
    painter.rect_filled(part(0, all), radius, ink.gamma_multiply(0.45));
    painter.rect_filled(part(0, weights), radius, ink);
    // Where the free memory ends, when more is needed.
    if all > free {
        let line = part(free, free).left_top();
        painter.vline(line.x, rect.y_range(), egui::Stroke::new(2.0, colours.text));
    }
}
