//! How often a feature fires, and how strongly.

use egui::{PopupAnchor, Stroke, Tooltip, Ui};
use egui_plot::{AxisHints, Bar, BarChart, GridMark, Plot};
use tiller_protocol::feature::{FeatureRow, Histogram, SaeInfo};

use crate::number::{count, one_in, significant, small_percent};
use crate::theme::{self, palette, space};

/// Height of the plot with its axes, points.
const HEIGHT: f32 = 148.0;
/// Foot of the bars in powers of ten: a single token still has a bar.
const FOOT: f64 = -0.3;

/// How often it fires, in words; `None` where that is not known.
pub(super) fn density_in_words(row: &FeatureRow) -> Option<String> {
    let density = f64::from(row.density?);
    if density <= 0.0 {
        return Some("It did not fire on a single token that was counted.".to_owned());
    }
    let share = small_percent(density);
    if density > 0.3 {
        return Some(format!("Fires on {share} of tokens: it says little about any one of them."));
    }
    Some(format!("Fires on {share} of tokens, about {}.", one_in(density)))
}

/// The largest activation in words.
pub(super) fn largest_in_words(row: &FeatureRow, sae: &SaeInfo) -> Option<String> {
    let largest = f64::from(row.max_activation?);
    let share = sae.resid_norm.filter(|norm| *norm > 0.0).map(|norm| largest / norm);
    let share = share.map_or_else(String::new, |share| {
        format!(", {} times the usual length of the residual stream there", significant(share))
    });
    Some(format!("Largest activation {}{share}.", significant(largest)))
}

/// Draws how often which activations were seen.
pub(super) fn show(ui: &mut Ui, histogram: &Histogram) {
    let Some(bins) = Bins::new(histogram) else {
        ui.label(theme::secondary(ui, "No activation above zero was counted."));
        return;
    };
    let colours = palette(ui);
    let bars = bins.counts.iter().enumerate().filter(|(_, n)| **n > 0).map(|(position, n)| {
        Bar::new(position as f64 + 0.5, (*n as f64).log10() - FOOT)
            .base_offset(FOOT)
            .width(0.92)
            .fill(colours.accent)
            .stroke(Stroke::NONE)
    });
    let bars: Vec<Bar> = bars.collect();
    let top = bins.counts.iter().copied().max().unwrap_or(1);
    let edges = bins.edges.to_vec();
    let hint = |hints: AxisHints<'static>, title: &str| {
        let close = egui::Rangef::new(12.0, 20.0);
        hints.label(theme::note(ui, title)).tick_label_color(colours.secondary).label_spacing(close)
    };
    let x = hint(AxisHints::new_x(), "Activation, residual units").formatter(move |mark: GridMark, _| {
        let whole = mark.value.round();
        let edge = (whole >= 0.0 && (mark.value - whole).abs() < 1e-6).then(|| edges.get(whole as usize)).flatten();
        edge.map_or_else(String::new, |edge| significant(f64::from(*edge)))
    });
    let y = hint(AxisHints::new_y(), "Tokens (log scale)").formatter(|mark: GridMark, _| {
        let is_whole = mark.value >= 0.0 && mark.value.fract().abs() < 1e-6;
        if is_whole { count(10_u64.saturating_pow(mark.value as u32)) } else { String::new() }
    });
    ui.add_space(space::S);
    let n_bins = bins.counts.len();
    let step = n_bins.div_ceil(5).max(1);
    let ceiling = ((top as f64).log10() + 0.25).max(1.0);
    let shown = Plot::new("histogram")
        .height(HEIGHT)
        .custom_x_axes(vec![x])
        .custom_y_axes(vec![y])
        .x_grid_spacer(move |_| {
            let marks = (0..=n_bins).step_by(step);
            marks.map(|value| GridMark { value: value as f64, step_size: step as f64 }).collect()
        })
        .y_grid_spacer(move |_| {
            let marks = 0..=ceiling.ceil() as u32;
            marks.map(|value| GridMark { value: f64::from(value), step_size: 1.0 }).collect()
        })
        .show_background(false)
        .show_crosshair(false)
        .grid_color(colours.hairline)
        .allow_zoom(false)
        .allow_drag(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_double_click_reset(false)
        .show(ui, |plot| {
            plot.set_plot_bounds_x(-0.1..=n_bins as f64 + 0.1);
            plot.set_plot_bounds_y(FOOT..=ceiling);
            plot.bar_chart(BarChart::new("Tokens", bars).allow_hover(false));
        });
    let total: u64 = bins.counts.iter().sum();
    let name = format!(
        "Histogram of {} activations above zero, from {} to {}",
        count(total),
        significant(f64::from(bins.edges[0])),
        significant(f64::from(bins.edges[n_bins]))
    );
    shown.response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, &name));
    if let Some(pointer) = shown.response.hover_pos() {
        let bin = shown.transform.value_from_position(pointer).x.floor();
        let bin = bin.clamp(0.0, n_bins as f64 - 1.0) as usize;
        let words = format!(
            "{} of {} tokens between {} and {}",
            count(bins.counts[bin]),
            count(total),
            significant(f64::from(bins.edges[bin])),
            significant(f64::from(bins.edges[bin + 1]))
        );
        let id = shown.response.id;
        let tooltip = Tooltip::always_open(ui.ctx().clone(), ui.layer_id(), id, PopupAnchor::Pointer);
        tooltip.gap(12.0).show(|ui| ui.label(words));
    }
}

/// The bins from the first to the last that has something.
struct Bins<'a> {
    edges: &'a [f32],
    counts: &'a [u64],
}

impl<'a> Bins<'a> {
    fn new(histogram: &'a Histogram) -> Option<Self> {
        let (edges, counts) = (&histogram.edges, &histogram.counts);
        let is_sound = edges.len() == counts.len() + 1 && edges.iter().all(|edge| edge.is_finite());
        let first = counts.iter().position(|n| *n > 0).filter(|_| is_sound)?;
        let last = counts.iter().rposition(|n| *n > 0)?;
        Some(Self { edges: &edges[first..=last + 1], counts: &counts[first..=last] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_bins_at_the_ends_are_left_out() {
        let histogram = Histogram { edges: vec![0.0, 1.0, 2.0, 3.0, 4.0], counts: vec![0, 5, 0, 0] };
        let bins = Bins::new(&histogram).unwrap();
        assert_eq!((bins.edges, bins.counts), (&[1.0, 2.0][..], &[5][..]));
        assert!(Bins::new(&Histogram::default()).is_none());
        // Files of others may hold anything.
        assert!(Bins::new(&Histogram { edges: vec![0.0, 1.0], counts: vec![1, 2] }).is_none());
        assert!(Bins::new(&Histogram { edges: vec![0.0, f32::NAN], counts: vec![1] }).is_none());
    }

    #[test]
    fn density_says_how_rare_it_is() {
        let mut row = FeatureRow {
            latent: 1,
            label: None,
            density: Some(0.0062),
            max_activation: None,
            bookmarked: false,
            noted: false,
            dead: false,
        };
        assert_eq!(density_in_words(&row).unwrap(), "Fires on 0.62\u{a0}% of tokens, about 1 in 160.");
        row.density = Some(0.0);
        assert!(density_in_words(&row).unwrap().contains("not fire"));
        row.density = None;
        assert_eq!(density_in_words(&row), None);
    }
}
