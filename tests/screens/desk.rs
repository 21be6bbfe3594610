//! A window without anything behind it: reports are handed in, what it asks for is kept.

use std::path::PathBuf;

use egui::Vec2;
use egui_kittest::Harness;
use tiller_protocol::message::{Command, Event, JobId};
use tiller_protocol::settings::{AppSettings, ThemeChoice};
use tiller_ui::{App, Machine, Request};

/// Margin that the harness puts around everything, points.
const MARGIN: f32 = 8.0;

/// The window and what it asked for.
pub(crate) struct Window {
    pub(crate) app: App,
    pub(crate) commands: Vec<Command>,
    pub(crate) requests: Vec<Request>,
}

/// A harness around the window.
pub(crate) struct Desk {
    pub(crate) harness: Harness<'static, Window>,
    dark: bool,
}

impl Desk {
    /// A fresh window of 1280 × 800 points.
    pub(crate) fn open(dark: bool) -> Self {
        Self::open_at(dark, Vec2::new(1280.0, 800.0))
    }

    /// A fresh window of some size.
    pub(crate) fn open_at(dark: bool, size: Vec2) -> Self {
        let machine = Machine {
            version: "0.1.0".to_owned(),
            processor: "2 processor threads".to_owned(),
            memory_bytes: 16_000_000_000,
            accelerators: Vec::new(),
            workspace: PathBuf::from("/home/ada/.local/share/tiller"),
            renderer: "wgpu (Vulkan)".to_owned(),
            opened_secs: super::stock::NOW,
        };
        let mut app = App::new(machine);
        let theme = if dark { ThemeChoice::Dark } else { ThemeChoice::Light };
        app.apply(Event::Settings(AppSettings { theme, ..AppSettings::default() }));
        let window = Window { app, commands: Vec::new(), requests: Vec::new() };
        let mut harness = Harness::builder()
            .with_size(size + Vec2::splat(2.0 * MARGIN))
            .with_max_steps(32)
            .with_context_setup(tiller_ui::install)
            .build_ui_state(
                |ui, window: &mut Window| {
                    let output = window.app.show(ui);
                    window.commands.extend(output.commands);
                    window.requests.extend(output.requests);
                },
                window,
            );
        harness.run_steps(4);
        Self { harness, dark }
    }

    /// Hands a report in.
    pub(crate) fn report(&mut self, event: Event) {
        self.harness.state_mut().app.apply(event);
    }

    /// Draws a few frames.
    pub(crate) fn settle(&mut self) {
        self.harness.run_steps(6);
    }

    /// The number of the job that was started last.
    pub(crate) fn last_job(&self) -> JobId {
        let started = self.harness.state().commands.iter().rev().find_map(|command| match command {
            Command::LoadModel { job, .. }
            | Command::Extract { job, .. }
            | Command::StartDiscovery { job, .. }
            | Command::Say { job, .. } => Some(*job),
            _ => None,
        });
        started.expect("a job was started")
    }

    /// Presses the button with this name.
    pub(crate) fn press(&mut self, name: &str) {
        use egui_kittest::kittest::Queryable as _;
        self.harness.get_by_role_and_label(egui::accesskit::Role::Button, name).click();
        self.settle();
    }

    /// Writes a picture where `TILLER_SHOTS` says, if it does; checks that every control has a name in any case.
    pub(crate) fn shot(&mut self, name: &str) {
        self.settle();
        self.harness.check_accessibility();
        let Some(folder) = std::env::var_os("TILLER_SHOTS").map(PathBuf::from) else { return };
        let theme = if self.dark { "dark" } else { "light" };
        let picture = self.harness.render().expect("the software renderer works");
        let margin = MARGIN as u32;
        let (width, height) = (picture.width() - 2 * margin, picture.height() - 2 * margin);
        let picture = image::imageops::crop_imm(&picture, margin, margin, width, height).to_image();
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        picture.save(folder.join(format!("{name}-{theme}.png"))).expect("the picture can be written");
    }
}
