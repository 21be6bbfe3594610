//! Rates with their intervals, one row for each condition.

use tiller_protocol::evaluation::Rate;

use super::axis::{Scale, tick_text};
use super::colour;
use super::svg::{AXIS, Anchor, LABEL, Look, Svg, TITLE, short};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 380.0;
const RIGHT: f64 = 740.0;
const ROW: f64 = 24.0;
const TOP: f64 = 64.0;

/// One condition.
#[derive(Clone, Debug)]
pub(crate) struct ForestRow {
    /// Name.
    pub(crate) label: String,
    /// Its share.
    pub(crate) rate: Rate,
    /// Group: sets colour and marker.
    pub(crate) group: usize,
}

/// The whole figure.
#[derive(Clone, Debug, Default)]
pub(crate) struct ForestPlot {
    /// Title.
    pub(crate) title: String,
    /// Name of the share.
    pub(crate) rate_name: String,
    /// Rows from top to bottom.
    pub(crate) rows: Vec<ForestRow>,
    /// A level worth marking, with its name.
    pub(crate) level: Option<(f64, String)>,
}

impl ForestPlot {
    /// Draws the figure.
    pub(crate) fn svg(&self) -> String {
        let bottom = TOP + ROW * self.rows.len() as f64 + 8.0;
        let mut svg = Svg::new(WIDTH, bottom + 56.0);
        let x = Scale::fixed((0.0, 1.0), (LEFT, RIGHT));
        svg.text((24.0, 24.0), Anchor::Start, TITLE, &self.title);
        let ticks = x.ticks(5);
        for tick in &ticks {
            let at = x.at(*tick);
            svg.hair((at, TOP - 8.0), (at, bottom));
            let text = format!("{} %", tick_text(tick * 100.0, &[0.0, 20.0]));
            svg.text((at, bottom + 18.0), Anchor::Middle, AXIS, &text);
        }
        svg.text((f64::midpoint(LEFT, RIGHT), bottom + 42.0), Anchor::Middle, AXIS, &self.rate_name);
        if let Some((level, name)) = &self.level {
            svg.dashed((x.at(*level), TOP - 8.0), (x.at(*level), bottom), None);
            svg.text((x.at(*level), TOP - 14.0), Anchor::Middle, AXIS, name);
        }
        for (i, row) in self.rows.iter().enumerate() {
            let y = TOP + ROW * (i as f64 + 0.5);
            let paint = colour(row.group);
            let strong = Look { strong: row.group > 0, ..LABEL };
            svg.text((LEFT - 16.0, y + 4.0), Anchor::End, strong, &short(&row.label, 52));
            svg.stroke((x.at(row.rate.low), y), (x.at(row.rate.high), y), paint, 2.5);
            svg.marker((x.at(row.rate.rate), y), row.group, paint);
            let Rate { rate, low, high, .. } = row.rate;
            let text = format!("{:.0} % [{:.0}, {:.0}]", rate * 100.0, low * 100.0, high * 100.0);
            svg.text((WIDTH - 16.0, y + 4.0), Anchor::End, LABEL, &text);
        }
        svg.finish(&self.title, &format!("{} for {} conditions.", self.rate_name, self.rows.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_carry_their_numbers() {
        let rate = Rate { hits: 21, n: 100, rate: 0.21, low: 0.14, high: 0.3 };
        let plot = ForestPlot {
            title: "Rates".to_owned(),
            rate_name: "persona rate".to_owned(),
            rows: vec![ForestRow { label: "No prompt".to_owned(), rate, group: 0 }],
            level: Some((0.5, "chance".to_owned())),
        };
        let svg = plot.svg();
        for text in ["No prompt", "21 % [14, 30]", "persona rate", "chance", "100 %"] {
            assert!(svg.contains(text), "{text}");
        }
    }
}
