//! The Pareto plot: cross-entropy against effect.

use egui::{Align2, FontId, Pos2, Response, Stroke, Ui};
use egui_plot::{AxisHints, LineStyle, MarkerShape, Plot, PlotPoint, PlotPoints, PlotTransform, Points};
use tiller_protocol::discovery::Candidate;
use tiller_protocol::evaluation::ConditionKind;

use super::cloud::Cloud;
use super::steps::Steps;
use super::view::{RunView, fluency_words};
use crate::number::decimal;
use crate::theme::{self, SERIES, palette, size, type_size};

/// Points within which a front marker is taken.
const REACH_FRONT: f32 = 14.0;
/// Points within which any other prompt is taken.
const REACH: f32 = 8.0;

/// Title of the x axis.
const FLUENCY: &str = "Fluency: cross-entropy of the prompt, nats per token (left is more fluent)";

/// A horizontal reference line.
struct Reference {
    name: String,
    effect: f64,
    /// The label stands above the line.
    above: bool,
}

/// Draws the plot over the room left; a click chooses the nearest prompt.
pub(super) fn show(ui: &mut Ui, view: &mut RunView, height: f32) {
    let colours = palette(ui);
    let cloud = Cloud::new(view.points.positions(), colours.dot.gamma_multiply(0.5), size::DOT, !view.fit_front);
    let steps = stepped(view);
    let front: Vec<[f64; 2]> = view.front.iter().map(|point| position(&point.candidate)).collect();
    let manual = manual_points(view);
    let references = references(view);
    let effect = format!("Effect: {}, {}", view.effect_words(), view.effect_unit());
    // An empty plot shows where prompts usually come to lie.
    let usual = if view.front.is_empty() { Some(([1.0, 10.0], [-1.0, 3.0])) } else { None };
    let mut plot = Plot::new(("pareto", view.fit_front, usual.is_some()))
        .height(height)
        .custom_x_axes(vec![axis(ui, AxisHints::new_x(), FLUENCY)])
        .custom_y_axes(vec![axis(ui, AxisHints::new_y(), &effect)])
        .allow_scroll(false)
        .show_background(false)
        .show_grid(true)
        .grid_color(colours.hairline)
        .show_crosshair(false)
        .set_margin_fraction(egui::vec2(0.06, 0.10))
        .include_y(0.0);
    if let Some((x, y)) = usual {
        plot = plot.default_x_bounds(x[0], x[1]).default_y_bounds(y[0], y[1]);
    }
    let shown = plot.show(ui, |plot| {
        plot.add(cloud);
        let dashed = LineStyle::Dashed { length: 5.0 };
        for reference in &references {
            let line = egui_plot::HLine::new(reference.name.clone(), reference.effect)
                .stroke(Stroke::new(1.0, colours.secondary))
                .style(dashed)
                .allow_hover(false);
            plot.hline(line);
        }
        plot.points(
            Points::new("Manual prompts", PlotPoints::from(manual))
                .shape(MarkerShape::Diamond)
                .radius(size::MARKER + 0.5)
                .color(SERIES[0])
                .allow_hover(false),
        );
        plot.add(Steps::new(steps, Stroke::new(1.5, colours.accent)));
        plot.points(
            Points::new("Front prompts", PlotPoints::from(front))
                .radius(size::MARKER)
                .color(colours.accent)
                .allow_hover(false),
        );
    });
    label_references(ui, &shown.transform, &references);
    ring(ui, view, &shown.transform);
    hover(ui, view, &shown.response, &shown.transform);
    name(&shown.response, view);
}

fn axis<'a>(ui: &Ui, hints: AxisHints<'a>, title: &str) -> AxisHints<'a> {
    hints
        .label(theme::note(ui, title))
        .tick_label_color(palette(ui).secondary)
        // Close labels: a run spans some ten nats, and every nat is to be readable.
        .label_spacing(egui::Rangef::new(18.0, 30.0))
}

fn position(candidate: &Candidate) -> [f64; 2] {
    [candidate.xent, candidate.target]
}

/// Corners of the stepped front: the best effect that a cross-entropy up to x has reached.
fn stepped(view: &RunView) -> Vec<[f64; 2]> {
    let mut corners: Vec<[f64; 2]> = Vec::with_capacity(view.front.len() * 2);
    for point in &view.front {
        let [x, y] = position(&point.candidate);
        if let Some([_, before]) = corners.last().copied() {
            corners.push([x, before]);
        }
        corners.push([x, y]);
    }
    corners
}

fn manual_points(view: &RunView) -> Vec<[f64; 2]> {
    let manual = view.baselines.iter().filter(|baseline| baseline.condition.kind == ConditionKind::Manual);
    manual.filter_map(|baseline| baseline.position).map(|(xent, effect)| [xent, effect]).collect()
}

fn references(view: &RunView) -> Vec<Reference> {
    let mut lines = vec![Reference { name: "No prompt".to_owned(), effect: 0.0, above: false }];
    let manual = manual_points(view);
    if !manual.is_empty() {
        let mean = manual.iter().map(|[_, effect]| effect).sum::<f64>() / manual.len() as f64;
        let best = manual.iter().map(|[_, effect]| *effect).fold(f64::NEG_INFINITY, f64::max);
        lines.push(Reference { name: format!("Manual prompts, mean of {}", manual.len()), effect: mean, above: false });
        if manual.len() > 1 {
            lines.push(Reference { name: "Best manual prompt".to_owned(), effect: best, above: true });
        }
    }
    lines
}

