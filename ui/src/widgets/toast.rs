//! Outcomes in one line, bottom right, gone after a while.

use egui::{Align2, Area, Context, CornerRadius, Frame, Id, Margin, Order, Stroke, Ui, vec2};
use egui_material_icons::icons::{ICON_CHECK_CIRCLE, ICON_CLOSE, ICON_ERROR};

use crate::action::Action;
use crate::icon;
use crate::theme::{palette, size, space};
use crate::widgets::button;

/// Seconds a toast stays.
const STAY_SECS: f64 = 7.0;
/// Most toasts in sight.
const MOST: usize = 2;
/// Width of a toast: it fits over a side panel, so that it never covers the place where one writes.
const WIDTH: f32 = 264.0;

/// What a toast's button does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Offer {
    /// An action of the table.
    Act(Action),
    /// Bring back a deleted vector.
    RestoreVector(tiller_protocol::steering::VectorId),
    /// Steer with a vector in the chat.
    SteerWith(tiller_protocol::steering::VectorId),
    /// Give a feature a label again.
    AddLabel {
        /// Which feature.
        feature: tiller_protocol::feature::FeatureRef,
        /// Its text.
        text: String,
    },
}

#[derive(Clone, Debug)]
struct Toast {
    serial: u64,
    text: String,
    bad: bool,
    offer: Option<(String, Offer)>,
    shown_at: Option<f64>,
}

/// The toasts in sight.
#[derive(Default)]
pub(crate) struct Toasts {
    toasts: Vec<Toast>,
    next_serial: u64,
}

impl Toasts {
    /// Says that something ended well.
    pub(crate) fn good(&mut self, text: impl Into<String>) {
        self.push(text.into(), false, None);
    }

    /// Says that something ended well and offers a next step.
    pub(crate) fn offer(&mut self, text: impl Into<String>, label: &str, offer: Offer) {
        self.push(text.into(), false, Some((label.to_owned(), offer)));
    }

    /// Says that something did not work.
    pub(crate) fn bad(&mut self, text: impl Into<String>) {
        self.push(text.into(), true, None);
    }

    /// Takes all of them away: something new begins.
    pub(crate) fn clear(&mut self) {
        self.toasts.clear();
    }

    fn push(&mut self, text: String, bad: bool, offer: Option<(String, Offer)>) {
        self.toasts.retain(|toast| toast.text != text);
        if self.toasts.len() >= MOST {
            self.toasts.remove(0);
        }
        self.next_serial += 1;
        self.toasts.push(Toast { serial: self.next_serial, text, bad, offer, shown_at: None });
    }

    /// Draws them above everything; returns the offer that was taken.
    pub(crate) fn show(&mut self, ctx: &Context) -> Option<Offer> {
        let now = ctx.input(|input| input.time);
        self.toasts.retain(|toast| toast.shown_at.is_none_or(|shown| now - shown < STAY_SECS));
        if self.toasts.is_empty() {
            return None;
        }
        ctx.request_repaint_after_secs(0.5);
        let mut taken = None;
        let mut closed = None;
        Area::new(Id::unique("toasts"))
            .order(Order::Foreground)
            .anchor(Align2::RIGHT_BOTTOM, vec2(-space::L, -(size::STATUS_BAR + space::L)))
            .show(ctx, |ui| {
                for toast in &mut self.toasts {
                    toast.shown_at.get_or_insert(now);
                    match toast_ui(ui, toast) {
                        Some(Pressed::Offer) => taken = Some((toast.serial, toast.offer.clone())),
                        Some(Pressed::Close) => closed = Some(toast.serial),
                        None => {}
                    }
                }
            });
        let done = taken.as_ref().map(|(serial, _)| *serial).or(closed);
        self.toasts.retain(|toast| Some(toast.serial) != done);
        taken.and_then(|(_, offer)| offer).map(|(_, offer)| offer)
    }
}

enum Pressed {
    Offer,
    Close,
}

fn toast_ui(ui: &mut Ui, toast: &Toast) -> Option<Pressed> {
    let palette = palette(ui);
    let mut pressed = None;
    Frame::new()
        .fill(palette.card)
        .stroke(Stroke::new(1.0, palette.outline))
        .corner_radius(CornerRadius::same(8))
        .inner_margin(Margin::symmetric(12, 8))
        .shadow(ui.visuals().popup_shadow)
        .show(ui, |ui| {
            ui.horizontal_top(|ui| {
                let (sign, colour) =
                    if toast.bad { (ICON_ERROR, palette.error) } else { (ICON_CHECK_CIRCLE, palette.success) };
                icon::show(ui, sign, size::RAIL_ICON, colour);
                ui.vertical(|ui| {
                    ui.set_width(WIDTH - 80.0);
                    ui.label(&toast.text);
                    if let Some((label, _)) = &toast.offer
                        && button::secondary(label).show(ui).clicked()
                    {
                        pressed = Some(Pressed::Offer);
                    }
                });
                if button::icon_only(ui, ICON_CLOSE, "Close message").clicked() {
                    pressed = Some(Pressed::Close);
                }
            });
        });
    pressed
}
