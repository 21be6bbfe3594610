//! Where a message is written: discovered prompt, system text, draft, Send and Stop, sampling.

use egui::{Key, TextEdit, Ui};
use egui_material_icons::icons::{ICON_CLOSE, ICON_LIGHTBULB, ICON_REPLAY, ICON_SEND, ICON_STOP, ICON_TUNE};

use super::ChatPage;
use crate::icon;
use crate::jobs::Purpose;
use crate::shared::Shared;
use crate::theme::{self, palette, space};
use crate::widgets::{button, card, field};

/// Draws the composer at the bottom of the room left.
pub(super) fn show(ui: &mut Ui, shared: &mut Shared, page: &mut ChatPage) {
    egui::Panel::bottom("composer")
        .frame(egui::Frame::new().inner_margin(egui::Margin { top: 8, ..egui::Margin::ZERO }))
        .show_separator_line(false)
        .resizable(false)
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = space::S;
            suggestions(ui, shared, page);
            inserted(ui, page);
            draft(ui, shared, page);
        });
}

/// Sample questions of the persona in play, while nothing is being written.
fn suggestions(ui: &mut Ui, shared: &mut Shared, page: &mut ChatPage) {
    let persona = page.persona.as_deref().and_then(|id| shared.persona(id));
    let persona = persona.or_else(|| shared.personas.as_ref().and_then(|personas| personas.first()));
    let questions: Vec<String> =
        persona.into_iter().flat_map(|persona| persona.sample_questions.iter().take(3).cloned()).collect();
    if questions.is_empty() || shared.job.is_some() {
        return;
    }
    let mut asked = None;
    ui.horizontal(|ui| {
        icon::show(ui, ICON_LIGHTBULB, theme::size::ICON, palette(ui).secondary);
        let each = (ui.available_width() - 3.0 * space::S) / questions.len() as f32;
        for question in &questions {
            let flat = question.replace('\n', " ");
            let chip = egui::Button::new(egui::RichText::new(&flat).size(theme::type_size::SMALL)).truncate();
            let response = ui.add_sized([each - space::S, theme::size::CONTROL - 2.0], chip).on_hover_text(question);
            if response.clicked() {
                asked = Some(question.clone());
            }
        }
    });
    if let Some(question) = asked {
        page.draft = question;
        page.focus_draft = true;
    }
}

fn inserted(ui: &mut Ui, page: &mut ChatPage) {
    let Some(prompt) = &page.inserted else { return };
    let mut remove = false;
    let fill = palette(ui).accent_soft;
    card::callout(ui, fill, |ui| {
        ui.horizontal(|ui| {
            let text_width = ui.available_width() - theme::size::CONTROL - space::S;
            ui.vertical(|ui| {
                ui.set_width(text_width);
                ui.spacing_mut().item_spacing.y = 2.0;
                let place = format!("Discovered for {} \u{00b7} {}", prompt.persona, prompt.placement.label());
                ui.label(theme::note(ui, place));
                ui.label(theme::mono(prompt.text.trim()).color(palette(ui).accent_text));
            });
            remove = button::icon_only(ui, ICON_CLOSE, "Remove discovered prompt").clicked();
        });
    });
    if remove {
        page.inserted = None;
    }
}

