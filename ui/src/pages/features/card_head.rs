//! Head of a card: which feature, the way to its neighbours, and what it can be used for.

use egui::{Label, Layout, Ui};
use egui_material_icons::MaterialIcon;
use egui_material_icons::icons::{
    ICON_BOOKMARK, ICON_BOOKMARK_ADDED, ICON_CHEVRON_LEFT, ICON_CHEVRON_RIGHT, ICON_CONTENT_COPY, ICON_DOWNLOAD,
    ICON_FORUM, ICON_SCATTER_PLOT,
};
use tiller_protocol::feature::{FeatureCard, FeatureRef};

use crate::shared::{Handoff, Shared};
use crate::theme::{self, size, space};
use crate::widgets::button;

/// Draws it.
pub(super) fn show(ui: &mut Ui, shared: &mut Shared, open: &FeatureRef, card: Option<&mut Box<FeatureCard>>) {
    let label = card.as_ref().and_then(|card| card.row.label.clone());
    let is_dead = card.as_ref().is_some_and(|card| card.decoder_norm == 0.0);
    ui.horizontal(|ui| {
        ui.set_min_height(size::PRIMARY);
        ui.spacing_mut().item_spacing.x = 2.0;
        ui.label(theme::figure(format!("#{}", open.latent)));
        ui.add_space(space::XS);
        if button::icon_only(ui, ICON_CONTENT_COPY, "Copy the number").clicked() {
            ui.ctx().copy_text(open.latent.to_string());
        }
        if let Some(card) = card {
            bookmark(ui, shared, card);
        }
        ui.with_layout(Layout::right_to_left(egui::Align::Center), |ui| neighbours(ui, shared));
    });
    let text = match &label {
        Some(label) => theme::section(label),
        None => theme::section("No label yet").color(theme::palette(ui).secondary),
    };
    ui.add(Label::new(text).wrap());
    ui.add_space(space::XS);
    uses(ui, shared, open, is_dead);
}

fn bookmark(ui: &mut Ui, shared: &mut Shared, card: &mut FeatureCard) {
    let on = card.row.bookmarked;
    let (icon, name) =
        if on { (ICON_BOOKMARK_ADDED, "Take the bookmark away") } else { (ICON_BOOKMARK, "Bookmark this feature") };
    let response = ui.scope(|ui| {
        if on {
            ui.visuals_mut().widgets.inactive.fg_stroke.color = theme::palette(ui).accent_text;
        }
        button::icon_only(ui, icon, name)
    });
    if response.inner.clicked() {
        card.row.bookmarked = !on;
        shared.bookmark(vec![card.feature.latent], !on);
    }
}

/// To the features before and after it in the table, from the right.
fn neighbours(ui: &mut Ui, shared: &mut Shared) {
    for (icon, name, steps) in
        [(ICON_CHEVRON_RIGHT, "Next feature (])", 1), (ICON_CHEVRON_LEFT, "Previous feature ([)", -1)]
    {
        let neighbour = shared.features.neighbour(steps);
        let obstacle = neighbour.is_none().then_some("there is none in the table");
        if button::icon_only_if(ui, icon, name, obstacle).clicked()
            && let Some(latent) = neighbour
        {
            shared.open_latent(latent);
        }
    }
}

/// Least widths for three buttons with words, and for two.
const WORDS: (f32, f32) = (420.0, 306.0);

fn uses(ui: &mut Ui, shared: &mut Shared, open: &FeatureRef, is_dead: bool) {
    let dead = is_dead.then(|| "Its decoder row is zero: it cannot change anything.".to_owned());
    let room = ui.available_width();
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::XS + 2.0;
        let pin = Use { icon: ICON_FORUM, label: "Pin to chat", hint: "Adds a steering row for it in Chat" };
        if pin.show(ui, true, dead.as_ref()) {
            shared.handoff = Some(Handoff::PinFeatures(vec![open.clone()]));
        }
        let hint = "Lets a SAEGA run look for prompts that make it fire";
        let climb = Use { icon: ICON_SCATTER_PLOT, label: "Use in discovery", hint };
        if climb.show(ui, room >= WORDS.1, dead.as_ref()) {
            shared.handoff = Some(Handoff::ClimbFeatures(vec![open.clone()]));
        }
        let hint = "Writes its decoder row to a safetensors file";
        let export = Use { icon: ICON_DOWNLOAD, label: "Export vector\u{2026}", hint };
        if export.show(ui, room >= WORDS.0, dead.as_ref()) {
            shared.export_feature(open);
        }
    });
}

/// Something that the feature can be used for.
struct Use {
    icon: MaterialIcon,
    label: &'static str,
    hint: &'static str,
}

impl Use {
    /// Its button, with the icon alone where there is no room for words; whether it was pressed.
    fn show(&self, ui: &mut Ui, with_words: bool, obstacle: Option<&String>) -> bool {
        if !with_words {
            return button::icon_only_if(ui, self.icon, self.label, obstacle.map(String::as_str)).clicked();
        }
        let button = button::secondary(self.label).icon(self.icon).hint(self.hint);
        button.blocked_by(obstacle.cloned()).show(ui).clicked()
    }
}
