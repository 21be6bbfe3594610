//! Application settings.

use std::fs;

use tiller_protocol::problem::Problem;
use tiller_protocol::settings::AppSettings;

use super::{Workspace, document, free_path};
use crate::problem;

impl Workspace {
    /// The saved settings, or the defaults. A file that cannot be read is kept aside, and the problem says where.
    pub(crate) fn load_settings(&self) -> (AppSettings, Option<Problem>) {
        let path = self.root.join("settings.toml");
        if !path.exists() {
            return (AppSettings::default(), None);
        }
        match document::read_toml(&path) {
            Ok(settings) => (settings, None),
            Err(reason) => {
                let aside = free_path(&self.root, "settings.unreadable", ".toml");
                let kept = fs::rename(&path, &aside).is_ok();
                (AppSettings::default(), Some(problem::settings_kept_aside(&reason, kept.then_some(&aside))))
            }
        }
    }

    /// Saves settings.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub(crate) fn save_settings(&self, settings: &AppSettings) -> Result<(), Problem> {
        document::write_toml(&self.root.join("settings.toml"), settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tiller_protocol::settings::ThemeChoice;

    #[test]
    fn settings_round_trip_and_missing_fields_take_defaults() {
        let workspace = Workspace::temp();
        assert_eq!(workspace.load_settings(), (AppSettings::default(), None));
        let settings = AppSettings { theme: ThemeChoice::Dark, zoom: 1.5, ..AppSettings::default() };
        workspace.save_settings(&settings).unwrap();
        assert_eq!(workspace.load_settings(), (settings, None));
        fs::write(workspace.root().join("settings.toml"), "format = 1\nzoom = 2.0\n").unwrap();
        assert_eq!(workspace.load_settings().0, AppSettings { zoom: 2.0, ..AppSettings::default() });
    }

    #[test]
    fn unreadable_settings_are_kept_aside() {
        let workspace = Workspace::temp();
        for (n, text) in ["theme = [", "format = 99"].into_iter().enumerate() {
            fs::write(workspace.root().join("settings.toml"), text).unwrap();
            let (settings, problem) = workspace.load_settings();
            assert_eq!(settings, AppSettings::default());
            let name = ["settings.unreadable.toml", "settings.unreadable-2.toml"][n];
            assert!(problem.unwrap().next_step.contains(name));
            let aside = workspace.root().join(name);
            assert_eq!(fs::read_to_string(aside).unwrap(), text);
        }
    }
}
