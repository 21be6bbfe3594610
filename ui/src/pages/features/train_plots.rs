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
    let axis = |hints: AxisHints<'static>, title: &str| {
        hints.label(theme::note(ui, title)).tick_label_color(colours.secondary)
    };
    let x = axis(AxisHints::new_x(), "tokens").formatter(|mark: GridMark, _| tokens_in_short(mark.value));
    let y = axis(AxisHints::new_y(), curve.unit).formatter(move |mark: GridMark, _| {
        if is_log { significant(10_f64.powf(mark.value)) } else { significant(mark.value) }
    });
    let mut plot = Plot::new(curve.title)
        .height(HEIGHT)
        .custom_x_axes(vec![x])
        .custom_y_axes(vec![y])
        .show_background(false)
        .show_crosshair(false)
        .grid_color(colours.hairline)
        .allow_zoom(false)
        .allow_drag(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_double_click_reset(false)
        .set_margin_fraction(egui::vec2(0.02, 0.08))
        .include_x(0.0);
    if !is_log {
        plot = plot.include_y(0.0).include_y(if line.is_empty() { 1.0 } else { 0.01 });
    }
    let shown = plot.show(ui, |plot| {
        let stroke = Stroke::new(1.5, curve.colour);
        plot.line(Line::new(curve.title, PlotPoints::from(line)).stroke(stroke).allow_hover(false));
    });
    let name = format!("Plot of {} over tokens, now {last}", curve.title);
    shown.response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, &name));
}

/// Evenly chosen points, the last one always among them.
fn thinned(points: &[TrainPoint]) -> impl Iterator<Item = &TrainPoint> {
    let step = points.len().div_ceil(MOST).max(1);
    let rest = points.len().saturating_sub(1) % step;
    points.iter().skip(rest).step_by(step)
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
    fn tokens_are_told_shortly() {
        assert_eq!([0.0, 200_000.0, 1_500_000.0].map(tokens_in_short), ["0", "200 k", "1.5 M"]);
    }
}
