//! The status bar: the loaded model, its speed, and the running job.

use egui::{Label, TextWrapMode, Ui};
use egui_material_icons::icons::{ICON_DOWNLOADING, ICON_STOP};

use crate::action::Action;
use crate::icon;
use crate::number::{bytes, percent, plural};
use crate::page::Page;
use crate::shared::Shared;
use crate::theme::{self, palette, size, space};
use crate::widgets::{button, progress};

/// Draws the bar; returns what was asked for.
pub(crate) fn show(ui: &mut Ui, shared: &mut Shared) -> Option<Action> {
    let fill = palette(ui).panel;
    let mut asked = None;
    egui::Panel::bottom("status bar")
        .exact_size(size::STATUS_BAR)
        .frame(egui::Frame::new().fill(fill).inner_margin(egui::Margin::symmetric(12, 0)))
        .show(ui, |ui| {
            ui.horizontal_centered(|ui| {
                ui.spacing_mut().item_spacing.x = space::M;
                model_ui(ui, shared);
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    if job_ui(ui, shared) {
                        asked = Some(Action::Stop);
                    }
                    if downloads_ui(ui, shared) {
                        asked = Some(Action::Downloads);
                    }
                });
            });
        });
    asked
}

fn fact(ui: &mut Ui, text: &str, hint: &str) {
    let text = theme::note(ui, text);
    ui.add(Label::new(text).selectable(false).wrap_mode(TextWrapMode::Extend)).on_hover_text(hint);
}

fn model_ui(ui: &mut Ui, shared: &mut Shared) {
    let colours = palette(ui);
    let Some(model) = &shared.model else {
        icon::show(ui, Page::Models.icon(), size::ICON, colours.secondary);
        fact(ui, "No model open", "Open the demo model on Home, or a folder on Models");
        return;
    };
    icon::show(ui, Page::Models.icon(), size::ICON, colours.success);
    ui.add(Label::new(theme::note(ui, &model.name).color(colours.text)).selectable(false))
        .on_hover_text("Loaded model");
    fact(ui, &model.device, "Where the model runs");
    fact(ui, &model.dtype, "Number format of the weights");
    fact(ui, &bytes(model.weights_bytes), "Memory taken by the weights");
    if let Some(speed) = shared.tokens_per_sec {
        fact(ui, &format!("{speed:.0} tokens/s"), "Speed of the last reply");
    }
}

/// How far the downloads are, as long as any runs; returns whether they are to be shown.
fn downloads_ui(ui: &mut Ui, shared: &Shared) -> bool {
    let n_active = shared.assets.n_active();
    if n_active == 0 {
        return false;
    }
    let (done, total) = shared.assets.active_bytes();
    let share = (total > 0).then(|| done as f64 / total as f64);
    ui.separator();
    if let Some(share) = share {
        let words = format!("{} of {} in {}", bytes(done), bytes(total), plural(n_active, "download"));
        fact(ui, &percent(share), &words);
    }
    progress::bar(ui, share.map(|share| share as f32), 72.0, "Progress of the downloads");
    button::icon_only(ui, ICON_DOWNLOADING, "Show downloads").clicked()
}

fn job_ui(ui: &mut Ui, shared: &Shared) -> bool {
    let Some(job) = &shared.job else {
        fact(ui, "Idle", "Nothing is running");
        return false;
    };
    let obstacle = job.stopping.then_some("it is stopping already");
    let stop = button::icon_only_if(ui, ICON_STOP, "Stop job", obstacle).clicked();
    if let Some(share) = job.share() {
        fact(ui, &percent(f64::from(share)), &progress::in_words(job));
    }
    progress::bar(ui, job.share(), 120.0, "Progress of the running job");
    let title = theme::note(ui, if job.stopping { "Stopping\u{2026}" } else { &job.title }).color(palette(ui).text);
    ui.add(Label::new(title).selectable(false).truncate()).on_hover_text(progress::in_words(job));
    stop
}
