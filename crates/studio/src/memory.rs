//! Memory of this computer, and whether a model fits.

use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};
use tiller_engine::load::Preview;
use tiller_engine::memory::{self as estimate, SearchStep};
use tiller_engine::{Device, device};
use tiller_protocol::discovery::DiscoverySettings;
use tiller_protocol::model::{DtypeChoice, MemoryNeed};

/// Tokens of the conversation that the estimate is for, where the model can read as many.
const CONVERSATION: usize = 4096;
/// Tokens of a context around a prompt that is searched for: a system text, a question and the template's own.
const CONTEXT: usize = 96;

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
    let (config, runs) = (&preview.config, device::runs(device, device::dtype(choice, device)));
    let context = config.context_len.min(CONVERSATION);
    let settings = DiscoverySettings::default();
    let step = SearchStep {
        population: settings.population,
        contexts: settings.n_contexts,
        prompt_len: settings.prompt_len,
        context_len: CONTEXT,
    };
    MemoryNeed {
        weights_bytes: preview.weights_bytes(device, keep),
        loading_bytes: preview.loading_bytes(device, keep),
        context_tokens: context,
        cache_bytes: estimate::cache_bytes(config, context, runs),
        chat_bytes: estimate::chat_bytes(config, context, runs),
        discovery_bytes: estimate::search_bytes(config, step, runs),
        sae_bytes: sae.map_or(0, |(d_sae, d_model)| estimate::sae_bytes(d_model, d_sae)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_computer_has_memory_and_some_is_free() {
        let (total, free) = (total_bytes(), free_bytes().unwrap());
        assert!(total > 256 << 20 && free > 0 && free <= total, "{free} of {total}");
    }
}
