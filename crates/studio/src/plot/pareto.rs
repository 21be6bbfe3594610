//! Fluency against effect: candidates, fronts, baselines.

use super::axis::{Area, Scale, frame};
use super::svg::{Anchor, LABEL, Svg, short, width};
use super::{QUIET, colour, legend};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 520.0;
const AREA: Area = Area { left: 68.0, right: 836.0, top: 72.0, bottom: 460.0 };

/// One run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Front {
    /// Name in the legend.
    pub(crate) name: String,
    /// (cross-entropy, effect) by rising cross-entropy.
    pub(crate) points: Vec<(f64, f64)>,
    /// (cross-entropy, effect) of everything that was tried; drawn small and faint.
    pub(crate) candidates: Vec<(f64, f64)>,
}

/// A baseline.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    /// Name beside its line.
    pub(crate) name: String,
    /// Effect.
    pub(crate) target: f64,
    /// Cross-entropy, where it has one: then a cross marks the point.
    pub(crate) xent: Option<f64>,
}

/// The whole figure.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParetoPlot {
    /// Title.
    pub(crate) title: String,
    /// Name of the effect with its unit.
    pub(crate) target_name: String,
    /// Runs.
    pub(crate) fronts: Vec<Front>,
    /// Baselines.
    pub(crate) references: Vec<Reference>,
    /// The chosen point: (cross-entropy, effect) and its text.
    pub(crate) chosen: Option<((f64, f64), String)>,
}

/// Most candidates drawn for one run; more are thinned evenly.
const MAX_DOTS: usize = 1500;

impl ParetoPlot {
    /// Draws the figure.
    pub(crate) fn svg(&self) -> String {
        let legend_names: Vec<&str> = self.fronts.iter().map(|front| front.name.as_str()).collect();
        let extra = legend::extra_height(&legend_names, WIDTH);
        let area = Area { top: AREA.top + extra, bottom: AREA.bottom + extra, ..AREA };
        let points = || self.fronts.iter().flat_map(|front| front.points.iter().chain(&front.candidates));
        let references = || self.references.iter();
        let x_values = points().map(|p| p.0).chain(references().filter_map(|r| r.xent));
        let x = Scale::around(x_values, (area.left, area.right));
        let y_values = points().map(|p| p.1).chain(references().map(|r| r.target));
        let y = Scale::around(y_values, (area.bottom, area.top));
        let mut svg = Svg::new(WIDTH, HEIGHT + extra);
        let names = [self.title.as_str(), "cross-entropy of the prompt, nats per token", self.target_name.as_str()];
        frame(&mut svg, area, (&x, &y), names, false);
        for (i, front) in self.fronts.iter().enumerate() {
            let every = front.candidates.len().div_ceil(MAX_DOTS).max(1);
            for (xent, target) in front.candidates.iter().step_by(every) {
                svg.dot((x.at(*xent), y.at(*target)), colour(i));
            }
        }
        self.draw_references(&mut svg, &x, &y);
        for (i, front) in self.fronts.iter().enumerate() {
            svg.path(&stepped(&front.points, &x, &y), colour(i));
            for (xent, target) in &front.points {
                svg.marker((x.at(*xent), y.at(*target)), i, colour(i));
            }
        }
        if let Some(((xent, target), text)) = &self.chosen {
            let at = (x.at(*xent), y.at(*target));
            svg.ring(at);
            let text = format!("\u{201c}{}\u{201d}", short(text.trim(), 60));
            let fits = at.0 + 14.0 + width(&text, LABEL.size) < AREA.right;
            let (dx, anchor) = if fits { (14.0, Anchor::Start) } else { (-14.0, Anchor::End) };
            svg.text((at.0 + dx, at.1 + 22.0), anchor, LABEL, &text);
        }
        legend::draw(&mut svg, &legend_names, WIDTH);
        svg.finish(&self.title, &self.description())
    }

    fn draw_references(&self, svg: &mut Svg, x: &Scale, y: &Scale) {
        let mut order: Vec<&Reference> = self.references.iter().collect();
        order.sort_by(|a, b| b.target.total_cmp(&a.target));
        let mut last = f64::NEG_INFINITY;
        for reference in order {
            let at = y.at(reference.target);
            svg.dashed((AREA.left, at), (AREA.right, at), None);
            if let Some(xent) = reference.xent {
                let (cx, arm) = (x.at(xent), 4.0);
                svg.stroke((cx - arm, at - arm), (cx + arm, at + arm), QUIET, 2.0);
                svg.stroke((cx - arm, at + arm), (cx + arm, at - arm), QUIET, 2.0);
            }
            // Labels of lines that lie close together are pushed apart.
            last = (at - 5.0).max(last + LABEL.size + 2.0);
            svg.text((AREA.right - 4.0, last), Anchor::End, LABEL, &short(&reference.name, 48));
        }
    }

    fn description(&self) -> String {
        let fronts: Vec<String> = self
            .fronts
            .iter()
            .map(|front| format!("{}: {} points on the front", front.name, front.points.len()))
            .collect();
        format!("{}. Baselines as dashed lines: {}.", fronts.join("; "), self.references.len())
    }
}

/// A front as steps: from each point the effect holds until the next point's cross-entropy is allowed.
fn stepped(points: &[(f64, f64)], x: &Scale, y: &Scale) -> Vec<(f64, f64)> {
    let mut steps = Vec::with_capacity(2 * points.len());
    for (i, (xent, target)) in points.iter().enumerate() {
        if i > 0 {
            steps.push((x.at(*xent), y.at(points[i - 1].1)));
        }
        steps.push((x.at(*xent), y.at(*target)));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_is_stepped_and_everything_is_named() {
        let plot = ParetoPlot {
            title: "A & B".to_owned(),
            target_name: "effect, σ".to_owned(),
            fronts: vec![Front {
                name: "RESGA".to_owned(),
                points: vec![(1.0, 1.0), (2.0, 3.0)],
                candidates: (0..5000).map(|i| (f64::from(i) / 1000.0, 0.5)).collect(),
            }],
            references: vec![Reference { name: "Manual <3>".to_owned(), target: 2.0, xent: Some(2.5) }],
            chosen: Some(((2.0, 3.0), " be kind".to_owned())),
        };
        let svg = plot.svg();
        for text in ["A &amp; B", "RESGA", "Manual &lt;3&gt;", "be kind", "nats per token", "effect, σ"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(svg.matches("fill-opacity=\"0.22\"").count() <= MAX_DOTS, "candidates are thinned");
        let unit = Scale::fixed((0.0, 4.0), (0.0, 4.0));
        assert_eq!(stepped(&plot.fronts[0].points, &unit, &unit), [(1.0, 1.0), (2.0, 1.0), (2.0, 3.0)]);
    }

    #[test]
    fn an_empty_figure_is_still_one() {
        assert!(ParetoPlot::default().svg().ends_with("</svg>"));
    }
}
