//! Log lines and panic reports, on stderr.

use std::backtrace::Backtrace;
use std::panic;

use log::LevelFilter;

/// Starts logging. `RUST_LOG` wins; otherwise each `-v` tells more of Tiller's own work.
pub(crate) fn start(verbose: u8) {
    // A second start (in tests) keeps the first logger.
    if lines(verbose, std::env::var("RUST_LOG").ok().as_deref()).try_init().is_ok() {
        panic::set_hook(Box::new(|info| {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("unnamed").to_owned();
            log::error!("Internal fault in thread \u{201c}{name}\u{201d}: {info}");
            log::debug!("{}", Backtrace::force_capture());
        }));
    }
}

/// Which lines are shown; `wish` is what `RUST_LOG` says.
fn lines(verbose: u8, wish: Option<&str>) -> env_logger::Builder {
    let own = match verbose {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        2 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    let mut builder = env_logger::Builder::new();
    builder.filter_level(LevelFilter::Error).filter_module("tiller", own);
    for library in ["tiller_studio", "tiller_engine", "tiller_discover", "tiller_hub", "tiller_ui"] {
        builder.filter_module(library, own);
    }
    if verbose == 0 {
        // It reports as an error what the next renderer may put right; the window tells what is left of it.
        builder.filter_module("eframe", LevelFilter::Off);
    }
    // At its finest level the HTTP client writes requests out byte by byte, the access token among them; so no wish
    // about it is heard.
    let heard = wish.into_iter().flat_map(|wish| wish.split(',')).filter(|part| !part.trim().starts_with("ureq"));
    builder.parse_filters(&heard.collect::<Vec<_>>().join(","));
    for library in ["ureq", "ureq_proto"] {
        builder.filter_module(library, LevelFilter::Warn);
    }
    builder
}

#[cfg(test)]
mod tests {
    use log::{Level, Record};

    use super::*;

    #[test]
    fn no_wish_makes_the_http_client_write_requests_out() {
        for wish in [None, Some("trace"), Some("ureq_proto=trace,ureq=debug"), Some("ureq_proto::client=trace")] {
            let logger = lines(9, wish).build();
            let is_shown =
                |target: &str, level: Level| logger.matches(&Record::builder().target(target).level(level).build());
            for target in ["ureq::run", "ureq_proto::client::sendreq", "ureq_proto::util"] {
                assert!(!is_shown(target, Level::Debug), "{wish:?} {target}");
            }
            assert!(is_shown("tiller_hub::http", Level::Debug), "{wish:?}");
        }
    }
}
