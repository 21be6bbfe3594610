//! Failures: title, cause, next step, and what can be done at once.

use egui::Ui;
use egui_material_icons::icons::{ICON_CLOSE, ICON_ERROR};
use tiller_protocol::problem::Problem;

use crate::icon;
use crate::theme::{self, palette, space};
use crate::widgets::{button, card};

/// What the user chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The offered action.
    Act,
    /// Take the panel away.
    Dismiss,
}

/// Draws `problem`, with a button called `action` when there is something to do from here.
pub(crate) fn show(ui: &mut Ui, problem: &Problem, action: Option<&str>) -> Option<Answer> {
    let mut answer = None;
    panel(ui, problem, true, |ui| {
        if let Some(action) = action {
            ui.add_space(space::XS);
            if button::secondary(action).show(ui).clicked() {
                answer = Some(Answer::Act);
            }
        }
    })
    .then_some(Answer::Dismiss)
    .or(answer)
}

/// Draws `problem` as a fact that stays, with whatever can be done about it below.
pub(crate) fn fixed(ui: &mut Ui, problem: &Problem, actions: impl FnOnce(&mut Ui)) {
    panel(ui, problem, false, actions);
}

/// The panel; returns whether it was dismissed.
fn panel(ui: &mut Ui, problem: &Problem, can_close: bool, actions: impl FnOnce(&mut Ui)) -> bool {
    let palette = palette(ui);
    let mut dismissed = false;
    card::callout(ui, palette.error_soft, |ui| {
        ui.horizontal_top(|ui| {
            icon::show(ui, ICON_ERROR, 20.0, palette.error);
            let close_width = if can_close { theme::size::CONTROL + space::S } else { 0.0 };
            ui.vertical(|ui| {
                ui.set_width(ui.available_width() - close_width);
                ui.label(theme::strong(&problem.title).color(palette.error));
                ui.label(&problem.cause);
                ui.label(theme::secondary(ui, &problem.next_step));
                actions(ui);
            });
            dismissed = can_close && button::icon_only(ui, ICON_CLOSE, "Dismiss").clicked();
        });
    });
    dismissed
}
