//! The question before an asset is deleted or forgotten.

use std::path::PathBuf;

use egui::Context;
use tiller_protocol::asset::{Asset, AssetOrigin, AssetState};
use tiller_protocol::message::Command;

use crate::number::exact_bytes;
use crate::shared::Shared;
use crate::widgets::confirm::Confirm;

/// Asks about the asset at `removing`, if there is one, and does what the answer says.
pub(super) fn show(ctx: &Context, shared: &mut Shared, removing: &mut Option<PathBuf>) {
    let Some(path) = removing.clone() else { return };
    let Some(asset) = shared.assets.asset(&path).cloned() else {
        *removing = None;
        return;
    };
    let deletes = asset.is_deletable();
    let (title, action) = if deletes {
        (format!("Delete {}?", asset.name), "Delete")
    } else {
        (format!("Take {} off the list?", asset.name), "Forget")
    };
    let question = Confirm { title: &title, text: &consequences(&asset), action, keep: "Keep" };
    let answer = question.show(ctx);
    if answer.is_some() {
        *removing = None;
    }
    if answer == Some(true) {
        shared.send(Command::RemoveAsset(path));
    }
}

/// What removing an asset does to the disk.
fn consequences(asset: &Asset) -> Vec<String> {
    let path = asset.path.display();
    let folder = asset.folder.as_ref().unwrap_or(&asset.path).display();
    match (&asset.origin, asset.is_deletable()) {
        (AssetOrigin::Hub { repo, .. }, true) => vec![
            format!("This frees {}.", exact_bytes(asset.bytes)),
            format!("Its files in {folder} are deleted, also for other programs that use this folder."),
            format!("It can be downloaded again from {}.", repo.id),
        ],
        (_, true) => vec![
            format!("This frees {}.", exact_bytes(asset.bytes)),
            format!("Tiller's copy in {path} is deleted. The files that it was made from are not touched."),
        ],
        (_, false) => vec![
            format!("It is only forgotten: its files stay in {path}, and no room is freed."),
            "It comes back when the path is added again.".to_owned(),
        ],
    }
}

/// Why an asset cannot be removed now.
pub(super) fn obstacle(shared: &Shared, asset: &Asset) -> Option<String> {
    if asset.origin == AssetOrigin::Shipped {
        return Some("It ships with Tiller.".to_owned());
    }
    if shared.is_open(asset) {
        return Some("It is open. Unload it first.".to_owned());
    }
    if asset.is_deletable() && asset.state == AssetState::Missing {
        return Some("Its disk is not there. Plug it in first.".to_owned());
    }
    let is_coming = |repo: &tiller_protocol::asset::RepoRef| {
        shared.assets.downloads.iter().any(|download| download.is_active() && download.order.repo.id == repo.id)
    };
    match &asset.origin {
        AssetOrigin::Hub { repo, .. } if is_coming(repo) => Some("It is being downloaded.".to_owned()),
        _ => None,
    }
}
