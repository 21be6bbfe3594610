//! The forms over the page, with what was typed there; closing one keeps it.

use std::path::Path;

use egui::Ui;

use super::{Sheet, import, scan, train};
use crate::shared::Shared;

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
