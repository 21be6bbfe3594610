//! Live plots of a training: loss, active features, unexplained variance, dead features.

use egui::{Color32, Stroke, Ui};
use egui_plot::{AxisHints, GridMark, Line, Plot, PlotPoints};
use tiller_protocol::feature::TrainPoint;

use crate::number::{decimal, percent, significant};
use crate::pages::scaffold;
use crate::theme::{self, SERIES, palette, space};

/// Height of a plot with its axes, points.
const HEIGHT: f32 = 132.0;
/// Most points of a line.
const MOST: usize = 600;

/// One of the four.
struct Curve {
    title: &'static str,
    /// What the y axis counts.
    unit: &'static str,
    /// Whether the y axis counts in powers of ten.
    is_log: bool,
    value: fn(&TrainPoint) -> f64,
    words: fn(f64) -> String,
    colour: Color32,
}

const CURVES: [Curve; 4] = [
    Curve {
        title: "Loss",
        unit: "loss (log scale)",
        is_log: true,
        value: |point| point.loss,
        words: significant,
        colour: SERIES[0],
    },
    Curve {
        title: "Unexplained variance (FVU)",
        unit: "share",
        is_log: false,
        value: |point| point.fvu,
        words: |value| decimal(value, 3),
        colour: SERIES[1],
    },
    Curve {
        title: "Active on a token (L0)",
        unit: "features",
        is_log: false,
        value: |point| point.l0,
        words: |value| decimal(value, 1),
        colour: SERIES[2],
    },
    Curve {
        title: "Dead features",
        unit: "share",
        is_log: false,
        value: |point| point.dead,
        words: percent,
        colour: SERIES[3],
    },
];

/// Draws all four.
pub(super) fn show(ui: &mut Ui, points: &[TrainPoint]) {
    for pair in CURVES.chunks(2) {
        scaffold::columns(ui, 2, |ui, position| plot(ui, &pair[position], points));
        ui.add_space(space::XS);
    }
}

fn plot(ui: &mut Ui, curve: &Curve, points: &[TrainPoint]) {
    let colours = palette(ui);
    let last = points.last().map_or_else(|| "\u{2013}".to_owned(), |point| (curve.words)((curve.value)(point)));
    ui.spacing_mut().item_spacing.y = 2.0;
    ui.horizontal(|ui| {
        ui.spacing_mut().interact_size.y = 20.0;
        let (sample, _) = ui.allocate_exact_size(egui::vec2(14.0, 3.0), egui::Sense::hover());
        ui.painter().rect_filled(sample, 1.5, curve.colour);
        ui.label(theme::strong(curve.title));
        ui.label(theme::mono(&last));
    });
    let scaled = |value: f64| if curve.is_log { value.max(1e-9).log10() } else { value };
    let line: Vec<[f64; 2]> = thinned(points)
        .map(|point| [point.tokens as f64, scaled((curve.value)(point))])
        .filter(|[_, y]| y.is_finite())
        .collect();
    let is_log = curve.is_log;
    let last_tokens = points.last().map_or(0.0, |point| point.tokens as f64).max(1.0);
    let (bottom, top) = bounds(&line, is_log);
    let hints = |hints: AxisHints<'static>, title: &str| {
        let close = egui::Rangef::new(14.0, 22.0);
        hints.label(theme::note(ui, title)).tick_label_color(colours.secondary).label_spacing(close)
    };
    let x = hints(AxisHints::new_x(), "tokens").formatter(|mark: GridMark, _| tokens_in_short(mark.value));
    let y = hints(AxisHints::new_y(), curve.unit)
        .min_thickness(46.0)
        .formatter(move |mark: GridMark, _| in_short(if is_log { 10_f64.powf(mark.value) } else { mark.value }));
    let plot = Plot::new(curve.title)
        .height(HEIGHT)
        .custom_x_axes(vec![x])
        .custom_y_axes(vec![y])
        .x_grid_spacer(move |_| marks(0.0, last_tokens, 4))
        .y_grid_spacer(move |_| marks(if is_log { bottom } else { 0.0 }, top, 3))
        .show_background(false)
        .show_crosshair(false)
        .grid_color(colours.hairline)
        .allow_zoom(false)
        .allow_drag(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_double_click_reset(false);
    let shown = plot.show(ui, |plot| {
        plot.set_plot_bounds_x(-0.02 * last_tokens..=last_tokens * 1.03);
        plot.set_plot_bounds_y(bottom..=top);
        let stroke = Stroke::new(1.5, curve.colour);
        plot.line(Line::new(curve.title, PlotPoints::from(line)).stroke(stroke).allow_hover(false));
    });
    let name = format!("Plot of {} over tokens, now {last}", curve.title);
    shown.response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, &name));
}

