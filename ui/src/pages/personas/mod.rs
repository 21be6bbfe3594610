//! Personas: the library at the left, the chosen persona at the right.

mod detail;
mod diagnostics;
mod pairs;

use egui::Ui;
use tiller_protocol::persona::{PersonaKind, PersonaSummary};

use crate::page::Page;
use crate::pages::scaffold;
use crate::shared::Shared;
use crate::theme::{self, palette, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::empty::Empty;
use crate::widgets::{card, stat};

/// Width of the list.
const LIST: f32 = 236.0;

/// The page's state.
#[derive(Default)]
pub(crate) struct PersonasPage {
    chosen: Option<String>,
    pairs: pairs::PairBrowser,
}

impl PersonasPage {
    /// Shows a persona.
    pub(crate) fn choose(&mut self, id: &str) {
        if self.chosen.as_deref() != Some(id) {
            self.chosen = Some(id.to_owned());
            self.pairs = pairs::PairBrowser::default();
        }
    }

    /// Why the chosen persona cannot be extracted now.
    pub(crate) fn obstacle(&self, shared: &Shared) -> Option<String> {
        if self.current(shared).is_none() {
            return Some("Choose a persona first.".to_owned());
        }
        shared.needs_model()
    }

    /// Extracts the chosen persona.
    pub(crate) fn extract(&self, shared: &mut Shared) {
        if let Some(persona) = self.current(shared) {
            shared.extract(&persona.card.id);
        }
    }

    fn current(&self, shared: &Shared) -> Option<PersonaSummary> {
        let personas = shared.personas.as_ref()?;
        let wanted = self.chosen.as_deref();
        personas.iter().find(|persona| Some(persona.card.id.as_str()) == wanted).or_else(|| personas.first()).cloned()
    }

    /// Draws the page.
    pub(crate) fn show(&mut self, ui: &mut Ui, shared: &mut Shared) {
        scaffold::fixed(ui, |ui| {
            scaffold::head(ui, shared, Page::Personas, |_, _| {});
            let Some(persona) = self.current(shared) else {
                none(ui, shared);
                return;
            };
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = space::L;
                ui.vertical(|ui| {
                    ui.set_width(LIST);
                    egui::ScrollArea::vertical().id_salt("persona list").show(ui, |ui| self.list(ui, shared, &persona));
                });
                ui.vertical(|ui| {
                    egui::ScrollArea::vertical()
                        .id_salt(("persona", &persona.card.id))
                        .auto_shrink([false, false])
                        .show(ui, |ui| detail::show(ui, shared, &persona, &mut self.pairs));
                });
            });
        });
    }

    fn list(&mut self, ui: &mut Ui, shared: &Shared, current: &PersonaSummary) {
        ui.spacing_mut().item_spacing.y = space::XS;
        let mut chosen = None;
        for (kind, title) in [(PersonaKind::Trait, "Traits"), (PersonaKind::Style, "Styles")] {
            let of_kind: Vec<_> =
                shared.personas.iter().flatten().filter(|persona| persona.card.kind == kind).collect();
            if of_kind.is_empty() {
                continue;
            }
            ui.label(theme::note(ui, title));
            for persona in of_kind {
                let selected = persona.card.id == current.card.id;
                let margin = egui::Margin::symmetric(12, 8);
                let clicked = card::clickable(ui, &persona.card.name, selected, margin, |ui| {
                    ui.spacing_mut().item_spacing.y = 1.0;
                    stat::row(ui, 20.0, |ui| {
                        ui.label(theme::strong(&persona.card.name));
                        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                            if shared.vector_of(&persona.card.id).is_some_and(|vector| shared.fits(vector)) {
                                badge::show(ui, Tone::Good, "Vector");
                            }
                        });
                    });
                    let poles = format!("{} \u{2194} {}", persona.card.negative, persona.card.positive);
                    ui.add(egui::Label::new(theme::note(ui, poles)).truncate());
                });
                if clicked.clicked() {
                    chosen = Some(persona.card.id.clone());
                }
            }
            ui.add_space(space::S);
        }
        if let Some(id) = chosen {
            self.choose(&id);
        }
    }
}

fn none(ui: &mut Ui, shared: &Shared) {
    if shared.personas.is_none() {
        ui.add_space(space::XXL);
        ui.vertical_centered(|ui| {
            ui.spinner();
            ui.label(theme::secondary(ui, "Reading the persona library\u{2026}"));
        });
        return;
    }
    let empty = Empty {
        icon: Page::Personas.icon(),
        title: "The persona library is empty",
        hint: "A persona is a set of opposite prompts and questions. Put persona folders into the workspace's personas \
               folder and start Tiller again.",
    };
    empty.show(ui, None);
}

/// The two poles with their colours: away at the left, toward at the right.
pub(crate) fn poles(ui: &mut Ui, negative: &str, positive: &str) {
    let colours = palette(ui);
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        ui.label(theme::strong(format!("\u{2212} {negative}")).color(colours.away_text));
        ui.label(theme::secondary(ui, "to"));
        ui.label(theme::strong(format!("+ {positive}")).color(colours.toward_text));
    });
}
