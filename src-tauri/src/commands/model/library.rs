//! `tiller model installed|import|verify|remove`, and `info` of an autoencoder.

use std::path::PathBuf;

use clap::Args;
use tiller_protocol::asset::{Asset, AssetKind, AssetLibrary, AssetOrigin, AssetState, Verdict};
use tiller_protocol::problem::Problem;
use tiller_studio::headless;

use crate::commands::{Context, Failure};
use crate::output::{Ended, amount};

/// Options of `tiller model import`.
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// A checkpoint folder, a GGUF file, the folder of an autoencoder, or a folder with exactly one of these below it.
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// Copy it into Tiller's own folder; otherwise it stays where it is.
    #[arg(long)]
    copy: bool,
}

/// Options of `tiller model verify`.
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// Name, path or hub id of something installed.
    #[arg(value_name = "ASSET")]
    asset: String,
}

/// Options of `tiller model remove`.
#[derive(Args, Debug)]
pub(crate) struct RemoveArgs {
    /// Name, path or hub id of something installed.
    #[arg(value_name = "ASSET")]
    asset: String,

    /// Do it; without this the command only says what would be freed, and ends with exit code 2.
    #[arg(long)]
    yes: bool,
}

/// Lists what is installed.
pub(crate) fn installed(context: &Context) -> Result<Ended, Failure> {
    let library = headless::model_installed(&context.studio)?;
    context.print(&library, &table(&library))?;
    Ok(Ended::Done)
}

/// Makes something known.
pub(crate) fn import(args: &ImportArgs, context: &Context) -> Result<Ended, Failure> {
    let result = headless::model_import(&context.studio, &args.path, args.copy)?;
    let told = match (result.was_known, args.copy) {
        (true, _) => "It is in the library already",
        (false, true) => "Copied",
        (false, false) => "Added to the library; its files stay where they are",
    };
    context.print(&result, &format!("{told}.\n{}\n", result.path.display()))?;
    Ok(Ended::Done)
}

/// Compares files with their checksums; differences end the command as a failure.
pub(crate) fn verify(args: &VerifyArgs, context: &Context) -> Result<Ended, Failure> {
    let verdict = headless::model_verify(&context.studio, &args.asset)?;
    context.print(&verdict, &told(&verdict))?;
    Ok(if verdict.bad.is_empty() { Ended::Done } else { Ended::Found })
}

/// Deletes or forgets.
pub(crate) fn remove(args: &RemoveArgs, context: &Context) -> Result<Ended, Failure> {
    let result = headless::model_remove(&context.studio, &args.asset, args.yes)?;
    let freed = amount(result.freed_bytes);
    if !result.removed {
        let what = match result.freed_bytes {
            0 => "no file would be deleted; it would only be forgotten".to_owned(),
            bytes => format!("{freed} ({bytes} bytes) would be freed"),
        };
        let place = result.path.display();
        let cause = format!("{} at {place}: {what}.", result.name);
        return Err(Failure::Unconfirmed(Problem::new("Nothing was removed yet", cause, "Give --yes to do it.")));
    }
    let told = match result.freed_bytes {
        0 => "forgotten; no disk space was freed".to_owned(),
        bytes => format!("removed, {freed} ({bytes} bytes) are free again"),
    };
    context.print(&result, &format!("{}: {told}.\n", result.name))?;
    Ok(Ended::Done)
}

fn table(library: &AssetLibrary) -> String {
    let width = library.assets.iter().map(|asset| asset.name.chars().count()).max().unwrap_or(0).clamp(8, 40);
    let mut lines = Vec::new();
    for asset in &library.assets {
        let kind = match asset.kind {
            AssetKind::Model => "model",
            AssetKind::Sae => "sae",
        };
        let format = asset.dtype.as_deref().unwrap_or("-");
        let name = &asset.name;
        lines.push(format!(
            "{name:<width$}  {kind:<5}  {:>9}  {format:<7}  {:<10}  {}\n",
            amount(asset.bytes),
            state(asset),
            place(asset)
        ));
        if let AssetState::Broken(problem) = &asset.state {
            lines.push(format!("{:<width$}  {}: {}\n", "", problem.title, problem.cause));
        }
    }
    lines.push("\nFolders:\n".to_owned());
    for folder in &library.folders {
        let free = folder.free_bytes.map_or_else(|| "unknown".to_owned(), amount);
        let notes = [(!folder.is_present, ", not connected"), (folder.is_chosen, ", downloads go here")];
        let notes: String = notes.into_iter().filter(|(holds, _)| *holds).map(|(_, note)| note).collect();
        lines.push(format!("  {} ({} used, {free} free{notes})\n", folder.path.display(), amount(folder.used_bytes)));
    }
    lines.concat()
}

fn state(asset: &Asset) -> &'static str {
    match asset.state {
        AssetState::Ready => "ready",
        AssetState::Incomplete { .. } => "incomplete",
        AssetState::Missing => "missing",
        AssetState::Broken(_) => "broken",
    }
}

fn place(asset: &Asset) -> String {
    match &asset.origin {
        AssetOrigin::Shipped => "ships with Tiller".to_owned(),
        AssetOrigin::Hub { repo, .. } => repo.id.clone(),
        AssetOrigin::Copied | AssetOrigin::Linked => asset.path.display().to_string(),
    }
}

fn told(verdict: &Verdict) -> String {
    let mut lines = vec![format!("{}\n", verdict.path.display())];
    lines.extend(verdict.good.iter().map(|file| format!("  good     {file}\n")));
    lines.extend(verdict.unknown.iter().map(|file| format!("  unknown  {file}\n")));
    lines.extend(verdict.bad.iter().map(|(file, reason)| format!("  BAD      {file}: {reason}\n")));
    if !verdict.unknown.is_empty() {
        let note =
            "Nobody has published a checksum for what is unknown; what was read is remembered for the next time.";
        lines.push(format!("{note}\n"));
    }
    lines.concat()
}

/// The facts about an autoencoder.
pub(crate) fn facts(sae: &Asset) -> String {
    let number = |n: Option<usize>| n.map_or_else(|| "unknown".to_owned(), |n| n.to_string());
    let lines = [
        ("autoencoder", sae.name.clone()),
        ("architecture", sae.architecture.clone().unwrap_or_else(|| "unknown".to_owned())),
        ("latents", format!("{} over activations of width {}", number(sae.d_sae), number(sae.d_model))),
        ("reads", format!("block {} (from 0)", number(sae.n_layers))),
        ("trained on", sae.reads.clone().unwrap_or_else(|| "not stated".to_owned())),
        ("files", format!("{} in {}", amount(sae.bytes), sae.dtype.as_deref().unwrap_or("an unknown format"))),
        ("where", sae.path.display().to_string()),
    ];
    let lines: Vec<String> = lines.into_iter().map(|(name, value)| format!("{name:<14}{value}\n")).collect();
    lines.concat()
}