/// Least and greatest value of the y axis: from 0, or around the values where it counts in powers of ten.
fn bounds(line: &[[f64; 2]], is_log: bool) -> (f64, f64) {
    let top = line.iter().map(|[_, y]| *y).fold(f64::NEG_INFINITY, f64::max);
    let bottom = line.iter().map(|[_, y]| *y).fold(f64::INFINITY, f64::min);
    match (line.is_empty(), is_log) {
        (true, _) => (0.0, 1.0),
        (false, true) => (bottom - 0.1, top.max(bottom + 0.2) + 0.05),
        (false, false) => (-0.05 * top.max(0.01), top.max(0.01) * 1.1),
    }
}

/// Round marks on an axis, about `n` of them.
fn marks(from: f64, to: f64, n: usize) -> Vec<GridMark> {
    let rough = (to - from) / n as f64;
    let unit = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0].map(|times| times * unit).into_iter().find(|step| *step >= rough).unwrap_or(10.0 * unit);
    let first = (from / step).ceil() as i64;
    let last = (to / step).floor() as i64;
    (first..=last).map(|at| GridMark { value: at as f64 * step, step_size: step }).collect()
}

/// Evenly chosen points, the last one always among them.
fn thinned(points: &[TrainPoint]) -> impl Iterator<Item = &TrainPoint> {
    let step = points.len().div_ceil(MOST).max(1);
    let rest = points.len().saturating_sub(1) % step;
    points.iter().skip(rest).step_by(step)
}

/// A value on an axis, without zeros that mean nothing: `0.5`, `8`.
fn in_short(value: f64) -> String {
    let text = significant(value);
    let trimmed = text.trim_end_matches('0').trim_end_matches('.');
    if text.contains('.') { trimmed.to_owned() } else { text }
}

/// Tokens on an axis: `200 k`, `1.5 M`.
fn tokens_in_short(tokens: f64) -> String {
    let trimmed = |value: f64| {
        let text = decimal(value, 1);
        text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
    };
    match tokens {
        1e6.. => format!("{} M", trimmed(tokens / 1e6)),
        1e3.. => format!("{} k", trimmed(tokens / 1e3)),
        _ => trimmed(tokens),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_last_point() {
        for n in [0, 1, 5, 600, 601, 5000] {
            let points: Vec<TrainPoint> = (0..n).map(|tokens| TrainPoint { tokens, ..TrainPoint::default() }).collect();
            let kept: Vec<u64> = thinned(&points).map(|point| point.tokens).collect();
            assert!(kept.len() <= MOST, "{n}");
            assert_eq!(kept.last().copied(), n.checked_sub(1));
        }
    }

    #[test]
    fn marks_are_round_and_within() {
        let values = |from, to, n| marks(from, to, n).iter().map(|mark| mark.value).collect::<Vec<f64>>();
        assert_eq!(values(0.0, 300_000.0, 4), [0.0, 100_000.0, 200_000.0, 300_000.0]);
        assert_eq!(values(0.0, 8.8, 3), [0.0, 5.0]);
        assert_eq!(values(0.0, 1.0, 3), [0.0, 0.5, 1.0]);
    }

    #[test]
    fn tokens_are_told_shortly() {
        assert_eq!([0.5, 8.0, 0.0, 1200.0].map(in_short), ["0.5", "8", "0", "1\u{202f}200"]);
        assert_eq!([0.0, 200_000.0, 1_500_000.0].map(tokens_in_short), ["0", "200 k", "1.5 M"]);
    }
}
