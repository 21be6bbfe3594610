//! What is on its way: one card per download, one row per file.

use egui::{Align, CollapsingHeader, Label, Layout, Ui};
use egui_material_icons::icons::{
    ICON_CHECK, ICON_CLOSE, ICON_DOWNLOADING, ICON_PAUSE, ICON_PLAY_ARROW, ICON_REPLAY, ICON_SCHEDULE, ICON_WARNING,
};
use tiller_protocol::asset::{AssetKind, Download, DownloadFile, DownloadId, DownloadPhase};
use tiller_protocol::message::Command;

use super::{Ask, Section};
use crate::number::{bytes, duration, exact_bytes, percent, plural};
use crate::shared::Shared;
use crate::theme::{self, palette, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::confirm::Confirm;
use crate::widgets::empty::Empty;
use crate::widgets::{button, card, problem, progress, stat};

/// State of the part.
#[derive(Default)]
pub(super) struct Downloads {
    cancelling: Option<DownloadId>,
}

/// What was pressed on a card.
enum Pressed {
    Send(Command),
    Cancel,
    Open,
    Show(Ask),
}

impl Downloads {
    /// Draws the part.
    pub(super) fn show(&mut self, ui: &mut Ui, shared: &mut Shared) -> Option<Ask> {
        if shared.assets.downloads.is_empty() {
            let empty = Empty {
                icon: ICON_DOWNLOADING,
                title: "Nothing is being downloaded",
                hint: "Downloads can be paused, survive a restart and a lost network, and are checked before they \
                       count as complete.",
            };
            let browse = button::secondary("Browse the catalogue");
            return empty.show(ui, Some(browse)).then_some(Ask::Go(Section::Catalogue));
        }
        let mut asked = None;
        if shared.assets.n_active() > 1 {
            ui.horizontal(|ui| {
                let (done, total) = shared.assets.active_bytes();
                ui.label(theme::secondary(ui, format!("{} of {} in all", bytes(done), bytes(total))));
                if button::secondary("Pause all").icon(ICON_PAUSE).show(ui).clicked() {
                    shared.pause_downloads();
                }
            });
        }
        // Put back below: the cards ask for changes of all the rest.
        let list = std::mem::take(&mut shared.assets.downloads);
        // What is done stands below what still wants something.
        let (done, pending): (Vec<_>, Vec<_>) =
            list.iter().partition(|download| matches!(download.phase, DownloadPhase::Done { .. }));
        for download in pending.into_iter().chain(done) {
            let pressed =
                ui.push_id(download.id.0, |ui| card::show(ui, |ui| card_ui(ui, shared, download)).inner).inner;
            match pressed {
                Some(Pressed::Send(command)) => shared.send(command),
                Some(Pressed::Cancel) if lost_bytes(download) == 0 => shared.send(Command::CancelDownload(download.id)),
                Some(Pressed::Cancel) => self.cancelling = Some(download.id),
                Some(Pressed::Open) => open(shared, download),
                Some(Pressed::Show(ask)) => asked = Some(ask),
                None => {}
            }
        }
        shared.assets.downloads = list;
        let note = "Closing Tiller pauses downloads. They go on where they were, also after a crash or a lost network.";
        ui.label(theme::note(ui, note));
        self.confirm(ui, shared);
        asked
    }

    fn confirm(&mut self, ui: &Ui, shared: &mut Shared) {
        let Some(id) = self.cancelling else { return };
        let Some(download) = shared.assets.downloads.iter().find(|download| download.id == id) else {
            self.cancelling = None;
            return;
        };
        let title = format!("Cancel the download of {}?", download.order.repo.id);
        let text = [
            format!("What has come in of unfinished files is deleted: {}.", exact_bytes(lost_bytes(download))),
            "Pause keeps it.".to_owned(),
        ];
        let answer = Confirm { title: &title, text: &text, action: "Cancel the download", keep: "Keep the download" };
        if let Some(yes) = answer.show(ui.ctx()) {
            self.cancelling = None;
            if yes {
                shared.send(Command::CancelDownload(id));
            }
        }
    }
}

/// Bytes that cancelling throws away.
fn lost_bytes(download: &Download) -> u64 {
    download.files.iter().filter(|file| !file.is_complete).map(|file| file.done_bytes).sum()
}

fn open(shared: &mut Shared, download: &Download) {
    let DownloadPhase::Done { path } = &download.phase else { return };
    match shared.assets.asset(path).cloned() {
        Some(asset) => shared.open_asset(&asset),
        None => shared.load(tiller_protocol::model::ModelSource::Folder(path.clone())),
    }
}

fn card_ui(ui: &mut Ui, shared: &mut Shared, download: &Download) -> Option<Pressed> {
    let mut pressed = None;
    ui.horizontal(|ui| {
        ui.scope(|ui| {
            ui.set_max_width(ui.available_width() - 330.0);
            ui.add(Label::new(theme::strong(&download.order.repo.id)).truncate());
        });
        let room = ui.available_width() - 250.0;
        ui.scope(|ui| {
            ui.set_max_width(room.max(40.0));
            ui.add(Label::new(theme::note(ui, &download.label)).truncate());
        });
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| pressed = buttons(ui, shared, download));
    });
    let (done, total) = (download.done_bytes(), download.total_bytes());
    let is_failed = matches!(download.phase, DownloadPhase::Failed(_));
    if !matches!(download.phase, DownloadPhase::Done { .. }) {
        let share = (total > 0).then(|| done as f32 / total as f32);
        // Only what moves may look as if it did.
        let share = if download.phase == DownloadPhase::Running { share } else { share.or(Some(0.0)) };
        let width = ui.available_width();
        progress::bar(ui, share, width, &format!("Progress of {}", download.order.repo.id));
    }
    phase_ui(ui, download);
    if let (true, DownloadPhase::Failed(failure)) = (is_failed, &download.phase) {
        problem::fixed(ui, failure, |ui| {
            ui.horizontal(|ui| {
                if button::secondary("Try again").icon(ICON_REPLAY).show(ui).clicked() {
                    pressed = Some(Pressed::Send(Command::ResumeDownload(download.id)));
                }
                if button::secondary("Show it on the hub").show(ui).clicked() {
                    let choice = Some(download.order.choice.clone());
                    pressed = Some(Pressed::Show(Ask::Repo(download.order.repo.clone(), choice)));
                }
            });
        });
    }
    if !download.files.is_empty() {
        let n_done = download.files.iter().filter(|file| file.is_complete).count();
        let title = format!("{} of {} complete", n_done, plural(download.files.len(), "file"));
        CollapsingHeader::new(title).id_salt("files").show(ui, |ui| files_ui(ui, &download.files));
    }
    pressed
}

