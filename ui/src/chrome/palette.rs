//! The command palette: every action, found by typing a part of its name.

use egui::{Align2, Area, Context, Id, Key, Modal, Rect, Response, Sense, TextEdit, Ui, pos2, vec2};

use crate::action::{self, Action};
use crate::icon;
use crate::theme::{self, palette, size, space};

/// Most rows in sight.
const ROWS: usize = 11;

/// The palette's state.
#[derive(Default)]
pub(crate) struct CommandPalette {
    open: bool,
    query: String,
    cursor: usize,
}

impl CommandPalette {
    /// Whether it is in sight.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Opens or closes it.
    pub(crate) fn toggle(&mut self) {
        *self = Self { open: !self.open, ..Self::default() };
    }

    /// Draws it; returns the chosen action. `actions` come with the reason why each is not available, if so.
    pub(crate) fn show(&mut self, ctx: &Context, actions: &[(Action, Option<String>)]) -> Option<Action> {
        let mut chosen = None;
        let area = Area::new(Id::unique("command palette area")).anchor(Align2::CENTER_TOP, vec2(0.0, 96.0));
        let modal = Modal::new(Id::unique("command palette")).area(area.order(egui::Order::Foreground));
        let response = modal.show(ctx, |ui| {
            ui.set_width(520.0);
            let (up, down, enter) = ui.input_mut(|input| {
                (
                    input.consume_key(egui::Modifiers::NONE, Key::ArrowUp),
                    input.consume_key(egui::Modifiers::NONE, Key::ArrowDown),
                    input.consume_key(egui::Modifiers::NONE, Key::Enter),
                )
            });
            let field = TextEdit::singleline(&mut self.query)
                .hint_text("Type a command")
                .desired_width(f32::INFINITY)
                .margin(egui::Margin::symmetric(10, 8));
            let field = ui.add(field).accessible_name("Command");
            field.request_focus();
            if field.changed() {
                self.cursor = 0;
            }
            let found: Vec<_> = actions.iter().filter(|(action, _)| matches(&action.label(), &self.query)).collect();
            self.cursor = self.cursor.min(found.len().saturating_sub(1));
            if down {
                self.cursor = (self.cursor + 1).min(found.len().saturating_sub(1));
            }
            if up {
                self.cursor = self.cursor.saturating_sub(1);
            }
            ui.add_space(space::XS);
            if found.is_empty() {
                ui.label(theme::secondary(ui, "No command has these words."));
            }
            egui::ScrollArea::vertical().max_height(ROWS as f32 * 34.0).show(ui, |ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                for (row, (action, obstacle)) in found.iter().enumerate() {
                    let at_cursor = row == self.cursor;
                    let response = row_ui(ui, *action, obstacle.as_deref(), at_cursor);
                    if at_cursor && (up || down) {
                        response.scroll_to_me(None);
                    }
                    if obstacle.is_none() && (response.clicked() || (enter && at_cursor)) {
                        chosen = Some(*action);
                    }
                }
            });
        });
        if chosen.is_some() || response.should_close() {
            self.open = false;
        }
        chosen
    }
}

/// Whether every word of `query` is a part of `label`.
fn matches(label: &str, query: &str) -> bool {
    let label = label.to_lowercase();
    query.to_lowercase().split_whitespace().all(|word| label.contains(word))
}

fn row_ui(ui: &mut Ui, action: Action, obstacle: Option<&str>, at_cursor: bool) -> Response {
    let colours = palette(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 32.0), Sense::click());
    if at_cursor || response.hovered() {
        let fill = if at_cursor { colours.accent_soft } else { colours.hover };
        ui.painter().rect_filled(rect, f32::from(theme::RADIUS), fill);
    }
    let text = if obstacle.is_some() { colours.secondary } else { colours.text };
    let sign = Rect::from_center_size(pos2(rect.left() + 18.0, rect.center().y), vec2(20.0, 20.0));
    icon::paint(ui, sign, action.icon(), size::ICON, colours.secondary);
    let font = egui::FontId::proportional(theme::type_size::BODY);
    let label = action.label();
    ui.painter().text(pos2(rect.left() + 36.0, rect.center().y), Align2::LEFT_CENTER, &label, font, text);
    if let Some(shortcut) = action.shortcut() {
        let keys = action::keys(ui.ctx(), shortcut);
        let at = pos2(rect.right() - 10.0, rect.center().y);
        let font = egui::FontId::proportional(theme::type_size::SMALL);
        ui.painter().text(at, Align2::RIGHT_CENTER, keys, font, colours.secondary);
    }
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, obstacle.is_none(), &label));
    match obstacle {
        Some(obstacle) => response.on_hover_text(obstacle),
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_match_in_any_order() {
        assert!(matches("Open the demo model", "model open"));
        assert!(matches("Open the demo model", ""));
        assert!(!matches("Open the demo model", "chat"));
    }
}
