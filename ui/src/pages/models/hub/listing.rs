//! A repository that has answered: facts, memory, what can be downloaded, where to, and the order.

use std::path::{Path, PathBuf};

use egui::{Align, Label, Layout, Ui};
use egui_material_icons::icons::{ICON_CHECK, ICON_DOWNLOAD, ICON_LOCK, ICON_OPEN_IN_NEW, ICON_WARNING};
use tiller_protocol::asset::{DownloadOrder, FolderKind, Gate, HubChoice, HubListing, ShapeNeed};

use super::super::catalogue::gate_word;
use super::super::{Ask, Section};
use super::choices;
use crate::face::Request;
use crate::number::{bytes, count, exact_bytes, parameters, plural};
use crate::shared::Shared;
use crate::theme::{self, palette, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::{button, card, field, problem, stat};

/// What is about to be ordered.
#[derive(Default)]
pub(super) struct Order {
    wanted: Option<String>,
    query: String,
    folder: Option<PathBuf>,
}

impl Order {
    /// With this choice taken.
    pub(super) fn new(wanted: Option<String>) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Draws the answer.
    pub(super) fn show(&mut self, ui: &mut Ui, shared: &mut Shared, listing: &HubListing) -> Option<Ask> {
        let mut asked = None;
        card::show(ui, |ui| {
            head(ui, shared, listing);
            if let Some(shape) = &listing.shape {
                memory(ui, shape, listing.free_memory_bytes);
            }
            if let Some(obstacle) = &listing.obstacle {
                ui.add_space(space::XS);
                problem::fixed(ui, obstacle, |_| {});
            }
        });
        let taken = listing.choices.iter().find(|choice| Some(&choice.id) == self.wanted.as_ref());
        let Some(taken) = taken.or_else(|| listing.choices.first()) else {
            // An obstacle has said why already.
            if listing.obstacle.is_none() {
                ui.add_space(space::S);
                let text = "Nothing in it is a model or an SAE that Tiller can open.";
                ui.label(theme::secondary(ui, text));
            }
            return None;
        };
        ui.add_space(space::S);
        card::titled(ui, "What to download", |ui| {
            if let Some(other) = choices::show(ui, &listing.choices, &taken.id, &mut self.query) {
                self.wanted = Some(other);
            }
            choices::files(ui, taken);
            if listing.left_out_files > 0 {
                let text = format!(
                    "{} ({}) left out: other formats of the same weights, pictures and the like. Nothing here needs \
                     them.",
                    plural(listing.left_out_files, "other file"),
                    bytes(listing.left_out_bytes)
                );
                ui.label(theme::note(ui, text));
            }
            ui.add_space(space::S);
            asked = self.order(ui, shared, listing, taken);
        });
        asked
    }

    /// Where to, whether it fits there, and the button.
    fn order(&mut self, ui: &mut Ui, shared: &mut Shared, listing: &HubListing, taken: &HubChoice) -> Option<Ask> {
        let free = self.target(ui, shared, listing);
        let missing = taken.missing_bytes();
        let room = match free {
            Some(free) if missing > free => Some(format!(
                "Needs {} more on that disk: {} to download, {} free.",
                bytes(missing - free),
                exact_bytes(missing),
                bytes(free)
            )),
            _ => None,
        };
        ui.horizontal(|ui| match (&room, missing) {
            (Some(words), _) => {
                crate::icon::show(ui, ICON_WARNING, theme::size::ICON, palette(ui).error);
                ui.label(egui::RichText::new(words).color(palette(ui).error));
            }
            (None, 0) => {
                ui.label("All of it is on this machine already; nothing is downloaded.");
            }
            (None, _) => {
                crate::icon::show(ui, ICON_CHECK, theme::size::ICON, palette(ui).success);
                let free = free.map_or_else(String::new, |free| format!("; {} free there", bytes(free)));
                ui.label(format!("Needs {}{free}.", exact_bytes(missing)));
            }
        });
        let mut asked = None;
        ui.horizontal(|ui| {
            ui.set_min_height(theme::size::PRIMARY);
            let under_way = shared.assets.download_of(&listing.repo, &taken.id).is_some();
            let installed = shared.assets.installed(&listing.repo, taken.kind, Some(&taken.id));
            if under_way {
                ui.label(theme::secondary(ui, "It is among the downloads."));
                if button::secondary("Show downloads").show(ui).clicked() {
                    asked = Some(Ask::Go(Section::Downloads));
                }
                return;
            }
            if let (0, Some(asset)) = (missing, installed) {
                if button::primary("Show in Installed").show(ui).clicked() {
                    asked = Some(Ask::Asset(asset.path.clone()));
                }
                return;
            }
            let obstacle = listing.obstacle.as_ref().or(listing.locked.as_ref()).map(|found| found.title.clone());
            let label = format!("Download {}", bytes(missing));
            let start = button::primary(&label).icon(ICON_DOWNLOAD).blocked_by(obstacle.or_else(|| room.clone()));
            if start.show(ui).clicked() {
                let folder = Some(self.folder.clone().unwrap_or_else(|| listing.folder.clone()));
                let repo = listing.repo.clone();
                shared.start_download(DownloadOrder { repo, choice: taken.id.clone(), folder });
                asked = Some(Ask::Go(Section::Downloads));
            }
        });
        asked
    }

    /// Draws the choice of a folder; the room on its disk.
    fn target(&mut self, ui: &mut Ui, shared: &Shared, listing: &HubListing) -> Option<u64> {
        let known = shared.assets.library().map_or(&[][..], |library| &library.folders);
        let mut options = vec![(listing.folder.clone(), listing.free_disk_bytes)];
        for folder in known.iter().filter(|folder| folder.is_present && folder.kind != FolderKind::Imports) {
            if folder.path != listing.folder {
                options.push((folder.path.clone(), folder.free_bytes));
            }
        }
        let mut chosen = self.folder.clone().unwrap_or_else(|| listing.folder.clone());
        let words = |path: &Path, free: Option<u64>| match free {
            Some(free) => format!("{} ({} free)", path.display(), bytes(free)),
            None => path.display().to_string(),
        };
        let named: Vec<_> = options.iter().map(|(path, free)| (path.clone(), words(path, *free))).collect();
        field::show(ui, "Download to", "", |ui| {
            field::choice(ui, "Download to", &mut chosen, &named, 520.0);
        });
        let free = options.iter().find(|(path, _)| *path == chosen).and_then(|(_, free)| *free);
        self.folder = Some(chosen);
        free
    }
}

/// Name, badges and facts.
fn head(ui: &mut Ui, shared: &mut Shared, listing: &HubListing) {
    ui.horizontal(|ui| {
        ui.scope(|ui| {
            ui.set_max_width(ui.available_width() - 320.0);
            ui.add(Label::new(theme::figure(&listing.repo.id)).truncate());
        });
        if listing.gate != Gate::Open {
            badge::with_icon(ui, Tone::Caution, Some(ICON_LOCK), gate_word(listing.gate));
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let open = button::secondary("Open its page").icon(ICON_OPEN_IN_NEW).hint(&listing.page);
            if open.show(ui).clicked() {
                shared.request(Request::OpenLink(listing.page.clone()));
            }
        });
    });
    let commit: String = listing.commit.chars().take(10).collect();
    let licence = listing
        .licence
        .as_ref()
        .map_or_else(|| "licence not stated".to_owned(), |licence| format!("licence {licence}"));
    let mut facts = vec![licence, format!("commit {commit}")];
    if let Some(shape) = &listing.shape {
        facts.push(shape.architecture.clone());
        facts.push(format!("{} parameters", parameters(shape.n_params)));
        facts.push(format!("{} blocks of width {}", shape.n_layers, count(shape.d_model as u64)));
        facts.push(format!("context {} tokens", count(shape.context_len as u64)));
    }
    ui.label(theme::secondary(ui, facts.join(" \u{00b7} ")));
}

