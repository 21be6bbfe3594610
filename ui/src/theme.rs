//! Every colour, size and font of the window: the only file that may name one.
//!
//! Text colours keep a contrast of at least 4.5:1 on every surface of their theme. Steering is always the pair
//! vermilion (toward) and blue (away), readable with the common kinds of colour blindness, and never the only sign.

use std::sync::Arc;

use egui::{
    Color32, Context, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, RichText, Shadow, Stroke,
    Style, TextStyle, Theme, Ui, Vec2, Visuals, vec2,
};

/// Distances, in points.
pub(crate) mod space {
    /// Between parts of one thing.
    pub(crate) const XS: f32 = 4.0;
    /// Between things that belong together.
    pub(crate) const S: f32 = 8.0;
    /// Between groups.
    pub(crate) const M: f32 = 12.0;
    /// Inside cards, between cards.
    pub(crate) const L: f32 = 16.0;
    /// Page margin.
    pub(crate) const XL: f32 = 24.0;
    /// Between sections of an airy page.
    pub(crate) const XXL: f32 = 32.0;
}

/// Sizes of parts, in points.
pub(crate) mod size {
    /// Buttons, fields, menus.
    pub(crate) const CONTROL: f32 = 28.0;
    /// The one primary button of a page.
    pub(crate) const PRIMARY: f32 = 32.0;
    /// Navigation rail with words.
    pub(crate) const RAIL_WIDE: f32 = 184.0;
    /// Navigation rail with icons only.
    pub(crate) const RAIL_NARROW: f32 = 48.0;
    /// Status bar at the bottom.
    pub(crate) const STATUS_BAR: f32 = 30.0;
    /// Longest line of reading text.
    pub(crate) const READING: f32 = 1200.0;
    /// Icons in buttons and rows.
    pub(crate) const ICON: f32 = 16.0;
    /// Icons in the rail.
    pub(crate) const RAIL_ICON: f32 = 18.0;
    /// Row of a table.
    pub(crate) const TABLE_ROW: f32 = 28.0;
    /// Faint dot of a plot.
    pub(crate) const DOT: f32 = 1.9;
    /// Filled marker of a front.
    pub(crate) const MARKER: f32 = 3.6;
    /// Ring around the selected marker.
    pub(crate) const RING: f32 = 7.5;
}

/// Corner radius of controls.
pub(crate) const RADIUS: u8 = 6;
/// Corner radius of cards.
pub(crate) const CARD_RADIUS: u8 = 10;

/// Type sizes, in points.
pub(crate) mod type_size {
    /// Notes, axis labels, badges.
    pub(crate) const SMALL: f32 = 12.0;
    /// Everything else.
    pub(crate) const BODY: f32 = 13.0;
    /// Section titles.
    pub(crate) const SECTION: f32 = 15.0;
    /// Figures in cards.
    pub(crate) const FIGURE: f32 = 18.0;
    /// Page titles.
    pub(crate) const TITLE: f32 = 24.0;
}

/// The colours of one theme.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    /// Whether text is light on dark.
    pub(crate) dark: bool,
    /// Behind the page.
    pub(crate) background: Color32,
    /// Rail, status bar, side panels.
    pub(crate) panel: Color32,
    /// Cards and popups.
    pub(crate) card: Color32,
    /// A card or row under the pointer.
    pub(crate) hover: Color32,
    /// Text fields and plot areas.
    pub(crate) field: Color32,
    /// Buttons at rest.
    pub(crate) button: Color32,
    /// Lines.
    pub(crate) hairline: Color32,
    /// Lines of controls.
    pub(crate) outline: Color32,
    /// Text.
    pub(crate) text: Color32,
    /// Help, units, captions.
    pub(crate) secondary: Color32,
    /// Marks and selection.
    pub(crate) accent: Color32,
    /// Primary button.
    pub(crate) primary: Color32,
    /// Primary button under the pointer.
    pub(crate) primary_hover: Color32,
    /// Text on the primary button.
    pub(crate) on_primary: Color32,
    /// Text and icons in the accent colour.
    pub(crate) accent_text: Color32,
    /// Selected row, chip or segment.
    pub(crate) accent_soft: Color32,
    /// Good news as text.
    pub(crate) success: Color32,
    /// Behind good news.
    pub(crate) success_soft: Color32,
    /// Caution as text.
    pub(crate) warning: Color32,
    /// Behind caution.
    pub(crate) warning_soft: Color32,
    /// Failure as text.
    pub(crate) error: Color32,
    /// Behind failure.
    pub(crate) error_soft: Color32,
    /// Toward the persona: fills and marks.
    pub(crate) toward: Color32,
    /// Toward the persona: text.
    pub(crate) toward_text: Color32,
    /// Away from the persona: fills and marks.
    pub(crate) away: Color32,
    /// Away from the persona: text.
    pub(crate) away_text: Color32,
    /// Dots that are many and unimportant.
    pub(crate) dot: Color32,
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

