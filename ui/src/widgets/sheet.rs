//! A sheet: a task with its settings, above the page; closing it stops nothing.

use egui::{Align, Context, Id, Layout, Modal, ScrollArea, Ui};
use egui_material_icons::icons::ICON_CLOSE;

use crate::theme::{self, space};
use crate::widgets::button;

/// Height of title, buttons and margins: what the body cannot have.
const FRAME: f32 = 236.0;

/// A part of a sheet that is to be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Settings, progress, results; scrolls.
    Body,
    /// Buttons, from the right.
    Buttons,
}

/// What stands above every sheet.
pub(crate) struct Sheet<'a> {
    /// What is done here; tells sheets apart, too.
    pub(crate) title: &'a str,
    /// What that is good for.
    pub(crate) purpose: &'a str,
    /// Width of the body, points.
    pub(crate) width: f32,
}

impl Sheet<'_> {
    /// Draws it above everything; true when it is to be closed: by its button, by Escape, by a click beside it.
    pub(crate) fn show(&self, ctx: &Context, mut part: impl FnMut(&mut Ui, Part)) -> bool {
        let room = ctx.content_rect().size();
        let mut close = false;
        let modal = Modal::new(Id::unique(("sheet", self.title))).show(ctx, |ui| {
            egui::Frame::new().inner_margin(space::S).show(ui, |ui| {
                ui.set_width(self.width.min(room.x - 2.0 * space::XXL));
                ui.horizontal(|ui| {
                    ui.label(theme::figure(self.title));
                    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                        close = button::icon_only(ui, ICON_CLOSE, "Close this sheet").clicked();
                    });
                });
                ui.label(theme::secondary(ui, self.purpose));
                ui.add_space(space::S);
                let most = (room.y - FRAME).max(160.0);
                // Without the least height it would stay as low as what was in it first.
                let body = ScrollArea::vertical().max_height(most).min_scrolled_height(most).auto_shrink([false, true]);
                body.show(ui, |ui| {
                    ui.set_width(ui.available_width());
                    part(ui, Part::Body);
                });
                ui.add_space(space::S);
                let height = theme::size::PRIMARY;
                let layout = Layout::right_to_left(Align::Center);
                ui.allocate_ui_with_layout(egui::vec2(ui.available_width(), height), layout, |ui| {
                    part(ui, Part::Buttons);
                });
            });
        });
        close || modal.should_close()
    }
}
