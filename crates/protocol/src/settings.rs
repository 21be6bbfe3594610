//! What the user has chosen for the application itself.

use serde::{Deserialize, Serialize};

use crate::model::{DeviceChoice, DtypeChoice};

/// Light, dark, or as the system says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThemeChoice {
    /// As the operating system says.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// Application settings; kept as TOML in the workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppSettings {
    /// Version of the document's form; 1.
    pub format: u32,
    /// Colours.
    pub theme: ThemeChoice,
    /// Zoom factor of the window, 1 is normal.
    pub zoom: f32,
    /// Device for models loaded from now on.
    pub device: DeviceChoice,
    /// Number format for models loaded from now on.
    pub dtype: DtypeChoice,
    /// Whether models with such a switch think before they answer; absent leaves it to the model's chat template.
    pub thinking: Option<bool>,
    /// Open no network connection at all.
    pub offline: bool,
}

impl Default for AppSettings {
    fn default() -> Self {
        Self {
            format: 1,
            theme: ThemeChoice::System,
            zoom: 1.0,
            device: DeviceChoice::Auto,
            dtype: DtypeChoice::Auto,
            thinking: None,
            offline: false,
        }
    }
}
