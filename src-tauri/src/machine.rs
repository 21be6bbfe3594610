//! What the window tells about this computer.

use std::path::PathBuf;

use tiller_ui::Machine;

use crate::product::Product;

/// Facts about this computer and this build.
pub(crate) fn describe(product: &Product, workspace: PathBuf, renderer: String) -> Machine {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let word = if threads == 1 { "thread" } else { "threads" };
    Machine {
        version: product.version.clone(),
        processor: format!("{threads} processor {word}"),
        memory_bytes: memory_bytes(),
        // This build computes on the processor only.
        accelerators: Vec::new(),
        workspace,
        renderer,
    }
}

/// Memory in bytes; 0 where the system does not tell it in `/proc/meminfo`.
fn memory_bytes() -> u64 {
    std::fs::read_to_string("/proc/meminfo").map_or(0, |text| total_bytes(&text).unwrap_or(0))
}

/// `MemTotal` of `/proc/meminfo`, which counts in KiB.
fn total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_meminfo() {
        assert_eq!(total_bytes("MemTotal:        2048 kB\nMemFree: 1 kB\n"), Some(2_097_152));
        assert_eq!(total_bytes("MemFree: 1 kB\n"), None);
    }
}
