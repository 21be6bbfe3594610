//! `tiller model download`.

use std::path::PathBuf;

use clap::Args;
use tiller_protocol::asset::{AssetKind, Gate, HubChoice, HubListing, RepoRef, ShapeNeed, WeightsIn};
use tiller_studio::headless::{self, DownloadOptions, DownloadResult};

use crate::commands::{Context, Failure};
use crate::output::{Ended, amount};

/// Options of `tiller model download`.
#[derive(Args, Debug)]
pub(crate) struct DownloadArgs {
    /// OWNER/NAME, OWNER/NAME@REVISION, or the address of its page.
    #[arg(value_name = "REPOSITORY", value_parser = headless::repo_ref)]
    repo: RepoRef,

    /// Which of its choices [default: the only one, or the safetensors checkpoint].
    #[arg(long, value_name = "NAME")]
    choice: Option<String>,

    /// Into which folder, which becomes one of the library's storage folders [default: the one that
    /// the window downloads to, else the cache of the hub's tools].
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,

    /// List the choices and their bytes, and download nothing.
    #[arg(long, conflicts_with = "choice")]
    list: bool,
}

/// Downloads, or lists.
pub(crate) fn run(args: &DownloadArgs, context: &Context) -> Result<Ended, Failure> {
    let options = DownloadOptions { repo: args.repo.clone(), choice: args.choice.clone(), folder: args.folder.clone() };
    if args.list {
        let offers = headless::model_offers(&context.studio, &options)?;
        context.print(&offers, &table(&offers))?;
        return Ok(Ended::Done);
    }
    let result = headless::model_download(&context.studio, &options)?;
    context.print(&result, &told(&result))?;
    Ok(Ended::from_stopped(result.stopped))
}

fn table(offers: &HubListing) -> String {
    let revision = offers.repo.revision.as_deref().map_or_else(String::new, |revision| format!(" at {revision}"));
    let gate = match offers.gate {
        Gate::Open => "",
        Gate::Automatic | Gate::Manual => "; it has to be accepted on its page first",
    };
    let mut lines = vec![
        format!("{}{revision}, commit {}\n", offers.repo.id, offers.commit),
        format!("licence: {}{gate}\n{}\n", offers.licence.as_deref().unwrap_or("not stated"), offers.page),
    ];
    for choice in &offers.choices {
        lines.push(row(choice));
        for file in &choice.files {
            lines.push(format!("  {:>16} bytes  {}\n", file.bytes, file.path));
        }
    }
    if offers.left_out_files > 0 {
        let (files, bytes) = (offers.left_out_files, amount(offers.left_out_bytes));
        lines.push(format!(
            "\nLeft out, since nothing here needs them: {files} {}, {bytes}.\n",
            if files == 1 { "file" } else { "files" }
        ));
    }
    lines.extend(offers.shape.as_ref().map(|shape| memory(shape, offers.free_memory_bytes)));
    let free = offers.free_disk_bytes.map_or_else(|| "unknown".to_owned(), amount);
    lines.push(format!("\nTo: {} (free: {free})\n", offers.folder.display()));
    for problem in [&offers.locked, &offers.obstacle].into_iter().flatten() {
        lines.push(format!("\n{}\n  Cause: {}\n  Next step: {}\n", problem.title, problem.cause, problem.next_step));
    }
    lines.concat()
}

/// In which number format the model would fit.
fn memory(shape: &ShapeNeed, free: Option<u64>) -> String {
    let need = |weights: &WeightsIn| amount(weights.bytes.saturating_add(shape.conversation_bytes()));
    let best = free.and_then(|free| shape.best_fit(free));
    let fits = match (free, best, shape.weights.last()) {
        (Some(_), Some(best), _) => format!("fits in {}, with a conversation {}", best.format, need(best)),
        (Some(_), None, Some(least)) => format!("does not fit: {} even in {}", need(least), least.format),
        _ => "unknown whether it fits".to_owned(),
    };
    format!("\nMemory: {fits} (free: {})\n", free.map_or_else(|| "unknown".to_owned(), amount))
}

fn row(choice: &HubChoice) -> String {
    let kind = match choice.kind {
        AssetKind::Model => "model",
        AssetKind::Sae => "autoencoder",
    };
    let (total, missing) = (choice.total_bytes(), choice.missing_bytes());
    let here = match missing {
        0 => ", all of it is here".to_owned(),
        missing if missing < total => format!(", {} of it is here", amount(total - missing)),
        _ => String::new(),
    };
    format!("\n--choice {}  {kind}, {}, {total} bytes ({}){here}\n", choice.id, choice.label, amount(total))
}

fn told(result: &DownloadResult) -> String {
    let name = format!("{} ({})", result.repo.id, result.label);
    match &result.path {
        Some(path) if result.present_bytes == result.total_bytes => {
            format!("All of {name} is here: {}.\n{}\n", amount(result.total_bytes), path.display())
        }
        Some(path) => format!(
            "Downloaded {name}: {}, every file checked against the hub's checksum.\n{}\n",
            amount(result.total_bytes),
            path.display()
        ),
        None => format!(
            "Paused {name}: {} of {} are in {}. Run the same command again to go on.\n",
            amount(result.done_bytes),
            amount(result.total_bytes),
            result.folder.display()
        ),
    }
}