/// In which number format it would fit the memory that is free.
fn memory(ui: &mut Ui, shape: &ShapeNeed, free: Option<u64>) {
    let talk = shape.conversation_bytes();
    let need = |weights: &tiller_protocol::asset::WeightsIn| bytes(weights.bytes.saturating_add(talk));
    let (tone, sign, verdict, words) = match free.map(|free| (free, shape.best_fit(free))) {
        Some((free, Some(best))) => (
            Tone::Good,
            Some(ICON_CHECK),
            format!("Fits in {}", best.format),
            format!("Needs about {} with a conversation; {} of memory is free now.", need(best), bytes(free)),
        ),
        Some((free, None)) => {
            let least = shape
                .weights
                .last()
                .map_or_else(String::new, |least| format!("Even in {} it needs about {}; ", least.format, need(least)));
            let words = format!("{least}{} of memory is free now.", bytes(free));
            (Tone::Caution, Some(ICON_WARNING), "Does not fit".to_owned(), words)
        }
        None => (Tone::Neutral, None, "Free memory unknown".to_owned(), String::new()),
    };
    ui.add_space(space::XS);
    stat::row(ui, 22.0, |ui| {
        badge::with_icon(ui, tone, sign, &verdict);
        ui.add(Label::new(theme::secondary(ui, words)).truncate());
    });
}
