//! Every action with its label, sign and shortcut: the palette, the shortcuts and the tooltips come from this table.

use egui::{Key, KeyboardShortcut, Modifiers};
use egui_material_icons::MaterialIcon;
use egui_material_icons::icons::{
    ICON_ADD, ICON_CONTRAST, ICON_CREATE_NEW_FOLDER, ICON_DEPLOYED_CODE, ICON_DOWNLOAD, ICON_DOWNLOADING, ICON_EJECT,
    ICON_FOLDER_OPEN, ICON_GRAIN, ICON_LEFT_PANEL_CLOSE, ICON_LOGOUT, ICON_MANAGE_SEARCH, ICON_PAUSE, ICON_PLAY_ARROW,
    ICON_REPLAY, ICON_RESTART_ALT, ICON_SEARCH, ICON_SEND, ICON_STOP, ICON_TARGET, ICON_VIEW_COLUMN_2, ICON_ZOOM_IN,
    ICON_ZOOM_OUT,
};

use crate::page::Page;

/// The keys of a shortcut as people write them: `Ctrl+,`.
pub(crate) fn keys(ctx: &egui::Context, shortcut: KeyboardShortcut) -> String {
    let mut text = ctx.format_shortcut(&shortcut);
    let words = [("Comma", ","), ("Period", "."), ("Plus", "+"), ("Minus", "\u{2212}"), ("Backslash", "\\")];
    for (word, sign) in words {
        text = text.replace(word, sign);
    }
    text
}

/// Something the user can do from anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Show a page.
    Go(Page),
    /// Open the command palette.
    Palette,
    /// Load the demo model.
    OpenDemo,
    /// Choose a model folder.
    OpenFolder,
    /// Free the model.
    Unload,
    /// Choose a further folder to keep models in.
    AddFolder,
    /// Show what is being downloaded.
    Downloads,
    /// Pause all downloads.
    PauseDownloads,
    /// Type what to look for among the features.
    SearchFeatures,
    /// Choose an SAE.
    OpenSae,
    /// Extract the chosen persona's vector.
    Extract,
    /// Start the discovery as set up.
    StartDiscovery,
    /// Stop the running job.
    Stop,
    /// Send the message.
    Send,
    /// Answer again.
    Regenerate,
    /// Begin a new conversation.
    NewChat,
    /// Steered and plain replies side by side.
    SideBySide,
    /// All strengths to zero.
    ResetSteering,
    /// Write the conversation to a file.
    ExportChat,
    /// Light or dark.
    SwitchTheme,
    /// Larger.
    ZoomIn,
    /// Smaller.
    ZoomOut,
    /// Normal size.
    ZoomReset,
    /// Words in the rail or not.
    ToggleRail,
    /// Close the window.
    Quit,
}

impl Action {
    /// All of them, in the palette's order.
    pub(crate) const ALL: [Self; 31] = [
        Self::Go(Page::Home),
        Self::Go(Page::Models),
        Self::Go(Page::Personas),
        Self::Go(Page::Features),
        Self::Go(Page::Discover),
        Self::Go(Page::Chat),
        Self::Go(Page::Settings),
        Self::OpenDemo,
        Self::OpenFolder,
        Self::Unload,
        Self::AddFolder,
        Self::Downloads,
        Self::PauseDownloads,
        Self::SearchFeatures,
        Self::OpenSae,
        Self::Extract,
        Self::StartDiscovery,
        Self::Stop,
        Self::Send,
        Self::Regenerate,
        Self::NewChat,
        Self::SideBySide,
        Self::ResetSteering,
        Self::ExportChat,
        Self::SwitchTheme,
        Self::ZoomIn,
        Self::ZoomOut,
        Self::ZoomReset,
        Self::ToggleRail,
        Self::Palette,
        Self::Quit,
    ];

    /// What it does.
    pub(crate) fn label(self) -> String {
        match self {
            Self::Go(page) => format!("Go to {}", page.label()),
            Self::Palette => "Search commands\u{2026}".to_owned(),
            Self::OpenDemo => "Open the demo model".to_owned(),
            Self::OpenFolder => "Open a model folder\u{2026}".to_owned(),
            Self::Unload => "Unload the model".to_owned(),
            Self::AddFolder => "Add a model folder\u{2026}".to_owned(),
            Self::Downloads => "Go to downloads".to_owned(),
            Self::PauseDownloads => "Pause all downloads".to_owned(),
            Self::SearchFeatures => "Search features".to_owned(),
            Self::OpenSae => "Open a sparse autoencoder (SAE)\u{2026}".to_owned(),
            Self::Extract => "Extract the chosen persona's vector".to_owned(),
            Self::StartDiscovery => "Start the discovery run".to_owned(),
            Self::Stop => "Stop the running job".to_owned(),
            Self::Send => "Send the message".to_owned(),
            Self::Regenerate => "Answer again".to_owned(),
            Self::NewChat => "New conversation".to_owned(),
            Self::SideBySide => "Show steered and plain replies side by side".to_owned(),
            Self::ResetSteering => "Set all steering to zero".to_owned(),
            Self::ExportChat => "Export the conversation\u{2026}".to_owned(),
            Self::SwitchTheme => "Switch between light and dark".to_owned(),
            Self::ZoomIn => "Zoom in".to_owned(),
            Self::ZoomOut => "Zoom out".to_owned(),
            Self::ZoomReset => "Normal size".to_owned(),
            Self::ToggleRail => "Collapse or widen the navigation".to_owned(),
            Self::Quit => "Quit".to_owned(),
        }
    }

