//! The main job from end to end on the demo model, with a report.
//!
//! For each persona: the vector with the styles' directions projected out; RESGA and SAEGA; the gradient against random
//! mutation at equal numbers of evaluations over several seeds; a random direction; ten manual prompts; everything
//! chosen on selection items and reported on held-out ones with intervals. Then steering by vectors over five
//! strengths. Nothing is left out of the results because it came out badly.

mod figures;
mod findings;
mod html;
mod plan;
mod results;
mod steering;
mod study;

use std::path::Path;
use std::time::Instant;

use tiller_protocol::problem::Problem;

use crate::jobs::Sink;
use crate::library::Library;
use crate::models::Loaded;
use crate::plot;
use crate::workspace::{atomic, document};

pub(crate) use results::Results;

/// What is to be done.
pub(crate) struct Order<'a> {
    /// The demo model.
    pub(crate) loaded: &'a Loaded,
    /// Personas.
    pub(crate) library: &'a Library,
    /// Neutral user texts.
    pub(crate) neutral: &'a [String],
    /// Target folder.
    pub(crate) out: &'a Path,
    /// Fewer personas, shorter searches.
    pub(crate) quick: bool,
    /// First seed.
    pub(crate) seed: u64,
}

/// What was done.
pub(crate) struct Done {
    /// One sentence for each finding.
    pub(crate) findings: Vec<String>,
    /// Whether the user stopped it; then the report holds what was finished.
    pub(crate) stopped: bool,
}

/// Does the job and writes `results.json`, `report.html` and PNG plots.
///
/// # Errors
/// Personas that cannot be loaded, a failure of the model, a folder that cannot be written.
pub(crate) fn run(order: &Order<'_>, sink: &mut dyn Sink) -> Result<Done, Problem> {
    let plan = plan::Plan::new(order.quick, order.seed);
    let mut results = Results::new(order, &plan);
    let finished = measure(order, &plan, &mut results, sink);
    results.stopped = sink.is_stopped();
    if let (Err(problem), false) = (finished, results.stopped) {
        return Err(problem);
    }
    results.findings = findings::all(&results);
    write(order.out, &results)?;
    Ok(Done { findings: results.findings, stopped: results.stopped })
}

fn measure(order: &Order<'_>, plan: &plan::Plan, results: &mut Results, sink: &mut dyn Sink) -> Result<(), Problem> {
    for persona in &plan.personas {
        let began = Instant::now();
        let study = study::run(order, plan, persona, sink)?;
        results.times.part(&format!("study of {persona}"), began.elapsed());
        results.personas.push(study);
    }
    let began = Instant::now();
    results.steering = Some(steering::run(order, plan, sink)?);
    results.times.part("steering", began.elapsed());
    results.times.tokens_per_sec = Some(steering::tokens_per_sec(order.loaded)?);
    Ok(())
}

fn write(out: &Path, results: &Results) -> Result<(), Problem> {
    document::write_json(&out.join("results.json"), results)?;
    let figures = figures::all(results);
    for figure in &figures {
        atomic::write(&out.join(format!("{}.png", figure.name)), &plot::png(&figure.svg)?)?;
    }
    atomic::write(&out.join("report.html"), html::page(results, &figures).as_bytes())
}

#[cfg(test)]
mod tests;
