//! Everything about the chosen asset, and what can be done with it.

use std::path::PathBuf;

use egui::Ui;
use egui_material_icons::icons::{
    ICON_CHECK, ICON_CONTENT_COPY, ICON_DELETE, ICON_DOWNLOAD, ICON_FIND_IN_PAGE, ICON_FOLDER_OPEN, ICON_VERIFIED,
};
use tiller_protocol::asset::{Asset, AssetKind, AssetOrigin, AssetState, Verdict};
use tiller_protocol::problem::Problem;

use super::super::import::{Asking, device_fold};
use super::super::{Ask, fit};
use super::removal;
use super::row::{last_used, state_badge};
use crate::face::Request;
use crate::number::{bytes, count, exact_bytes, plural};
use crate::shared::{Handoff, Shared};
use crate::theme::{self, palette, space};
use crate::widgets::badge::{self, Tone};
use crate::widgets::{button, card, problem, progress, stat};

/// What the panel changes of the list's state.
pub(super) struct Parts<'a> {
    /// What is asked about memory.
    pub(super) asking: &'a mut Asking,
    /// The asset that is to be removed, once that was asked for.
    pub(super) removing: &'a mut Option<PathBuf>,
}

/// Draws the panel.
pub(super) fn show(ui: &mut Ui, shared: &mut Shared, asset: &Asset, parts: &mut Parts<'_>) -> Option<Ask> {
    let mut asked = None;
    card::show(ui, |ui| {
        head(ui, shared, asset);
        ui.add_space(space::XS);
        asked = state(ui, shared, asset);
        if asset.kind == AssetKind::Model && asset.state == AssetState::Ready && !shared.is_open(asset) {
            let source = shared.source_of(asset);
            parts.asking.ask(shared, &source);
            match shared.check_of(&source) {
                Some(check) => fit::memory(ui, check),
                None => {
                    ui.horizontal(|ui| {
                        ui.spinner();
                        ui.label(theme::secondary(ui, "Working out what it takes\u{2026}"));
                    });
                }
            }
        }
        actions(ui, shared, asset, parts);
        verification(ui, shared, asset);
        if asset.kind == AssetKind::Model && asset.state == AssetState::Ready {
            device_fold(ui, shared, "installed");
        }
        ui.add_space(space::S);
        facts(ui, shared, asset);
    });
    asked
}

fn head(ui: &mut Ui, shared: &Shared, asset: &Asset) {
    ui.add(egui::Label::new(theme::figure(&asset.name)).truncate());
    stat::row(ui, 20.0, |ui| {
        badge::show(ui, Tone::Neutral, if asset.kind == AssetKind::Model { "Model" } else { "SAE" });
        if shared.is_open(asset) {
            badge::with_icon(ui, Tone::Good, Some(ICON_CHECK), "Open");
        }
        state_badge(ui, &asset.state);
        ui.label(theme::note(ui, bytes(asset.bytes)));
    });
}

/// What is wrong with it, and the way out.
fn state(ui: &mut Ui, shared: &mut Shared, asset: &Asset) -> Option<Ask> {
    let from_hub = match &asset.origin {
        AssetOrigin::Hub { repo, .. } => Some(Ask::Repo(repo.clone(), None)),
        _ => None,
    };
    let mut again = false;
    match &asset.state {
        AssetState::Ready => return None,
        AssetState::Broken(found) => {
            problem::fixed(ui, found, |ui| {
                if from_hub.is_some() {
                    again = button::secondary("Download again").icon(ICON_DOWNLOAD).show(ui).clicked();
                }
            });
        }
        AssetState::Incomplete { done_bytes, total_bytes } => {
            let of = total_bytes.map_or_else(String::new, |total| format!(" of {}", bytes(total)));
            ui.label(format!("{}{of} are here; the rest was not downloaded.", bytes(*done_bytes)));
            if from_hub.is_some() {
                again = button::primary("Download the rest").icon(ICON_DOWNLOAD).show(ui).clicked();
            }
        }
        AssetState::Missing => {
            let text = "Its path is gone: the disk is not plugged in, or the files were moved or deleted. It comes \
                        back by itself when they are there again.";
            ui.label(text);
            if asset.origin == AssetOrigin::Linked
                && button::primary("Locate\u{2026}").icon(ICON_FIND_IN_PAGE).show(ui).clicked()
            {
                shared.pick_moved(&asset.path);
            }
        }
    }
    ui.add_space(space::XS);
    from_hub.filter(|_| again)
}

