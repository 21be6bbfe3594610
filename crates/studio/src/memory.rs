//! Memory of this computer, and whether a model fits.

use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};
use tiller_engine::config::ModelConfig;
use tiller_engine::load::Preview;
use tiller_engine::memory::{self as estimate, Runs, SearchStep};
use tiller_engine::{Device, device};
use tiller_protocol::discovery::DiscoverySettings;
use tiller_protocol::model::{DtypeChoice, MemoryNeed};
use tiller_protocol::problem::Problem;

use crate::models::Loaded;
use crate::problem;

/// Tokens of the conversation that the estimate is for, where the model can read as many.
const CONVERSATION: usize = 4096;
/// Tokens that follow a prompt in a context: a question and the template's own.
const CONTEXT: usize = 64;

/// Memory of this computer in bytes, 0 where the system does not tell; a limit set on this process counts.
pub fn total_bytes() -> u64 {
    let Some(system) = look() else { return 0 };
    limit(&system).map_or(system.total_memory(), |(total, _)| total.min(system.total_memory()))
}

/// Memory that programs can still take, in bytes; caches of files count as free. `None` where the system does not tell.
pub fn free_bytes() -> Option<u64> {
    let system = look()?;
    let free = Some(system.available_memory()).filter(|free| *free > 0)?;
    Some(limit(&system).map_or(free, |(total, taken)| free.min(total.saturating_sub(taken))))
}

/// Names of the accelerators that this build can use.
pub fn accelerators() -> Vec<String> {
    device::accelerators()
}

/// Memory that this process holds, in bytes. `None` where the system does not tell.
pub(crate) fn resident_bytes() -> Option<u64> {
    let (mut system, pid) = (System::new().ok()?, Pid::from_u32(std::process::id()));
    system.refresh_processes_specifics(
        ProcessesToUpdate::Some(&[pid]),
        false,
        ProcessRefreshKind::nothing().with_memory(),
    );
    Some(system.process(pid)?.memory()).filter(|bytes| *bytes > 0)
}

fn look() -> Option<System> {
    System::new_with_specifics(RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram())).ok()
}

/// Limit of this process's control group and what its programs have taken of it, where there is one (Linux).
fn limit(system: &System) -> Option<(u64, u64)> {
    let own = || {
        let (mut system, pid) = (System::new().ok()?, Pid::from_u32(std::process::id()));
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, ProcessRefreshKind::nothing());
        system.process(pid)?.cgroup_limits()
    };
    let limits = own().or_else(|| system.cgroup_limits())?;
    Some((limits.total_memory, limits.rss))
}

/// Memory that is free where a model would be loaded.
pub(crate) fn free_on(device: &Device) -> Option<u64> {
    if device.is_cpu() { free_bytes() } else { device::free_bytes(device) }
}

/// What a model needs on a device; `sae` is (latents, width) of the autoencoder that comes with it.
pub(crate) fn need(preview: &Preview, device: &Device, choice: DtypeChoice, sae: Option<(usize, usize)>) -> MemoryNeed {
    let keep = device::keep(choice, device);
    MemoryNeed {
        weights_bytes: preview.weights_bytes(device, keep),
        loading_bytes: preview.loading_bytes(device, keep),
        sae_bytes: sae.map_or(0, |(d_sae, d_model)| estimate::sae_bytes(d_model, d_sae)),
        ..work(&preview.config, device::runs(device, device::dtype(choice, device)))
    }
}

/// What a conversation and a search need beside the weights.
pub(crate) fn work(config: &ModelConfig, runs: Runs) -> MemoryNeed {
    let context = config.context_len.min(CONVERSATION);
    let step = step(config, &DiscoverySettings::default());
    MemoryNeed {
        context_tokens: context,
        cache_bytes: estimate::cache_bytes(config, context, runs),
        chat_bytes: estimate::chat_bytes(config, context, runs),
        discovery_bytes: estimate::search_bytes(config, step, runs),
        ..MemoryNeed::default()
    }
}

fn step(config: &ModelConfig, settings: &DiscoverySettings) -> SearchStep {
    let &DiscoverySettings { population, n_contexts: contexts, prompt_len, block, .. } = settings;
    // Where the persona's vector decides, it is usually no later than this.
    let block = block.unwrap_or(2 * config.n_layers / 3);
    SearchStep { population, contexts, prompt_len, context_len: CONTEXT, block }
}

/// Tokens of the prompts that extraction and measurements run at once.
const PROMPTS: usize = 2048;

/// Refuses replies whose prompts have `lens` tokens when there is no room for them.
///
/// # Errors
/// When more is needed than is free.
pub(crate) fn check_reply(loaded: &Loaded, lens: &[usize], max_tokens: usize) -> Result<(), Problem> {
    let (config, runs) = (loaded.model.config(), runs_of(loaded));
    let longest = |len: &usize| len.saturating_add(max_tokens).min(config.context_len);
    let caches = lens.iter().map(|len| estimate::cache_bytes(config, longest(len), runs));
    let read = estimate::chat_bytes(config, lens.iter().sum(), runs);
    let needed = caches.fold(read, u64::saturating_add);
    check(loaded, "The reply", needed, "Shorten the text or the reply, or load a smaller or quantised model.")
}

