//! The conversation: questions, and under each the replies, side by side.

use egui::{Color32, Ui};
use egui_commonmark::{CommonMarkCache, CommonMarkViewer};
use egui_material_icons::icons::ICON_CONTENT_COPY;
use tiller_protocol::chat::EndReason;

use super::ChatPage;
use super::turns::{Exchange, Reply};
use crate::page::Page;
use crate::pages::scaffold;
use crate::shared::Shared;
use crate::theme::{self, palette, space};
use crate::widgets::{button, card};

/// Draws the conversation in the room left.
pub(super) fn show(ui: &mut Ui, shared: &mut Shared, page: &mut ChatPage) {
    egui::ScrollArea::vertical().id_salt("conversation").auto_shrink([false, false]).stick_to_bottom(true).show(
        ui,
        |ui| {
            if page.exchanges.is_empty() {
                beginning(ui, page);
                return;
            }
            let mut copied = None;
            for (position, exchange) in page.exchanges.iter().enumerate() {
                ui.push_id(position, |ui| {
                    question(ui, &exchange.user);
                    let drawn = replies(ui, &mut page.markdown, exchange);
                    copied = copied.take().or(drawn);
                });
                ui.add_space(space::M);
            }
            if let Some(text) = copied {
                ui.ctx().copy_text(text);
                shared.toasts.good("Reply copied");
            }
        },
    );
}

fn beginning(ui: &mut Ui, page: &ChatPage) {
    let hint = if page.steering.rows.is_empty() {
        "Ask a question. Add a vector in the panel at the right to steer the answer; the plain model answers beside it \
         with the same seed."
    } else {
        "Ask a question and drag the slider at the right: the left column is steered, the right one is the plain model \
         with the same seed."
    };
    let empty = crate::widgets::empty::Empty { icon: Page::Chat.icon(), title: "A new conversation", hint };
    empty.show(ui, None);
}

fn question(ui: &mut Ui, text: &str) {
    let colours = palette(ui);
    egui::Frame::new()
        .fill(colours.hover)
        .corner_radius(egui::CornerRadius::same(theme::RADIUS + 2))
        .inner_margin(egui::Margin::symmetric(14, 9))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.label(theme::note(ui, "You"));
            ui.label(text);
        });
}

fn replies(ui: &mut Ui, cache: &mut CommonMarkCache, exchange: &Exchange) -> Option<String> {
    let (title, colour) = treatment(ui, exchange);
    let steered = Shown { reply: &exchange.steered, title: &title, colour, copy_name: "Copy steered reply" };
    let mut copied = None;
    match &exchange.plain {
        Some(plain) => {
            let plain = Shown {
                reply: plain,
                title: "Plain model",
                colour: palette(ui).secondary,
                copy_name: "Copy plain reply",
            };
            levelled(ui, |ui, column, height| {
                let shown = if column == 0 { &steered } else { &plain };
                let (copy, natural) = shown.draw(ui, cache, height);
                if copy {
                    copied = Some(shown.reply.text.clone());
                }
                natural
            });
        }
        None => {
            if steered.draw(ui, cache, 0.0).0 {
                copied = Some(exchange.steered.text.clone());
            }
        }
    }
    copied
}

/// Two parts side by side. Each is told the height to reach, that of the higher one in the last frame, and returns
/// the height that it needs by itself.
fn levelled(ui: &mut Ui, mut part: impl FnMut(&mut Ui, usize, f32) -> f32) {
    let id = ui.scope_id().with("levelled");
    let width = ui.available_width();
    let (last_width, height) = ui.data(|data| data.get_temp::<(f32, f32)>(id)).unwrap_or_default();
    let wanted = if last_width == width { height } else { 0.0 };
    let mut needed = 0.0_f32;
    scaffold::columns(ui, 2, |ui, column| needed = needed.max(part(ui, column, wanted)));
    if (needed - height).abs() > 0.5 || last_width != width {
        ui.data_mut(|data| data.insert_temp(id, (width, needed)));
        ui.ctx().request_repaint();
    }
}

/// What the left column was made with, and its colour.
fn treatment(ui: &Ui, exchange: &Exchange) -> (String, Color32) {
    let colours = palette(ui);
    let mut parts = Vec::new();
    if exchange.prompted {
        parts.push("discovered prompt");
    }
    if !exchange.steering.is_empty() {
        parts.push(&exchange.steering);
    }
    let title =
        if parts.is_empty() { "Steered (all at zero)".to_owned() } else { format!("With {}", parts.join(", ")) };
    let colour = if exchange.steering.starts_with('\u{2212}') {
        colours.away_text
    } else if !exchange.steering.is_empty() {
        colours.toward_text
    } else if exchange.prompted {
        colours.accent_text
    } else {
        colours.secondary
    };
    (title, colour)
}

/// A reply about to be drawn.
struct Shown<'a> {
    reply: &'a Reply,
    title: &'a str,
    colour: Color32,
    copy_name: &'a str,
}

impl Shown<'_> {
    /// Draws the reply in a card at least `height` high inside; returns whether it is to be copied, and the height
    /// that its content needs.
    fn draw(&self, ui: &mut Ui, cache: &mut CommonMarkCache, height: f32) -> (bool, f32) {
        card::show(ui, |ui| {
            // At the start: the least height counts from where the next widget goes.
            ui.set_min_height(height);
            let content = ui.vertical(|ui| {
                let copy = self.head(ui);
                if self.reply.text.is_empty() && self.reply.end.is_none() {
                    ui.horizontal(|ui| {
                        ui.add(egui::Spinner::new().size(theme::size::ICON));
                        ui.label(theme::secondary(ui, "Thinking\u{2026}"));
                    });
                } else {
                    CommonMarkViewer::new().show(ui, cache, self.reply.text.trim());
                }
                if let Some((reason, n_tokens, speed)) = self.reply.end {
                    ui.label(theme::note(ui, ending(reason, n_tokens, speed)));
                }
                copy
            });
            (content.inner, content.response.rect.height())
        })
        .inner
    }

    fn head(&self, ui: &mut Ui) -> bool {
        ui.horizontal(|ui| {
            let (dot, _) = ui.allocate_exact_size(egui::Vec2::splat(8.0), egui::Sense::hover());
            ui.painter().circle_filled(dot.center(), 4.0, self.colour);
            let room = (ui.available_width() - theme::size::CONTROL - space::S).max(40.0);
            ui.scope(|ui| {
                ui.set_max_width(room);
                let title = egui::Label::new(theme::strong(self.title).color(self.colour)).truncate();
                ui.add(title).on_hover_text(self.title);
            });
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                button::icon_only(ui, ICON_CONTENT_COPY, self.copy_name).clicked()
            })
            .inner
        })
        .inner
    }
}

fn ending(reason: EndReason, n_tokens: usize, speed: f64) -> String {
    let why = match reason {
        EndReason::EndOfTurn => "",
        EndReason::MaxTokens => " \u{00b7} cut at the longest reply",
        EndReason::ContextFull => " \u{00b7} the context is full",
        EndReason::Stopped => " \u{00b7} stopped",
    };
    if n_tokens == 0 {
        return "no reply".to_owned();
    }
    format!("{n_tokens} tokens \u{00b7} {speed:.0} tokens/s{why}")
}
