//! Carrying out actions, offers and what pages hand to each other.

use egui::Ui;
use tiller_protocol::feature::OpenOptions;
use tiller_protocol::message::Command;
use tiller_protocol::model::ModelSource;
use tiller_protocol::settings::ThemeChoice;

use super::{App, ZOOM_MAX, ZOOM_MIN};
use crate::action::Action;
use crate::chrome;
use crate::face::Request;
use crate::page::Page;
use crate::pages::models::Section;
use crate::shared::Handoff;
use crate::widgets::toast::Offer;

impl App {
    /// Why an action cannot be done now; `None` when it can.
    pub(super) fn obstacle(&self, action: Action) -> Option<String> {
        let unless = |possible: bool, reason: &str| (!possible).then(|| reason.to_owned());
        match action {
            Action::OpenDemo | Action::OpenFolder => self.shared.busy(),
            Action::Unload => self.shared.needs_model(),
            Action::Extract => self.personas.obstacle(&self.shared),
            Action::StartDiscovery => self.discover.obstacle(&self.shared),
            Action::Stop => unless(self.shared.job.is_some(), "Nothing is running."),
            Action::Send => self.chat.send_obstacle(&self.shared),
            Action::Regenerate => self.chat.regenerate_obstacle(&self.shared),
            Action::ExportChat => unless(self.chat.has_turns(), "The conversation is empty."),
            Action::PauseDownloads => unless(self.shared.assets.n_active() > 0, "Nothing is being downloaded."),
            Action::SearchFeatures => unless(self.shared.features.current().is_some(), "Open an SAE first."),
            Action::Go(_)
            | Action::OpenSae
            | Action::Palette
            | Action::AddFolder
            | Action::Downloads
            | Action::NewChat
            | Action::SideBySide
            | Action::ResetSteering
            | Action::SwitchTheme
            | Action::ZoomIn
            | Action::ZoomOut
            | Action::ZoomReset
            | Action::ToggleRail
            | Action::Quit => None,
        }
    }

    pub(super) fn perform(&mut self, ui: &Ui, action: Action) {
        if let Some(obstacle) = self.obstacle(action) {
            self.shared.toasts.bad(obstacle);
            return;
        }
        match action {
            Action::Go(page) => self.shared.page = page,
            Action::Palette => self.palette.toggle(),
            Action::OpenDemo => self.shared.load(ModelSource::Demo),
            Action::OpenFolder => self.shared.pick_model_folder(),
            Action::Unload => self.shared.send(Command::UnloadModel),
            Action::AddFolder => self.shared.pick_storage_folder(),
            Action::Downloads => {
                self.shared.page = Page::Models;
                self.models.go(Section::Downloads);
            }
            Action::PauseDownloads => self.shared.pause_downloads(),
            Action::SearchFeatures => {
                self.shared.page = Page::Features;
                self.features.focus_search();
            }
            Action::OpenSae => {
                self.shared.page = Page::Features;
                self.features.choose_sae();
            }
            Action::Extract => {
                self.shared.page = Page::Personas;
                self.personas.extract(&mut self.shared);
            }
            Action::StartDiscovery => {
                self.shared.page = Page::Discover;
                self.discover.start(&mut self.shared);
            }
            Action::Stop => self.shared.stop(),
            Action::Send => self.chat.send(&mut self.shared),
            Action::Regenerate => self.chat.regenerate(&mut self.shared),
            Action::NewChat => {
                self.shared.page = Page::Chat;
                self.chat.clear(&mut self.shared);
            }
            Action::SideBySide => self.chat.side_by_side = !self.chat.side_by_side,
            Action::ResetSteering => self.chat.reset_steering(&mut self.shared),
            Action::ExportChat => self.chat.export(&mut self.shared),
            Action::SwitchTheme => {
                let dark = ui.visuals().dark_mode;
                self.shared.settings.theme = if dark { ThemeChoice::Light } else { ThemeChoice::Dark };
                self.shared.save_settings();
            }
            Action::ZoomIn => self.zoom(0.1),
            Action::ZoomOut => self.zoom(-0.1),
            Action::ZoomReset => self.zoom(1.0 - self.shared.settings.zoom),
            Action::ToggleRail => chrome::rail::toggle(ui.ctx()),
            Action::Quit => self.shared.request(Request::Quit),
        }
    }

    fn zoom(&mut self, step: f32) {
        let zoom = (self.shared.settings.zoom + step).clamp(ZOOM_MIN, ZOOM_MAX);
        self.shared.settings.zoom = (zoom * 20.0).round() / 20.0;
        self.shared.save_settings();
    }

    pub(super) fn take_offer(&mut self, offer: Offer) -> Option<Action> {
        match offer {
            Offer::Act(action) => return Some(action),
            Offer::RestoreVector(id) => self.shared.send(Command::RestoreVector(id)),
            Offer::SteerWith(id) => self.shared.handoff = Some(Handoff::Steer(id)),
            Offer::AddLabel { feature, text } => self.shared.send(Command::AddLabel { feature, text }),
        }
        None
    }

    pub(super) fn hand_over(&mut self, handoff: Handoff) {
        let shared = &mut self.shared;
        match handoff {
            Handoff::Steer(vector) => {
                shared.page = Page::Chat;
                self.chat.steer_with(shared, &vector);
            }
            Handoff::Prompt { text, placement, persona } => {
                shared.page = Page::Chat;
                self.chat.insert_prompt(shared, text, placement, &persona);
            }
            Handoff::Discover { persona, vector } => {
                shared.page = Page::Discover;
                self.discover.set_up(shared, &persona, vector);
            }
            Handoff::Models(section) => {
                shared.page = Page::Models;
                self.models.go(section);
            }
            Handoff::PinFeatures(features) => {
                shared.page = Page::Chat;
                self.chat.pin_features(shared, &features);
            }
            Handoff::ClimbFeatures(features) => {
                shared.page = Page::Discover;
                self.discover.climb(shared, &features);
            }
            Handoff::Feature(feature) => {
                shared.page = Page::Features;
                shared.open_feature(feature);
                self.features.opened();
            }
            Handoff::OpenSae(path) => {
                shared.page = Page::Features;
                let known = shared.features.saes().unwrap_or_default().iter().find(|sae| sae.path == path);
                if let Some(id) = known.map(|sae| sae.id.clone()) {
                    shared.show_sae(&id);
                    self.features.opened();
                } else {
                    self.features.choose_sae();
                    shared.open_sae(path, OpenOptions::default());
                }
            }
            Handoff::Run(id) => {
                shared.page = Page::Discover;
                self.discover.open(shared, id);
            }
        }
    }
}
