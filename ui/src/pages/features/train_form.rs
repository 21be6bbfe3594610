//! Settings of a training: presets first, the rest folded.

use egui::{CollapsingHeader, DragValue, TextEdit, Ui};
use tiller_protocol::feature::{TrainKind, TrainSettings};
use tiller_protocol::model::ModelInfo;

use super::scan_corpus::CorpusChoice;
use crate::features::PathFor;
use crate::number::{bytes, count};
use crate::pages::scaffold;
use crate::shared::Shared;
use crate::theme::{self, space};
use crate::widgets::{field, segmented};

/// Learning rate that a field of one's own starts with.
const LEARNING_RATE: f64 = 4e-4;
/// Width of the model assumed while none is open.
const ASSUMED_WIDTH: usize = 1024;

/// How large a training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Preset {
    /// Minutes on a small model.
    #[default]
    Small,
    /// What papers use for a first look at a model.
    Usual,
    /// As set by hand.
    Custom,
}

impl Preset {
    fn apply(self, settings: &mut TrainSettings, width: usize) {
        let standard = TrainSettings::default();
        (settings.d_sae, settings.k, settings.tokens) = match self {
            Self::Small => (512, 8, 300_000),
            Self::Usual => (8 * width, 32, 4_000_000),
            Self::Custom => return,
        };
        (settings.batch, settings.learning_rate) = (standard.batch, None);
        (settings.kind, settings.context_len) = (standard.kind, standard.context_len);
    }
}

/// The form's state.
pub(super) struct TrainForm {
    settings: TrainSettings,
    preset: Preset,
    corpus: CorpusChoice,
}

impl Default for TrainForm {
    fn default() -> Self {
        let mut settings = TrainSettings::default();
        Preset::Small.apply(&mut settings, ASSUMED_WIDTH);
        Self { settings, preset: Preset::Small, corpus: CorpusChoice::new(PathFor::Train) }
    }
}

impl TrainForm {
    /// The settings as they stand, or what is missing.
    pub(super) fn settings(&self, shared: &Shared) -> Result<TrainSettings, String> {
        let settings = &self.settings;
        if settings.k >= settings.d_sae {
            return Err("Fewer features may be active at once than there are in all.".to_owned());
        }
        if settings.tokens < settings.batch as u64 {
            return Err("It needs at least the tokens of one step.".to_owned());
        }
        let corpus = self.corpus.corpus()?;
        let name = if settings.name.trim().is_empty() { self.suggested_name(shared) } else { settings.name.clone() };
        Ok(TrainSettings { name: name.trim().to_owned(), corpus, ..settings.clone() })
    }

    fn suggested_name(&self, shared: &Shared) -> String {
        let Some(model) = &shared.model else { return "My SAE".to_owned() };
        let block = self.settings.block.unwrap_or_else(|| middle(model));
        format!("{} block {block}, {} features", model.name, self.settings.d_sae)
    }

    /// Draws the form.
    pub(super) fn show(&mut self, ui: &mut Ui, shared: &mut Shared) {
        let model = shared.model.clone();
        let width = model.as_ref().map_or(ASSUMED_WIDTH, |model| model.d_model);
        self.size(ui, width);
        self.corpus.show(ui, shared);
        scaffold::columns(ui, 2, |ui, column| {
            if column == 0 {
                let help = "It reads and rebuilds the residual stream after this block.";
                field::show(ui, "Block", help, |ui| self.block(ui, model.as_ref()));
            } else {
                let suggestion = self.suggested_name(shared);
                field::show(ui, "Name", "Also names its folder.", |ui| {
                    let name = TextEdit::singleline(&mut self.settings.name)
                        .hint_text(suggestion)
                        .desired_width(f32::INFINITY)
                        .margin(egui::Margin::symmetric(8, 5));
                    ui.add(name).accessible_name("Name");
                });
            }
        });
        CollapsingHeader::new("Advanced settings").id_salt("train advanced").show_unindented(ui, |ui| {
            let before = self.settings.clone();
            self.advanced(ui);
            if self.settings != before {
                self.preset = Preset::Custom;
            }
        });
        ui.add_space(space::XS);
        ui.label(theme::secondary(ui, self.summary(width)));
    }

