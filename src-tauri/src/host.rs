//! The window's content inside eframe: events in, frames out, requests to the desktop.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use egui::ViewportCommand;
use tiller_studio::Studio;
use tiller_ui::{App, Output, Request};

use crate::dialogs::{self, Dialogs};
use crate::frame_log::FrameLog;

/// Longest time that one frame spends on taking in events.
const INTAKE_BUDGET: Duration = Duration::from_millis(10);

/// Tiller as eframe sees it.
pub(crate) struct Host {
    /// State of the screens.
    pub(crate) app: App,
    /// The application behind them.
    pub(crate) studio: Studio,
    /// File dialogs.
    pub(crate) dialogs: Dialogs,
    /// Frame times, when they are wanted.
    pub(crate) frame_log: Option<FrameLog>,
    /// Set by Ctrl-C in the terminal.
    pub(crate) interrupted: Arc<AtomicBool>,
    /// Set once the first frame was drawn.
    pub(crate) drawn: Arc<AtomicBool>,
    /// Time the present frame spent on taking in events.
    pub(crate) intake: Duration,
    /// What drawing last failed with; the screens are not drawn again until the user asks.
    pub(crate) fault: Option<String>,
}

impl Host {
    /// Takes in events and answers for at most [`INTAKE_BUDGET`].
    fn take_in(&mut self, ctx: &egui::Context) {
        let begun = Instant::now();
        while let Some(answer) = self.dialogs.try_answer() {
            self.app.answer(answer);
        }
        while let Some(event) = self.studio.try_event() {
            self.app.apply(event);
            if begun.elapsed() >= INTAKE_BUDGET {
                // The rest waits for the next frame.
                ctx.request_repaint();
                break;
            }
        }
        self.intake = begun.elapsed();
    }

    /// Draws the screens. A fault in drawing costs one frame: what the user has is in the studio.
    fn draw(&mut self, ui: &mut egui::Ui) -> Output {
        match catch_unwind(AssertUnwindSafe(|| self.app.show(ui))) {
            Ok(output) => output,
            Err(payload) => {
                self.fault = Some(panic_text(payload.as_ref()).to_owned());
                ui.ctx().request_repaint();
                Output::default()
            }
        }
    }

    /// What stands in place of screens that cannot be drawn.
    fn draw_fault(&mut self, ui: &mut egui::Ui) {
        let Some(fault) = self.fault.clone() else { return };
        let mut again = false;
        egui::CentralPanel::default().show(ui, |ui| {
            ui.vertical_centered(|ui| {
                ui.add_space(ui.available_height() * 0.3);
                ui.heading("This screen could not be drawn");
                ui.label(fault);
                ui.label("Your data is safe, and running jobs go on. Draw again, or restart Tiller if it comes back.");
                again = ui.button("Draw again").clicked();
            });
        });
        if again {
            self.fault = None;
        }
    }

    fn carry_out(&mut self, output: Output, ctx: &egui::Context) {
        for command in output.commands {
            self.studio.send(command);
        }
        for request in output.requests {
            match request {
                Request::PickFolder { ticket, title } => self.dialogs.pick_folder(ticket, &title),
                Request::PickFile { ticket, title, extension } => {
                    self.dialogs.pick_file(ticket, &title, &extension);
                }
                Request::PickSavePath { ticket, title, file_name } => {
                    self.dialogs.pick_save_path(ticket, &title, &file_name);
                }
                Request::OpenLink(target) => dialogs::open_link(target),
                Request::Quit => ctx.send_viewport_cmd(ViewportCommand::Close),
            }
        }
    }
}

impl eframe::App for Host {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        if self.interrupted.load(Ordering::Relaxed) {
            ctx.send_viewport_cmd(ViewportCommand::Close);
        }
        self.take_in(ctx);
    }

    fn ui(&mut self, ui: &mut egui::Ui, frame: &mut eframe::Frame) {
        let begun = Instant::now();
        if self.fault.is_some() {
            self.draw_fault(ui);
        } else {
            let output = self.draw(ui);
            let ctx = ui.ctx().clone();
            self.carry_out(output, &ctx);
        }
        self.drawn.store(true, Ordering::Relaxed);
        if let Some(log) = &mut self.frame_log {
            log.frame(self.intake, begun.elapsed(), frame.info().cpu_usage);
        }
    }
}

/// The text that a panic carries.
pub(crate) fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("The fault carries no text.")
}
