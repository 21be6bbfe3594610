//! The form that sets a run up: presets first, the rest folded.

use egui::{CollapsingHeader, Layout, Ui};
use egui_material_icons::icons::ICON_DEPLOYED_CODE;
use tiller_protocol::discovery::{DiscoverySettings, Heading, Method};
use tiller_protocol::feature::{FeatureRef, FeatureWeight};
use tiller_protocol::model::ModelSource;
use tiller_protocol::persona::Placement;
use tiller_protocol::steering::VectorId;

use super::{advanced, climbed};
use crate::number::count;
use crate::page::Page;
use crate::pages::{home, scaffold};
use crate::shared::{Handoff, Shared};
use crate::theme::{self, palette, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::{button, card, field, segmented, stat};

/// How much is searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Preset {
    Quick,
    #[default]
    Standard,
    Thorough,
    Custom,
}

impl Preset {
    fn apply(self, settings: &mut DiscoverySettings) {
        let standard = DiscoverySettings::default();
        let (iterations, children, contexts) = match self {
            Self::Quick => (30, 16, 4),
            Self::Standard | Self::Custom => (standard.iterations, standard.children, standard.n_contexts),
            Self::Thorough => (240, 48, 16),
        };
        settings.iterations = iterations;
        settings.children = children;
        settings.n_contexts = contexts;
        settings.population = standard.population;
        settings.restart_every = standard.restart_every;
    }
}

/// The form's state.
#[derive(Default)]
pub(super) struct Form {
    /// What is set.
    pub(super) settings: DiscoverySettings,
    preset: Preset,
    warm_start: String,
}

impl Form {
    /// The persona that a run would be for: the chosen one, or the first of the library.
    pub(super) fn persona(&self, shared: &Shared) -> String {
        if !self.settings.persona.is_empty() {
            return self.settings.persona.clone();
        }
        shared.personas.iter().flatten().next().map_or_else(String::new, |persona| persona.card.id.clone())
    }

    /// Takes a persona and what it recommends.
    pub(super) fn choose_persona(&mut self, shared: &Shared, id: &str) {
        id.clone_into(&mut self.settings.persona);
        self.settings.vector =
            shared.vector_of(id).filter(|vector| shared.fits(vector)).map(|vector| vector.id.clone());
        self.settings.block = None;
        if let Some(persona) = shared.persona(id) {
            self.settings.placement = persona.card.default_placement;
        }
    }

    /// Lets SAEGA climb these features, too; those of another SAE make room for them.
    pub(super) fn climb(&mut self, shared: &mut Shared, features: &[FeatureRef]) {
        self.settings.method = Method::Saega;
        for feature in features {
            let chosen = &mut self.settings.features;
            chosen.retain(|known| known.feature.sae == feature.sae);
            if chosen.iter().all(|known| known.feature != *feature) {
                chosen.push(FeatureWeight { feature: feature.clone(), weight: 1.0 });
            }
            shared.know_feature(feature);
        }
    }

    /// Takes the settings of an earlier run, with the next seed.
    pub(super) fn repeat(&mut self, settings: &DiscoverySettings) {
        self.settings = settings.clone();
        self.settings.seed += 1;
        self.warm_start = settings.warm_start.clone().unwrap_or_default();
    }

