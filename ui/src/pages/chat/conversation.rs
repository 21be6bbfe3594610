//! The conversation: questions, and under each the replies, side by side.

use egui::{Color32, Ui};
use egui_commonmark::CommonMarkViewer;
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
            ui.set_width(ui.available_width() - 6.0);
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

fn replies(ui: &mut Ui, cache: &mut egui_commonmark::CommonMarkCache, exchange: &Exchange) -> Option<String> {
    let colours = palette(ui);
    let mut copied = None;
    let treated = treatment(exchange);
    match &exchange.plain {
        Some(plain) => scaffold::columns(ui, 2, |ui, column| {
            let (reply, title, colour, name) = if column == 0 {
                (&exchange.steered, treated.0.as_str(), treated.1(ui), "Copy steered reply")
            } else {
                (plain, "Plain", colours.secondary, "Copy plain reply")
            };
            if reply_ui(ui, cache, reply, title, colour, name) {
                copied = Some(reply.text.clone());
            }
        }),
        None => {
            let colour = treated.1(ui);
            if reply_ui(ui, cache, &exchange.steered, &treated.0, colour, "Copy reply") {
                copied = Some(exchange.steered.text.clone());
            }
        }
    }
    copied
}

/// What the left column was made with, and its colour.
fn treatment(exchange: &Exchange) -> (String, impl Fn(&Ui) -> Color32) {
    let mut parts = Vec::new();
    if exchange.prompted {
        parts.push("discovered prompt".to_owned());
    }
    if !exchange.steering.is_empty() {
        parts.push(exchange.steering.clone());
    }
    let title =
        if parts.is_empty() { "Steered (all at zero)".to_owned() } else { format!("With {}", parts.join(", ")) };
    let away = exchange.steering.starts_with('\u{2212}');
    let none = exchange.steering.is_empty();
    let prompted = exchange.prompted;
    (title, move |ui: &Ui| {
        let colours = palette(ui);
        match (none, prompted, away) {
            (true, true, _) => colours.accent_text,
            (true, false, _) => colours.secondary,
            (false, _, true) => colours.away_text,
            (false, _, false) => colours.toward_text,
        }
    })
}

fn reply_ui(
    ui: &mut Ui,
    cache: &mut egui_commonmark::CommonMarkCache,
    reply: &Reply,
    title: &str,
    colour: Color32,
    copy_name: &str,
) -> bool {
    let mut copy = false;
    card::show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.spacing_mut().interact_size.y = 20.0;
            let (dot, _) = ui.allocate_exact_size(egui::Vec2::splat(8.0), egui::Sense::hover());
            ui.painter().circle_filled(dot.center(), 4.0, colour);
            let room = (ui.available_width() - theme::size::CONTROL - space::S).max(40.0);
            ui.scope(|ui| {
                ui.set_max_width(room);
                ui.add(egui::Label::new(theme::strong(title).color(colour)).truncate()).on_hover_text(title);
            });
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                copy = button::icon_only(ui, ICON_CONTENT_COPY, copy_name).clicked();
            });
        });
        if reply.text.is_empty() && reply.end.is_none() {
            ui.horizontal(|ui| {
                ui.add(egui::Spinner::new().size(14.0));
                ui.label(theme::secondary(ui, "Thinking\u{2026}"));
            });
        } else {
            CommonMarkViewer::new().show(ui, cache, reply.text.trim());
        }
        if let Some((reason, n_tokens, speed)) = reply.end {
            ui.label(theme::note(ui, ending(reason, n_tokens, speed)));
        }
    });
    copy
}

fn ending(reason: EndReason, n_tokens: usize, speed: f64) -> String {
    let why = match reason {
        EndReason::EndOfTurn => "",
        EndReason::MaxTokens => " \u{00b7} cut at the longest reply",
        EndReason::ContextFull => " \u{00b7} the context is full",
        EndReason::Stopped => " \u{00b7} stopped",
    };
    if n_tokens == 0 {
        return why.trim_start_matches(" \u{00b7} ").to_owned();
    }
    format!("{n_tokens} tokens \u{00b7} {speed:.0} tokens/s{why}")
}
