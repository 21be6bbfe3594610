//! Icons: painted, so that they never become part of a control's accessible name.

use egui::{Align2, Atom, Color32, FontFamily, FontId, Rect, Sense, Ui, Vec2};
use egui_material_icons::MaterialIcon;

fn font(size: f32) -> FontId {
    FontId::new(size, FontFamily::Name(egui_material_icons::FONT_FAMILY.into()))
}

/// Paints `icon` in the middle of `rect`.
pub(crate) fn paint(ui: &Ui, rect: Rect, icon: MaterialIcon, size: f32, color: Color32) {
    ui.painter().text(rect.center(), Align2::CENTER_CENTER, icon.codepoint, font(size), color);
}

/// An icon as part of a button's content, in the colour of its text.
pub(crate) fn atom(icon: MaterialIcon, size: f32) -> Atom<'static> {
    Atom::paint(Vec2::splat(size), move |ui, args| {
        paint(ui, args.rect, icon, size, args.fallback_text_color);
    })
}

/// An icon by itself, as decoration.
pub(crate) fn show(ui: &mut Ui, icon: MaterialIcon, size: f32, color: Color32) {
    let (rect, _) = ui.allocate_exact_size(Vec2::splat(size), Sense::hover());
    paint(ui, rect, icon, size, color);
}
