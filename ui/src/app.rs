//! The whole window: what it knows, what it shows, what it asks for.

use std::path::PathBuf;

use egui::Ui;
use tiller_protocol::message::{Command, Event, JobId};
use tiller_protocol::model::{ModelInfo, ModelSource};
use tiller_protocol::problem::Problem;
use tiller_protocol::settings::ThemeChoice;
use tiller_protocol::steering::VectorInfo;

use crate::action::Action;
use crate::chrome;
use crate::chrome::palette::CommandPalette;
use crate::jobs::Purpose;
use crate::page::Page;
use crate::pages;
use crate::pages::chat::ChatPage;
use crate::pages::discover::DiscoverPage;
use crate::pages::models::ModelsPage;
use crate::pages::personas::PersonasPage;
use crate::shared::{Handoff, Shared};
use crate::theme;
use crate::widgets::toast::Offer;

/// Smallest zoom factor.
const ZOOM_MIN: f32 = 0.6;
/// Largest zoom factor.
const ZOOM_MAX: f32 = 2.5;

/// Facts about this computer and this build, supplied by the shell once.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Version of Tiller, e.g. `0.1.0`.
    pub version: String,
    /// Processor in words, e.g. `8 processor threads`.
    pub processor: String,
    /// Memory in bytes; 0 when unknown.
    pub memory_bytes: u64,
    /// Accelerators present, e.g. `NVIDIA H200`; empty when there is none.
    pub accelerators: Vec<String>,
    /// Folder in which Tiller keeps its files.
    pub workspace: PathBuf,
    /// What draws the window, e.g. `wgpu (Vulkan)`; empty when unknown.
    pub renderer: String,
}

/// Tells answers to requests apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// What only the shell can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Let the user choose a folder; answered by [`App::answer`].
    PickFolder {
        /// Comes back with the answer.
        ticket: Ticket,
        /// Title of the dialog.
        title: String,
    },
    /// Let the user choose where to save; answered by [`App::answer`].
    PickSavePath {
        /// Comes back with the answer.
        ticket: Ticket,
        /// Title of the dialog.
        title: String,
        /// Suggested file name with its extension.
        file_name: String,
    },
    /// Open a web address or a folder with the system's own program.
    OpenLink(String),
    /// Close the window.
    Quit,
}

/// The shell's answer to a request that had a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Ticket of the request.
    pub ticket: Ticket,
    /// What was chosen; `None` when the user cancelled or no dialog could be shown.
    pub path: Option<PathBuf>,
}

/// What one frame asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// For the application.
    pub commands: Vec<Command>,
    /// For the shell.
    pub requests: Vec<Request>,
}