const DARK: Palette = Palette {
    dark: true,
    background: rgb(0x0016_181D),
    panel: rgb(0x001B_1E25),
    card: rgb(0x0021_252E),
    hover: rgb(0x0029_2E39),
    field: rgb(0x0014_161B),
    button: rgb(0x002B_303B),
    hairline: rgb(0x002E_333D),
    outline: rgb(0x003C_4350),
    text: rgb(0x00E6_E8EC),
    secondary: rgb(0x009A_A3B2),
    accent: rgb(0x004C_8DFF),
    primary: rgb(0x002F_6FE4),
    primary_hover: rgb(0x0025_60CE),
    on_primary: rgb(0x00FF_FFFF),
    accent_text: rgb(0x007F_B0FF),
    accent_soft: rgb(0x0024_3550),
    success: rgb(0x004C_C38A),
    success_soft: rgb(0x001D_3A2E),
    warning: rgb(0x00E3_AE3D),
    warning_soft: rgb(0x003A_3018),
    error: rgb(0x00F0_7470),
    error_soft: rgb(0x0035_2124),
    toward: rgb(0x00D5_5E00),
    toward_text: rgb(0x00F5_8B3D),
    away: rgb(0x0000_72B2),
    away_text: rgb(0x0056_B4E9),
    dot: rgb(0x007C_8798),
};

const LIGHT: Palette = Palette {
    dark: false,
    background: rgb(0x00F7_F8FA),
    panel: rgb(0x00FF_FFFF),
    card: rgb(0x00FF_FFFF),
    hover: rgb(0x00F1_F3F7),
    field: rgb(0x00FF_FFFF),
    button: rgb(0x00FF_FFFF),
    hairline: rgb(0x00E3_E6EB),
    outline: rgb(0x00CD_D3DC),
    text: rgb(0x001B_1F27),
    secondary: rgb(0x005B_6472),
    accent: rgb(0x004C_8DFF),
    primary: rgb(0x002F_6FE4),
    primary_hover: rgb(0x0025_60CE),
    on_primary: rgb(0x00FF_FFFF),
    accent_text: rgb(0x001F_5FD6),
    accent_soft: rgb(0x00E4_EDFD),
    success: rgb(0x001B_7A50),
    success_soft: rgb(0x00E2_F4EB),
    warning: rgb(0x007D_5800),
    warning_soft: rgb(0x00FB_F1D9),
    error: rgb(0x00C0_342F),
    error_soft: rgb(0x00FC_E9E8),
    toward: rgb(0x00D5_5E00),
    toward_text: rgb(0x00B3_4700),
    away: rgb(0x0000_72B2),
    away_text: rgb(0x0000_639C),
    dot: rgb(0x008D_97A6),
};

/// Okabe–Ito colours for series, in order; series differ by marker too.
pub(crate) const SERIES: [Color32; 6] =
    [rgb(0x00E6_9F00), rgb(0x0056_B4E9), rgb(0x0000_9E73), rgb(0x00CC_79A7), rgb(0x00F0_E442), rgb(0x0000_72B2)];

/// The palette of the theme that `ui` is drawn in.
pub(crate) fn palette(ui: &Ui) -> &'static Palette {
    if ui.visuals().dark_mode { &DARK } else { &LIGHT }
}

