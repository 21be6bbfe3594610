//! Comparing an asset's files with what they should be.
//!
//! Files of the hub carry their checksum in the cache. Of everything else nobody has published one; there Tiller
//! compares with what it read itself when the asset was loaded, copied or verified before.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tiller_hub::stop::Stop;
use tiller_hub::store::Store;
use tiller_hub::verify::{Finding, verify as compare};
use tiller_protocol::asset::{Asset, AssetOrigin, AssetState, Verdict};
use tiller_protocol::problem::Problem;

use super::forms::Thing;
use super::sums::{Stamp, WeightSum, name};
use super::{Installed, describe, recognise};
use crate::jobs::Sink;
use crate::problem;

impl Installed {
    /// Reads an asset's files and compares them. What has changed is noted, so that the list shows it.
    ///
    /// # Errors
    /// An asset that is not known or not there, or a stop.
    pub(crate) fn verify(&self, path: &Path, sink: &mut dyn Sink) -> Result<Verdict, Problem> {
        let library = self.list().library;
        let asset = library.assets.iter().find(|asset| asset.path == path);
        let asset = asset.ok_or_else(|| problem::not_installed(&path.display().to_string()))?;
        let mut verdict = match (&asset.origin, &asset.folder) {
            (_, _) if asset.state == AssetState::Missing => return Err(problem::nothing_at(path)),
            (AssetOrigin::Hub { repo, commit }, Some(root)) => {
                verify_hub(asset, (root, &repo.id, commit.as_str()), sink)?
            }
            _ => self.verify_plain(asset, sink)?,
        };
        if verdict.bad.is_empty() && matches!(asset.state, AssetState::Ready | AssetState::Broken(_)) {
            // Every byte may be as it was and the asset still not be what the engine can open.
            let thing = thing_at(path)?;
            if let Err(problem) = describe::check(&thing) {
                verdict.bad.push((name(path), problem.cause));
            }
        }
        self.note(asset, &verdict)?;
        Ok(verdict)
    }

    fn verify_plain(&self, asset: &Asset, sink: &mut dyn Sink) -> Result<Verdict, Problem> {
        let thing = thing_at(&asset.path)?;
        let files: Vec<PathBuf> = thing.files.iter().filter(|file| file.is_file()).cloned().collect();
        let stamp = Stamp::of(thing.weights());
        let known = self.records().get(&asset.path).map(|record| record.sums.clone()).unwrap_or_default();
        let mut verdict = Verdict { path: asset.path.clone(), good: vec![], bad: vec![], unknown: vec![] };
        for file in thing.files.iter().filter(|file| !file.is_file()) {
            verdict.bad.push((name(file), "it is not there".to_owned()));
        }
        let (weights, texts): (Vec<PathBuf>, Vec<PathBuf>) =
            files.into_iter().partition(|file| thing.weights().contains(file));
        let mut progress = |done: u64, total: u64| {
            sink.check()?;
            sink.step(done as usize, total as usize, "bytes");
            Ok(())
        };
        let mut sum = WeightSum::of(&weights, &mut progress)?;
        // Small beside the weights, so they are read without a word.
        sum.files.extend(WeightSum::of(&texts, &mut |_, _| Ok(()))?.files);
        for (file, found) in &sum.files {
            match known.get(file) {
                Some(expected) if expected == found => verdict.good.push(file.clone()),
                Some(_) => {
                    verdict.bad.push((file.clone(), "it is not what it was when Tiller last read it".to_owned()));
                }
                None => verdict.unknown.push(file.clone()),
            }
        }
        if verdict.bad.is_empty() {
            self.remember_sum(&asset.path, &stamp, &sum, None)?;
        }
        Ok(verdict)
    }

    /// Lets the list show what a comparison has found.
    fn note(&self, asset: &Asset, verdict: &Verdict) -> Result<(), Problem> {
        let is_hub = matches!(asset.origin, AssetOrigin::Hub { .. });
        self.update_records(|records| {
            let Some(record) = records.get_mut(&asset.path) else { return };
            if !verdict.bad.is_empty() {
                if !matches!(asset.state, AssetState::Incomplete { .. }) {
                    record.asset.state = AssetState::Broken(problem::damaged(&verdict.bad, is_hub));
                }
            } else if matches!(record.asset.state, AssetState::Broken(_)) {
                // The facts are read again.
                record.stamp = Stamp::default();
            }
        })
    }
}

fn thing_at(path: &Path) -> Result<Thing, Problem> {
    let thing = recognise::at(path).into_iter().find(|thing| thing.path == path);
    thing.ok_or_else(|| problem::nothing_at(path))
}

fn verify_hub(asset: &Asset, (root, id, commit): (&Path, &str, &str), sink: &mut dyn Sink) -> Result<Verdict, Problem> {
    let repo = Store::new(root).scan_repo(id);
    let revision = repo.and_then(|repo| repo.revisions.into_iter().find(|revision| revision.commit == *commit));
    let revision = revision.ok_or_else(|| problem::nothing_at(&asset.path))?;
    let things = super::scan::in_revision(&revision);
    let thing = things.iter().map(|(thing, _)| thing).find(|thing| thing.path == asset.path);
    let thing = thing.ok_or_else(|| problem::nothing_at(&asset.path))?;
    let inside = |file: &PathBuf| file.strip_prefix(&revision.path).ok().map(slashed);
    let meant: BTreeSet<String> = thing.files.iter().filter_map(inside).collect();
    let stop = Stop::new();
    let checked = compare(&revision, &|path| meant.contains(path), &stop, &mut |done, total| {
        if sink.is_stopped() {
            stop.set();
        }
        sink.step(done as usize, total as usize, "bytes");
    });
    let checked = checked.map_err(|error| if stop.is_set() { problem::stopped() } else { problem::hub(&error) })?;
    let mut verdict = Verdict { path: asset.path.clone(), good: vec![], bad: vec![], unknown: vec![] };
    for file in checked {
        let short = |sum: &str| sum.get(..12).unwrap_or(sum).to_owned();
        match file.finding {
            Finding::Good => verdict.good.push(file.path),
            Finding::Unknown => verdict.unknown.push(file.path),
            Finding::Missing => verdict.bad.push((file.path, "it is not there, or only in part".to_owned())),
            Finding::Unreadable { reason } => verdict.bad.push((file.path, format!("it cannot be read: {reason}"))),
            Finding::Differs { expected, found } => {
                let reason = format!("its checksum is {}\u{2026}, not {}\u{2026}", short(&found), short(&expected));
                verdict.bad.push((file.path, reason));
            }
        }
    }
    Ok(verdict)
}

/// A path inside a repository, with `/`.
fn slashed(path: &Path) -> String {
    let parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    parts.join("/")
}