/// Refuses a search when there is no room for its steps.
///
/// # Errors
/// When more is needed than is free.
pub(crate) fn check_search(loaded: &Loaded, settings: &DiscoverySettings) -> Result<(), Problem> {
    let config = loaded.model.config();
    let needed = estimate::search_bytes(config, step(config, settings), runs_of(loaded));
    let next_step = "Set a smaller population, fewer contexts or a shorter prompt, or load a smaller model.";
    check(loaded, "A step of this search", needed, next_step)
}

/// Refuses to read or measure prompts when there is no room for a batch of them.
///
/// # Errors
/// When more is needed than is free.
pub(crate) fn check_reading(loaded: &Loaded) -> Result<(), Problem> {
    let config = loaded.model.config();
    let needed = estimate::reading_bytes(config, PROMPTS, runs_of(loaded));
    check(loaded, "Reading the prompts", needed, "Close other programs, or load a smaller or quantised model.")
}

/// Refuses a file of residuals and of a value for every token of the vocabulary at each of `n_tokens` positions.
///
/// # Errors
/// When more is needed than is free.
pub(crate) fn check_table(loaded: &Loaded, n_tokens: usize) -> Result<(), Problem> {
    let config = loaded.model.config();
    // As a tensor, as values, and as the bytes that are written.
    let table = (3 * 4_u64).saturating_mul(n_tokens as u64).saturating_mul(config.vocab_size as u64);
    let needed = estimate::reading_bytes(config, n_tokens, runs_of(loaded)).saturating_add(table);
    check(loaded, "The result", needed, "Give fewer tokens.")
}

/// Refuses the gradient with respect to `n_tokens` tokens when there is no room for its tape and its values.
///
/// # Errors
/// When more is needed than is free.
pub(crate) fn check_gradient(loaded: &Loaded, n_tokens: usize) -> Result<(), Problem> {
    let needed = estimate::gradient_bytes(loaded.model.config(), n_tokens, runs_of(loaded));
    check(loaded, "The gradient", needed, "Give fewer tokens, or load a smaller model.")
}

/// Refuses to train an SAE of `n_values` weights over a store of `store_bytes` when there is no room for it.
///
/// # Errors
/// When more is needed than is free.
pub(crate) fn check_training(n_values: u64, store_bytes: u64) -> Result<(), Problem> {
    // Encoder and decoder, their gradient and two moments, in f32; then what a step works with.
    let needed = (2 * 4 * 4_u64).saturating_mul(n_values).saturating_add(store_bytes).saturating_add(64 << 20);
    match free_bytes() {
        Some(free) if needed > free => {
            Err(problem::no_room("This training", needed, free, "Choose fewer latents, or close other programs."))
        }
        _ => estimate::room_for_bytes(needed).map_err(|error| problem::engine(&error)),
    }
}

fn runs_of(loaded: &Loaded) -> Runs {
    device::runs(loaded.device(), loaded.model.dtype())
}

fn check(loaded: &Loaded, job: &str, needed: u64, next_step: &str) -> Result<(), Problem> {
    match free_on(loaded.device()) {
        Some(free) if needed > free => Err(problem::no_room(job, needed, free, next_step)),
        // A limit set on the process, or a system that promises no more than it has, shows only when it is asked.
        _ if loaded.device().is_cpu() => estimate::room_for_bytes(needed).map_err(|error| problem::engine(&error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::tests::demo;

    #[test]
    fn jobs_beyond_all_memory_are_refused_before_they_begin() {
        let demo = demo();
        assert_eq!(check_reply(demo, &[100, 100], 200), Ok(()));
        assert_eq!(check_reading(demo), Ok(()));
        assert_eq!(check_search(demo, &DiscoverySettings::default()), Ok(()));
        let endless = DiscoverySettings { population: 1 << 30, n_contexts: 1 << 20, ..DiscoverySettings::default() };
        let refused = check_search(demo, &endless).unwrap_err();
        assert!(refused.title.contains("memory") && refused.next_step.contains("population"), "{refused}");
        assert!(check_reply(demo, &[1 << 50], 1).is_err());
        assert!(check_table(demo, 100).is_ok() && check_table(demo, 1 << 50).is_err());
        // A table of so many tokens has room; the products of all their pairs do not.
        assert!(check_gradient(demo, 100).is_ok() && check_gradient(demo, 1 << 22).is_err());
    }

    #[test]
    fn this_computer_has_memory_and_some_is_free() {
        let (total, free) = (total_bytes(), free_bytes().unwrap());
        assert!(total > 256 << 20 && free > 0 && free <= total, "{free} of {total}");
    }
}