    /// Draws the form and, beside it, what a run will do.
    pub(super) fn show(&mut self, ui: &mut Ui, shared: &mut Shared) {
        if self.settings.persona.is_empty() {
            let first = self.persona(shared);
            self.choose_persona(shared, &first);
        }
        if shared.model.is_none() {
            no_model(ui, shared);
            ui.add_space(space::S);
        }
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = space::L;
            let aside = 320.0;
            ui.vertical(|ui| {
                ui.set_width(ui.available_width() - aside - space::L);
                card::titled(ui, "What to find", |ui| self.target(ui, shared));
                ui.add_space(space::S);
                card::titled(ui, "How hard to search", |ui| self.effort(ui));
            });
            ui.vertical(|ui| {
                ui.set_width(aside);
                self.summary(ui, shared);
                ui.add_space(space::S);
                saved_runs(ui, shared);
            });
        });
    }

    fn target(&mut self, ui: &mut Ui, shared: &mut Shared) {
        let personas: Vec<(String, String)> = shared
            .personas
            .iter()
            .flatten()
            .map(|persona| (persona.card.id.clone(), persona.card.name.clone()))
            .collect();
        scaffold::columns(ui, 2, |ui, column| {
            let width = ui.available_width() - 8.0;
            if column == 0 {
                field::show(ui, "Persona", "", |ui| {
                    let mut chosen = self.persona(shared);
                    if field::choice(ui, "Persona", &mut chosen, &personas, width) {
                        self.choose_persona(shared, &chosen);
                    }
                });
            } else {
                field::show(ui, "Vector", "", |ui| {
                    let options = self.vectors(shared);
                    field::choice(ui, "Vector", &mut self.settings.vector, &options, width);
                });
            }
        });
        let (positive, name) = shared.persona(&self.persona(shared)).map_or_else(
            || ("of the persona".to_owned(), "the persona".to_owned()),
            |persona| (persona.card.positive.clone(), persona.card.name.clone()),
        );
        field::show(ui, "Direction", &format!("Which way the prompt should move {name}."), |ui| {
            let (less, more) = (format!("Less {positive}"), format!("More {positive}"));
            let options = [(Heading::Away, less.as_str()), (Heading::Toward, more.as_str())];
            segmented::show(ui, "Direction", &mut self.settings.heading, &options);
        });
        let help = match self.settings.method {
            Method::Resga => "RESGA follows the persona's direction in the residual stream.",
            Method::Saega => "SAEGA follows a few latents of the sparse autoencoder that tell the persona apart.",
        };
        field::show(ui, "Method", help, |ui| {
            segmented::show(
                ui,
                "Method",
                &mut self.settings.method,
                &[(Method::Resga, "RESGA (direction)"), (Method::Saega, "SAEGA (features)")],
            );
        });
        if self.settings.method == Method::Saega {
            climbed::show(ui, shared, &mut self.settings.features);
        }
        field::show(ui, "Where the prompt stands", "", |ui| {
            let options: Vec<_> =
                Placement::ALL.into_iter().map(|placement| (placement, placement.label().to_owned())).collect();
            field::choice(ui, "Where the prompt stands", &mut self.settings.placement, &options, 240.0);
        });
    }

    fn vectors(&self, shared: &Shared) -> Vec<(Option<VectorId>, String)> {
        let persona = self.persona(shared);
        let mut options = vec![(None, "Extract a fresh one".to_owned())];
        for vector in &shared.vectors {
            if vector.persona.as_deref() == Some(persona.as_str()) && shared.fits(vector) {
                options.push((Some(vector.id.clone()), vector.id.0.clone()));
            }
        }
        options
    }

    fn effort(&mut self, ui: &mut Ui) {
        field::show(ui, "Preset", "", |ui| {
            let mut preset = self.preset;
            let mut options =
                vec![(Preset::Quick, "Quick"), (Preset::Standard, "Standard"), (Preset::Thorough, "Thorough")];
            if preset == Preset::Custom {
                options.push((Preset::Custom, "Custom"));
            }
            if segmented::show(ui, "Preset", &mut preset, &options) && preset != Preset::Custom {
                preset.apply(&mut self.settings);
            }
            self.preset = preset;
        });
        let settings = &self.settings;
        let tried = settings.iterations * settings.population * settings.children;
        ui.label(theme::note(ui, format!("Tries about {} prompts.", count(tried as u64))));
        CollapsingHeader::new("Advanced settings").id_salt("advanced").show_unindented(ui, |ui| {
            let before = self.settings.clone();
            advanced::show(ui, &mut self.settings, &mut self.warm_start);
            if self.settings != before {
                self.preset = Preset::Custom;
            }
        });
    }

    fn summary(&self, ui: &mut Ui, shared: &Shared) {
        card::titled(ui, "What will happen", |ui| {
            let persona = shared.persona(&self.persona(shared));
            let counts = persona.map_or((0, 0), |persona| (persona.n_select, persona.n_report));
            let steps = [
                "Baselines first: no prompt, and the persona's plain manual prompts.".to_owned(),
                format!(
                    "{} iterations change one token at a time, keeping the best for each weight of fluency.",
                    self.settings.iterations
                ),
                format!("The front is judged on {} selection questions; one prompt is chosen there.", counts.0),
                format!("Only that prompt is then measured on {} held-out questions, beside the baselines.", counts.1),
            ];
            for (position, step) in steps.iter().enumerate() {
                ui.horizontal_top(|ui| {
                    ui.label(theme::strong(format!("{}", position + 1)).color(palette(ui).accent_text));
                    ui.vertical(|ui| ui.label(theme::secondary(ui, step)));
                });
            }
        });
    }
}

fn no_model(ui: &mut Ui, shared: &mut Shared) {
    let fill = palette(ui).accent_soft;
    card::callout(ui, fill, |ui| {
        ui.horizontal(|ui| {
            ui.label("Prompts are searched inside a model. Open one first.");
            ui.with_layout(Layout::right_to_left(egui::Align::Center), |ui| {
                let open = button::secondary("Open the demo model").icon(ICON_DEPLOYED_CODE).blocked_by(shared.busy());
                if open.show(ui).clicked() {
                    shared.load(ModelSource::Demo);
                }
            });
        });
    });
}

fn saved_runs(ui: &mut Ui, shared: &mut Shared) {
    if shared.runs.is_empty() {
        return;
    }
    ui.label(theme::section("Earlier runs"));
    let mut opened = None;
    egui::ScrollArea::vertical().id_salt("earlier runs").max_height(320.0).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        for run in &shared.runs {
            let title = home::run_title(run);
            let row = card::clickable(ui, &title, false, egui::Margin::symmetric(12, 8), |ui| {
                ui.spacing_mut().item_spacing.y = 1.0;
                stat::row(ui, 20.0, |ui| {
                    crate::icon::show(ui, Page::Discover.icon(), 14.0, palette(ui).secondary);
                    ui.label(theme::strong(&title));
                    if run.stopped {
                        badge::show(ui, Tone::Caution, "Stopped");
                    }
                });
                ui.label(theme::note(ui, format!("{} on the front \u{00b7} {}", run.n_front, run.id)));
            });
            if row.clicked() {
                opened = Some(run.id.clone());
            }
        }
    });
    if let Some(id) = opened {
        shared.handoff = Some(Handoff::Run(id));
    }
}