fn label_references(ui: &Ui, transform: &PlotTransform, references: &[Reference]) {
    let colours = palette(ui);
    let painter = ui.painter().with_clip_rect(*transform.frame());
    for reference in references {
        let line = transform.position_from_point(&PlotPoint::new(0.0, reference.effect)).y;
        // The best one's label stands above its line, the others' below: lines close together stay readable.
        let (anchor, y) =
            if reference.above { (Align2::RIGHT_BOTTOM, line - 2.0) } else { (Align2::RIGHT_TOP, line + 2.0) };
        let at = Pos2::new(transform.frame().right() - 8.0, y);
        let font = FontId::proportional(type_size::SMALL - 1.0);
        let galley = painter.layout_no_wrap(reference.name.clone(), font, colours.secondary);
        let rect = anchor.anchor_size(at, galley.size());
        painter.rect_filled(rect.expand2(egui::vec2(3.0, 0.0)), 3.0, colours.card.gamma_multiply(0.85));
        painter.galley(rect.min, galley, colours.secondary);
    }
}

fn ring(ui: &Ui, view: &RunView, transform: &PlotTransform) {
    let Some(selected) = &view.selected else { return };
    let at = transform.position_from_point(&PlotPoint::from(position(selected)));
    let painter = ui.painter().with_clip_rect(*transform.frame());
    painter.circle_stroke(at, size::RING, Stroke::new(2.0, palette(ui).text));
}

fn hover(ui: &Ui, view: &mut RunView, response: &Response, transform: &PlotTransform) {
    let Some(pointer) = response.hover_pos() else { return };
    let Some(candidate) = nearest(view, transform, pointer).cloned() else { return };
    let at = transform.position_from_point(&PlotPoint::from(position(&candidate)));
    ui.painter().with_clip_rect(*transform.frame()).circle_stroke(
        at,
        size::RING - 1.5,
        Stroke::new(1.5, palette(ui).accent_text),
    );
    let anchor = egui::PopupAnchor::Pointer;
    let tooltip = egui::Tooltip::always_open(ui.ctx().clone(), ui.layer_id(), response.id, anchor);
    tooltip.gap(14.0).show(|ui| {
        ui.set_max_width(360.0);
        ui.label(theme::mono(candidate.text.trim()));
        let words = format!(
            "{} ({} nats per token) \u{00b7} effect {} \u{00b7} iteration {}",
            fluency_words(candidate.xent),
            decimal(candidate.xent, 2),
            decimal(candidate.target, 2),
            candidate.iteration
        );
        ui.label(theme::note(ui, words));
        ui.label(theme::note(ui, "Click to choose"));
    });
    if response.clicked() {
        view.selected = Some(candidate);
    }
}

fn nearest<'a>(view: &'a RunView, transform: &PlotTransform, pointer: Pos2) -> Option<&'a Candidate> {
    let closest = |candidates: &mut dyn Iterator<Item = &'a Candidate>, reach: f32| {
        candidates
            .map(|candidate| {
                let at = transform.position_from_point(&PlotPoint::from(position(candidate)));
                (at.distance(pointer), candidate)
            })
            .filter(|(distance, _)| *distance < reach)
            .min_by(|one, other| one.0.total_cmp(&other.0))
            .map(|(_, candidate)| candidate)
    };
    closest(&mut view.front.iter().map(|point| &point.candidate), REACH_FRONT)
        .or_else(|| closest(&mut view.points.iter(), REACH))
}

fn name(response: &Response, view: &RunView) {
    let text = format!(
        "Pareto plot: {} prompts on the front, {} tried; the table below lists them",
        view.front.len(),
        view.evaluations
    );
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, &text));
}

/// A small line of the hypervolume's course.
pub(super) fn sparkline(ui: &mut Ui, values: &[f64], width: f32, label: &str) {
    let colours = palette(ui);
    let (rect, response) = ui.allocate_exact_size(egui::vec2(width, 28.0), egui::Sense::hover());
    let label = label.to_owned();
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, &label));
    let top = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let bottom = values.iter().copied().fold(f64::INFINITY, f64::min).min(0.0);
    if values.len() < 2 || top <= bottom {
        ui.painter().hline(rect.x_range(), rect.bottom() - 2.0, Stroke::new(1.0, colours.hairline));
        return;
    }
    let at = |index: usize, value: f64| {
        let x = rect.left() + rect.width() * index as f32 / (values.len() - 1) as f32;
        let y = rect.bottom() - 2.0 - (rect.height() - 4.0) * ((value - bottom) / (top - bottom)) as f32;
        Pos2::new(x, y)
    };
    let line: Vec<Pos2> = values.iter().enumerate().map(|(index, value)| at(index, *value)).collect();
    let end = line.last().copied();
    ui.painter().line(line, Stroke::new(1.5, colours.accent));
    if let Some(end) = end {
        ui.painter().circle_filled(end, 2.5, colours.accent);
    }
}
