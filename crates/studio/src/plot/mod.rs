//! Figures as SVG, and the same figures as PNG.
//!
//! Every figure is drawn for a white page with plain attributes; each element also carries a class (`ink`, `quiet`,
//! `hair`, `page`), by which a web page recolours it for dark surroundings. Series take the Okabe–Ito colours in order
//! and differ by marker too. Nothing here knows where the numbers come from.

mod axis;
mod dose;
mod forest;
mod legend;
mod pareto;
mod png;
mod svg;

pub(crate) use dose::{DosePlot, DoseSeries};
pub(crate) use forest::{ForestPlot, ForestRow};
pub(crate) use pareto::{Front, ParetoPlot, Reference};
pub(crate) use png::png;
pub(crate) use svg::escape;

/// Okabe–Ito colours in the order in which series take them.
const SERIES: [&str; 7] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"];

/// Colour of series `i`.
fn colour(i: usize) -> &'static str {
    SERIES[i % SERIES.len()]
}

/// Colours of the page on white; classes of the same meaning let a dark page replace them.
const INK: &str = "#1B1F27";
const QUIET: &str = "#5B6472";
const HAIR: &str = "#E3E6EB";
const PAGE: &str = "#FFFFFF";
