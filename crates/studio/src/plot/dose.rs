//! Effect against strength of steering, with intervals.

use super::axis::{Area, Scale, frame};
use super::svg::{Anchor, LABEL, Svg};
use super::{colour, legend};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 440.0;
const AREA: Area = Area { left: 68.0, right: 836.0, top: 72.0, bottom: 380.0 };

/// One measured quantity.
#[derive(Clone, Debug, Default)]
pub(crate) struct DoseSeries {
    /// Name in the legend.
    pub(crate) name: String,
    /// (strength, value, lower end, upper end) by rising strength.
    pub(crate) points: Vec<[f64; 4]>,
}

/// The whole figure.
#[derive(Clone, Debug, Default)]
pub(crate) struct DosePlot {
    /// Title.
    pub(crate) title: String,
    /// Name of the strength with its unit.
    pub(crate) strength_name: String,
    /// Name of the value with its unit.
    pub(crate) value_name: String,
    /// What was measured.
    pub(crate) series: Vec<DoseSeries>,
    /// Values are shares: the axis runs from 0 to 100 %.
    pub(crate) share: bool,
    /// A level worth marking, with its name.
    pub(crate) level: Option<(f64, String)>,
}

impl DosePlot {
    /// Draws the figure.
    pub(crate) fn svg(&self) -> String {
        let legend_names: Vec<&str> = self.series.iter().map(|series| series.name.as_str()).collect();
        let extra = legend::extra_height(&legend_names, WIDTH);
        let area = Area { top: AREA.top + extra, bottom: AREA.bottom + extra, ..AREA };
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = Scale::around(points().map(|p| p[0]), (area.left, area.right));
        let y = if self.share {
            Scale::fixed((0.0, 1.0), (area.bottom, area.top))
        } else {
            let level = self.level.iter().map(|level| level.0);
            let values = points().flat_map(|p| p[1..].to_vec()).chain(level).chain([0.0]);
            Scale::around(values, (area.bottom, area.top))
        };
        let mut svg = Svg::new(WIDTH, HEIGHT + extra);
        let names = [self.title.as_str(), self.strength_name.as_str(), self.value_name.as_str()];
        frame(&mut svg, area, (&x, &y), names, self.share);
        if x.shows(0.0) {
            svg.dashed((x.at(0.0), area.top), (x.at(0.0), area.bottom), None);
        }
        if let Some((level, name)) = &self.level {
            svg.dashed((area.left, y.at(*level)), (area.right, y.at(*level)), None);
            svg.text((area.right - 4.0, y.at(*level) - 5.0), Anchor::End, LABEL, name);
        }
        for (i, series) in self.series.iter().enumerate() {
            let at = |p: &[f64; 4], k: usize| (x.at(p[0]), y.at(p[k]));
            let low = series.points.iter().map(|p| at(p, 2));
            let high = series.points.iter().rev().map(|p| at(p, 3));
            svg.area(&low.chain(high).collect::<Vec<_>>(), colour(i));
            svg.path(&series.points.iter().map(|p| at(p, 1)).collect::<Vec<_>>(), colour(i));
            for point in &series.points {
                svg.marker(at(point, 1), i, colour(i));
            }
        }
        legend::draw(&mut svg, &legend_names, WIDTH);
        let description = format!("{} against {}, {} series.", self.value_name, self.strength_name, self.series.len());
        svg.finish(&self.title, &description)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_named_and_zero_is_marked() {
        let series = |name: &str| DoseSeries {
            name: name.to_owned(),
            points: vec![[-1.0, 0.1, 0.05, 0.2], [0.0, 0.5, 0.4, 0.6], [1.0, 0.9, 0.8, 0.95]],
        };
        let mut plot = DosePlot {
            title: "Dose".to_owned(),
            strength_name: "strength".to_owned(),
            value_name: "rate".to_owned(),
            series: vec![series("A/B"), series("free")],
            share: true,
            level: None,
        };
        let svg = plot.svg();
        assert!(svg.contains("A/B") && svg.contains("free") && svg.contains("40 %"));
        assert!(svg.contains("stroke-dasharray"));
        plot.share = false;
        plot.level = Some((2.0, "twice".to_owned()));
        assert!(plot.svg().contains("twice"));
    }
}