/// Family of the heavier of the two text weights.
pub(crate) fn semibold() -> FontFamily {
    FontFamily::Name("semibold".into())
}

/// Text of a page title.
pub(crate) fn title(text: impl Into<String>) -> RichText {
    RichText::new(text).family(semibold()).size(type_size::TITLE)
}

/// Text of a section title.
pub(crate) fn section(text: impl Into<String>) -> RichText {
    RichText::new(text).family(semibold()).size(type_size::SECTION)
}

/// Body text in the heavier weight.
pub(crate) fn strong(text: impl Into<String>) -> RichText {
    RichText::new(text).family(semibold()).size(type_size::BODY)
}

/// A figure that a card is about.
pub(crate) fn figure(text: impl Into<String>) -> RichText {
    RichText::new(text).family(semibold()).size(type_size::FIGURE)
}

/// Body text of less weight: explanations.
pub(crate) fn secondary(ui: &Ui, text: impl Into<String>) -> RichText {
    RichText::new(text).color(palette(ui).secondary)
}

/// Small text of less weight: help, captions, units.
pub(crate) fn note(ui: &Ui, text: impl Into<String>) -> RichText {
    RichText::new(text).size(type_size::SMALL).color(palette(ui).secondary)
}

/// Tokens, ids and numbers in tables.
pub(crate) fn mono(text: impl Into<String>) -> RichText {
    RichText::new(text).monospace()
}

/// Installs fonts, text styles, spacing and colours of both themes; call once before the first frame.
pub fn install(ctx: &Context) {
    ctx.set_fonts(fonts());
    egui_material_icons::initialize(ctx);
    ctx.set_style_of(Theme::Dark, style(&DARK));
    ctx.set_style_of(Theme::Light, style(&LIGHT));
    ctx.options_mut(|options| options.zoom_with_keyboard = false);
}

fn fonts() -> FontDefinitions {
    let mut fonts = FontDefinitions::default();
    let inter: &[u8] = include_bytes!("../../assets/fonts/Inter-Regular.otf");
    let inter_semibold: &[u8] = include_bytes!("../../assets/fonts/Inter-SemiBold.otf");
    fonts.font_data.insert("Inter".to_owned(), Arc::new(FontData::from_static(inter)));
    fonts.font_data.insert("Inter SemiBold".to_owned(), Arc::new(FontData::from_static(inter_semibold)));
    let fallback = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    let family = |first: &str| std::iter::once(first.to_owned()).chain(fallback.iter().cloned()).collect();
    fonts.families.insert(semibold(), family("Inter SemiBold"));
    fonts.families.insert(FontFamily::Proportional, family("Inter"));
    // Signs for blanks, among others, are missing from the monospace font.
    fonts.families.entry(FontFamily::Monospace).or_default().push("Inter".to_owned());
    fonts
}

fn style(palette: &Palette) -> Style {
    let theme = if palette.dark { Theme::Dark } else { Theme::Light };
    let mut style = theme.default_style();
    style.text_styles = [
        (TextStyle::Small, FontId::new(type_size::SMALL, FontFamily::Proportional)),
        (TextStyle::Body, FontId::new(type_size::BODY, FontFamily::Proportional)),
        (TextStyle::Button, FontId::new(type_size::BODY, FontFamily::Proportional)),
        (TextStyle::Monospace, FontId::new(type_size::SMALL, FontFamily::Monospace)),
        (TextStyle::Heading, FontId::new(type_size::FIGURE, semibold())),
    ]
    .into();
    style.visuals = visuals(palette);
    let spacing = &mut style.spacing;
    spacing.item_spacing = vec2(space::S, space::S);
    spacing.button_padding = vec2(space::M, space::XS);
    spacing.interact_size = vec2(size::CONTROL, size::CONTROL);
    spacing.menu_margin = Margin::same(6);
    spacing.window_margin = Margin::same(16);
    spacing.combo_height = 320.0;
    spacing.text_edit_width = 240.0;
    spacing.icon_width = size::ICON;
    spacing.icon_width_inner = 9.0;
    spacing.icon_spacing = 7.0;
    spacing.tooltip_width = 360.0;
    spacing.scroll.floating_allocated_width = 10.0;
    spacing.scroll.bar_width = 8.0;
    spacing.scroll.floating_width = 4.0;
    spacing.scroll.foreground_color = false;
    spacing.scroll.fade.strength = 0.0;
    style.interaction.tooltip_delay = 0.35;
    style.interaction.selectable_labels = true;
    style.animation_time = 0.1;
    style.url_in_tooltip = true;
    style
}

