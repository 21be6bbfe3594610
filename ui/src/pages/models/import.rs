//! A folder or file from elsewhere: what it is, whether it fits, and making it known.

use std::path::{Path, PathBuf};

use egui::{CollapsingHeader, TextEdit, Ui};
use egui_material_icons::icons::{ICON_CLOSE, ICON_DRAFT, ICON_FOLDER_OPEN, ICON_LIBRARY_ADD};
use tiller_protocol::message::Command;
use tiller_protocol::model::{DeviceChoice, DtypeChoice, LoadOptions, ModelSource};

use super::fit;
use crate::jobs::Purpose;
use crate::pages::settings;
use crate::shared::Shared;
use crate::theme::{self, space};
use crate::widgets::{button, card, problem, progress};

/// State of the card.
#[derive(Default)]
pub(super) struct Import {
    path: String,
    copy: bool,
    asking: Asking,
}

/// Asks for a check again when anything changes that it depends on.
#[derive(Default)]
pub(super) struct Asking(Option<Asked>);

/// Everything that a check depends on, as far as the window knows.
#[derive(Clone, PartialEq)]
struct Asked {
    source: ModelSource,
    device: DeviceChoice,
    dtype: DtypeChoice,
    loaded: Option<String>,
}

impl Asking {
    /// Asks what a model is and whether it fits, unless that was asked under the same circumstances.
    pub(super) fn ask(&mut self, shared: &mut Shared, source: &ModelSource) {
        let asked = Asked {
            source: source.clone(),
            device: shared.settings.device,
            dtype: shared.settings.dtype,
            loaded: shared.model.as_ref().map(|model| model.hash.clone()),
        };
        if self.0.as_ref() != Some(&asked) {
            self.0 = Some(asked);
            shared.send(Command::CheckModel(source.clone()));
        }
    }
}

impl Import {
    /// Puts a folder or file into the path field.
    pub(super) fn choose(&mut self, path: &Path) {
        self.path = path.display().to_string();
        self.asking = Asking::default();
    }

    /// Looks at the path again: the memory that is free may have changed.
    pub(super) fn forget_check(&mut self) {
        self.asking = Asking::default();
    }

    /// Empties the path field.
    pub(super) fn clear(&mut self) {
        *self = Self { copy: self.copy, ..Self::default() };
    }

    /// Draws the card.
    pub(super) fn show(&mut self, ui: &mut Ui, shared: &mut Shared) {
        card::show(ui, |ui| {
            self.path_row(ui, shared);
            if let Some(job) = shared.assets.import().cloned() {
                if progress::row(ui, &job) {
                    shared.stop_beside(job.id);
                }
                return;
            }
            let failed = shared.problem(|purpose| *purpose == Purpose::Import).map(|(_, problem)| problem.clone());
            if let Some(failed) = failed
                && problem::show(ui, &failed, None).is_some()
            {
                shared.clear_problem(&Purpose::Import);
            }
            let path = self.path.trim();
            if !path.is_empty() {
                let path = PathBuf::from(path);
                self.verdict(ui, shared, path);
            }
        });
    }

    /// The path, and ways to choose one.
    fn path_row(&mut self, ui: &mut Ui, shared: &mut Shared) {
        ui.horizontal(|ui| {
            let clear = if self.path.is_empty() { 0.0 } else { theme::size::CONTROL + space::S };
            let width = (ui.available_width() - 194.0 - clear).max(200.0);
            let field = TextEdit::singleline(&mut self.path)
                .hint_text("Model folder, GGUF file or SAE folder: type its path, or drop it on this window")
                .desired_width(width)
                .margin(egui::Margin::symmetric(8, 5));
            // Its hint would be its name otherwise.
            ui.add(field).accessible_name("Model folder or file");
            if button::secondary("Folder\u{2026}").icon(ICON_FOLDER_OPEN).show(ui).clicked() {
                shared.pick_model_folder();
            }
            if button::secondary("File\u{2026}").icon(ICON_DRAFT).show(ui).clicked() {
                shared.pick_model_file();
            }
            if !self.path.is_empty() && button::icon_only(ui, ICON_CLOSE, "Clear the path").clicked() {
                self.clear();
                shared.clear_problem(&Purpose::Import);
            }
        });
    }

    /// What the path holds, and what can be done with it.
    fn verdict(&mut self, ui: &mut Ui, shared: &mut Shared, path: PathBuf) {
        let source = ModelSource::Folder(path.clone());
        self.asking.ask(shared, &source);
        ui.add_space(space::XS);
        match shared.check_of(&source) {
            Some(check) => fit::show(ui, check),
            None => {
                ui.horizontal(|ui| {
                    ui.spinner();
                    ui.label(theme::secondary(ui, "Looking at it\u{2026}"));
                });
            }
        }
        ui.add_space(space::XS);
        ui.horizontal(|ui| {
            ui.set_min_height(theme::size::PRIMARY);
            let anyway = shared.is_too_large(&source);
            let label = if anyway { "Load anyway" } else { "Open" };
            // What cannot be opened may still be tried, and an SAE can be added; neither is recommended.
            let is_sound = !matches!(shared.check_of(&source), Some(Err(_)));
            let open = if is_sound { button::primary(label) } else { button::secondary(label) };
            if open.blocked_by(shared.busy()).show(ui).clicked() {
                shared.load_with(source, LoadOptions { anyway, ..LoadOptions::default() });
            }
            let known = shared.assets.asset(&path).is_some().then(|| "It is in the library already.".to_owned());
            let add = button::secondary("Add to the library").icon(ICON_LIBRARY_ADD).blocked_by(known);
            let add = add.hint("Lists it under Installed; its files stay where they are unless they are copied");
            if add.show(ui).clicked() {
                shared.clear_problem(&Purpose::Import);
                shared.import(path, self.copy);
            }
            ui.checkbox(&mut self.copy, "Copy into Tiller's folder").on_hover_text(
                "Off: Tiller uses the files where they are. On: they are copied, and take their room twice.",
            );
        });
        device_fold(ui, shared, "import");
    }
}

/// Where a model would run and how its weights would be kept, folded.
pub(super) fn device_fold(ui: &mut Ui, shared: &mut Shared, salt: &str) {
    CollapsingHeader::new("Device and number format").id_salt(("device", salt)).show(ui, |ui| {
        let before = shared.settings.clone();
        settings::device_and_format(ui, shared, "Automatic takes the accelerator if the model fits there.");
        if shared.settings != before {
            shared.save_settings();
        }
    });
}
