//! The line above the table: what it shows and how fast it was found, or what can be done with the marked features.

use egui::{Align, Label, Layout, Ui};
use egui_material_icons::icons::{
    ICON_BOOKMARK, ICON_CLOSE, ICON_EDIT_NOTE, ICON_INFO, ICON_PUSH_PIN, ICON_SCATTER_PLOT,
};
use tiller_protocol::feature::{FeatureQuery, FeatureRef, FeatureResults};
use tiller_protocol::message::Command;

use super::filters;
use crate::icon;
use crate::jobs::Purpose;
use crate::number::{count, plural};
use crate::shared::{Handoff, Shared};
use crate::theme::{self, palette, space};
use crate::widgets::button;
use crate::widgets::tokens::visible;

/// Most features that are pinned or climbed at once.
const MOST: usize = 12;

/// Draws the line; `token` is the one of the searched text whose features are shown alone.
pub(super) fn show(ui: &mut Ui, shared: &mut Shared, token: Option<usize>) {
    ui.horizontal(|ui| {
        ui.set_min_height(theme::size::CONTROL);
        if shared.features.selection.len() > 1 {
            marked(ui, shared);
            return;
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 6.0;
            // Last first: the line is filled from the right.
            filters::show(ui, shared);
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| found(ui, shared, token));
        });
    });
}

/// What was found.
fn found(ui: &mut Ui, shared: &Shared, token: Option<usize>) {
    if shared.features.awaited.is_some() {
        // An answer that comes at once shows no sign of waiting.
        ui.ctx().request_repaint_after_secs(0.1);
        let is_long = shared.beside(|purpose| *purpose == Purpose::Search).is_some_and(|job| job.elapsed_secs > 0.2);
        if is_long || shared.features.results().is_none() {
            ui.spinner();
            ui.label(theme::secondary(ui, "Searching\u{2026}"));
            return;
        }
    }
    let Some(results) = shared.features.results() else { return };
    if let Some(fires) = token.and_then(|token| results.tokens.get(token)) {
        let words = format!("{} on \u{201c}{}\u{201d}", plural(fires.top.len(), "feature"), visible(&fires.token));
        ui.add(Label::new(theme::strong(words)).truncate());
        return;
    }
    let total = shared.features.current().map_or(0, |sae| sae.d_sae);
    let words = in_words(results, total);
    ui.add(Label::new(theme::strong(&words)).truncate()).on_hover_text(described(&results.search.query));
    if let Some(note) = &results.note {
        icon::show(ui, ICON_INFO, 14.0, palette(ui).secondary);
        ui.add(Label::new(theme::note(ui, note)).truncate()).on_hover_text(note);
    }
}

/// `1 204 of 16 384 features · 12 ms`
fn in_words(results: &FeatureResults, total: usize) -> String {
    let n = results.order.len();
    let features = if n == total {
        format!("All {}", plural(n, "feature"))
    } else {
        format!("{} of {} features", count(n as u64), count(total as u64))
    };
    let time = match results.secs {
        secs if secs < 0.001 => "under 1 ms".to_owned(),
        secs if secs < 1.0 => format!("{:.0} ms", secs * 1e3),
        secs => format!("{secs:.1} s"),
    };
    format!("{features} \u{00b7} {time}")
}

/// What a search looks for.
fn described(query: &FeatureQuery) -> String {
    match query {
        FeatureQuery::All => "Every feature of this SAE".to_owned(),
        FeatureQuery::Label(text) => format!("Labels with \u{201c}{text}\u{201d}"),
        FeatureQuery::Token(text) => format!("What promotes the token \u{201c}{text}\u{201d}"),
        FeatureQuery::Similar(latent) => format!("Similar to #{latent}"),
        FeatureQuery::Vector(vector) => format!("Similar to the vector {}", vector.0),
        FeatureQuery::Text { text, .. } => format!("What fires on \u{201c}{text}\u{201d}"),
        FeatureQuery::Contrast { more, less } => {
            format!("What fires on {} and not on {}", plural(more.len(), "text"), plural(less.len(), "text"))
        }
    }
}

/// What can be done with the marked features.
fn marked(ui: &mut Ui, shared: &mut Shared) {
    let n = shared.features.selection.len();
    ui.label(theme::strong(format!("{} marked", plural(n, "feature"))));
    ui.add_space(space::XS);
    let bookmark = button::secondary("Bookmark").icon(ICON_BOOKMARK).hint("Key: B").show(ui);
    if bookmark.accessible_name("Bookmark the marked features").clicked() {
        toggle_bookmarks(shared);
    }
    let many = (n > MOST).then(|| format!("At most {MOST} at once."));
    let pin = button::secondary("Pin to chat").icon(ICON_PUSH_PIN).blocked_by(many.clone()).show(ui);
    if pin.accessible_name("Pin the marked features to chat").clicked() {
        shared.handoff = Some(Handoff::PinFeatures(chosen(shared)));
    }
    let hint = "SAEGA looks for prompts on which these features fire";
    let climb = button::secondary("Use in discovery").icon(ICON_SCATTER_PLOT).hint(hint);
    if climb.blocked_by(many).show(ui).accessible_name("Use the marked features in discovery").clicked() {
        shared.handoff = Some(Handoff::ClimbFeatures(chosen(shared)));
    }
    let hint = "The loaded model reads what they fire on and writes a label for each";
    let write = button::secondary("Write labels").icon(ICON_EDIT_NOTE).hint(hint).blocked_by(shared.needs_model());
    if write.show(ui).accessible_name("Write labels for the marked features").clicked() {
        label(shared);
    }
    if button::icon_only(ui, ICON_CLOSE, "Take the marks away").clicked() {
        shared.features.selection.clear();
    }
}

/// The marked features.
fn chosen(shared: &Shared) -> Vec<FeatureRef> {
    let Some(sae) = shared.features.current().map(|info| info.id.clone()) else { return Vec::new() };
    let latents = shared.features.selection.latents();
    latents.into_iter().map(|latent| FeatureRef { sae: sae.clone(), latent }).collect()
}

/// Bookmarks the marked features, or takes their bookmarks away when each has one.
pub(super) fn toggle_bookmarks(shared: &mut Shared) {
    let features = &shared.features;
    let latents = features.selection.latents();
    if !latents.is_empty() {
        let is_on = |latent: &u32| features.rows.get(*latent).is_some_and(|row| row.bookmarked);
        let all_on = latents.iter().all(is_on);
        shared.bookmark(latents, !all_on);
    }
}

/// Lets the loaded model write labels for the marked features.
fn label(shared: &mut Shared) {
    let Some(sae) = shared.features.current().map(|info| info.id.clone()) else { return };
    let latents = shared.features.selection.latents();
    let title = format!("Labelling {}", plural(latents.len(), "feature"));
    shared.start(Purpose::LabelFeatures, &title, |job| Command::LabelFeatures { job, sae, latents });
}
