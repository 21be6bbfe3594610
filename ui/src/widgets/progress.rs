//! A running job: bar, done / total, rate, time left, Stop.

use egui::{Rect, Sense, Ui, vec2};
use egui_material_icons::icons::ICON_STOP;

use crate::jobs::Job;
use crate::number::{count, duration};
use crate::theme::{self, palette, space};
use crate::widgets::button;

/// A thin bar; without a known total it is empty.
pub(crate) fn bar(ui: &mut Ui, share: Option<f32>, width: f32, name: &str) {
    let palette = palette(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(width, 6.0), Sense::hover());
    ui.painter().rect_filled(rect, 3.0, palette.hairline);
    let part = match share {
        Some(share) => Rect::from_min_size(rect.min, vec2(rect.width() * share.clamp(0.0, 1.0), rect.height())),
        None => sweep(ui, rect),
    };
    ui.painter().rect_filled(part, 3.0, palette.accent);
    let name = name.to_owned();
    response.widget_info(|| {
        let mut info = egui::WidgetInfo::new(egui::Role::ProgressIndicator);
        info.label = Some(name.clone());
        info.value = share.map(|share| f64::from(share) * 100.0);
        info
    });
}

fn sweep(ui: &Ui, rect: Rect) -> Rect {
    let phase = ui.input(|input| (input.time * 0.7).fract()) as f32;
    ui.ctx().request_repaint_after_secs(0.05);
    let left = rect.left() + rect.width() * (phase * 1.3 - 0.3);
    Rect::from_min_size(egui::pos2(left, rect.top()), vec2(rect.width() * 0.3, rect.height())).intersect(rect)
}

/// What is known about the job's progress in words: `24 / 80 iterations · 3.1 per second · 18 s left`.
pub(crate) fn in_words(job: &Job) -> String {
    let mut parts = Vec::new();
    if job.total > 0 {
        parts.push(format!("{} / {} {}", count(job.done), count(job.total), job.unit));
    } else if job.done > 0 {
        parts.push(format!("{} {}", count(job.done), job.unit));
    }
    if let Some(rate) = job.rate() {
        parts.push(match rate {
            10.0.. => format!("{} per second", count(rate.round() as u64)),
            0.5.. => format!("{rate:.1} per second"),
            _ => format!("{} each", duration(1.0 / rate)),
        });
        if let Some(left) = job.secs_left() {
            parts.push(format!("{} left", duration(left)));
        }
    } else if job.elapsed_secs > 0.5 {
        parts.push(duration(job.elapsed_secs));
    }
    if job.stopping { "Stopping\u{2026}".to_owned() } else { parts.join(" \u{00b7} ") }
}

/// The whole row with its Stop button; returns whether Stop was pressed.
pub(crate) fn row(ui: &mut Ui, job: &Job) -> bool {
    let mut stop = false;
    ui.horizontal(|ui| {
        ui.vertical(|ui| {
            ui.set_width((ui.available_width() - 90.0).max(120.0));
            ui.spacing_mut().item_spacing.y = space::XS;
            ui.label(theme::strong(&job.title));
            let width = ui.available_width();
            bar(ui, job.share(), width, &job.title);
            ui.label(theme::note(ui, in_words(job)));
        });
        let obstacle = job.stopping.then(|| "It is stopping already.".to_owned());
        stop = button::secondary("Stop").icon(ICON_STOP).blocked_by(obstacle).show(ui).clicked();
    });
    stop
}
