//! The whole window: what it knows, what it shows, what it asks for.

mod actions;
mod events;
mod feature_events;

use egui::Ui;
use tiller_protocol::message::Command;
use tiller_protocol::settings::ThemeChoice;

use crate::action::Action;
use crate::chrome;
use crate::chrome::palette::CommandPalette;
use crate::face::{Answer, Machine, Output};
use crate::page::Page;
use crate::pages;
use crate::pages::chat::ChatPage;
use crate::pages::discover::DiscoverPage;
use crate::pages::features::FeaturesPage;
use crate::pages::models::ModelsPage;
use crate::pages::personas::PersonasPage;
use crate::pages::settings::SettingsPage;
use crate::shared::Shared;
use crate::theme;

/// Smallest zoom factor.
const ZOOM_MIN: f32 = 0.6;
/// Largest zoom factor.
const ZOOM_MAX: f32 = 2.5;

/// The window's state.
pub struct App {
    shared: Shared,
    personas: PersonasPage,
    features: FeaturesPage,
    discover: DiscoverPage,
    chat: ChatPage,
    models: ModelsPage,
    settings: SettingsPage,
    palette: CommandPalette,
    begun: bool,
    applied: Option<(ThemeChoice, f32)>,
}

impl App {
    /// A window that knows nothing yet; its first frame asks for a [`Command::Refresh`].
    pub fn new(machine: Machine) -> Self {
        Self {
            shared: Shared::new(machine),
            personas: PersonasPage::default(),
            features: FeaturesPage::default(),
            discover: DiscoverPage::default(),
            chat: ChatPage::default(),
            models: ModelsPage::default(),
            settings: SettingsPage::default(),
            palette: CommandPalette::default(),
            begun: false,
            applied: None,
        }
    }

    /// Takes in the shell's answer to a request.
    pub fn answer(&mut self, answer: Answer) {
        if let Some(folder) = self.shared.answer(answer.ticket, answer.path) {
            self.models.choose(&folder);
            self.shared.page = Page::Models;
        }
    }

    /// Whether closing the window now would stop a running job.
    pub fn busy(&self) -> bool {
        self.shared.job.is_some()
    }

    /// Draws one frame into the root `ui` and returns what it asks for.
    pub fn show(&mut self, ui: &mut Ui) -> Output {
        if !self.begun {
            self.begun = true;
            self.shared.send(Command::Refresh);
        }
        self.apply_look(ui);
        self.take_dropped_folder(ui);
        let mut actions = pressed_shortcuts(ui);
        actions.extend(chrome::rail::show(ui, &self.shared));
        actions.extend(chrome::status::show(ui, &mut self.shared));
        self.page_ui(ui);
        drop_hint(ui, self.shared.page);
        actions.extend(self.palette_ui(ui));
        if let Some(offer) = self.shared.toasts.show(ui.ctx()) {
            actions.extend(self.take_offer(offer));
        }
        for action in actions {
            self.perform(ui, action);
        }
        if let Some(handoff) = self.shared.handoff.take() {
            self.hand_over(handoff);
        }
        // What a click or a key has changed is drawn in the next frame, even if nothing else happens.
        let acted = |event: &egui::Event| matches!(event, egui::Event::Key { .. } | egui::Event::PointerButton { .. });
        if ui.input(|input| input.events.iter().any(acted)) {
            ui.ctx().request_repaint();
        }
        self.shared.take_output()
    }

    fn page_ui(&mut self, ui: &mut Ui) {
        let shared = &mut self.shared;
        if shared.page != Page::Models {
            self.models.leave();
        }
        if shared.page != Page::Features {
            self.features.leave(shared);
        }
        let frame = egui::Frame::new().fill(theme::palette(ui).background);
        egui::CentralPanel::default().frame(frame).show(ui, |ui| match shared.page {
            Page::Home => pages::home::show(ui, shared),
            Page::Models => self.models.show(ui, shared),
            Page::Personas => self.personas.show(ui, shared),
            Page::Features => self.features.show(ui, shared),
            Page::Discover => self.discover.show(ui, shared),
            Page::Chat => self.chat.show(ui, shared),
            Page::Settings => self.settings.show(ui, shared),
        });
    }

    fn apply_look(&mut self, ui: &Ui) {
        let wanted = (self.shared.settings.theme, self.shared.settings.zoom);
        if self.applied != Some(wanted) {
            self.applied = Some(wanted);
            let preference = match wanted.0 {
                ThemeChoice::System => egui::ThemePreference::System,
                ThemeChoice::Light => egui::ThemePreference::Light,
                ThemeChoice::Dark => egui::ThemePreference::Dark,
            };
            ui.ctx().set_theme(preference);
            ui.ctx().set_zoom_factor(wanted.1.clamp(ZOOM_MIN, ZOOM_MAX));
        }
    }

    fn take_dropped_folder(&mut self, ui: &Ui) {
        let dropped = ui.input(|input| input.raw.dropped_files.first().map(|file| file.path().to_path_buf()));
        match dropped {
            Some(path) if self.shared.page == Page::Features => self.features.choose(&path),
            Some(folder) => {
                self.models.choose(&folder);
                self.shared.page = Page::Models;
            }
            None => {}
        }
    }

    fn palette_ui(&mut self, ui: &Ui) -> Option<Action> {
        if !self.palette.is_open() {
            return None;
        }
        let obstacles: Vec<_> = Action::ALL.into_iter().map(|action| (action, self.obstacle(action))).collect();
        self.palette.show(ui.ctx(), &obstacles)
    }
}

/// What letting go of a dragged file would do, over everything, while one is held above the window.
fn drop_hint(ui: &Ui, page: Page) {
    if ui.input(|input| input.raw.hovered_files.is_empty()) {
        return;
    }
    let palette = theme::palette(ui);
    let rect = ui.ctx().content_rect();
    let painter = ui.ctx().layer_painter(egui::LayerId::new(egui::Order::Foreground, egui::Id::unique("drop hint")));
    painter.rect_filled(rect, 0.0, palette.background.gamma_multiply(0.85));
    let stroke = egui::Stroke::new(2.0, palette.accent);
    painter.rect_stroke(rect.shrink(theme::space::S), f32::from(theme::CARD_RADIUS), stroke, egui::StrokeKind::Inside);
    let font = egui::FontId::new(theme::type_size::FIGURE, theme::semibold());
    let text = match page {
        Page::Features => "Drop an SAE file or folder to open it",
        _ => "Drop a model folder, a GGUF file or an SAE folder to look at it",
    };
    painter.text(rect.center(), egui::Align2::CENTER_CENTER, text, font, palette.text);
}

/// The actions whose keys were pressed.
fn pressed_shortcuts(ui: &Ui) -> Vec<Action> {
    let mut keyed: Vec<_> = Action::ALL.into_iter().filter_map(|action| Some((action, action.shortcut()?))).collect();
    // With Shift first: the plain shortcut also matches while Shift is held.
    keyed.sort_by_key(|(_, shortcut)| !shortcut.modifiers.shift);
    keyed.push((Action::ZoomIn, egui::KeyboardShortcut::new(egui::Modifiers::COMMAND, egui::Key::Equals)));
    ui.input_mut(|input| {
        keyed.iter().filter(|(_, shortcut)| input.consume_shortcut(shortcut)).map(|(action, _)| *action).collect()
    })
}
