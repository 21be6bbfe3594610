//! Log lines and panic reports, on stderr.

use std::backtrace::Backtrace;
use std::panic;

use log::LevelFilter;

/// Starts logging. `RUST_LOG` wins; otherwise each `-v` tells more of Tiller's own work.
pub(crate) fn start(verbose: u8) {
    let own = match verbose {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        2 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    let mut builder = env_logger::Builder::new();
    builder.filter_level(LevelFilter::Error).filter_module("tiller", own);
    for library in ["tiller_studio", "tiller_engine", "tiller_discover", "tiller_ui"] {
        builder.filter_module(library, own);
    }
    if verbose == 0 {
        // It reports as an error what the next renderer may put right; the window tells what is left of it.
        builder.filter_module("eframe", LevelFilter::Off);
    }
    builder.parse_default_env();
    // A second start (in tests) keeps the first logger.
    if builder.try_init().is_ok() {
        panic::set_hook(Box::new(|info| {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("unnamed").to_owned();
            log::error!("Internal fault in thread \u{201c}{name}\u{201d}: {info}");
            log::debug!("{}", Backtrace::force_capture());
        }));
    }
}