fn actions(ui: &mut Ui, shared: &mut Shared, asset: &Asset, parts: &mut Parts<'_>) {
    let is_there = asset.state != AssetState::Missing;
    ui.horizontal(|ui| {
        ui.set_min_height(theme::size::PRIMARY);
        if asset.kind == AssetKind::Model && asset.state == AssetState::Ready {
            let label = if shared.is_too_large(&shared.source_of(asset)) { "Load anyway" } else { "Open" };
            let open_now = shared.is_open(asset).then(|| "It is open.".to_owned());
            if button::primary(label).blocked_by(open_now.or_else(|| shared.busy())).show(ui).clicked() {
                shared.open_asset(asset);
            }
        }
        if asset.kind == AssetKind::Sae && asset.state == AssetState::Ready {
            let hint = "Converts it once and shows its features";
            if button::primary("Open its features").hint(hint).show(ui).clicked() {
                shared.handoff = Some(Handoff::OpenSae(asset.path.clone()));
            }
        }
        if is_there {
            let running = shared.assets.verification(&asset.path).map(|_| "It is being verified.".to_owned());
            let verify = button::secondary("Verify").icon(ICON_VERIFIED).blocked_by(running);
            if verify.hint("Reads all its files and compares them with their checksums").show(ui).clicked() {
                shared.verify(asset);
            }
            if button::icon_only(ui, ICON_FOLDER_OPEN, "Show in file manager").clicked() {
                shared.request(Request::OpenLink(folder_of(asset)));
            }
        }
        if button::icon_only(ui, ICON_CONTENT_COPY, "Copy path").clicked() {
            ui.ctx().copy_text(asset.path.display().to_string());
            shared.toasts.good("Path copied");
        }
        let obstacle = removal::obstacle(shared, asset);
        if button::icon_only_if(ui, ICON_DELETE, "Remove\u{2026}", obstacle.as_deref()).clicked() {
            *parts.removing = Some(asset.path.clone());
        }
    });
}

/// The folder to show: a file's own.
fn folder_of(asset: &Asset) -> String {
    let file = crate::assets::is_file(&asset.path);
    let folder = if file { asset.path.parent().unwrap_or(&asset.path) } else { &asset.path };
    folder.display().to_string()
}

/// The comparison with checksums: running, or what it has found.
fn verification(ui: &mut Ui, shared: &mut Shared, asset: &Asset) {
    if let Some(job) = shared.assets.verification(&asset.path).cloned() {
        if progress::row(ui, &job) {
            shared.stop_beside(job.id);
        }
        return;
    }
    match shared.assets.outcome_of(&asset.path) {
        // What is damaged stands above as its state, once the library knows.
        Some(Ok(verdict)) if !verdict.bad.is_empty() && matches!(asset.state, AssetState::Broken(_)) => {}
        Some(Ok(verdict)) => verdict_ui(ui, verdict),
        Some(Err(failed)) => problem::fixed(ui, failed, |_| {}),
        None => {}
    }
}

fn verdict_ui(ui: &mut Ui, verdict: &Verdict) {
    if !verdict.bad.is_empty() {
        let list: Vec<String> = verdict.bad.iter().map(|(file, what)| format!("{file}: {what}")).collect();
        let found = Problem::new(
            format!("{} damaged", plural(verdict.bad.len(), "file")),
            list.join("\n"),
            "Download it again, or take it from a good copy.",
        );
        problem::fixed(ui, &found, |_| {});
        return;
    }
    let mut words = Vec::new();
    if !verdict.good.is_empty() {
        words.push(format!("{} with the published checksum", plural(verdict.good.len(), "file")));
    }
    if !verdict.unknown.is_empty() {
        let files = plural(verdict.unknown.len(), "file");
        words.push(format!("{files} sound in form; nobody has published a checksum for them"));
    }
    card::callout(ui, palette(ui).success_soft, |ui| {
        ui.label(theme::strong("All files are sound").color(palette(ui).success));
        ui.label(theme::secondary(ui, words.join(", ")));
    });
}

fn facts(ui: &mut Ui, shared: &Shared, asset: &Asset) {
    let mut facts: Vec<(&str, String)> = vec![("Size", exact_bytes(asset.bytes))];
    let mut push = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    let tokens = |n: usize| format!("{} tokens", count(n as u64));
    push("Stored as", asset.dtype.clone());
    push("Architecture", asset.architecture.clone());
    match asset.kind {
        AssetKind::Model => {
            push("Blocks", asset.n_layers.map(|n| n.to_string()));
            push("Residual width", asset.d_model.map(|n| count(n as u64)));
            push("Context", asset.context_len.map(tokens));
            let template = |has: bool| if has { "yes" } else { "no: plain text only" }.to_owned();
            push("Chat template", asset.has_chat_template.map(template));
        }
        AssetKind::Sae => {
            push("Latents", asset.d_sae.map(|n| count(n as u64)));
            push("Residual width", asset.d_model.map(|n| count(n as u64)));
            push("Reads block", asset.n_layers.map(|n| format!("{n} (counted from 0)")));
            push("Trained on", asset.reads.clone());
        }
    }
    let (from, commit) = match &asset.origin {
        AssetOrigin::Shipped => ("ships with Tiller".to_owned(), None),
        AssetOrigin::Hub { repo, commit } => (repo.id.clone(), Some(commit.clone())),
        AssetOrigin::Copied => ("a folder of the library".to_owned(), None),
        AssetOrigin::Linked => ("linked where it is".to_owned(), None),
    };
    push("From", Some(from));
    push("Commit", commit);
    push("Path", Some(asset.path.display().to_string()));
    let hash = asset.hash.clone().unwrap_or_else(|| "known once it was opened or verified".to_owned());
    push("Weights hash", Some(hash));
    push("Last used", Some(last_used(asset, shared.now(ui))));
    ui.spacing_mut().item_spacing.y = 2.0;
    for (name, value) in &facts {
        stat::row(ui, 20.0, |ui| {
            stat::named(ui, name, 104.0);
            ui.add(egui::Label::new(value).truncate());
        });
    }
}
