//! The tables of `tiller model list`.

use tiller_protocol::asset::{CatalogueEntry, Gate, ShapeNeed};
use tiller_studio::headless::ModelList;

use crate::output::{amount, gigabytes};

/// Width of a name.
const NAME: usize = 16;

/// Both tables for people.
pub(super) fn table(list: &ModelList) -> String {
    let formats: Vec<&str> = list
        .models
        .iter()
        .find_map(|entry| entry.shape.as_ref())
        .map(|shape| shape.weights.iter().map(|w| w.format.as_str()).collect())
        .unwrap_or_default();
    let mut head = vec!["10^9", "download"];
    head.extend(&formats);
    head.extend(["+chat", "+search"]);
    let head: Vec<String> = head.into_iter().map(str::to_owned).collect();
    let mut lines = vec![row("model", &head, "fits now as")];
    for entry in &list.models {
        let mut cells = vec![entry.shape.as_ref().map_or_else(unknown, |shape| gigabytes(shape.n_params))];
        cells.push(download(entry));
        match &entry.shape {
            Some(shape) => {
                cells.extend(shape.weights.iter().map(|weights| gigabytes(weights.bytes)));
                cells.extend([shape.conversation_bytes(), shape.work.discovery_bytes].map(gigabytes));
            }
            None => cells.extend(std::iter::repeat_with(unknown).take(formats.len() + 2)),
        }
        lines.push(row(&entry.name, &cells, &fit(entry.shape.as_ref(), list.free_bytes)));
    }
    let free = list.free_bytes.map_or_else(|| "unknown".to_owned(), |free| format!("{} GB", gigabytes(free)));
    lines.push(format!(
        "\nParameters in 10^9. GB of the download (* its licence has to be accepted on its page first) and of weights in\n\
         memory by number format; +chat: a conversation of up to 4096 tokens, +search: a discovery step with the\n\
         default settings, both on the processor. Free now: {free}.\n"
    ));
    lines.push("\nWhat to give to tiller model download:\n".to_owned());
    lines.extend(list.models.iter().map(|entry| format!("{:<NAME$}  {}\n", entry.name, entry.repo.id)));
    lines.push("\nSparse autoencoders, with the model they read:\n".to_owned());
    lines.extend(list.saes.iter().map(sae));
    for problem in &list.problems {
        lines.push(format!("\n{}\n  Cause: {}\n  Next step: {}\n", problem.title, problem.cause, problem.next_step));
    }
    lines.concat()
}

fn sae(entry: &CatalogueEntry) -> String {
    let choice = entry.choice.as_deref().map_or_else(String::new, |choice| format!(" --choice {choice}"));
    let bytes = entry.download_bytes.map_or_else(|| "size not known".to_owned(), amount);
    let (name, reads, id) = (&entry.name, entry.reads.join(", "), &entry.repo.id);
    format!("{name} ({bytes}; reads {reads})\n  {id}{choice}\n  {}\n", entry.note)
}

fn row(name: &str, cells: &[String], last: &str) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>9}")).collect();
    format!("{name:<NAME$}{}  {last}\n", cells.concat())
}

fn unknown() -> String {
    "-".to_owned()
}

fn download(entry: &CatalogueEntry) -> String {
    let bytes = entry.download_bytes.map_or_else(unknown, gigabytes);
    let mark = if entry.gate == Gate::Open { "" } else { "*" };
    format!("{bytes}{mark}")
}

fn fit(shape: Option<&ShapeNeed>, free: Option<u64>) -> String {
    match shape.zip(free) {
        None => "unknown".to_owned(),
        Some((shape, free)) => shape.best_fit(free).map_or_else(unknown, |weights| weights.format.clone()),
    }
}
