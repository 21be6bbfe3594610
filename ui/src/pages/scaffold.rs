//! What all pages have in common: title, purpose, actions at the right, and loose failures on top.

use egui::{Align, Layout, Ui};

use crate::page::Page;
use crate::shared::Shared;
use crate::theme::{self, space};
use crate::widgets::problem;

/// Draws the head of `page`; `trailing` adds actions from the right.
pub(crate) fn head(ui: &mut Ui, shared: &mut Shared, page: Page, trailing: impl FnOnce(&mut Ui, &mut Shared)) {
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        ui.horizontal(|ui| {
            ui.set_min_height(theme::size::PRIMARY);
            ui.label(theme::title(page.label()));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| trailing(ui, shared));
        });
        ui.label(theme::secondary(ui, page.purpose()));
    });
    ui.add_space(space::S);
    if let Some(loose) = shared.loose_problem.clone() {
        if problem::show(ui, &loose, None).is_some() {
            shared.loose_problem = None;
        }
        ui.add_space(space::S);
    }
}

/// A page that scrolls as a whole.
pub(crate) fn scrolling(ui: &mut Ui, contents: impl FnOnce(&mut Ui)) {
    egui::ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
        egui::Frame::new().inner_margin(theme::page_margin()).show(ui, |ui| {
            ui.set_width(ui.available_width().min(theme::size::READING));
            contents(ui);
        });
    });
}

/// A page that fills the window and lets its parts scroll.
pub(crate) fn fixed(ui: &mut Ui, contents: impl FnOnce(&mut Ui)) {
    egui::Frame::new().inner_margin(theme::page_margin()).show(ui, |ui| {
        ui.set_min_size(ui.available_size());
        contents(ui);
    });
}

/// Draws `count` parts side by side, each `(available − gaps) / count` wide.
pub(crate) fn columns(ui: &mut Ui, count: usize, mut part: impl FnMut(&mut Ui, usize)) {
    let gap = space::M;
    let width = (ui.available_width() - gap * (count as f32 - 1.0)) / count as f32;
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = gap;
        for position in 0..count {
            ui.allocate_ui_with_layout(egui::vec2(width, 0.0), Layout::top_down(Align::Min), |ui| {
                ui.set_width(width);
                ui.spacing_mut().item_spacing.x = space::S;
                part(ui, position);
            });
        }
    });
}
