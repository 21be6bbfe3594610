//! What the window tells about this computer.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use tiller_studio::memory;
use tiller_ui::Machine;

use crate::product::Product;

/// Facts about this computer and this build.
pub(crate) fn describe(product: &Product, workspace: PathBuf, renderer: String) -> Machine {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let word = if threads == 1 { "thread" } else { "threads" };
    Machine {
        version: product.version.clone(),
        processor: format!("{threads} processor {word}"),
        memory_bytes: memory::total_bytes(),
        accelerators: memory::accelerators(),
        workspace,
        renderer,
        opened_secs: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    }
}
