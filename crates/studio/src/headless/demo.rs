//! `tiller demo`: the whole job with its report.

use tiller_protocol::problem::Problem;

use super::options::{DemoOptions, Global};
use super::results::DemoResult;

/// Does the whole job on the demo model and writes `report.html`, `results.json` and PNG plots.
///
/// # Errors
/// Assets that cannot be loaded, a folder that cannot be written, or a stop before anything is finished.
pub fn demo(_global: &Global, _options: &DemoOptions) -> Result<DemoResult, Problem> {
    todo!("body follows")
}
