//! Product name, identifier, version and window size, all from `tauri.conf.json`, the one place that holds them.
//!
//! A plain build parses the file with `tauri-utils`, which is pure Rust; a build with the `tauri` feature takes the
//! same values from `tauri::generate_context!`, which also checks the file at compile time.

use anyhow::Context as _;
use tauri_utils::config::Config;

/// What the window and the command line need to know about the product.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Product {
    /// Name for people.
    pub(crate) name: String,
    /// Reverse-domain identifier of the application.
    pub(crate) identifier: String,
    /// Version of the release.
    pub(crate) version: String,
    /// Title of the window.
    pub(crate) title: String,
    /// Width and height of a new window, points.
    pub(crate) size: [f32; 2],
    /// Smallest width and height, points.
    pub(crate) min_size: [f32; 2],
}

impl Product {
    /// The facts of this build.
    ///
    /// # Errors
    /// When `tauri.conf.json` lacks a fact that Tiller needs.
    pub(crate) fn load() -> anyhow::Result<Self> {
        #[cfg(feature = "tauri")]
        return Self::from_config(&context_config());
        #[cfg(not(feature = "tauri"))]
        Self::from_config(&file_config()?)
    }

    fn from_config(config: &Config) -> anyhow::Result<Self> {
        let window = config.app.windows.first().context("tauri.conf.json describes no window")?;
        let (width, height) = (window.width as f32, window.height as f32);
        Ok(Self {
            name: config.product_name.clone().context("tauri.conf.json has no productName")?,
            identifier: config.identifier.clone(),
            version: config.version.clone().context("tauri.conf.json has no version")?,
            title: window.title.clone(),
            size: [width, height],
            min_size: [
                window.min_width.map_or(width, |points| points as f32),
                window.min_height.map_or(height, |points| points as f32),
            ],
        })
    }
}

/// `tauri.conf.json` as `tauri-utils` reads it.
#[cfg(any(test, not(feature = "tauri")))]
fn file_config() -> anyhow::Result<Config> {
    serde_json::from_str(include_str!("../tauri.conf.json")).context("tauri.conf.json is not what Tauri expects")
}

/// `tauri.conf.json` as Tauri's macro embeds it.
#[cfg(feature = "tauri")]
fn context_config() -> Config {
    // Without a webview the only runtime type that exists is Tauri's own mock; nothing of it runs.
    let context: tauri::Context<tauri::test::MockRuntime> = tauri::generate_context!();
    context.config().clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_names_the_product() {
        let product = Product::from_config(&file_config().unwrap()).unwrap();
        assert_eq!(product.name, "Tiller");
        assert_eq!(product.version, env!("CARGO_PKG_VERSION"), "tauri.conf.json and Cargo.toml must agree");
        assert_eq!(product.size, [1280.0, 800.0]);
        assert_eq!(product.min_size, [1024.0, 700.0]);
    }

    #[cfg(feature = "tauri")]
    #[test]
    fn both_ways_of_reading_agree() {
        let from_file = Product::from_config(&file_config().unwrap()).unwrap();
        assert_eq!(Product::load().unwrap(), from_file);
    }
}
