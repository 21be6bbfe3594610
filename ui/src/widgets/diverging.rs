//! The steering slider: zero in the middle with a detent, vermilion to the right, blue to the left.

use egui::{Color32, CursorIcon, DragValue, EventFilter, Key, Rect, Response, Sense, Stroke, Ui, pos2, vec2};

use crate::theme::{Palette, palette, size, space};

/// Points around zero in which a drag stays at zero.
const DETENT: f32 = 7.0;
/// Step of the arrow keys.
const STEP: f64 = 0.05;
/// Step of the arrow keys with Shift, and of a drag with Shift.
const FINE_STEP: f64 = 0.01;
/// Width of the number box.
const BOX: f32 = 62.0;

/// Width of the track in the room left.
pub(crate) fn track_width(ui: &Ui) -> f32 {
    (ui.available_width() - BOX - space::S).max(80.0)
}

/// What a slider shows.
pub(crate) struct Diverging<'a> {
    /// Accessible name.
    pub(crate) name: &'a str,
    /// Largest strength on either side.
    pub(crate) limit: f64,
    /// Strengths up to here are usual.
    pub(crate) usual: f64,
    /// Strengths from here on are likely to break the text.
    pub(crate) breaking: f64,
}

/// Strength of the text a value should be shown in.
pub(crate) fn side_colour(palette: &Palette, value: f64) -> Color32 {
    if value > 0.0 {
        palette.toward_text
    } else if value < 0.0 {
        palette.away_text
    } else {
        palette.secondary
    }
}

impl Diverging<'_> {
    /// Draws slider and number box over the width left; true when the value changed.
    pub(crate) fn show(&self, ui: &mut Ui, value: &mut f64) -> bool {
        let before = *value;
        ui.horizontal(|ui| {
            let width = track_width(ui);
            let response = self.track(ui, value, width);
            response.on_hover_cursor(CursorIcon::ResizeHorizontal).on_hover_text(
                "Share of the residual norm that is added. Double-click for zero; arrow keys step, Shift for finer steps.",
            );
            let number = DragValue::new(value)
                .range(-self.limit..=self.limit)
                .speed(0.005)
                .custom_formatter(|value, _| crate::number::signed(value, 2))
                .custom_parser(|text| text.replace('\u{2212}', "-").trim().parse().ok());
            ui.add_sized([BOX, size::CONTROL - 4.0], number).accessible_name(format!("{} (number)", self.name));
        });
        *value != before
    }

    fn track(&self, ui: &mut Ui, value: &mut f64, width: f32) -> Response {
        let (rect, mut response) = ui.allocate_exact_size(vec2(width, size::CONTROL), Sense::click_and_drag());
        let rail = Rect::from_min_max(
            pos2(rect.left() + 8.0, rect.center().y - 3.0),
            pos2(rect.right() - 8.0, rect.center().y + 1.0),
        );
        let before = *value;
        self.take_pointer(ui, &response, rail, value);
        take_keys(ui, &response, value);
        *value = value.clamp(-self.limit, self.limit);
        if *value != before {
            response.mark_changed();
        }
        self.paint(ui, &response, rail, *value);
        let shown = *value;
        response.widget_info(|| egui::WidgetInfo::slider(ui.is_enabled(), shown, self.name));
        self.declare(ui, &response, shown);
        response
    }

    fn take_pointer(&self, ui: &Ui, response: &Response, rail: Rect, value: &mut f64) {
        if response.double_clicked() {
            *value = 0.0;
            return;
        }
        if (response.clicked() || response.dragged()) && !response.has_focus() {
            response.request_focus();
        }
        if let Some(pointer) = response.interact_pointer_pos().filter(|_| response.dragged() || response.clicked()) {
            if ui.input(|input| input.modifiers.shift) {
                let per_point = 2.0 * self.limit / f64::from(rail.width());
                *value += f64::from(response.drag_delta().x) * per_point * 0.2;
            } else if (pointer.x - rail.center().x).abs() < DETENT {
                *value = 0.0;
            } else {
                let share = f64::from((pointer.x - rail.center().x) / (rail.width() * 0.5));
                *value = (share * self.limit / FINE_STEP).round() * FINE_STEP;
            }
        }
    }

    fn declare(&self, ui: &Ui, response: &Response, value: f64) {
        use egui::accesskit::Action;
        ui.ctx().accesskit_node_builder(response.id, |node| {
            node.set_min_numeric_value(-self.limit);
            node.set_max_numeric_value(self.limit);
            node.set_numeric_value_step(STEP);
            node.add_action(Action::SetValue);
            if value < self.limit {
                node.add_action(Action::Increment);
            }
            if value > -self.limit {
                node.add_action(Action::Decrement);
            }
        });
    }

    fn paint(&self, ui: &Ui, response: &Response, rail: Rect, value: f64) {
        let palette = palette(ui);
        let painter = ui.painter();
        let x = |value: f64| rail.center().x + (value / self.limit) as f32 * rail.width() * 0.5;
        painter.rect_filled(rail, 2.0, palette.outline);
        for sign in [-1.0, 1.0] {
            let zone = Rect::from_x_y_ranges(
                egui::Rangef::new(x(sign * self.breaking), x(sign * self.limit)).as_positive(),
                rail.y_range(),
            );
            painter.rect_filled(zone, 2.0, palette.warning.gamma_multiply(0.45));
            let mark = Stroke::new(1.0, palette.secondary);
            painter.vline(x(sign * self.usual), rail.bottom() + 4.0..=rail.bottom() + 8.0, mark);
        }
        let colour = if value > 0.0 { palette.toward } else { palette.away };
        let filled = Rect::from_x_y_ranges(egui::Rangef::new(x(0.0), x(value)).as_positive(), rail.y_range())
            .expand2(vec2(0.0, 0.5));
        if value != 0.0 {
            painter.rect_filled(filled, 2.0, colour);
        }
        painter.vline(x(0.0), rail.top() - 5.0..=rail.bottom() + 5.0, Stroke::new(1.5, palette.secondary));
        let handle = pos2(x(value), rail.center().y);
        let radius = if response.hovered() || response.dragged() { 7.5 } else { 6.5 };
        let fill = if palette.dark { palette.text } else { palette.card };
        let line = if value == 0.0 { palette.secondary } else { colour };
        painter.circle(handle, radius, fill, Stroke::new(2.0, line));
        if response.has_focus() {
            painter.circle_stroke(handle, radius + 3.0, Stroke::new(1.5, palette.accent));
        }
    }
}

/// Arrow keys, and what accessibility tools ask for.
fn take_keys(ui: &Ui, response: &Response, value: &mut f64) {
    use egui::accesskit::{Action, ActionData};
    if response.has_focus() {
        let filter = EventFilter { horizontal_arrows: true, ..EventFilter::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        ui.input(|input| {
            let step = if input.modifiers.shift { FINE_STEP } else { STEP };
            let steps = input.num_presses(Key::ArrowRight) as f64 - input.num_presses(Key::ArrowLeft) as f64;
            if steps != 0.0 {
                *value = ((*value + steps * step) / FINE_STEP).round() * FINE_STEP;
            }
            if input.key_pressed(Key::Home) {
                *value = 0.0;
            }
        });
    }
    ui.input(|input| {
        let steps = input.num_accesskit_action_requests(response.id, Action::Increment) as f64
            - input.num_accesskit_action_requests(response.id, Action::Decrement) as f64;
        *value += steps * STEP;
        for request in input.accesskit_action_requests(response.id, Action::SetValue) {
            if let Some(ActionData::NumericValue(wanted)) = request.data {
                *value = wanted;
            }
        }
    });
}