/// What can be done, from the right.
fn buttons(ui: &mut Ui, shared: &Shared, download: &Download) -> Option<Pressed> {
    let id = download.id;
    let name = &download.order.repo.id;
    let mut pressed = None;
    match &download.phase {
        DownloadPhase::Done { path } => {
            if button::icon_only(ui, ICON_CLOSE, &format!("Take {name} off the list")).clicked() {
                pressed = Some(Pressed::Send(Command::DismissDownload(id)));
            }
            if download.kind == AssetKind::Model {
                let open = button::primary("Open").blocked_by(shared.busy()).show(ui);
                if open.accessible_name(format!("Open {name}")).clicked() {
                    pressed = Some(Pressed::Open);
                }
            }
            if button::secondary("Show in Installed").show(ui).clicked() {
                pressed = Some(Pressed::Show(Ask::Asset(path.clone())));
            }
        }
        phase => {
            if button::secondary("Cancel").show(ui).accessible_name(format!("Cancel {name}")).clicked() {
                pressed = Some(Pressed::Cancel);
            }
            if matches!(phase, DownloadPhase::Failed(_)) {
                if button::icon_only(ui, ICON_CLOSE, &format!("Take {name} off the list")).clicked() {
                    pressed = Some(Pressed::Send(Command::DismissDownload(id)));
                }
            } else if *phase == DownloadPhase::Paused {
                let resume = button::primary("Resume").icon(ICON_PLAY_ARROW).show(ui);
                if resume.accessible_name(format!("Resume {name}")).clicked() {
                    pressed = Some(Pressed::Send(Command::ResumeDownload(id)));
                }
            } else {
                let pause = button::secondary("Pause").icon(ICON_PAUSE).show(ui);
                if pause.accessible_name(format!("Pause {name}")).clicked() {
                    pressed = Some(Pressed::Send(Command::PauseDownload(id)));
                }
            }
        }
    }
    pressed
}