/// The window's state.
pub struct App {
    shared: Shared,
    personas: PersonasPage,
    discover: DiscoverPage,
    chat: ChatPage,
    models: ModelsPage,
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
            discover: DiscoverPage::default(),
            chat: ChatPage::default(),
            models: ModelsPage::default(),
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
        self.shared.take_output()
    }

    fn page_ui(&mut self, ui: &mut Ui) {
        let shared = &mut self.shared;
        let frame = egui::Frame::new().fill(theme::palette(ui).background);
        egui::CentralPanel::default().frame(frame).show(ui, |ui| match shared.page {
            Page::Home => pages::home::show(ui, shared),
            Page::Models => self.models.show(ui, shared),
            Page::Personas => self.personas.show(ui, shared),
            Page::Discover => self.discover.show(ui, shared),
            Page::Chat => self.chat.show(ui, shared),
            Page::Settings => pages::settings::show(ui, shared),
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
        if let Some(folder) = dropped {
            self.models.choose(&folder);
            self.shared.page = Page::Models;
        }
    }

    fn palette_ui(&mut self, ui: &Ui) -> Option<Action> {
        if !self.palette.is_open() {
            return None;
        }
        let obstacles: Vec<_> = Action::ALL.into_iter().map(|action| (action, self.obstacle(action))).collect();
        self.palette.show(ui.ctx(), &obstacles)
    }

    /// Why an action cannot be done now; `None` when it can.
    fn obstacle(&self, action: Action) -> Option<String> {
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
            Action::Go(_)
            | Action::Palette
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

    fn perform(&mut self, ui: &Ui, action: Action) {
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

    fn take_offer(&mut self, offer: Offer) -> Option<Action> {
        match offer {
            Offer::Act(action) => return Some(action),
            Offer::RestoreVector(id) => self.shared.send(Command::RestoreVector(id)),
            Offer::SteerWith(id) => self.shared.handoff = Some(Handoff::Steer(id)),
        }
        None
    }

    fn hand_over(&mut self, handoff: Handoff) {
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
            Handoff::Run(id) => {
                shared.page = Page::Discover;
                self.discover.open(shared, id);
            }
        }
    }

    /// Takes in one report.
    pub fn apply(&mut self, event: Event) {
        let shared = &mut self.shared;
        match event {
            Event::Personas(list) => shared.personas = Some(list),
            Event::Vectors(list) => {
                shared.vectors = list;
                self.chat.forget_missing_vectors(shared);
            }
            Event::Runs(list) => shared.runs = list,
            Event::Settings(settings) => shared.settings = settings,
            Event::RunLoaded(run) => self.discover.loaded(*run),
            Event::Notice(text) => shared.toasts.good(text),
            Event::ModelUnloaded => {
                shared.model = None;
                shared.tokens_per_sec = None;
                shared.toasts.good("Model unloaded");
            }
            Event::Started { job, title } => {
                if let Some(current) = shared.job.as_mut().filter(|current| current.id == job) {
                    current.title = title;
                }
            }
            Event::Progress { job, done, total, unit, elapsed_secs } => {
                if let Some(current) = shared.job.as_mut().filter(|current| current.id == job) {
                    current.progress((done, total), unit, elapsed_secs);
                }
            }
            Event::ModelReady { job, info } => self.model_ready(job, *info),
            Event::VectorReady { job, info } => self.vector_ready(job, *info),
            Event::Discovery { job, progress } => {
                if shared.is_current(job) {
                    self.discover.progress(*progress);
                }
            }
            Event::Baselines { job, conditions, targets } => {
                if shared.is_current(job) {
                    self.discover.baselines(conditions, targets);
                }
            }
            Event::DiscoveryDone { job, run } => {
                if shared.finish(job).is_some() {
                    self.discover.done(shared, *run);
                }
            }
            // The window asks for no evaluations of its own yet; a run brings its own.
            Event::Evaluated { job, .. } => drop(shared.finish(job)),
            Event::ChatDelta { job, side, text } => {
                if shared.is_current(job) {
                    self.chat.delta(side, &text);
                }
            }
            Event::ChatSideDone { job, side, reason, n_tokens, tokens_per_sec } => {
                if shared.is_current(job) {
                    shared.tokens_per_sec = Some(tokens_per_sec);
                    self.chat.side_done(side, reason, n_tokens, tokens_per_sec);
                }
            }
            Event::ChatDone { job } => {
                if shared.finish(job).is_some() {
                    self.chat.done();
                }
            }
            Event::Stopped { job } => self.ended(job, None),
            Event::Failed { job: Some(job), problem } => self.ended(job, Some(problem)),
            Event::Failed { job: None, problem } => shared.loose_problem = Some(problem),
        }
    }

    fn model_ready(&mut self, job: JobId, info: ModelInfo) {
        self.shared.finish(job);
        let text = format!("{} is open", info.name);
        self.shared.model = Some(info);
        self.shared.tokens_per_sec = None;
        self.shared.toasts.offer(text, "Choose a persona", Offer::Act(Action::Go(Page::Personas)));
    }

    fn vector_ready(&mut self, job: JobId, info: VectorInfo) {
        self.shared.finish(job);
        let text = format!("Vector {} extracted", info.name);
        let id = info.id.clone();
        // Extracting again replaces the vector.
        self.shared.vectors.retain(|vector| vector.id != id);
        self.shared.vectors.push(info);
        self.shared.toasts.offer(text, "Open in chat", Offer::SteerWith(id));
    }

    /// A job that did not come to its own end.
    fn ended(&mut self, job: JobId, problem: Option<Problem>) {
        let Some(ended) = self.shared.finish(job) else { return };
        match ended.purpose {
            Purpose::Chat => self.chat.done(),
            Purpose::Discover => self.discover.interrupted(),
            Purpose::Load(_) | Purpose::Extract(_) => {}
        }
        match problem {
            Some(problem) => {
                // The page it belongs to shows the whole problem.
                if !ended.purpose.shown_on(self.shared.page) {
                    self.shared.toasts.bad(problem.title.clone());
                }
                self.shared.problems.push((ended.purpose, problem));
            }
            None => self.shared.toasts.good(format!("{} was stopped", ended.title)),
        }
    }
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
