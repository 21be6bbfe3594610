//! Form rows: label above, help below.

use egui::{ComboBox, DragValue, Response, Ui};

use crate::theme::{self, space};

/// Width of a box for a number.
const NUMBER: f32 = 84.0;

/// A form row; every unnamed control inside takes the label as its accessible name.
pub(crate) fn show<R>(ui: &mut Ui, label: &str, help: &str, control: impl FnOnce(&mut Ui) -> R) -> R {
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        ui.label(theme::strong(label));
        let result = ui.name_inputs(label, control);
        if !help.is_empty() {
            ui.label(theme::note(ui, help));
        }
        ui.add_space(space::XS);
        result
    })
    .inner
}

/// A menu of choices called `name`; true when another one was taken.
pub(crate) fn choice<T: Clone + PartialEq>(
    ui: &mut Ui,
    name: &str,
    value: &mut T,
    options: &[(T, String)],
    width: f32,
) -> bool {
    let shown = options.iter().find(|(option, _)| option == value).map_or("Choose\u{2026}", |(_, text)| text.as_str());
    choice_shown_as(ui, (name, shown), value, options, width)
}

/// As [`choice`], with another text while the menu is closed.
pub(crate) fn choice_shown_as<T: Clone + PartialEq>(
    ui: &mut Ui,
    (name, shown): (&str, &str),
    value: &mut T,
    options: &[(T, String)],
    width: f32,
) -> bool {
    let mut changed = false;
    let menu =
        ComboBox::from_id_salt(name).width(width).truncate().selected_text(shown).icon(chevron).show_ui(ui, |ui| {
            for (option, text) in options {
                changed |= ui.selectable_value(value, option.clone(), text).clicked();
            }
        });
    menu.response.accessible_name(name);
    changed
}

fn chevron(ui: &Ui, rect: egui::Rect, visuals: &egui::style::WidgetVisuals, _open: bool) {
    crate::icon::paint(
        ui,
        rect,
        egui_material_icons::icons::ICON_EXPAND_MORE,
        theme::size::ICON,
        visuals.fg_stroke.color,
    );
}

/// A whole number called `name` in a small box.
pub(crate) fn whole(ui: &mut Ui, name: &str, value: &mut usize, range: std::ops::RangeInclusive<usize>) -> Response {
    ui.spacing_mut().interact_size.x = NUMBER;
    let speed = ((*range.end() - *range.start()) as f64 / 400.0).clamp(0.05, 4.0);
    ui.add(DragValue::new(value).range(range).speed(speed)).accessible_name(name)
}

/// A decimal number called `name` in a small box.
pub(crate) fn decimal(ui: &mut Ui, name: &str, value: &mut f64, range: std::ops::RangeInclusive<f64>) -> Response {
    ui.spacing_mut().interact_size.x = NUMBER;
    let speed = (range.end() - range.start()) / 400.0;
    ui.add(DragValue::new(value).range(range).speed(speed).max_decimals(2)).accessible_name(name)
}

/// A seed called `Seed` in a small box.
pub(crate) fn seed(ui: &mut Ui, value: &mut u64) -> Response {
    ui.spacing_mut().interact_size.x = NUMBER;
    ui.add(DragValue::new(value).speed(0.2)).accessible_name("Seed")
}