fn visuals(palette: &Palette) -> Visuals {
    let mut visuals = if palette.dark { Visuals::dark() } else { Visuals::light() };
    visuals.weak_text_color = Some(palette.secondary);
    visuals.selection.bg_fill = palette.accent_soft;
    visuals.selection.stroke = Stroke::new(1.0, palette.accent_text);
    visuals.hyperlink_color = palette.accent_text;
    visuals.faint_bg_color = palette.hover;
    visuals.extreme_bg_color = palette.field;
    visuals.text_edit_bg_color = Some(palette.field);
    visuals.code_bg_color = palette.hover;
    visuals.warn_fg_color = palette.warning;
    visuals.error_fg_color = palette.error;
    visuals.window_fill = palette.card;
    visuals.window_stroke = Stroke::new(1.0, palette.outline);
    visuals.window_corner_radius = CornerRadius::same(CARD_RADIUS);
    visuals.menu_corner_radius = CornerRadius::same(CARD_RADIUS - 2);
    visuals.panel_fill = palette.background;
    let shadow = Color32::from_black_alpha(if palette.dark { 110 } else { 28 });
    visuals.window_shadow = Shadow { offset: [0, 12], blur: 32, spread: 0, color: shadow };
    visuals.popup_shadow = Shadow { offset: [0, 6], blur: 18, spread: 0, color: shadow };
    visuals.text_cursor.stroke = Stroke::new(1.5, palette.accent);
    visuals.striped = false;
    visuals.indent_has_left_vline = false;
    visuals.slider_trailing_fill = true;
    visuals.handle_shape = egui::style::HandleShape::Circle;
    let corner = CornerRadius::same(RADIUS);
    let widgets = &mut visuals.widgets;
    for (part, fill, line, text) in [
        (&mut widgets.noninteractive, palette.card, palette.hairline, palette.text),
        (&mut widgets.inactive, palette.button, palette.outline, palette.text),
        (&mut widgets.hovered, palette.hover, palette.secondary, palette.text),
        (&mut widgets.active, palette.hover, palette.accent, palette.text),
        (&mut widgets.open, palette.hover, palette.accent, palette.text),
    ] {
        part.bg_fill = fill;
        part.weak_bg_fill = fill;
        part.bg_stroke = Stroke::new(1.0, line);
        part.fg_stroke = Stroke::new(1.0, text);
        part.corner_radius = corner;
        part.expansion = 0.0;
    }
    visuals.widgets.inactive.bg_fill = palette.field;
    // Strong text, e.g. in replies, is a shade further from the background than plain text.
    visuals.widgets.active.fg_stroke.color = if palette.dark { Color32::WHITE } else { Color32::BLACK };
    visuals
}

/// Padding of a page.
pub(crate) fn page_margin() -> Margin {
    Margin::same(space::XL as i8)
}

/// Padding of a card.
pub(crate) fn card_margin() -> Margin {
    Margin::same(space::L as i8)
}

/// Frame of a card at rest.
pub(crate) fn card_frame(ui: &Ui) -> egui::Frame {
    let palette = palette(ui);
    egui::Frame::new()
        .fill(palette.card)
        .stroke(Stroke::new(1.0, palette.hairline))
        .corner_radius(CornerRadius::same(CARD_RADIUS))
        .inner_margin(card_margin())
}

/// Size of a button that shows an icon only.
pub(crate) const ICON_BUTTON: Vec2 = Vec2::splat(size::CONTROL);
