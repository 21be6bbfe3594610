//! The sheet “Import”: labels, statistics and examples that others have published.

use std::path::{Path, PathBuf};

use egui::{TextEdit, Ui};
use egui_material_icons::icons::{ICON_CHECK_CIRCLE, ICON_DOWNLOAD, ICON_DRAFT, ICON_FOLDER_OPEN};
use tiller_protocol::feature::{ImportOptions, ImportReport, SaeInfo};
use tiller_protocol::message::Command;
use tiller_protocol::problem::Problem;

use crate::features::PathFor;
use crate::icon;
use crate::jobs::{Job, Purpose};
use crate::number::{count, plural};
use crate::shared::{Shared, last_part};
use crate::theme::{self, palette, size, space};
use crate::widgets::sheet::{Part, Sheet};
use crate::widgets::{button, card, field, problem, progress};

/// What is understood: name and what it brings.
const FORMS: [(&str, &str); 6] = [
    ("Neuronpedia exports", "labels, statistics, examples: a folder of batches, .jsonl.gz, .jsonl, .json"),
    ("CSV", "a column \u{201c}index\u{201d} and a column \u{201c}label\u{201d}"),
    ("Tiller\u{2019}s labels.jsonl", "labels with their scores"),
    ("sparsity.safetensors", "how often each feature fires (SAELens)"),
    ("examples.safetensors", "top tokens and examples (Gemma Scope 2)"),
    ("A single feature", "the JSON of a Neuronpedia feature page"),
];

/// State of the sheet.
#[derive(Default)]
pub(super) struct ImportSheet {
    path: String,
}

impl ImportSheet {
    /// Puts a dropped file or folder into the path field.
    pub(super) fn choose(&mut self, path: &Path) {
        self.path = path.display().to_string();
    }

    /// Draws it; true when it is to be closed.
    pub(super) fn show(&mut self, ui: &Ui, shared: &mut Shared) -> bool {
        let Some(sae) = shared.features.current().cloned() else { return true };
        if let Some(path) = shared.features.take_path(PathFor::Import) {
            self.choose(&path);
        }
        let sheet = Sheet {
            title: "Import labels and examples",
            purpose: "Reads what was published about the features of this SAE, from files on this computer.",
            width: 600.0,
        };
        let mut done = false;
        let closed = sheet.show(ui.ctx(), |ui, part| match part {
            Part::Body => self.body(ui, shared, &sae),
            Part::Buttons => done |= self.buttons(ui, shared, &sae),
        });
        if closed || done {
            shared.features.report = None;
        }
        closed || done
    }

    fn body(&mut self, ui: &mut Ui, shared: &mut Shared, sae: &SaeInfo) {
        if let Some(job) = running(shared).cloned() {
            card::callout(ui, palette(ui).hover, |ui| {
                if progress::row(ui, &job) {
                    shared.stop_beside(job.id);
                }
            });
            return;
        }
        let failed = shared.problem(|purpose| *purpose == Purpose::ImportFeatures).map(|(_, problem)| problem.clone());
        if let Some(failed) = failed {
            let action = can_go_on(&failed).then_some("Import anyway");
            match problem::show(ui, &failed, action) {
                Some(problem::Answer::Act) => self.start(shared, sae, true),
                Some(problem::Answer::Dismiss) => shared.clear_problem(&Purpose::ImportFeatures),
                None => {}
            }
            ui.add_space(space::S);
        }
        let report = shared.features.report.as_ref().filter(|(of, _)| *of == sae.id);
        if let Some((_, report)) = report {
            report_ui(ui, report);
            ui.add_space(space::S);
        }
        self.path_ui(ui, shared);
        ui.label(theme::strong("What is understood"));
        ui.spacing_mut().item_spacing.y = 2.0;
        for (name, brings) in FORMS {
            ui.label(theme::note(ui, format!("{name}: {brings}")));
        }
    }

