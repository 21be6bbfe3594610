//! A choice between a few things that are all in sight.

use egui::{Button, CornerRadius, Frame, Margin, Stroke, Ui, vec2};

use crate::theme::{self, palette, size};

/// Draws `options` side by side; true when another one was taken. `group` names the whole for accessibility tools.
pub(crate) fn show<T: Copy + PartialEq>(ui: &mut Ui, group: &str, value: &mut T, options: &[(T, &str)]) -> bool {
    let palette = palette(ui);
    let mut changed = false;
    let track = if palette.dark { palette.field } else { palette.hover };
    Frame::new()
        .fill(track)
        .stroke(Stroke::new(1.0, palette.hairline))
        .corner_radius(CornerRadius::same(theme::RADIUS))
        .inner_margin(Margin::same(2))
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            ui.spacing_mut().interact_size.y = size::CONTROL - 6.0;
            ui.spacing_mut().button_padding = vec2(10.0, 2.0);
            ui.horizontal(|ui| {
                let backwards = ui.layout().prefer_right_to_left();
                for index in 0..options.len() {
                    let (option, label) = &options[if backwards { options.len() - 1 - index } else { index }];
                    let selected = option == value;
                    let visuals = &mut ui.visuals_mut().widgets;
                    for part in [&mut visuals.inactive, &mut visuals.hovered, &mut visuals.active] {
                        part.bg_stroke = Stroke::NONE;
                        part.fg_stroke.color = palette.text;
                    }
                    visuals.inactive.fg_stroke.color = palette.secondary;
                    visuals.hovered.weak_bg_fill = palette.hover;
                    let button = Button::selectable(selected, *label)
                        .corner_radius(CornerRadius::same(theme::RADIUS - 2))
                        .wrap_mode(egui::TextWrapMode::Extend);
                    let response = ui.add(button).on_hover_text(group);
                    if response.clicked() && !selected {
                        *value = *option;
                        changed = true;
                    }
                }
            });
        });
    changed
}