    /// Its sign.
    pub(crate) fn icon(self) -> MaterialIcon {
        match self {
            Self::Go(page) => page.icon(),
            Self::Palette => ICON_SEARCH,
            Self::OpenDemo => ICON_DEPLOYED_CODE,
            Self::OpenFolder => ICON_FOLDER_OPEN,
            Self::Unload => ICON_EJECT,
            Self::AddFolder => ICON_CREATE_NEW_FOLDER,
            Self::Downloads => ICON_DOWNLOADING,
            Self::PauseDownloads => ICON_PAUSE,
            Self::SearchFeatures => ICON_MANAGE_SEARCH,
            Self::OpenSae => ICON_GRAIN,
            Self::Extract => ICON_TARGET,
            Self::StartDiscovery => ICON_PLAY_ARROW,
            Self::Stop => ICON_STOP,
            Self::Send => ICON_SEND,
            Self::Regenerate => ICON_REPLAY,
            Self::NewChat => ICON_ADD,
            Self::SideBySide => ICON_VIEW_COLUMN_2,
            Self::ResetSteering | Self::ZoomReset => ICON_RESTART_ALT,
            Self::ExportChat => ICON_DOWNLOAD,
            Self::SwitchTheme => ICON_CONTRAST,
            Self::ZoomIn => ICON_ZOOM_IN,
            Self::ZoomOut => ICON_ZOOM_OUT,
            Self::ToggleRail => ICON_LEFT_PANEL_CLOSE,
            Self::Quit => ICON_LOGOUT,
        }
    }

    /// Its keys.
    pub(crate) fn shortcut(self) -> Option<KeyboardShortcut> {
        let command = |key| Some(KeyboardShortcut::new(Modifiers::COMMAND, key));
        let shifted = |key| Some(KeyboardShortcut::new(Modifiers::COMMAND | Modifiers::SHIFT, key));
        match self {
            Self::Go(Page::Home) => command(Key::Num1),
            Self::Go(Page::Models) => command(Key::Num2),
            Self::Go(Page::Personas) => command(Key::Num3),
            Self::Go(Page::Features) => command(Key::Num4),
            Self::Go(Page::Discover) => command(Key::Num5),
            Self::Go(Page::Chat) => command(Key::Num6),
            Self::Go(Page::Settings) => command(Key::Comma),
            Self::Palette => command(Key::K),
            Self::OpenDemo => command(Key::D),
            Self::OpenFolder => command(Key::O),
            Self::Unload | Self::AddFolder | Self::PauseDownloads => None,
            Self::Downloads => shifted(Key::D),
            Self::SearchFeatures => command(Key::F),
            Self::OpenSae => shifted(Key::O),
            Self::Extract => command(Key::E),
            Self::StartDiscovery => command(Key::R),
            Self::Stop => command(Key::Period),
            Self::Send => command(Key::Enter),
            Self::Regenerate => shifted(Key::R),
            Self::NewChat => command(Key::N),
            Self::SideBySide => command(Key::B),
            Self::ResetSteering => shifted(Key::Num0),
            Self::ExportChat => shifted(Key::S),
            Self::SwitchTheme => shifted(Key::L),
            Self::ZoomIn => command(Key::Plus),
            Self::ZoomOut => command(Key::Minus),
            Self::ZoomReset => command(Key::Num0),
            Self::ToggleRail => command(Key::Backslash),
            Self::Quit => command(Key::Q),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortcuts_do_not_clash() {
        let mut seen = Vec::new();
        for action in Action::ALL {
            if let Some(shortcut) = action.shortcut() {
                assert!(!seen.contains(&shortcut), "{} shares its keys", action.label());
                seen.push(shortcut);
            }
        }
    }

    #[test]
    fn labels_are_distinct() {
        let mut labels: Vec<String> = Action::ALL.iter().map(|action| action.label()).collect();
        labels.sort();
        labels.dedup();
        assert_eq!(labels.len(), Action::ALL.len());
    }
}
