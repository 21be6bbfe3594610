//! The forms over the page, with what was typed there; closing one keeps it.

use std::path::Path;

use egui::Ui;

use super::{Sheet, import, scan, train};
use crate::jobs::Purpose;
use crate::shared::Shared;
use crate::theme::space;
use crate::widgets::problem;

/// State of all of them.
#[derive(Default)]
pub(super) struct Sheets {
    import: import::ImportSheet,
    scan: scan::ScanSheet,
    train: train::TrainSheet,
}

impl Sheets {
    /// Draws the one that is open, above everything.
    pub(super) fn show(&mut self, ui: &Ui, shared: &mut Shared, open: &mut Option<Sheet>) {
        self.scan.observe(shared);
        let closed = match open {
            Some(Sheet::Import) => self.import.show(ui, shared),
            Some(Sheet::Scan) => self.scan.show(ui, shared),
            Some(Sheet::Train) => self.train.show(ui, shared),
            None => return,
        };
        if closed {
            *open = None;
        }
    }

    /// Takes a file or folder that was dropped on the import.
    pub(super) fn import(&mut self, path: &Path) {
        self.import.choose(path);
    }
}

/// Failures of jobs whose form is closed, and of labels that were asked for without a card: nobody else tells them.
pub(super) fn failures(ui: &mut Ui, shared: &mut Shared, open: &mut Option<Sheet>) {
    if open.is_some() {
        return;
    }
    let forms = [
        (Purpose::ScanFeatures, Some((Sheet::Scan, "Back to the scan"))),
        (Purpose::ImportFeatures, Some((Sheet::Import, "Back to the import"))),
        (Purpose::TrainSae, Some((Sheet::Train, "Back to the training"))),
        (Purpose::LabelFeatures, None),
    ];
    for (purpose, form) in forms {
        // An open card tells of labels itself.
        let is_told = form.is_none() && shared.features.open.is_some();
        let failed = shared.problem(|other| *other == purpose).map(|(_, failed)| failed.clone());
        let Some(failed) = failed.filter(|_| !is_told) else { continue };
        match problem::show(ui, &failed, form.map(|(_, label)| label)) {
            Some(problem::Answer::Act) => *open = form.map(|(sheet, _)| sheet),
            Some(problem::Answer::Dismiss) => shared.clear_problem(&purpose),
            None => {}
        }
        ui.add_space(space::S);
    }
}