    fn size(&mut self, ui: &mut Ui, width: usize) {
        let help = match self.preset {
            Preset::Small => "A first look: minutes on a small model, also without an accelerator.",
            Preset::Usual => "Eight features for each dimension of the model. Hours without an accelerator.",
            Preset::Custom => "As set below.",
        };
        field::show(ui, "Preset", help, |ui| {
            let mut options = vec![(Preset::Small, "Small demo"), (Preset::Usual, "Usual")];
            if self.preset == Preset::Custom {
                options.push((Preset::Custom, "Custom"));
            }
            if segmented::show(ui, "Preset", &mut self.preset, &options) {
                self.preset.apply(&mut self.settings, width);
            }
        });
    }

    fn block(&mut self, ui: &mut Ui, model: Option<&ModelInfo>) {
        let width = ui.available_width().min(260.0);
        let middle_name =
            model.map_or_else(|| "The middle one".to_owned(), |model| format!("The middle one ({})", middle(model)));
        let mut options = vec![(None, middle_name)];
        options
            .extend((0..model.map_or(0, |model| model.n_layers)).map(|block| (Some(block), format!("Block {block}"))));
        field::choice(ui, "Block", &mut self.settings.block, &options, width);
    }

    fn advanced(&mut self, ui: &mut Ui) {
        let settings = &mut self.settings;
        let help = match settings.kind {
            TrainKind::TopK => "On each token the strongest few are active, always as many.",
            TrainKind::BatchTopK => "As many on average, more on tokens that need more.",
            TrainKind::JumpRelu => "Each feature learns the threshold above which it is active.",
        };
        field::show(ui, "Kind", help, |ui| {
            segmented::show(ui, "Kind", &mut settings.kind, &TrainKind::ALL.map(|kind| (kind, kind.label())));
        });
        scaffold::columns(ui, 3, |ui, column| match column {
            0 => {
                number(ui, "Features", "in all", &mut settings.d_sae, 16..=1_048_576);
                number(ui, "Active at once (k)", "on a token", &mut settings.k, 1..=1024);
            }
            1 => {
                let mut thousands = (settings.tokens / 1000) as usize;
                number(ui, "Tokens", "thousands, in all", &mut thousands, 1..=10_000_000);
                if thousands != (settings.tokens / 1000) as usize {
                    settings.tokens = thousands as u64 * 1000;
                }
                number(ui, "Tokens of a step", "", &mut settings.batch, 64..=65_536);
            }
            _ => {
                number(ui, "Tokens of a sequence", "", &mut settings.context_len, 16..=2048);
                field::show(ui, "Seed", "of initialisation and order", |ui| field::seed(ui, &mut settings.seed));
            }
        });
        learning_rate(ui, settings);
        let words = "Go on from the checkpoint of this name, if there is one";
        ui.checkbox(&mut settings.resume, words).on_hover_text("A training that was stopped before Tiller was closed");
    }

    fn summary(&self, width: usize) -> String {
        let settings = &self.settings;
        let size = 2 * settings.d_sae as u64 * width as u64 * 4;
        format!(
            "{} features, {} active on a token, from {} tokens in {} steps. The SAE will take about {}.",
            count(settings.d_sae as u64),
            count(settings.k as u64),
            count(settings.tokens),
            count(settings.tokens / (settings.batch as u64).max(1)),
            bytes(size)
        )
    }
}

fn middle(model: &ModelInfo) -> usize {
    model.n_layers / 2
}

fn number(ui: &mut Ui, label: &str, help: &str, value: &mut usize, range: std::ops::RangeInclusive<usize>) {
    field::show(ui, label, help, |ui| field::whole(ui, label, value, range));
}

fn learning_rate(ui: &mut Ui, settings: &mut TrainSettings) {
    field::show(ui, "Learning rate", "", |ui| {
        ui.horizontal(|ui| {
            let mut automatic = settings.learning_rate.is_none();
            if ui.checkbox(&mut automatic, "Worked out from the number of features").changed() {
                settings.learning_rate = (!automatic).then_some(LEARNING_RATE);
            }
            if let Some(rate) = &mut settings.learning_rate {
                let value = DragValue::new(rate).range(1e-6..=0.1).speed(1e-5).fixed_decimals(6);
                ui.add(value).accessible_name("Learning rate");
            }
        });
    });
}
