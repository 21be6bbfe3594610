//! Scales with round ticks, and the frame that they share.

use super::svg::{AXIS, Anchor, Svg, TITLE};

/// A linear scale from data to pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// A scale that shows all `values` with a little room, mapped to pixels `from..to`.
    pub(super) fn around(values: impl Iterator<Item = f64>, (from, to): (f64, f64)) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let room = if high > low { (high - low) * 0.06 } else { 0.5 };
        Self { low: low - room, high: high + room, from, to }
    }

    /// A scale with fixed ends.
    pub(super) fn fixed((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        Self { low, high, from, to }
    }

    /// Pixel of a value.
    pub(super) fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Whether a value is shown.
    pub(super) fn shows(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Round values inside, about `n` of them.
    pub(super) fn ticks(&self, n: usize) -> Vec<f64> {
        let raw = (self.high - self.low) / n as f64;
        let power = 10_f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|step| *step >= raw).unwrap_or(raw);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|i| i as f64 * step).collect()
    }
}

/// Text of a tick: no more decimals than the step needs.
pub(super) fn tick_text(value: f64, ticks: &[f64]) -> String {
    let step = ticks.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
    let decimals = if step.is_finite() { (-step.log10()).ceil().clamp(0.0, 4.0) as usize } else { 1 };
    format!("{:.decimals$}", if value == 0.0 { 0.0 } else { value })
}

/// The area between the axes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    /// Left edge.
    pub(super) left: f64,
    /// Right edge.
    pub(super) right: f64,
    /// Upper edge.
    pub(super) top: f64,
    /// Lower edge.
    pub(super) bottom: f64,
}

/// Draws title, grid, numbers and axis names.
pub(super) fn frame(svg: &mut Svg, area: Area, (x, y): (&Scale, &Scale), texts: [&str; 3], percent: bool) {
    let [title, x_name, y_name] = texts;
    svg.text((area.left - 44.0, 24.0), Anchor::Start, TITLE, title);
    let ticks = x.ticks(8);
    for tick in &ticks {
        let at = x.at(*tick);
        svg.hair((at, area.top), (at, area.bottom));
        svg.text((at, area.bottom + 18.0), Anchor::Middle, AXIS, &tick_text(*tick, &ticks));
    }
    let ticks = y.ticks(5);
    for tick in &ticks {
        let at = y.at(*tick);
        svg.hair((area.left, at), (area.right, at));
        let text = if percent { format!("{:.0} %", tick * 100.0) } else { tick_text(*tick, &ticks) };
        svg.text((area.left - 8.0, at + 4.0), Anchor::End, AXIS, &text);
    }
    svg.text((f64::midpoint(area.left, area.right), area.bottom + 42.0), Anchor::Middle, AXIS, x_name);
    svg.text_up((area.left - 52.0, f64::midpoint(area.top, area.bottom)), AXIS, y_name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        for (low, high, expected) in [
            (0.0, 10.0, vec![0.0, 2.0, 4.0, 6.0, 8.0, 10.0]),
            (-0.13, 0.11, vec![-0.1, -0.05, 0.0, 0.05, 0.1]),
            (2.9, 3.1, vec![2.9, 2.95, 3.0, 3.05, 3.1]),
        ] {
            let found = Scale::fixed((low, high), (0.0, 100.0)).ticks(5);
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
        }
        assert_eq!(tick_text(0.05, &[0.0, 0.05]), "0.05");
        assert_eq!(tick_text(-0.0, &[-2.0, 0.0]), "0");
    }

    #[test]
    fn scales_of_nothing_and_of_one_value_are_usable() {
        for values in [vec![], vec![3.0], vec![f64::NAN, 2.0]] {
            let scale = Scale::around(values.into_iter(), (10.0, 110.0));
            assert!(scale.at(2.0).is_finite() && !scale.ticks(5).is_empty());
        }
        let up = Scale::fixed((0.0, 1.0), (200.0, 100.0));
        assert_eq!((up.at(0.0), up.at(0.25)), (200.0, 175.0));
    }
}
