//! The sheet “Scan texts”: the model reads texts, and every feature learns what it fires on.

use egui::{CollapsingHeader, Ui};
use egui_material_icons::icons::ICON_PLAY_ARROW;
use tiller_protocol::feature::{SaeInfo, ScanSettings};
use tiller_protocol::message::Command;

use super::scan_corpus::CorpusChoice;
use crate::features::PathFor;
use crate::jobs::Purpose;
use crate::number::{count, duration};
use crate::shared::Shared;
use crate::theme::{self, palette, space};
use crate::widgets::sheet::{Part, Sheet};
use crate::widgets::{button, card, field, problem, progress, segmented};

/// Numbers of tokens that are offered.
const SIZES: [(u64, &str); 4] =
    [(10_000, "10 thousand"), (50_000, "50 thousand"), (250_000, "250 thousand"), (1_000_000, "1 million")];

/// State of the sheet.
pub(super) struct ScanSheet {
    corpus: CorpusChoice,
    settings: ScanSettings,
    /// Tokens a second of the last scan here.
    speed: Option<f64>,
}

impl Default for ScanSheet {
    fn default() -> Self {
        Self { corpus: CorpusChoice::new(PathFor::Scan), settings: ScanSettings::default(), speed: None }
    }
}

impl ScanSheet {
    /// Notes how fast a scan goes, also while the sheet is closed.
    pub(super) fn observe(&mut self, shared: &Shared) {
        let job = shared.job.as_ref().filter(|job| job.purpose == Purpose::ScanFeatures);
        self.speed = job.and_then(|job| job.rate()).or(self.speed);
    }

    /// Draws it; true when it is to be closed.
    pub(super) fn show(&mut self, ui: &Ui, shared: &mut Shared) -> bool {
        let Some(sae) = shared.features.current().cloned() else { return true };
        let sheet = Sheet {
            title: "Scan texts",
            purpose: "The open model reads texts. Each feature keeps how often it fires, how strongly, and its best examples.",
            width: 600.0,
        };
        let mut done = false;
        let closed = sheet.show(ui.ctx(), |ui, part| match part {
            Part::Body => self.body(ui, shared, &sae),
            Part::Buttons => done |= self.buttons(ui, shared, &sae),
        });
        closed || done
    }

    fn body(&mut self, ui: &mut Ui, shared: &mut Shared, sae: &SaeInfo) {
        if let Some(job) = shared.job.clone().filter(|job| job.purpose == Purpose::ScanFeatures) {
            card::callout(ui, palette(ui).hover, |ui| {
                if progress::row(ui, &job) {
                    shared.stop();
                }
            });
            ui.add_space(space::XS);
            let words = "Table and cards fill while it runs: close this and look. Stopping keeps what was found, and \
                         the scan can go on later.";
            ui.label(theme::secondary(ui, words));
            return;
        }
        failure(ui, shared);
        self.corpus.show(ui, shared);
        field::show(ui, "How many tokens", "More tokens find rarer features and better examples.", |ui| {
            segmented::show(ui, "How many tokens", &mut self.settings.max_tokens, &SIZES);
        });
        if sae.scanned_tokens > 0 {
            let help = if self.settings.resume {
                "Goes on where the last scan stopped, if the texts are the same ones."
            } else {
                "Examples and statistics of the last scan are replaced. Labels, notes and bookmarks stay."
            };
            let label = format!("The last scan ({} tokens)", count(sae.scanned_tokens));
            field::show(ui, &label, help, |ui| {
                segmented::show(
                    ui,
                    &label,
                    &mut self.settings.resume,
                    &[(true, "Go on with it"), (false, "Begin again")],
                );
            });
        }
        CollapsingHeader::new("Advanced settings").id_salt("scan advanced").show_unindented(ui, |ui| {
            field::show(ui, "Tokens of a sequence", "Longer texts are cut into such pieces.", |ui| {
                field::whole(ui, "Tokens of a sequence", &mut self.settings.context_len, 16..=2048);
            });
        });
        ui.add_space(space::XS);
        ui.label(theme::secondary(ui, self.estimate(sae)));
    }

    /// How long it will take, as far as that is known.
    fn estimate(&self, sae: &SaeInfo) -> String {
        let before = if self.settings.resume { sae.scanned_tokens } else { 0 };
        let left = self.settings.max_tokens.saturating_sub(before);
        if left == 0 {
            return "So many tokens were scanned already: choose more, or begin again.".to_owned();
        }
        match self.speed.filter(|speed| *speed > 0.0) {
            Some(speed) => format!(
                "About {} at the speed of the last scan ({} tokens a second).",
                duration(left as f64 / speed),
                count(speed as u64)
            ),
            None => "How long it takes is told as soon as it runs; it can be stopped at any time.".to_owned(),
        }
    }

    /// The buttons; true when the sheet is to be closed.
    fn buttons(&mut self, ui: &mut Ui, shared: &mut Shared, sae: &SaeInfo) -> bool {
        if shared.job.as_ref().is_some_and(|job| job.purpose == Purpose::ScanFeatures) {
            return button::primary("Go on in the background").show(ui).clicked();
        }
        let corpus = self.corpus.corpus();
        let obstacle = misfit(shared, sae).or_else(|| shared.needs_model()).or_else(|| corpus.as_ref().err().cloned());
        let start = button::primary("Start scan").icon(ICON_PLAY_ARROW).blocked_by(obstacle).show(ui);
        if start.clicked()
            && let Ok(corpus) = corpus
        {
            let settings = ScanSettings { corpus, ..self.settings.clone() };
            let id = sae.id.clone();
            let title = format!("Scanning texts with {}", sae.name);
            shared.start(Purpose::ScanFeatures, &title, |job| Command::ScanFeatures { job, sae: id, settings });
        }
        button::secondary("Close").show(ui).clicked()
    }
}

/// Why the open model cannot feed this SAE.
pub(super) fn misfit(shared: &Shared, sae: &SaeInfo) -> Option<String> {
    let model = shared.model.as_ref().filter(|model| model.d_model != sae.d_model)?;
    Some(format!(
        "{} is {} wide, this SAE reads a width of {}. Open the model that it was trained on.",
        model.name,
        count(model.d_model as u64),
        count(sae.d_model as u64)
    ))
}

fn failure(ui: &mut Ui, shared: &mut Shared) {
    let failed = shared.problem(|purpose| *purpose == Purpose::ScanFeatures).map(|(_, problem)| problem.clone());
    if let Some(failed) = failed {
        if problem::show(ui, &failed, None).is_some() {
            shared.clear_problem(&Purpose::ScanFeatures);
        }
        ui.add_space(space::S);
    }
}