fn draft(ui: &mut Ui, shared: &mut Shared, page: &mut ChatPage) {
    card::show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        let hint = "Ask something. Enter sends, Shift+Enter starts a new line.";
        let enter = ui.input(|input| input.key_pressed(Key::Enter) && !input.modifiers.any());
        let text = TextEdit::multiline(&mut page.draft)
            .hint_text(hint)
            .desired_rows(2)
            .desired_width(f32::INFINITY)
            .frame(egui::Frame::NONE)
            .return_key(egui::KeyboardShortcut::new(egui::Modifiers::SHIFT, Key::Enter));
        let response = ui.add(text).accessible_name("Message");
        if std::mem::take(&mut page.focus_draft) {
            response.request_focus();
        }
        if response.has_focus() && enter && page.send_obstacle(shared).is_none() {
            page.send(shared);
        }
        ui.horizontal(|ui| {
            settings_menu(ui, page);
            system_menu(ui, page, shared);
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let replying = shared.job.as_ref().filter(|job| job.purpose == Purpose::Chat).map(|job| job.stopping);
                if let Some(stopping) = replying {
                    let obstacle = stopping.then(|| "It is stopping already.".to_owned());
                    if button::secondary("Stop").icon(ICON_STOP).blocked_by(obstacle).show(ui).clicked() {
                        shared.stop();
                    }
                } else if button::primary("Send")
                    .icon(ICON_SEND)
                    .blocked_by(page.send_obstacle(shared))
                    .show(ui)
                    .clicked()
                {
                    page.send(shared);
                }
                let again = button::quiet("Regenerate").icon(ICON_REPLAY).hint("Answer again with the next seed");
                if page.has_turns() && again.blocked_by(page.regenerate_obstacle(shared)).show(ui).clicked() {
                    page.regenerate(shared);
                }
            });
        });
    });
}

fn settings_menu(ui: &mut Ui, page: &mut ChatPage) {
    let opener = button::quiet("Sampling").icon(ICON_TUNE).show(ui);
    egui::Popup::from_toggle_button_response(&opener)
        .close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside)
        .show(|ui| {
            ui.set_width(300.0);
            let sampling = &mut page.sampling;
            egui::Grid::new("sampling").num_columns(2).spacing([16.0, 6.0]).show(ui, |ui| {
                ui.label("Temperature");
                field::decimal(ui, "Temperature", &mut sampling.temperature, 0.0..=2.0)
                    .on_hover_text("0 always takes the likeliest token");
                ui.end_row();
                ui.label("Top-p");
                field::decimal(ui, "Top-p", &mut sampling.top_p, 0.05..=1.0);
                ui.end_row();
                ui.label("Min-p");
                field::decimal(ui, "Min-p", &mut sampling.min_p, 0.0..=1.0);
                ui.end_row();
                ui.label("Top-k");
                field::whole(ui, "Top-k", &mut sampling.top_k, 0..=1000).on_hover_text("0 keeps all");
                ui.end_row();
                ui.label("Repetition penalty");
                field::decimal(ui, "Repetition penalty", &mut sampling.repetition_penalty, 1.0..=2.0);
                ui.end_row();
                ui.label("Longest reply, tokens");
                field::whole(ui, "Longest reply", &mut sampling.max_tokens, 1..=4096);
                ui.end_row();
                ui.label("Seed");
                field::seed(ui, &mut sampling.seed);
                ui.end_row();
            });
            ui.label(theme::note(ui, "Both columns use the same seed. Regenerate takes the next one."));
        });
}

fn system_menu(ui: &mut Ui, page: &mut ChatPage, shared: &Shared) {
    let label = if page.system.trim().is_empty() { "System prompt" } else { "System prompt \u{2022}" };
    let opener = button::quiet(label).hint("Instructions in front of the conversation").show(ui);
    egui::Popup::from_toggle_button_response(&opener)
        .close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside)
        .show(|ui| {
            ui.set_width(420.0);
            ui.label(theme::strong("System prompt"));
            let text = TextEdit::multiline(&mut page.system)
                .hint_text("None: the model answers as it is")
                .desired_rows(4)
                .desired_width(f32::INFINITY);
            ui.add(text).accessible_name("System prompt");
            ui.label(theme::note(
                ui,
                "Both columns get it. A discovered system prompt is added after it, left column only.",
            ));
            if shared.model.as_ref().is_some_and(|model| model.folds_system) {
                ui.label(theme::note(
                    ui,
                    "This model\u{2019}s chat template has no place for it: it is put in front of your first message.",
                ));
            }
        });
}