/// The phase as a badge, and figures in words.
fn phase_ui(ui: &mut Ui, download: &Download) {
    let (done, total) = (download.done_bytes(), download.total_bytes());
    let amount = if total > 0 {
        format!("{} of {} ({})", bytes(done), bytes(total), percent(done as f64 / total as f64))
    } else {
        String::new()
    };
    let mut words = vec![amount];
    stat::row(ui, 22.0, |ui| {
        match &download.phase {
            DownloadPhase::Waiting => badge::with_icon(ui, Tone::Neutral, Some(ICON_SCHEDULE), "Waiting for its turn"),
            DownloadPhase::Running => {
                words.extend(download.bytes_per_sec.map(|rate| format!("{} per second", bytes(rate as u64))));
                words.extend(download.secs_left.map(|secs| format!("{} left", duration(secs))));
            }
            DownloadPhase::Retrying { in_secs, cause } => {
                badge::with_icon(ui, Tone::Caution, Some(ICON_WARNING), "Trying again by itself");
                words.push(format!("in {}: {cause}", duration(*in_secs)));
            }
            DownloadPhase::Checking => {
                badge::show(ui, Tone::Neutral, "Checking");
                words.push("comparing checksums".to_owned());
            }
            DownloadPhase::Paused => {
                badge::with_icon(ui, Tone::Neutral, Some(ICON_PAUSE), "Paused");
                words.push("nothing is lost".to_owned());
            }
            DownloadPhase::Failed(_) => badge::show(ui, Tone::Bad, "Stopped"),
            DownloadPhase::Done { .. } => {
                badge::with_icon(ui, Tone::Good, Some(ICON_CHECK), "Complete and checked");
                words = vec![bytes(total)];
            }
        }
        words.retain(|part| !part.is_empty());
        ui.add(Label::new(theme::note(ui, words.join(" \u{00b7} "))).truncate());
    });
}

/// One row per file; only those in sight are drawn.
fn files_ui(ui: &mut Ui, files: &[DownloadFile]) {
    const ROW: f32 = 22.0;
    ui.spacing_mut().item_spacing.y = 2.0;
    egui::ScrollArea::vertical().max_height(8.0 * (ROW + 2.0)).auto_shrink([false, true]).show_rows(
        ui,
        ROW,
        files.len(),
        |ui, range| {
            for file in &files[range] {
                file_row(ui, file, ROW);
            }
        },
    );
}

fn file_row(ui: &mut Ui, file: &DownloadFile, height: f32) {
    stat::row(ui, height, |ui| {
        ui.set_min_height(height);
        let end = 120.0 + 190.0 + 3.0 * space::S;
        let width = (ui.available_width() - end).max(120.0);
        ui.allocate_ui_with_layout(egui::vec2(width, height), Layout::left_to_right(Align::Center), |ui| {
            ui.set_width(width);
            ui.add(Label::new(theme::mono(&file.path)).truncate());
        });
        let share = if file.total_bytes > 0 { file.done_bytes as f32 / file.total_bytes as f32 } else { 1.0 };
        progress::bar(ui, Some(share), 120.0, &format!("Progress of {}", file.path));
        if file.is_complete {
            crate::icon::show(ui, ICON_CHECK, theme::size::ICON, palette(ui).success);
            ui.label(theme::note(ui, format!("{}, checked", bytes(file.total_bytes))));
        } else {
            ui.label(theme::note(ui, format!("{} of {}", bytes(file.done_bytes), bytes(file.total_bytes))));
        }
    });
}
