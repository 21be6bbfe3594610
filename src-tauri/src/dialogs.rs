//! What the window asks of the desktop: file dialogs and links, never on the window's own thread.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};
use tiller_ui::{Answer, Ticket};

/// Opens dialogs on threads of their own and collects their answers.
pub(crate) struct Dialogs {
    ctx: egui::Context,
    sender: Sender<Answer>,
    receiver: Receiver<Answer>,
}

impl Dialogs {
    /// `ctx` is woken at every answer.
    pub(crate) fn new(ctx: egui::Context) -> Self {
        // At most one answer for each dialog that a person opens.
        let (sender, receiver) = unbounded();
        Self { ctx, sender, receiver }
    }

    /// The next answer, if one has come.
    pub(crate) fn try_answer(&self) -> Option<Answer> {
        self.receiver.try_recv().ok()
    }

    /// Lets the user choose a folder.
    pub(crate) fn pick_folder(&self, ticket: Ticket, title: &str) {
        let dialog = rfd::FileDialog::new().set_title(title);
        self.ask(ticket, move || dialog.pick_folder());
    }

    /// Lets the user choose a file, of one kind unless the extension is empty.
    pub(crate) fn pick_file(&self, ticket: Ticket, title: &str, extension: &str) {
        let mut dialog = rfd::FileDialog::new().set_title(title);
        if !extension.is_empty() {
            dialog = dialog.add_filter(format!("{} files", extension.to_uppercase()), &[extension]);
        }
        self.ask(ticket, move || dialog.pick_file());
    }

    /// Lets the user choose where to save.
    pub(crate) fn pick_save_path(&self, ticket: Ticket, title: &str, file_name: &str) {
        let dialog = rfd::FileDialog::new().set_title(title).set_file_name(file_name);
        self.ask(ticket, move || dialog.save_file());
    }

    fn ask(&self, ticket: Ticket, show: impl FnOnce() -> Option<PathBuf> + Send + 'static) {
        let (sender, ctx) = (self.sender.clone(), self.ctx.clone());
        let asked = thread::Builder::new().name("dialog".to_owned()).spawn(move || {
            let answer = Answer { ticket, path: show() };
            // The window may have closed meanwhile; then nobody waits for the answer.
            if sender.send(answer).is_ok() {
                ctx.request_repaint();
            }
        });
        if let Err(error) = asked {
            log::warn!("No dialog could be opened: {error}");
            drop(self.sender.send(Answer { ticket, path: None }));
        }
    }
}

/// Opens a web address or a folder with the system's own program.
pub(crate) fn open_link(target: String) {
    let opened = thread::Builder::new().name("open-link".to_owned()).spawn(move || {
        let status = opener().arg(&target).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => log::warn!("Opening {target} ended with {status}"),
            Err(error) => log::warn!("Opening {target} failed: {error}"),
        }
    });
    if let Err(error) = opened {
        log::warn!("No link could be opened: {error}");
    }
}

/// The system's program that opens anything with whatever the user has chosen for it.
fn opener() -> Command {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(target_os = "windows") {
        "explorer"
    } else {
        "xdg-open"
    };
    Command::new(program)
}
