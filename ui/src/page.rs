//! The pages and what they are for.

use egui_material_icons::MaterialIcon;
use egui_material_icons::icons::{
    ICON_DEPLOYED_CODE, ICON_FORUM, ICON_GRAIN, ICON_HOME, ICON_SCATTER_PLOT, ICON_SETTINGS, ICON_THEATER_COMEDY,
};

/// A page of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Page {
    /// Where to begin.
    Home,
    /// The loaded model.
    Models,
    /// Personas and their vectors.
    Personas,
    /// Features of sparse autoencoders.
    Features,
    /// Prompt discovery.
    Discover,
    /// Steered conversation.
    Chat,
    /// The application's own settings.
    Settings,
}

impl Page {
    /// In the order of the rail; Settings stands apart at its end.
    pub(crate) const ALL: [Self; 7] =
        [Self::Home, Self::Models, Self::Personas, Self::Features, Self::Discover, Self::Chat, Self::Settings];

    /// Its word.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Home => "Home",
            Self::Models => "Models",
            Self::Personas => "Personas",
            Self::Features => "Features",
            Self::Discover => "Discover",
            Self::Chat => "Chat",
            Self::Settings => "Settings",
        }
    }

    /// One line under its title.
    pub(crate) fn purpose(self) -> &'static str {
        match self {
            Self::Home => "See, steer and re-prompt the personas inside open language models.",
            Self::Models => "Find, keep and open the models that everything here is measured on.",
            Self::Personas => "Turn contrastive pairs into a direction inside the model.",
            Self::Features => {
                "Find the features that a sparse autoencoder (SAE) sees in the model, understand them, use them."
            }
            Self::Discover => "Find short, readable prompts that move the model along a persona.",
            Self::Chat => "Talk to the model with and without steering, same seed, side by side.",
            Self::Settings => "How Tiller looks, where models run, and whether it may use the network.",
        }
    }

    /// Its sign.
    pub(crate) fn icon(self) -> MaterialIcon {
        match self {
            Self::Home => ICON_HOME,
            Self::Models => ICON_DEPLOYED_CODE,
            Self::Personas => ICON_THEATER_COMEDY,
            Self::Features => ICON_GRAIN,
            Self::Discover => ICON_SCATTER_PLOT,
            Self::Chat => ICON_FORUM,
            Self::Settings => ICON_SETTINGS,
        }
    }
}
