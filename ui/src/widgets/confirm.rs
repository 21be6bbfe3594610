//! A question before something is lost that no undo brings back.

use egui::{Align, Context, Id, Layout, Modal};

use crate::theme::{self, palette, space};
use crate::widgets::button;

/// What is asked.
pub(crate) struct Confirm<'a> {
    /// The question, naming the thing.
    pub(crate) title: &'a str,
    /// What will happen, a paragraph each.
    pub(crate) text: &'a [String],
    /// The word on the button that does it.
    pub(crate) action: &'a str,
    /// The word on the button that leaves everything as it is.
    pub(crate) keep: &'a str,
}

impl Confirm<'_> {
    /// Draws it above everything; the answer once there is one. Escape and a click beside it mean no.
    pub(crate) fn show(&self, ctx: &Context) -> Option<bool> {
        let mut answer = None;
        let modal = Modal::new(Id::unique("confirm")).show(ctx, |ui| {
            egui::Frame::new().inner_margin(space::S).show(ui, |ui| {
                ui.set_width(440.0);
                ui.label(theme::section(self.title));
                ui.add_space(space::XS);
                for paragraph in self.text {
                    ui.label(paragraph);
                }
                ui.add_space(space::M);
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    let keep = button::secondary(self.keep).show(ui);
                    if keep.clicked() {
                        answer = Some(false);
                    }
                    ui.scope(|ui| {
                        ui.visuals_mut().widgets.inactive.fg_stroke.color = palette(ui).error;
                        if button::secondary(self.action).show(ui).clicked() {
                            answer = Some(true);
                        }
                    });
                });
            });
        });
        if answer.is_none() && modal.should_close() {
            answer = Some(false);
        }
        answer
    }
}
