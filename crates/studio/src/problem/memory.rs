//! Not enough memory, foreseen or met.

use tiller_protocol::model::ModelCheck;
use tiller_protocol::problem::Problem;

/// Bytes for people, in the unit that fits: `15.6 GB`.
pub(crate) fn amount(bytes: u64) -> String {
    let bytes = bytes as f64;
    let (scaled, unit) = match bytes {
        b if b >= 1e15 => return "more than 1000 TB".to_owned(),
        b if b >= 1e12 => (b / 1e12, "TB"),
        b if b >= 1e9 => (b / 1e9, "GB"),
        b if b >= 1e6 => (b / 1e6, "MB"),
        b => (b / 1e3, "kB"),
    };
    if scaled < 100.0 { format!("{scaled:.1} {unit}") } else { format!("{scaled:.0} {unit}") }
}

/// A model that does not fit the memory that is free, before anything was loaded.
pub(crate) fn does_not_fit(check: &ModelCheck) -> Problem {
    let need = &check.need;
    let free = check.free_bytes.map_or_else(|| "unknown".to_owned(), amount);
    Problem::new(
        "The model does not fit the free memory",
        format!(
            "{} in {} needs about {} on {} ({} for the weights, {} for a conversation of {} tokens); {free} is free.",
            check.name,
            check.dtype,
            amount(need.to_chat()),
            check.device,
            amount(need.weights_bytes),
            amount(need.cache_bytes.saturating_add(need.chat_bytes)),
            need.context_tokens,
        ),
        "Close other programs, choose a smaller or a quantised model, or load it anyway (--load-anyway): the system may \
         then end Tiller.",
    )
}

/// A job that would need more memory than is free.
pub(crate) fn no_room(job: &str, needed: u64, free: u64, next_step: &str) -> Problem {
    Problem::new(
        "There is not enough memory for this",
        format!("{job} needs about {}; {} is free.", amount(needed), amount(free)),
        next_step,
    )
}

/// Memory that ran out in the middle of the work.
pub(crate) fn out_of_memory(device: &str, needed: Option<u64>, free: Option<u64>) -> Problem {
    let needed = needed.map(|bytes| format!("; about {} was needed", amount(bytes)));
    let free = free.map(|bytes| format!("; {} was free", amount(bytes)));
    let facts: String = [needed, free].into_iter().flatten().collect();
    Problem::new(
        "The memory is used up",
        format!("{device} had no room left for this step{facts}."),
        "What was taken for it is free again. Close other programs, use a smaller or quantised model, or a shorter text \
         and smaller settings (population, contexts, prompt length).",
    )
}
