//! What is on this machine already, for when the hub must not be asked.

use std::path::{Path, PathBuf};

use tiller_protocol::asset::{Asset, AssetKind, AssetOrigin, AssetState, RepoRef};

use super::{DownloadOptions, DownloadResult, USUAL};
use crate::installed::Installed;

/// The asset of a repository that is here whole, where it is clear which one is meant.
pub(super) fn result(installed: &Installed, options: &DownloadOptions, folder: &Path) -> Option<DownloadResult> {
    let assets = installed.list().library.assets;
    let mut found: Vec<_> = assets.iter().filter_map(|asset| whole(asset, options, folder)).collect();
    let usual = found.iter().position(|result| result.choice == USUAL);
    match (found.len(), usual) {
        (1, _) => found.pop(),
        (_, Some(usual)) => Some(found.swap_remove(usual)),
        (_, None) => None,
    }
}

fn whole(asset: &Asset, options: &DownloadOptions, folder: &Path) -> Option<DownloadResult> {
    let AssetOrigin::Hub { repo, commit } = &asset.origin else { return None };
    let choice = choice(asset, commit)?;
    let is_meant = is_meant(repo, commit, &options.repo)
        && options.choice.as_ref().is_none_or(|wanted| *wanted == choice)
        && asset.folder.as_deref() == Some(folder);
    (is_meant && asset.state == AssetState::Ready).then(|| DownloadResult {
        repo: options.repo.clone(),
        commit: commit.clone(),
        label: choice.clone(),
        choice,
        kind: asset.kind,
        folder: folder.to_owned(),
        path: Some(asset.path.clone()),
        present_bytes: asset.bytes,
        done_bytes: asset.bytes,
        total_bytes: asset.bytes,
        stopped: false,
    })
}

fn is_meant(found: &RepoRef, commit: &str, wanted: &RepoRef) -> bool {
    // The main branch is not written down.
    let is_revision =
        |name: &String| found.revision.as_deref().unwrap_or("main") == name || commit.starts_with(name.as_str());
    found.id.eq_ignore_ascii_case(&wanted.id) && wanted.revision.as_ref().is_none_or(is_revision)
}

/// What the repository would call it among its choices.
fn choice(asset: &Asset, commit: &str) -> Option<String> {
    let above: PathBuf = asset.path.ancestors().find(|path| path.ends_with(commit))?.to_owned();
    let inside = asset.path.strip_prefix(above).ok()?;
    let parts: Vec<_> = inside.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    Some(match (parts.is_empty(), asset.kind) {
        (true, AssetKind::Model) => USUAL.to_owned(),
        (true, AssetKind::Sae) => ".".to_owned(),
        (false, _) => parts.join("/"),
    })
}
