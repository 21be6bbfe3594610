//! The window and its twin.

use std::path::Path;

use anyhow::Result;
use egui::{Key, Modifiers};
use tiller_hub::endpoint::Endpoint;
use tiller_hub::http::HubSettings;
use tiller_hub_server::HubServer;
use tiller_tests::screen::Screen;

use super::desktop::Desktop;

/// The window and its twin, in step.
pub(crate) struct Pair {
    pub(crate) desktop: Desktop,
    pub(crate) twin: Screen,
    /// Jobs that have ended so far, as the log tells them.
    n_jobs: usize,
}

impl Pair {
    /// Opens both over workspaces in `folder`. Without a hub there is no network.
    pub(crate) fn open(folder: &Path, hub: Option<&HubServer>) -> Result<Self> {
        let desktop = Desktop::open(folder, hub.map(HubServer::endpoint).as_deref())?;
        let (twin, size) = (folder.join("twin"), desktop.size()?);
        let twin = match hub {
            Some(hub) => Screen::open_with(&twin, size, HubSettings::at(Endpoint::parse(&hub.endpoint())?))?,
            None => Screen::open(&twin, size)?,
        };
        Ok(Self { desktop, twin, n_jobs: 0 })
    }

    /// Types into what has the focus in both.
    pub(crate) fn type_text(&mut self, text: &str) -> Result<()> {
        self.twin.type_text(text);
        self.desktop.type_text(text)
    }

    /// Goes to a page by its number, in both.
    pub(crate) fn go(&mut self, number: &str, key: Key) -> Result<()> {
        self.twin.press(Modifiers::COMMAND, key);
        self.desktop.press(&format!("ctrl+{number}"))
    }

    /// Clicks a control of both.
    pub(crate) fn click(&mut self, label: &str) -> Result<()> {
        let gestures = self.twin.click(label)?;
        self.desktop.repeat(&gestures)
    }

    /// Waits until `label` is in sight of the twin and the window has ended its job, too.
    pub(crate) fn job_ends(&mut self, label: &str) -> Result<()> {
        self.n_jobs += 1;
        self.twin.wait_for(label)?;
        self.desktop.wait_log("Job ended", self.n_jobs)
    }
}
