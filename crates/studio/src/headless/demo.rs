//! `tiller demo`: the whole job with its report.

use tiller_protocol::model::ModelSource;
use tiller_protocol::problem::Problem;

use super::options::{DemoOptions, Global};
use super::results::DemoResult;
use super::session::{Session, WatchSink};
use crate::demo::{self as study, Order};

/// Does the whole job on the demo model and writes `report.html`, `results.json` and PNG plots.
///
/// # Errors
/// Assets that cannot be loaded, a folder that cannot be written, or a stop before anything is finished.
pub fn demo(global: &Global, options: &DemoOptions) -> Result<DemoResult, Problem> {
    let began = std::time::Instant::now();
    let session = Session::open(global, &ModelSource::Demo)?;
    let order = Order {
        loaded: &session.loaded,
        library: &session.library,
        neutral: &session.neutral,
        out: &options.out,
        quick: options.quick,
        seed: options.seed,
    };
    let mut sink = WatchSink::new(global, "Demo");
    let done = study::run(&order, &mut sink)?;
    Ok(DemoResult {
        results: options.out.join("results.json"),
        report: options.out.join("report.html"),
        findings: done.findings,
        seconds: began.elapsed().as_secs_f64(),
        stopped: done.stopped,
    })
}
