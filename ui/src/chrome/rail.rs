//! The navigation rail: icon and word, or icon only.

use egui::{Align2, Context, CornerRadius, FontId, Id, Rect, Response, Sense, Stroke, Ui, pos2, vec2};
use egui_material_icons::MaterialIcon;
use egui_material_icons::icons::{ICON_LEFT_PANEL_CLOSE, ICON_LEFT_PANEL_OPEN, ICON_SEARCH};

use crate::action::{self, Action};
use crate::icon;
use crate::page::Page;
use crate::shared::Shared;
use crate::theme::{self, palette, size, space, type_size};

fn narrow_id() -> Id {
    Id::unique("rail is narrow")
}

/// Words in the rail or not.
pub(crate) fn toggle(ctx: &Context) {
    ctx.data_mut(|data| {
        let narrow = data.get_persisted_mut_or_default::<bool>(narrow_id());
        *narrow = !*narrow;
    });
}

/// Draws the rail; returns what was asked for.
pub(crate) fn show(ui: &mut Ui, shared: &Shared) -> Option<Action> {
    let narrow = ui.ctx().data_mut(|data| *data.get_persisted_mut_or_default::<bool>(narrow_id()));
    let width = if narrow { size::RAIL_NARROW } else { size::RAIL_WIDE };
    let fill = palette(ui).panel;
    let margin = egui::Margin::symmetric(if narrow { 6 } else { 10 }, 12);
    let mut asked = None;
    egui::Panel::left("rail")
        .exact_size(width)
        .resizable(false)
        .frame(egui::Frame::new().fill(fill).inner_margin(margin))
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            brand(ui, narrow);
            ui.add_space(space::S);
            let mut entry = |ui: &mut Ui, sign, name: &str, action: Action| {
                let selected = action == Action::Go(shared.page);
                let hint = action.shortcut().map_or_else(String::new, |shortcut| action::keys(ui.ctx(), shortcut));
                let entry = Entry { sign, name, hint: &hint, selected };
                if entry.show(ui, narrow).clicked() {
                    asked = Some(action);
                }
            };
            entry(ui, ICON_SEARCH, "Search commands", Action::Palette);
            ui.add_space(space::S);
            for page in Page::ALL.into_iter().filter(|page| *page != Page::Settings) {
                entry(ui, page.icon(), page.label(), Action::Go(page));
            }
            ui.with_layout(egui::Layout::bottom_up(egui::Align::Min), |ui| {
                let (sign, name) = if narrow {
                    (ICON_LEFT_PANEL_OPEN, "Widen navigation")
                } else {
                    (ICON_LEFT_PANEL_CLOSE, "Collapse")
                };
                entry(ui, sign, name, Action::ToggleRail);
                entry(ui, Page::Settings.icon(), Page::Settings.label(), Action::Go(Page::Settings));
            });
        });
    asked
}

/// The name beside a tiller seen from above: a rudder stock and its bar, off centre.
fn brand(ui: &mut Ui, narrow: bool) {
    let palette = palette(ui);
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), size::PRIMARY), Sense::hover());
    let mark = Rect::from_min_size(
        pos2(rect.left() + if narrow { 4.0 } else { 6.0 }, rect.center().y - 11.0),
        vec2(24.0, 22.0),
    );
    let painter = ui.painter();
    painter.rect_filled(mark.expand(1.0), 6.0, palette.primary);
    let pivot = pos2(mark.left() + 7.0, mark.bottom() - 6.0);
    painter.line_segment([pivot, pos2(mark.right() - 5.0, mark.top() + 5.0)], Stroke::new(2.5, palette.on_primary));
    painter.circle_filled(pivot, 3.5, palette.on_primary);
    if !narrow {
        let font = FontId::new(type_size::FIGURE - 1.0, theme::semibold());
        painter.text(pos2(mark.right() + 10.0, rect.center().y), Align2::LEFT_CENTER, "Tiller", font, palette.text);
    }
}

/// A line of the rail.
struct Entry<'a> {
    sign: MaterialIcon,
    name: &'a str,
    hint: &'a str,
    selected: bool,
}

impl Entry<'_> {
    fn show(&self, ui: &mut Ui, narrow: bool) -> Response {
        let palette = palette(ui);
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 32.0), Sense::click());
        let corner = CornerRadius::same(theme::RADIUS);
        if self.selected {
            ui.painter().rect_filled(rect, corner, palette.accent_soft);
        } else if response.hovered() {
            ui.painter().rect_filled(rect, corner, palette.hover);
        }
        if response.has_focus() {
            ui.painter().rect_stroke(rect, corner, Stroke::new(1.5, palette.accent), egui::StrokeKind::Inside);
        }
        let colour = if self.selected {
            palette.accent_text
        } else if response.hovered() {
            palette.text
        } else {
            palette.secondary
        };
        let centre = if narrow { rect.center().x } else { rect.left() + 18.0 };
        let sign_rect = Rect::from_center_size(pos2(centre, rect.center().y), vec2(20.0, 20.0));
        icon::paint(ui, sign_rect, self.sign, size::RAIL_ICON, colour);
        if !narrow {
            let family = if self.selected { theme::semibold() } else { egui::FontFamily::Proportional };
            let font = FontId::new(type_size::BODY, family);
            let text = if self.selected { palette.accent_text } else { palette.text };
            ui.painter().text(pos2(rect.left() + 36.0, rect.center().y), Align2::LEFT_CENTER, self.name, font, text);
        }
        let (name, selected) = (self.name, self.selected);
        response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, true, selected, name));
        let hint = if self.hint.is_empty() { name.to_owned() } else { format!("{name}  {}", self.hint) };
        response.on_hover_cursor(egui::CursorIcon::PointingHand).on_hover_text(hint)
    }
}