    fn path_ui(&mut self, ui: &mut Ui, shared: &mut Shared) {
        let help = "Names of model and SAE in the file are compared with this SAE\u{2019}s before anything is added.";
        field::show(ui, "File or folder", help, |ui| {
            ui.horizontal(|ui| {
                let width = (ui.available_width() - 196.0).max(160.0);
                let path = TextEdit::singleline(&mut self.path)
                    .hint_text("Type its path, or drop it on this window")
                    .desired_width(width)
                    .margin(egui::Margin::symmetric(8, 5));
                ui.add(path).accessible_name("File or folder to import");
                if button::secondary("Folder\u{2026}").icon(ICON_FOLDER_OPEN).show(ui).clicked() {
                    shared.pick_feature_folder(PathFor::Import, "Choose a folder of exports");
                }
                if button::secondary("File\u{2026}").icon(ICON_DRAFT).show(ui).clicked() {
                    shared.pick_feature_file(PathFor::Import, "Choose a file to import");
                }
            });
        });
    }

    /// The buttons; true when the sheet is to be closed.
    fn buttons(&mut self, ui: &mut Ui, shared: &mut Shared, sae: &SaeInfo) -> bool {
        if running(shared).is_some() {
            return button::primary("Go on in the background").show(ui).clicked();
        }
        let empty = self.path.trim().is_empty().then(|| "Choose a file or folder first.".to_owned());
        if button::primary("Import").icon(ICON_DOWNLOAD).blocked_by(empty).show(ui).clicked() {
            self.start(shared, sae, false);
        }
        button::secondary("Close").show(ui).clicked()
    }

    fn start(&self, shared: &mut Shared, sae: &SaeInfo, anyway: bool) {
        shared.clear_problem(&Purpose::ImportFeatures);
        shared.features.report = None;
        let (id, path) = (sae.id.clone(), PathBuf::from(self.path.trim()));
        let title = format!("Importing {}", last_part(self.path.trim()));
        let options = ImportOptions { anyway };
        shared.start_beside(Purpose::ImportFeatures, title, |job| Command::ImportFeatures {
            job,
            sae: id,
            path,
            options,
        });
    }
}

fn running(shared: &Shared) -> Option<&Job> {
    shared.beside(|purpose| *purpose == Purpose::ImportFeatures)
}

/// Whether the user may decide to import in spite of it: its next step says so.
fn can_go_on(failed: &Problem) -> bool {
    failed.next_step.to_lowercase().contains("anyway")
}

fn report_ui(ui: &mut Ui, report: &ImportReport) {
    let colours = palette(ui);
    card::callout(ui, colours.success_soft, |ui| {
        ui.horizontal_top(|ui| {
            icon::show(ui, ICON_CHECK_CIRCLE, 20.0, colours.success);
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                ui.label(theme::strong(format!("{}: {} read", report.form, plural(report.n_rows as usize, "row"))));
                ui.label(added_in_words(report));
                if report.n_skipped > 0 {
                    ui.label(format!("{} left out:", count(report.n_skipped)));
                    for reason in &report.reasons {
                        ui.horizontal_top(|ui| {
                            ui.set_min_height(size::ICON);
                            ui.label(theme::secondary(ui, "\u{2022}"));
                            ui.add(egui::Label::new(theme::secondary(ui, reason)).wrap());
                        });
                    }
                }
            });
        });
    });
}

/// What was added: `1 180 labels, 20 examples`.
fn added_in_words(report: &ImportReport) -> String {
    let mut parts = Vec::new();
    if report.n_labels > 0 {
        parts.push(plural(report.n_labels as usize, "label"));
    }
    if report.n_stats > 0 {
        parts.push(format!("statistics of {}", plural(report.n_stats as usize, "feature")));
    }
    if report.n_examples > 0 {
        parts.push(plural(report.n_examples as usize, "example"));
    }
    if parts.is_empty() {
        return "Nothing new was added: all of it was known already, or left out.".to_owned();
    }
    format!("Added {}.", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_what_was_added() {
        let mut report = ImportReport { n_labels: 1180, n_examples: 1, ..ImportReport::default() };
        assert_eq!(added_in_words(&report), "Added 1\u{202f}180 labels, 1 example.");
        report = ImportReport::default();
        assert!(added_in_words(&report).starts_with("Nothing new"));
    }
}
