//! The steering slider: a detent where nothing is changed, vermilion to its right, blue to its left.

use egui::{Color32, CursorIcon, DragValue, EventFilter, Key, Rect, Response, Sense, Stroke, Ui, pos2, vec2};

use crate::theme::{Palette, palette, size, space};

/// Points around rest in which a drag stays there.
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
    /// Smallest and largest value.
    pub(crate) range: (f64, f64),
    /// The value that changes nothing.
    pub(crate) rest: f64,
    /// Up to this far from rest is usual.
    pub(crate) usual: f64,
    /// From this far from rest on, the text is likely to break.
    pub(crate) breaking: f64,
    /// What the value is, in a few words.
    pub(crate) unit: &'a str,
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
            let rest = crate::number::decimal(self.rest, 0);
            let hint = format!("{}. Double-click for {rest}; arrow keys step, Shift for finer steps.", self.unit);
            response.on_hover_cursor(CursorIcon::ResizeHorizontal).on_hover_text(hint);
            let has_sides = self.range.0 < 0.0;
            let number = DragValue::new(value)
                .range(self.range.0..=self.range.1)
                .speed(0.005)
                .custom_formatter(move |value, _| {
                    if has_sides { crate::number::signed(value, 2) } else { crate::number::decimal(value, 2) }
                })
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
        take_keys(ui, &response, self.rest, value);
        *value = value.clamp(self.range.0, self.range.1);
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
            *value = self.rest;
            return;
        }
        if (response.clicked() || response.dragged()) && !response.has_focus() {
            response.request_focus();
        }
        if let Some(pointer) = response.interact_pointer_pos().filter(|_| response.dragged() || response.clicked()) {
            if ui.input(|input| input.modifiers.shift) {
                let per_point = (self.range.1 - self.range.0) / f64::from(rail.width());
                *value += f64::from(response.drag_delta().x) * per_point * 0.2;
            } else if (pointer.x - self.x(rail, self.rest)).abs() < DETENT {
                *value = self.rest;
            } else {
                let share = f64::from((pointer.x - rail.left()) / rail.width());
                let wanted = self.range.0 + share * (self.range.1 - self.range.0);
                *value = (wanted / FINE_STEP).round() * FINE_STEP;
            }
        }
    }

    /// Place of a value on the rail.
    fn x(&self, rail: Rect, value: f64) -> f32 {
        let share = (value - self.range.0) / (self.range.1 - self.range.0);
        rail.left() + share as f32 * rail.width()
    }

    fn declare(&self, ui: &Ui, response: &Response, value: f64) {
        use egui::accesskit::Action;
        ui.ctx().accesskit_node_builder(response.id, |node| {
            node.set_min_numeric_value(self.range.0);
            node.set_max_numeric_value(self.range.1);
            node.set_numeric_value_step(STEP);
            node.add_action(Action::SetValue);
            if value < self.range.1 {
                node.add_action(Action::Increment);
            }
            if value > self.range.0 {
                node.add_action(Action::Decrement);
            }
        });
    }

    fn paint(&self, ui: &Ui, response: &Response, rail: Rect, value: f64) {
        let palette = palette(ui);
        let painter = ui.painter();
        let x = |value: f64| self.x(rail, value);
        painter.rect_filled(rail, 2.0, palette.outline);
        for (sign, end) in [(-1.0, self.range.0), (1.0, self.range.1)] {
            let room = (end - self.rest) * sign;
            if room > self.breaking {
                let zone = egui::Rangef::new(x(self.rest + sign * self.breaking), x(end)).as_positive();
                let zone = Rect::from_x_y_ranges(zone, rail.y_range());
                painter.rect_filled(zone, 2.0, palette.warning.gamma_multiply(0.45));
            }
            if room > self.usual {
                let mark = Stroke::new(1.0, palette.secondary);
                painter.vline(x(self.rest + sign * self.usual), rail.bottom() + 4.0..=rail.bottom() + 8.0, mark);
            }
        }
        let colour = if value > self.rest { palette.toward } else { palette.away };
        let filled = Rect::from_x_y_ranges(egui::Rangef::new(x(self.rest), x(value)).as_positive(), rail.y_range())
            .expand2(vec2(0.0, 0.5));
        if value != self.rest {
            painter.rect_filled(filled, 2.0, colour);
        }
        painter.vline(x(self.rest), rail.top() - 5.0..=rail.bottom() + 5.0, Stroke::new(1.5, palette.secondary));
        let handle = pos2(x(value), rail.center().y);
        let radius = if response.hovered() || response.dragged() { 7.5 } else { 6.5 };
        let fill = if palette.dark { palette.text } else { palette.card };
        let line = if value == self.rest { palette.secondary } else { colour };
        painter.circle(handle, radius, fill, Stroke::new(2.0, line));
        if response.has_focus() {
            painter.circle_stroke(handle, radius + 3.0, Stroke::new(1.5, palette.accent));
        }
    }
}

/// Arrow keys, and what accessibility tools ask for.
fn take_keys(ui: &Ui, response: &Response, rest: f64, value: &mut f64) {
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
                *value = rest;
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
