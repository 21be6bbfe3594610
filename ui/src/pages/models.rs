//! Models: what is installed, what there is to be had, and what is on its way; facts about the one that is open.

mod catalogue;
mod downloads;
mod fit;
mod folders;
mod hub;
mod import;
mod installed;
mod loaded;
pub(crate) mod sign_in;

use std::path::{Path, PathBuf};

use egui::Ui;
use tiller_protocol::asset::{AssetKind, RepoRef};
use tiller_protocol::message::Command;

use crate::jobs::Purpose;
use crate::page::Page;
use crate::pages::{home, scaffold};
use crate::shared::Shared;
use crate::theme::{self, space};
use crate::widgets::{card, progress, segmented};

/// A part of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Section {
    /// What is on this machine.
    #[default]
    Installed,
    /// What is recommended.
    Catalogue,
    /// Any repository by its name.
    Hub,
    /// What is on its way.
    Downloads,
}

/// Which kinds of assets a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kinds {
    /// All of them.
    #[default]
    All,
    /// Models alone.
    Models,
    /// SAEs alone.
    Saes,
}

impl Kinds {
    fn has(self, kind: AssetKind) -> bool {
        match self {
            Self::All => true,
            Self::Models => kind == AssetKind::Model,
            Self::Saes => kind == AssetKind::Sae,
        }
    }
}

/// What one part of the page asks of the whole.
enum Ask {
    /// Show another part.
    Go(Section),
    /// Show what a repository offers, with this choice taken.
    Repo(RepoRef, Option<String>),
    /// Show an installed asset.
    Asset(PathBuf),
}

/// The page's state.
#[derive(Default)]
pub(crate) struct ModelsPage {
    section: Section,
    /// The part that was in sight in the frame before.
    seen: Option<Section>,
    import: import::Import,
    installed: installed::Installed,
    catalogue: catalogue::Catalogue,
    hub: hub::Hub,
    downloads: downloads::Downloads,
}

impl ModelsPage {
    /// Puts a folder or file into the path field.
    pub(crate) fn choose(&mut self, path: &Path) {
        self.section = Section::Installed;
        self.import.choose(path);
    }

    /// Shows a part of the page.
    pub(crate) fn go(&mut self, section: Section) {
        self.section = section;
    }

    /// Another page is in sight.
    pub(crate) fn leave(&mut self) {
        self.seen = None;
    }

    /// Asks anew for what may have changed outside of Tiller, when a part comes into sight: files, free memory.
    fn arrive(&mut self, shared: &mut Shared) {
        if self.seen == Some(self.section) {
            return;
        }
        self.seen = Some(self.section);
        match self.section {
            Section::Installed => {
                self.import.forget_check();
                self.installed.forget_check();
                shared.send(Command::ListAssets);
            }
            Section::Catalogue => shared.send(Command::ListCatalogue),
            Section::Hub | Section::Downloads => {}
        }
    }

    /// The access token has changed.
    pub(crate) fn token_known(&mut self, shared: &mut Shared) {
        self.hub.token_known(shared);
    }

    /// A folder or file was made known.
    pub(crate) fn imported(&mut self, kind: AssetKind, path: PathBuf) {
        self.import.clear();
        self.installed.reveal(kind, path);
    }

    /// Draws the page.
    pub(crate) fn show(&mut self, ui: &mut Ui, shared: &mut Shared) {
        self.arrive(shared);
        let mut asked = None;
        scaffold::scrolling(ui, |ui| {
            let top = ui.cursor().top();
            // A little less than the window, so that the page itself need not scroll.
            let height = ui.clip_rect().height() - 2.0 * space::XL - space::M;
            scaffold::head(ui, shared, Page::Models, |_, _| {});
            if let Some(failed) = shared.problem(|purpose| matches!(purpose, Purpose::Load(_))).cloned() {
                home::failed_load(ui, shared, &failed.0, &failed.1);
                ui.add_space(space::S);
            }
            if let Some(job) = shared.job.clone().filter(|job| matches!(job.purpose, Purpose::Load(_))) {
                card::show(ui, |ui| {
                    if progress::row(ui, &job) {
                        shared.stop();
                    }
                });
                ui.add_space(space::S);
            }
            if let Some(model) = shared.model.clone() {
                loaded::show(ui, shared, &model);
                ui.add_space(space::S);
            }
            self.bar(ui, shared);
            ui.add_space(space::XS);
            // Lists take the height that is left in the window, and scroll by themselves.
            let room = |ui: &Ui| height - (ui.cursor().top() - top);
            asked = match self.section {
                Section::Installed => {
                    self.import.show(ui, shared);
                    ui.add_space(space::S);
                    let room = (room(ui) - folders::HEIGHT - space::S).max(320.0);
                    let asked = self.installed.show(ui, shared, room);
                    ui.add_space(space::S);
                    folders::show(ui, shared);
                    asked
                }
                Section::Catalogue => self.catalogue.show(ui, shared, room(ui).max(320.0)),
                Section::Hub => self.hub.show(ui, shared),
                Section::Downloads => self.downloads.show(ui, shared),
            };
        });
        match asked {
            Some(Ask::Go(section)) => self.section = section,
            Some(Ask::Asset(path)) => {
                self.section = Section::Installed;
                self.installed.select(path);
            }
            Some(Ask::Repo(repo, choice)) => {
                self.section = Section::Hub;
                self.hub.ask(shared, repo, choice);
            }
            None => {}
        }
    }

    /// The parts of the page, and what narrows the list of the one in sight.
    fn bar(&mut self, ui: &mut Ui, shared: &Shared) {
        ui.horizontal(|ui| {
            ui.set_min_height(theme::size::PRIMARY);
            let downloads = match shared.assets.n_active() {
                0 => "Downloads".to_owned(),
                active => format!("Downloads ({active})"),
            };
            let sections = [
                (Section::Installed, "Installed"),
                (Section::Catalogue, "Catalogue"),
                (Section::Hub, "From the hub"),
                (Section::Downloads, downloads.as_str()),
            ];
            segmented::show(ui, "Part of the page", &mut self.section, &sections);
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| match self.section {
                Section::Installed => self.installed.filters(ui),
                Section::Catalogue => self.catalogue.filters(ui),
                Section::Hub | Section::Downloads => {}
            });
        });
    }
}

/// A field that narrows a list, called `name`.
fn search_field(ui: &mut Ui, name: &str, text: &mut String, width: f32) {
    let field =
        egui::TextEdit::singleline(text).hint_text(name).desired_width(width).margin(egui::Margin::symmetric(8, 5));
    ui.add(field).accessible_name(name);
}

/// A choice between models and SAEs.
fn kinds_ui(ui: &mut Ui, kinds: &mut Kinds) {
    let options = [(Kinds::All, "All"), (Kinds::Models, "Models"), (Kinds::Saes, "SAEs")];
    segmented::show(ui, "Kinds in the list", kinds, &options);
}
