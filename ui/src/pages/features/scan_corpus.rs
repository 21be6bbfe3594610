//! Choosing texts for the model to read: those that ship with Tiller, a file or folder, or pasted ones.

use std::path::PathBuf;

use egui::{TextEdit, Ui};
use egui_material_icons::icons::{ICON_DRAFT, ICON_FOLDER_OPEN};
use tiller_protocol::feature::Corpus;

use crate::features::PathFor;
use crate::number::plural;
use crate::shared::Shared;
use crate::theme::{self, space};
use crate::widgets::{button, field, segmented};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Shipped,
    Path,
    Pasted,
}

/// What is chosen, with what was typed for the other choices.
pub(super) struct CorpusChoice {
    kind: Kind,
    path: String,
    text: String,
    wanted: PathFor,
}

impl CorpusChoice {
    /// Nothing typed yet; dialogs answer to `wanted`.
    pub(super) fn new(wanted: PathFor) -> Self {
        Self { kind: Kind::default(), path: String::new(), text: String::new(), wanted }
    }

    /// The texts, or what is missing.
    pub(super) fn corpus(&self) -> Result<Corpus, String> {
        match self.kind {
            Kind::Shipped => Ok(Corpus::Shipped),
            Kind::Path if self.path.trim().is_empty() => Err("Choose a file or folder of texts first.".to_owned()),
            Kind::Path => Ok(Corpus::Path(PathBuf::from(self.path.trim()))),
            Kind::Pasted if self.text.trim().is_empty() => Err("Paste some text first.".to_owned()),
            Kind::Pasted => Ok(Corpus::Text(self.text.clone())),
        }
    }

    /// Draws the choice.
    pub(super) fn show(&mut self, ui: &mut Ui, shared: &mut Shared) {
        if let Some(path) = shared.features.take_path(self.wanted) {
            self.path = path.display().to_string();
            self.kind = Kind::Path;
        }
        field::show(ui, "Texts", "", |ui| {
            let options = [
                (Kind::Shipped, "Tiller\u{2019}s own texts"),
                (Kind::Path, "File or folder"),
                (Kind::Pasted, "Pasted"),
            ];
            segmented::show(ui, "Texts", &mut self.kind, &options);
            ui.add_space(space::XS);
            match self.kind {
                Kind::Shipped => {
                    let words = "Neutral sentences and the questions of the personas. Texts like those that the SAE \
                                 was trained on tell more.";
                    ui.label(theme::note(ui, words));
                }
                Kind::Path => self.path_ui(ui, shared),
                Kind::Pasted => self.text_ui(ui),
            }
        });
    }

    fn path_ui(&mut self, ui: &mut Ui, shared: &mut Shared) {
        ui.horizontal(|ui| {
            let width = (ui.available_width() - 196.0).max(160.0);
            let path = TextEdit::singleline(&mut self.path)
                .hint_text("Path of a file or folder")
                .desired_width(width)
                .margin(egui::Margin::symmetric(8, 5));
            ui.add(path).accessible_name("Path of a file or folder of texts");
            if button::secondary("Folder\u{2026}").icon(ICON_FOLDER_OPEN).show(ui).clicked() {
                shared.pick_feature_folder(self.wanted, "Choose a folder of texts");
            }
            if button::secondary("File\u{2026}").icon(ICON_DRAFT).show(ui).clicked() {
                shared.pick_feature_file(self.wanted, "Choose a file of texts");
            }
        });
        let words = "Plain text (.txt, blank lines between texts), .jsonl whose lines have \u{201c}text\u{201d}, or a \
                     folder of such files. Nothing leaves this computer.";
        ui.label(theme::note(ui, words));
    }

    fn text_ui(&mut self, ui: &mut Ui) {
        egui::ScrollArea::vertical().id_salt("pasted texts").max_height(150.0).show(ui, |ui| {
            let text = TextEdit::multiline(&mut self.text)
                .hint_text("Texts, a blank line between them")
                .desired_rows(6)
                .desired_width(f32::INFINITY)
                .margin(egui::Margin::symmetric(8, 6));
            ui.add(text).accessible_name("Pasted texts");
        });
        let n_texts = self.text.split("\n\n").filter(|text| !text.trim().is_empty()).count();
        ui.label(theme::note(ui, plural(n_texts, "text")));
    }
}
